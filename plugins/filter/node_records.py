# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make DNS records of a node's addresses and SSH host keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: node_records
short_description: Make DNS records of a node's addresses and SSH host keys
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Returns entries for the option O(debvisor.hci.dns_record_sets#module:records) of
    M(debvisor.hci.dns_record_sets).
  - A family of which the node has no address is C(absent), so that a former address does not stay in DNS.
positional: _input, name
options:
  _input:
    description: The addresses of the node.
    type: list
    elements: str
    required: true
  name:
    description: The node's name in the zone.
    type: str
    required: true
  fingerprints:
    description: >-
      SSHFP records as C(ssh-keygen -r) prints them, a line each. Those of SHA-256 are taken. None leaves DNS as it is.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the records of this node
  ansible.builtin.debug:
    msg: "{{ ['192.0.2.11'] | debvisor.hci.node_records('node1') }}"
"""

RETURN = r"""
_value:
  description: The entries, those of addresses first.
  type: list
  elements: dict
"""

TYPES = {4: "A", 6: "AAAA"}
FINGERPRINT = re.compile(r"\bSSHFP\s+(\d+ 2 \S+)\s*$")


def node_records(
    addresses: Sequence[str], name: str, fingerprints: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Return the entries."""
    try:
        families = {address: ip_address(address).version for address in addresses}
    except ValueError as cause:
        raise AnsibleFilterError(f"node_records: {cause}") from cause
    entries: list[dict[str, Any]] = []
    for version, rdtype in TYPES.items():
        values = [address for address in addresses if families[address] == version]
        content = {"value": values} if values else {"state": "absent"}
        entries.append({"name": name, "type": rdtype, **content})
    found = [match[1] for line in fingerprints if (match := FINGERPRINT.search(line))]
    return entries + ([{"name": name, "type": "SSHFP", "value": found}] if found else [])


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"node_records": node_records}
