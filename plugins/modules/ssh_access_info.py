#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_access_info
short_description: Check whether a second factor can be required at SSH logins
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Judges every condition that M(debvisor.hci.ssh_access) asks for before it changes anything, and reports all of them.
  - What sshd would do is read from sshd itself, with the drop-in in a private mount namespace.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
  - debvisor.hci.ssh_access
seealso:
  - module: debvisor.hci.ssh_access
"""

EXAMPLES = r"""
- name: Find out what is missing
  debvisor.hci.ssh_access_info:
    users: [anna, ben]
    exempt:
      - user: automation
        reason: Ansible cannot type codes
        expires: "2027-06-30"
    break_glass:
      user: firefighter
      networks: [192.0.2.0/28]
      reason: The key is in the safe of the operations room
      private_key: ~/.ssh/firefighter.pub
  register: access

- name: Show it
  ansible.builtin.debug:
    msg: "{{ access.preflight | rejectattr('holds') }}"
"""

RETURN = r"""
enforced:
  description: Whether a second factor is asked for now, as these options want it.
  returned: success
  type: bool
preflight:
  description: Every condition for asking for a second factor.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: Name of the condition.
      type: str
      sample: enrolled
    holds:
      description: Whether it holds.
      type: bool
    why:
      description: Why it does not; else empty.
      type: str
    hint:
      description: What to do about it; else empty.
      type: str
ready:
  description: Whether every condition holds.
  returned: success
  type: bool
exemptions:
  description: Who is exempt, why, until when, and whether that is over.
  returned: success
  type: list
  elements: dict
left_out:
  description: Accounts of people whom no option names.
  returned: success
  type: list
  elements: str
sessions:
  description: Who is logged in now, by C(user) and C(terminal). Their sessions go on.
  returned: success
  type: list
  elements: dict
duration:
  description: How long the check took, in seconds, without the start of the module.
  returned: success
  type: float
  sample: 0.2
"""

from ..module_utils._access.ssh_access_operation import INFO_SPEC
from ..module_utils._core.operation import inform, module
from ..module_utils._wiring import access


def main() -> None:
    inform(access.ssh_access().look, module(INFO_SPEC))


if __name__ == "__main__":
    main()
