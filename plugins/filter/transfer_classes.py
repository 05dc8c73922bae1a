# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell with which keys a host talks to the DNS servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..plugin_utils.transfer_classes import shared_classes

DOCUMENTATION = r"""
name: transfer_classes
short_description: Tell with which TSIG keys a DNS server talks to the others
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - DNS servers sign transfers, notifications and votes. The primaries share a class of keys; each secondary shares one
    of its own with the primaries. Secondaries share none with each other.
positional: _input, host
options:
  _input:
    description: The inventory's groups, C(groups).
    type: dict
    required: true
  host:
    description: Name of the host that signs.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show which keys are for which server
  ansible.builtin.debug:
    msg: "{{ groups | debvisor.hci.transfer_classes(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description:
    - For each DNS server that the host talks to, the class that they share. The host's own entry is the class that
      serves at the VIP.
    - Empty for a host that is no DNS server.
  type: dict
"""


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"transfer_classes": shared_classes}
