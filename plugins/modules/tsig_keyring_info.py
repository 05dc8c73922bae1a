#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_keyring_info
short_description: List TSIG key classes, generations and ages
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Reads the keyring and returns what may be known of it. No secret is ever shown.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
options:
  path:
    description:
      - Path of the keyring.
    type: path
    required: true
seealso:
  - module: debvisor.hci.tsig_keyring
"""

EXAMPLES = r"""
- name: Find out how old the keys are
  debvisor.hci.tsig_keyring_info:
    path: /var/lib/debvisor/keyring.json
  register: found

- name: Say so
  ansible.builtin.debug:
    msg: "{{ item.key }} is at generation {{ item.value.current }}, {{ item.value.age // 86400 }} days old"
  loop: "{{ found.keyring | dict2items }}"
"""

RETURN = r"""
path:
  description: The keyring's file.
  returned: success
  type: str
exists:
  description: Whether there is such a file.
  returned: success
  type: bool
keyring:
  description: For each class its current generation, the age of it in seconds, whether it is settled, and all
    generations with their standing, fingerprint and times (seconds since 1970).
  returned: success
  type: dict
duration:
  description: How long it took to find out, in seconds.
  returned: success
  type: float
"""

from ..module_utils._core.operation import inform, module
from ..module_utils._dns.keys.keyring_operation import INFO_SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    inform(wiring.tsig_keyring_info().look, module(INFO_SPEC))


if __name__ == "__main__":
    main()
