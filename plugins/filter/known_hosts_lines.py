# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the lines of ssh's known_hosts for hosts of which only some were reached."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: known_hosts_lines
short_description: Write the lines of known_hosts for a cluster
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - A host whose key was read gets a line with it. One that was not reached keeps the line that it had.
  - Lines of addresses that no host has go.
positional: _input
options:
  _input:
    description: The variables of the hosts, of which C(debvisor_address) and C(ansible_port) are read.
    type: list
    elements: dict
    required: true
  slurped:
    description: The variable in which M(ansible.builtin.slurp) registered the host's public key, where it was reached.
    type: str
    required: true
  known:
    description: The file as it is.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show the lines
  ansible.builtin.debug:
    msg: "{{ groups['debvisor'] | map('extract', hostvars) | debvisor.hci.known_hosts_lines('host_key') }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def known_hosts_lines(
    hosts: Iterable[Mapping[str, Any]], slurped: str, known: str = ""
) -> list[str]:
    """Return the lines, in the order of the hosts."""
    before = {
        words[0]: words[1:] for words in map(str.split, known.splitlines()) if len(words) == 3
    }
    lines = []
    for host in hosts:
        address, port = host["debvisor_address"], int(host.get("ansible_port", 22))
        name = address if port == 22 else f"[{address}]:{port}"
        read = b64decode(host.get(slurped, {}).get("content", "")).decode()
        if key := read.split()[:2] or before.get(name):
            lines.append(" ".join([name, *key]))
    return lines


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"known_hosts_lines": known_hosts_lines}
