#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: totp_secret_info
short_description: List who is enrolled for time-based one-time codes
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Returns for each user whether a second factor is there that the PAM module would take, since when, when it was last
    used, and how many scratch codes are left. Secrets and codes are never shown.
  - Returns whether logins can be recorded. The PAM module writes the user's file anew at each login, and refuses logins
    where it cannot - on a full disk, or on a file system that is read-only.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
options:
  users:
    description:
      - The users to report. Without it, all who have a file in the store.
    type: list
    elements: str
seealso:
  - module: debvisor.hci.totp_secret
"""

EXAMPLES = r"""
- name: Find out who is enrolled
  debvisor.hci.totp_secret_info:
    users: [anna, ben]
  register: factors

- name: Fail where a user is not enrolled
  ansible.builtin.assert:
    that: factors.users | rejectattr('enrolled') | list | length == 0
"""

RETURN = r"""
users:
  description: The users, in the order asked for, or by name.
  returned: success
  type: list
  elements: dict
  contains:
    user:
      description: The account.
      type: str
      sample: anna
    enrolled:
      description: Whether the user has a second factor that the PAM module takes.
      type: bool
    problem:
      description: Why it does not take the file that is there; else empty.
      type: str
      sample: ''
    since:
      description: When M(debvisor.hci.totp_secret) put the second factor there; null where something else did.
      type: str
      sample: '2026-11-20T19:27:14+00:00'
    last_used:
      description: The step in which a code was last accepted; null where none was. Scratch codes do not count.
      type: str
      sample: '2026-11-21T08:00:30+00:00'
    scratch_codes:
      description: How many scratch codes are left.
      type: int
      sample: 5
store:
  description: The folder of the second factors.
  returned: success
  type: dict
  contains:
    path:
      description: Where it is.
      type: str
      sample: /var/lib/debvisor/totp
    usable:
      description: Whether the PAM module can record a login there, as it has to.
      type: bool
    problem:
      description: Why not; else empty.
      type: str
      sample: ''
duration:
  description: How long it took to find out, in seconds.
  returned: success
  type: float
  sample: 0.01
"""

from ..module_utils._access.totp_secret_info import SPEC
from ..module_utils._core.operation import inform, module
from ..module_utils._wiring import access


def main() -> None:
    inform(access.totp_secret_info().look, module(SPEC))


if __name__ == "__main__":
    main()
