#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_rotation_report
short_description: Write the report of a rotation of TSIG keys
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Puts together what the hosts of a rotation saw, writes it to a file, and returns the few lines that an operator
    reads.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
attributes:
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: none
    details:
      - Each run has its own report.
options:
  path:
    description:
      - The report's file.
    type: path
    required: true
  mode:
    description:
      - What was done.
    type: str
    required: true
  canaries:
    description:
      - For each host what its canary counted, RV(debvisor.hci.dns_canary#module:report).
    type: dict
    default: {}
  dropped:
    description:
      - Names of the keys that are valid no longer.
    type: list
    elements: str
    default: []
  waiting:
    description:
      - Keys that could not be retired yet, each with the reason.
    type: dict
    default: {}
  missing:
    description:
      - Hosts that were not reached.
    type: list
    elements: str
    default: []
seealso:
  - module: debvisor.hci.dns_canary
"""

EXAMPLES = r"""
- name: Write the report
  debvisor.hci.tsig_rotation_report:
    path: /var/log/debvisor/tsig-rotation.json
    mode: rotation
    canaries: "{{ canaries }}"
    dropped: [g1.debvisor-node]
"""

RETURN = r"""
summary:
  description: The report for people, line by line.
  returned: success
  type: list
  elements: str
complete:
  description: Whether nothing waits, nobody is missing and nothing failed.
  returned: success
  type: bool
losses:
  description: How many updates and transfers failed.
  returned: success
  type: int
"""

from ..module_utils._core.operation import module, run
from ..module_utils._dns.keys.rotation_report import SPEC
from ..module_utils._wiring import dns


def main() -> None:
    run(dns.tsig_rotation_report(), module(SPEC))


if __name__ == "__main__":
    main()
