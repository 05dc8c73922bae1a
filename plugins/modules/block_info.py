#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: block_info
short_description: Look up whether and why addresses are blocked
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Looks addresses up in what M(debvisor.hci.nft_blocklist) and M(debvisor.hci.nft_ban) keep. It does not ask the
    packet filter, which takes long to list large sets, so it answers in milliseconds however long the lists are.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
options:
  addresses:
    description:
      - The addresses to look up, IPv4 or IPv6.
    type: list
    elements: str
    required: true
seealso:
  - module: debvisor.hci.nft_blocklist
  - module: debvisor.hci.nft_ban
"""

EXAMPLES = r"""
- name: Ask why a customer cannot reach us
  debvisor.hci.block_info:
    addresses: [203.0.113.7, "2001:db8::7"]
  register: asked

- name: Show it
  ansible.builtin.debug:
    var: asked.addresses
"""

RETURN = r"""
addresses:
  description: What was found, in the order of the option.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
    blocked:
      description: Whether packets from it are dropped.
      type: bool
    by:
      description:
        - What drops them. A ban has C(network), C(since), C(until), C(reason), C(requester) and C(source); a list has
          C(list), C(network), C(since), and in C(entries) every C(source) and C(line) that names the address. Times
          are in seconds since 1970.
      type: list
      elements: dict
    allowed_by:
      description: The allow lists that name it, the list C(protected) among them.
      type: list
      elements: dict
duration:
  description: How long the lookup took, in seconds.
  returned: success
  type: float
"""

from ..module_utils._core.operation import inform, module
from ..module_utils._firewall.blocklist_state import SPEC
from ..module_utils._wiring import firewall


def main() -> None:
    inform(firewall.blocklist_state().why, module(SPEC))


if __name__ == "__main__":
    main()
