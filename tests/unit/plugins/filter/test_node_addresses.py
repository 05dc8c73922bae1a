# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a node's addresses is registered."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.debvisor.hci.plugins.filter.node_addresses import FilterModule

choose = FilterModule().filters()["node_addresses"]

FACTS: dict[str, Any] = {
    "interfaces": ["lo", "eth0", "br-vm"],
    "lo": {"ipv4": {"address": "127.0.0.1"}, "ipv6": [{"address": "::1"}]},
    "eth0": {
        "ipv4": {"address": "192.0.2.11"},
        "ipv4_secondaries": [{"address": "192.0.2.10"}],
        "ipv6": [{"address": "fe80::1"}, {"address": "2001:db8::10"}, {"address": "2001:db8::11"}],
    },
    "br_vm": {"ipv4": {"address": "198.51.100.1"}},
}


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        ({"networks": ["192.0.2.0/24"]}, ["192.0.2.11"]),
        (
            {"networks": ["192.0.2.0/24", "2001:db8::/64"], "exclude": ["2001:db8::10"]},
            ["192.0.2.11", "2001:db8::11"],
        ),
        ({"interface": "br-vm"}, ["198.51.100.1"]),
        ({"interface": "br-vm", "networks": ["192.0.2.0/24"]}, []),
        ({"interface": "lo"}, []),
        ({"families": ["ipv6"]}, ["2001:db8::10"]),
        ({"networks": ["192.0.2.0/24"], "exclude": ["192.0.2.11"]}, ["192.0.2.10"]),
    ],
)
def test_table(rule: dict[str, Any], chosen: list[str]) -> None:
    assert choose(FACTS, **rule) == chosen


@pytest.mark.parametrize(
    "rule", [{"networks": ["nonsense"]}, {"families": ["ipx"]}, {"exclude": ["x"]}]
)
def test_nonsense_is_an_error(rule: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError):
        choose(FACTS, **rule)
