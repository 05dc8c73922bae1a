# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serial, role and lag of every zone on every server."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    InvalidInput,
    TimedOut,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.connections import (
    Connections,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.records.zone_info import (
    SPEC,
    ZoneInfo,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.epoch import Epoch

from tests.fakes.dns_server import FakeClock, FakeServer

ZONE = "example.org."


class Silent:
    def __str__(self) -> str:
        return "192.0.2.3"

    def datagram(self, message: bytes, timeout: float | None = None) -> bytes:
        raise TimedOut("192.0.2.3 did not answer")


def world() -> dict[str, Any]:
    servers: dict[str, Any] = {"192.0.2.3": Silent()}
    for address, node in (
        ("192.0.2.53", "node1"),
        ("192.0.2.1", "node1.example.org"),
        ("192.0.2.2", "node2"),
    ):
        server = servers[address] = FakeServer(address)
        server.hostname = node
        server.read_only = True
        epochs = (Epoch(1, 5, "node2", "t"), Epoch(2, 9, "node1", "t"))
        server.load(ZONE, "\n".join(f'_writer TXT "{epoch.text()}"' for epoch in epochs))
        server.load("example.net.")
    del servers["192.0.2.2"].zones[next(iter(servers["192.0.2.2"].zones))]
    return servers


def look(world: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    params = {
        "zones": ["example.org", "example.net."],
        "server": "192.0.2.53",
        "servers": ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.53"],
        **options,
    }
    info = ZoneInfo(
        Connections(lambda address, port, timeout: world[address], lambda path: b"", FakeClock())
    )
    return info.look(filled(SPEC, params))["zones"]


def test_every_server_has_its_role_serial_and_lag() -> None:
    servers = world()
    servers["192.0.2.53"].put(
        ZONE, ZONE, 300, "SOA", "ns1.example.org. h.example.org. 4 3600 600 86400 300"
    )
    org, net = look(servers)
    assert (org["zone"], org["serial"], org["writer"], org["epoch"], org["in_sync"]) == (
        ZONE,
        4,
        "node1",
        2,
        False,
    )
    assert [(entry["role"], entry["lag"]) for entry in org["servers"]] == [
        ("writer", 0),
        ("writer", 3),
        ("not_authoritative", None),
        ("unreachable", None),
    ]
    assert [(entry["role"], entry["lag"]) for entry in net["servers"]] == [
        ("authoritative", 0),
        ("authoritative", 0),
        ("authoritative", 0),
        ("unreachable", None),
    ]
    assert "did not answer" in net["servers"][3]["problem"]


def test_one_who_is_not_the_writer_follows() -> None:
    servers = world()
    servers["192.0.2.1"].hostname = "node3"
    assert look(servers, zones=["example.org"])[0]["servers"][1]["role"] == "follower"


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        look(world(), zones=["a..b", "example.org"], servers=["a:b"])
    assert [problem.where for problem in caught.value.problems] == ["zones[0]", "servers[0]"]
