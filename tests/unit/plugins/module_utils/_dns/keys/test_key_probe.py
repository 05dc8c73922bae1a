# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that nobody uses yet are tried on every server, and each no is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.rcode
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    InvalidInput,
    Unreachable,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.key_probe import (
    SPEC,
    KeyProbe,
    NotAccepted,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import tsig
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.dns_server import FakeClock, FakeServer

ZONE = "example.test."
VIP = "192.0.2.10"


def secret(name: str) -> bytes:
    return name.encode().ljust(32, b".")


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: dict[str, FakeServer] = {}
        for address in (VIP, "192.0.2.11", "192.0.2.12"):
            self.servers[address] = server = FakeServer(address)
            server.load(ZONE)
            self.accept(address, "g1.node", "g2.node", "g1.xfer", "g2.xfer")
        for name in ("g2.node", "g2.xfer"):
            number, of_class = name.split(".")
            key = tsig.Key(name, "hmac-sha256", Secret(secret(name)))
            (folder / f"{of_class}.{number}.key").write_bytes(tsig.render(key))

    def accept(self, address: str, *names: str) -> None:
        fresh = FakeServer(address, {name: secret(name) for name in names})
        self.servers[address].keyring = fresh.keyring

    def reach(self, address: str, port: int, timeout: float) -> FakeServer:
        assert (port, timeout) == (53, 3.0)
        return self.servers[address]

    def look(self, *keys: str, **more: Any) -> Any:
        given = {
            "keys": list(keys or ("g2.node", "g2.xfer")),
            "folder": str(self.folder),
            "zone": "example.test",
            "server": VIP,
            "peers": dict.fromkeys((VIP, "192.0.2.11", "192.0.2.12"), "xfer"),
            "retry_for": 2.0,
        }
        return KeyProbe(Files(), self.reach, FakeClock()).look(filled(SPEC, {**given, **more}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_transfers_from_every_peer_and_updates_where_updates_go(world: World) -> None:
    assert world.look() == {
        "taken": {"g2.node": [VIP], "g2.xfer": [VIP, "192.0.2.11", "192.0.2.12"]}
    }
    assert [each.updates for each in world.servers.values()] == [1, 0, 0]
    assert world.servers[VIP].content(ZONE) == {}


def test_a_key_that_this_host_does_not_hold_is_not_tried(world: World) -> None:
    assert world.look("g9.node", "g2.other") == {"taken": {}}


def test_every_no_is_told_and_so_is_every_yes(world: World) -> None:
    world.accept("192.0.2.12", "g1.xfer")
    world.accept(VIP, "g1.node", "g2.xfer")
    with pytest.raises(NotAccepted) as refusal:
        world.look()
    assert "2 probes failed" in str(refusal.value)
    assert len(refusal.value.details["faults"]) == 2
    assert refusal.value.details["taken"] == {"g2.xfer": [VIP, "192.0.2.11"]}
    assert "192.0.2.12" in str(refusal.value)
    assert secret("g2.node").decode() not in repr(refusal.value.details) + str(refusal.value)


def test_a_key_with_another_secret_is_no_yes(world: World) -> None:
    world.servers[VIP].keyring = FakeServer(VIP, {"g2.node": b"x" * 32}).keyring
    with pytest.raises(NotAccepted, match="1 probe failed"):
        world.look("g2.node")


def test_a_server_that_is_away_for_a_moment_is_waited_for_and_one_that_stays_away_is_told(
    world: World,
) -> None:
    world.servers[VIP].moods = [lambda: dns.rcode.REFUSED, lambda: dns.rcode.NOTAUTH]
    assert world.look("g2.node")["taken"] == {"g2.node": [VIP]}
    world.servers[VIP].moods = [lambda: dns.rcode.REFUSED] * 100
    with pytest.raises(NotAccepted):
        world.look("g2.node")
    world.servers["192.0.2.11"].stream = _silence  # type: ignore[method-assign]
    with pytest.raises(NotAccepted, match="nobody is there"):
        world.look("g2.xfer")


def _silence() -> Any:
    raise Unreachable("nobody is there")


def test_what_cannot_be_asked_is_told(world: World) -> None:
    with pytest.raises(InvalidInput, match=r"gN\.CLASS"):
        world.look("node")
    with pytest.raises(InvalidInput, match="zone"):
        world.look(zone="a..b")
    with pytest.raises(InvalidInput, match="neither an IP address"):
        world.look(peers={"1.2": "xfer"})
    with pytest.raises(InvalidInput, match=r"peers\[192.0.2.11\].*is not the name of a class"):
        world.look(peers={"192.0.2.11": "g1.xfer"})


def test_each_server_is_asked_with_the_key_of_its_class_alone(world: World) -> None:
    world.accept("192.0.2.12", "g1.xfer")
    peers = {VIP: "xfer", "192.0.2.11": "xfer", "192.0.2.12": "xfer-n3"}
    assert world.look("g2.xfer", peers=peers)["taken"] == {"g2.xfer": [VIP, "192.0.2.11"]}
