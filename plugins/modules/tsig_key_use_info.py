#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_key_use_info
short_description: List when clients last used which TSIG key
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Reads what the name server of this host noted of signed updates, transfers and notifications, and returns the last
    use of each key, and by whom.
  - Where notes of the asked-for time were thrown away, nothing is known of it, and RV(quiet) is false.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
options:
  keys:
    description:
      - Names of the keys.
    type: list
    elements: str
    required: true
  quiet_for:
    description:
      - Seconds without use after which RV(quiet) is true.
    type: float
    default: 60
  log:
    description:
      - The file of BIND's logging channel; its older versions lie beside it.
    type: path
    default: /var/log/named/debvisor-keys.log
  kept_versions:
    description:
      - How many older versions BIND keeps. Where all are there, still older ones may be gone.
    type: int
    default: 2
seealso:
  - module: debvisor.hci.tsig_keyring
"""

EXAMPLES = r"""
- name: Wait until the old key is out of use
  debvisor.hci.tsig_key_use_info:
    keys: [g1.debvisor-node]
    quiet_for: 60
  register: use
  until: use.quiet
  retries: 60
  delay: 2
"""

RETURN = r"""
used:
  description: For each key that was used, when it was last (seconds since 1970) and by which address.
  returned: success
  type: dict
  sample: {g1.debvisor-node: {at: 1795636800.123, client: 192.0.2.13}}
recent:
  description: The same, of the last O(quiet_for) seconds alone.
  returned: success
  type: dict
covered:
  description: Whether the notes cover all of the last O(quiet_for) seconds.
  returned: success
  type: bool
quiet:
  description: Whether none of the keys was used in the last O(quiet_for) seconds, as far as is known for certain.
  returned: success
  type: bool
duration:
  description: How long it took to find out, in seconds.
  returned: success
  type: float
"""

from ..module_utils._core.operation import inform, module
from ..module_utils._dns.keys.key_use import SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    inform(wiring.tsig_key_use_info().look, module(SPEC))


if __name__ == "__main__":
    main()
