#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dnssec_keys
short_description: Create the keys of DNSSEC-signed zones
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Makes a key for each zone that has none, with BIND's C(dnssec-keygen) and the policy C(debvisor) of
    C(/etc/bind/debvisor-dnssec.conf), which the role P(debvisor.hci.dns_server#role) writes.
  - All its states are omnipresent from the start, so that BIND never rolls it. A zone that has a key is left alone.
  - A key is never removed, also where the run fails after it was made.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
options:
  zones:
    description:
      - The zones, in small letters and without the final dot.
    type: list
    elements: str
    required: true
  folder:
    description:
      - Folder of the keys. It must exist, and belongs to BIND.
    type: path
    default: /var/lib/bind/keys
"""

EXAMPLES = r"""
- name: Create the key of a signed zone
  debvisor.hci.dnssec_keys:
    zones: [hci.example.com]
"""

RETURN = r"""
key_names:
  description: For each zone the names of its keys; none in check mode where there is no key yet.
  returned: success
  type: dict
  sample:
    hci.example.com: [Khci.example.com.+013+12345]
"""

from ..module_utils._core.operation import module, run
from ..module_utils._dns.keys.dnssec_keys import SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    run(wiring.dnssec_keys(), module(SPEC))


if __name__ == "__main__":
    main()
