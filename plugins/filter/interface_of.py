# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the interface that has an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.network_facts import interface_addresses

DOCUMENTATION = r"""
name: interface_of
short_description: Find the interface that has an address
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Returns the name of the interface on which a host has an address, by its facts.
positional: _input, address
options:
  _input:
    description: The facts of the host, with those of the network.
    type: dict
    required: true
  address:
    description: An address of the host, of either family.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where the management address is
  ansible.builtin.debug:
    msg: "{{ ansible_facts | debvisor.hci.interface_of('192.0.2.11') }}"
"""

RETURN = r"""
_value:
  description: The name of the interface. An address that no interface has is an error.
  type: str
"""


def interface_of(facts: Mapping[str, Any], address: str) -> str:
    """Return the interface with this address."""
    try:
        wanted = ip_address(address)
        found = [name for name, each in interface_addresses(facts) if ip_address(each) == wanted]
    except ValueError as cause:
        raise AnsibleFilterError(f"interface_of: {cause}") from cause
    if not found:
        raise AnsibleFilterError(f"interface_of: no interface has the address {address}")
    return found[0]


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"interface_of": interface_of}
