# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is not in a run keeps its line; a host that is no node any more does not."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.filter.known_hosts_lines import FilterModule

known_hosts_lines = FilterModule().filters()["known_hosts_lines"]
KEY = {"content": base64.b64encode(b"ssh-ed25519 AAAANEW root@hv1\n").decode()}
KNOWN = (
    "# Written by hand.\n192.0.2.11 ssh-ed25519 AAAAOLD\n192.0.2.12 ssh-ed25519 AAAATWO\nbroken\n"
)


@pytest.mark.parametrize(
    ("about", "known", "lines"),
    [
        ({"host_key": KEY}, "", ["192.0.2.11 ssh-ed25519 AAAANEW"]),
        ({"host_key": KEY}, KNOWN, ["192.0.2.11 ssh-ed25519 AAAANEW"]),
        ({}, KNOWN, ["192.0.2.11 ssh-ed25519 AAAAOLD"]),
        ({"host_key": {"unreachable": True}}, KNOWN, ["192.0.2.11 ssh-ed25519 AAAAOLD"]),
        ({}, "", []),
        (
            {"host_key": KEY, "ansible_port": "2222"},
            KNOWN,
            ["[192.0.2.11]:2222 ssh-ed25519 AAAANEW"],
        ),
        (
            {"ansible_port": 2222},
            "[192.0.2.11]:2222 ssh-ed25519 AAAAOLD\n",
            ["[192.0.2.11]:2222 ssh-ed25519 AAAAOLD"],
        ),
    ],
)
def test_each_host_has_its_last_key(about: dict[str, Any], known: str, lines: list[str]) -> None:
    hosts = [{"debvisor_address": "192.0.2.11", **about}]
    assert known_hosts_lines(hosts, "host_key", known=known) == lines
