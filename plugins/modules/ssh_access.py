#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: ssh_access
short_description: Require a second factor at SSH logins
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Makes sshd ask for a key and a one-time code, from the secrets that M(debvisor.hci.totp_secret) keeps. Who is not
    enrolled does not enter, unless exempt.
  - Nothing is changed before every condition holds that could lock people out else. All that do not are listed at once.
  - The change stays only where the action plugin of the same name proves it over new connections from the control node.
    A canary account enters with key and code, and with neither alone, nor with a wrong code or a password; the
    break-glass account enters; and so does Ansible itself. Else the host rolls the change back by itself, also over a
    restart.
  - sshd reads its configuration without being restarted, so sessions live on.
  - Run M(debvisor.hci.totp_secret) before, and the role debvisor.hci.node, which installs the program that takes a
    change back. The control node needs C(ssh) and C(ssh-keygen) of OpenSSH 8.4 or newer, and the Python library pyotp.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
  - debvisor.hci.commit_confirm
  - debvisor.hci.ssh_access
options:
  state:
    description:
      - V(enforced) asks for the second factor.
      - V(absent) does not any more, and restores the files from before. It is confirmed by Ansible's own login alone.
    type: str
    choices: [enforced, absent]
    default: enforced
seealso:
  - module: debvisor.hci.ssh_access_info
  - module: debvisor.hci.totp_secret
"""

EXAMPLES = r"""
- name: Ask for a second factor
  debvisor.hci.ssh_access:
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
    confirm_within: 120

- name: Do not ask any more
  debvisor.hci.ssh_access:
    state: absent
"""

RETURN = r"""
preflight:
  description: Every condition for asking for a second factor.
  returned: O(state=enforced)
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
  returned: O(state=enforced)
  type: bool
exemptions:
  description: Who is exempt, why, until when, and whether that is over.
  returned: O(state=enforced)
  type: list
  elements: dict
left_out:
  description: Accounts of people whom no option names.
  returned: O(state=enforced)
  type: list
  elements: str
sessions:
  description: Who is logged in now, by C(user) and C(terminal). Their sessions go on.
  returned: O(state=enforced)
  type: list
  elements: dict
confirmed:
  description: Whether the change was proven and confirmed over new connections.
  returned: when something changed
  type: bool
rolled_back:
  description: Whether the change, which did not prove itself, is rolled back already. Else the revert timer does it.
  returned: when a proof failed
  type: bool
proofs:
  description: What was tried over new connections, with whether it went as it should.
  returned: when something changed
  type: list
  elements: dict
  contains:
    proof:
      description: What was tried.
      type: str
      sample: canary with key and code
    holds:
      description: Whether it went as it should.
      type: bool
    said:
      description: What ssh said where it did not; else empty.
      type: str
awaiting:
  description: The change that is yet to be confirmed.
  returned: when something changed and was not confirmed
  type: dict
  contains:
    transaction:
      description: Name of the change.
      type: str
    seconds:
      description: How long it can be confirmed.
      type: float
"""

from ..module_utils._access.ssh_access_operation import SPEC
from ..module_utils._core import settings
from ..module_utils._core.operation import module, run
from ..module_utils._ports.host.revert_timer import TransientTimer
from ..module_utils._wiring import access


def main() -> None:
    timer = TransientTimer(str(settings.LIBEXEC_DIR))
    run(access.ssh_access(), module(SPEC), revert_timer=timer)


if __name__ == "__main__":
    main()
