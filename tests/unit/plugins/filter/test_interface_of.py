# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On which interface a node has an address."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.debvisor.hci.plugins.filter.interface_of import FilterModule

interface_of = FilterModule().filters()["interface_of"]

FACTS: dict[str, Any] = {
    "interfaces": ["lo", "eth0", "br-vm", "down"],
    "lo": {"ipv4": {"address": "127.0.0.1"}},
    "eth0": {
        "ipv4": {"address": "192.0.2.11"},
        "ipv4_secondaries": [{"address": "192.0.2.10"}],
        "ipv6": [{"address": "fe80::1"}, {"address": "2001:db8::11"}],
    },
    "br_vm": {"ipv4": {"address": "198.51.100.1"}},
}


@pytest.mark.parametrize(
    ("address", "interface"),
    [
        ("192.0.2.11", "eth0"),
        ("192.0.2.10", "eth0"),
        ("2001:db8:0::11", "eth0"),
        ("198.51.100.1", "br-vm"),
    ],
)
def test_table(address: str, interface: str) -> None:
    assert interface_of(FACTS, address) == interface


@pytest.mark.parametrize("address", ["192.0.2.1", "nonsense"])
def test_an_address_that_is_not_there_is_an_error(address: str) -> None:
    with pytest.raises(AnsibleFilterError, match=address):
        interface_of(FACTS, address)
