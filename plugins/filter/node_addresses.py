# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose a node's addresses from its facts by rule."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.network_facts import interface_addresses

DOCUMENTATION = r"""
name: node_addresses
short_description: Choose a node's addresses from its facts by rule
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Returns the first address of each wanted family that lies in one of the networks and on the interface.
  - Link-local and loopback addresses are never chosen, nor temporary ones of O(exclude).
positional: _input
options:
  _input:
    description: The facts of the node, with those of the network.
    type: dict
    required: true
  networks:
    description: Networks in CIDR form, the most wanted first. Empty means any.
    type: list
    elements: str
    default: []
  interface:
    description: The interface that has the address. Empty means any.
    type: str
    default: ""
  families:
    description: The wanted families.
    type: list
    elements: str
    choices: [ipv4, ipv6]
    default: [ipv4, ipv6]
  exclude:
    description: Addresses to pass over, such as virtual ones.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the address in the management network
  ansible.builtin.debug:
    msg: "{{ ansible_facts | debvisor.hci.node_addresses(networks=['192.0.2.0/24'], families=['ipv4']) }}"
"""

RETURN = r"""
_value:
  description: At most one address a family, in the order of O(families).
  type: list
  elements: str
"""

VERSIONS = {"ipv4": 4, "ipv6": 6}


def node_addresses(
    facts: Mapping[str, Any],
    networks: Sequence[str] = (),
    interface: str = "",
    families: Sequence[str] = ("ipv4", "ipv6"),
    exclude: Sequence[str] = (),
) -> list[str]:
    """Return at most one address a family."""
    try:
        wanted = [ipaddress.ip_network(network) for network in networks]
        passed_over = {ipaddress.ip_address(address) for address in exclude}
        present = [
            ipaddress.ip_address(address)
            for name, address in interface_addresses(facts)
            if interface in ("", name)
        ]
        versions = [VERSIONS[family] for family in families]
    except (ValueError, KeyError) as cause:
        raise AnsibleFilterError(f"node_addresses: {cause}") from cause
    usable = [
        address
        for address in present
        if not (address.is_link_local or address.is_loopback or address in passed_over)
    ]
    chosen = []
    for version in versions:
        same = [address for address in usable if address.version == version]
        ranked = [a for network in wanted for a in same if a in network] if wanted else same
        chosen += [str(ranked[0])] if ranked else []
    return chosen


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"node_addresses": node_addresses}
