# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who needs a second factor and who does not, for the module that asks for it and the one that reports."""

from __future__ import annotations


class ModuleDocFragment:
    """Extend C(debvisor.hci.ssh_access) in a module that judges who enters how."""

    DOCUMENTATION = r"""
options:
  users:
    description:
      - The people who have to be enrolled before a second factor is asked for.
      - Everybody else who is not exempt is asked for one, too, and does not enter without. The report lists those
        as C(left_out).
    type: list
    elements: str
    default: []
  exempt:
    description:
      - Who enters by key alone, such as automation, which has no phone.
    type: list
    elements: dict
    default: []
    suboptions:
      user:
        description:
          - Name of an account. Either this or O(exempt[].group).
        type: str
      group:
        description:
          - Name of a group.
        type: str
      reason:
        description:
          - Why. It stands in sshd's configuration and in the report.
        type: str
        required: true
      expires:
        description:
          - The last day on which the exemption may be in force, as C(YYYY-MM-DD). A run after that day fails.
        type: str
        required: true
  automation:
    description:
      - Accounts that other automation than the present run logs in as. Each has to be exempt, too.
    type: list
    elements: str
    default: []
  break_glass:
    description:
      - The account that enters by key alone when all others cannot. Each use raises an alarm.
    type: dict
    suboptions:
      user:
        description:
          - Name of the account.
        type: str
        required: true
      networks:
        description:
          - Networks that it may come from. The control node has to be in one of them, for the proof.
        type: list
        elements: str
        required: true
      reason:
        description:
          - What it is for, and who has the key.
        type: str
        required: true
      private_key:
        description:
          - Path on the control node of its private key, which must have no passphrase; or of its public key, where an
            agent has the private one. It is only used to prove that the account enters.
        type: path
  canary:
    description:
      - Name of an account that has no other use than to prove, during a run, that key and code let people in. It can do
        nothing, and has a key and a secret only while the proof lasts.
    type: str
    default: debvisor-canary
  admin_groups:
    description:
      - Groups whose members may administer the host. Besides root, they count as paths for administrators.
    type: list
    elements: str
    default: [sudo]
  also:
    description:
      - What asks for a code besides sshd, after the password, from whom sshd would ask for one.
      - V(sudo) for commands that C(sudo) asks for a password for; V(console) for logins at the machine itself, which
        are the last way in where the clock or the disk is broken.
    type: list
    elements: str
    choices: [sudo, console]
    default: []
  controller:
    description:
      - What the action plugin of the module passes on from the control node. Leave it to that.
    type: dict
    suboptions:
      account:
        description:
          - Whom Ansible logs in as.
        type: str
      clock_offset:
        description:
          - How far the host's clock is from the control node's at worst, in seconds.
        type: float
      break_glass_key:
        description:
          - Whether there is a key for the break-glass account.
        type: bool
        default: false
      canary_key:
        description:
          - The public key of the present proof.
        type: str
      canary_secret:
        description:
          - The secret of the present proof.
        type: str
"""
