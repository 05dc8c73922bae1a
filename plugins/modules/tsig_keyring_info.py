#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_keyring_info
short_description: Tell the TSIG classes, their generations and ages
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Reads the keyring and tells what may be known of it. No secret is ever shown.
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

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._core.operation import inform
from ..module_utils._core.waiting import SystemClock
from ..module_utils._dns.keyring_operation import TsigKeyringInfo
from ..module_utils._ports.files import Files


def main() -> None:
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True
    )
    inform(TsigKeyringInfo(Files(), SystemClock()).look, module)


if __name__ == "__main__":
    main()
