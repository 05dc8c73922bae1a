# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key to sign with, and the other one that is fallen back on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns import names, packing, rdata, tsig
from ansible_collections.debvisor.hci.plugins.module_utils._dns.client import Client
from ansible_collections.debvisor.hci.plugins.module_utils._dns.errors import BadKey
from ansible_collections.debvisor.hci.plugins.module_utils._dns.key_source import KeySource
from ansible_collections.debvisor.hci.plugins.module_utils._dns.rrset import Change, RRset
from ansible_collections.debvisor.hci.plugins.module_utils._ports.files import Files

from tests.fakes.dns_server import FakeServer

ZONE = "example.test."


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "x.key"
        for number in (1, 2, 3):
            self.add(number)
        (folder / "x.g9.key").write_text("broken")
        (folder / "xy.g8.key").write_bytes((folder / "x.g3.key").read_bytes())
        self.sign_with(1)
        files = Files()
        self.keys = KeySource(str(self.path), files.read, files.listing)

    def add(self, number: int) -> None:
        key = tsig.Key(f"g{number}.x", "hmac-sha256", Secret(self.secret(number)))
        (self.folder / f"x.g{number}.key").write_bytes(tsig.render(key))

    def secret(self, number: int) -> bytes:
        return f"{number}".encode().ljust(32, b".")

    def sign_with(self, number: int) -> None:
        self.path.unlink(missing_ok=True)
        os.symlink(f"x.g{number}.key", self.path)

    def server(self, *numbers: int) -> FakeServer:
        server = FakeServer(keys={f"g{number}.x": self.secret(number) for number in numbers})
        server.load(ZONE)
        return server

    def client(self, server: FakeServer) -> Client:
        return Client(server, self.keys, reject=self.keys.reject)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_it_is_read_at_each_use(world: World) -> None:
    assert world.keys().name == "g1.x"
    world.sign_with(2)
    assert world.keys().name == "g2.x"
    assert world.keys.fallbacks == []


def test_the_newest_other_generation_serves_where_one_is_not_known(world: World) -> None:
    serial = world.client(world.server(2, 3)).soa(names.parse(ZONE)).serial
    assert serial == 1
    assert len(world.keys.fallbacks) == 1
    assert "does not know the key g1.x; g3.x" in world.keys.fallbacks[0]


def test_one_after_the_other_is_tried(world: World) -> None:
    assert world.client(world.server(2)).transfer(names.parse(ZONE))[0] == 1
    assert world.keys().name == "g2.x"


def test_no_other_generation_is_an_error(world: World) -> None:
    for number in (2, 3):
        (world.folder / f"x.g{number}.key").unlink()
    with pytest.raises(BadKey):
        world.client(world.server(2)).soa(names.parse(ZONE))
    assert world.keys.fallbacks == []


def test_none_of_them_is_an_error_and_ends(world: World) -> None:
    with pytest.raises(BadKey):
        world.client(world.server(7)).ask_many([(names.parse(ZONE), rdata.SOA)])


def test_a_switch_forgets_what_was_said_of_keys(world: World) -> None:
    world.client(world.server(3)).soa(names.parse(ZONE))
    assert world.keys().name == "g3.x"
    world.sign_with(2)
    assert world.keys().name == "g2.x"
    world.sign_with(1)
    assert world.keys().name == "g1.x"


def test_only_updates_with_an_unknown_key_are_sent_again(world: World) -> None:
    server = world.server(2)
    zone = names.parse(ZONE)
    changes = [
        Change(
            names.parse(f"n{number}.{ZONE}"),
            rdata.A,
            None,
            RRset(60, frozenset({bytes([10, 0, 0, 1])})),
        )
        for number in range(3)
    ]
    messages = [packing.pack(zone, [change])[0].message for change in changes]
    outcomes = world.client(server).update(*messages)
    assert outcomes == [None, None, None]
    assert server.updates == 3
    assert "g3.x" in world.keys.fallbacks[0]


def test_a_key_file_without_generations_has_nothing_to_fall_back_on(tmp_path: Path) -> None:
    path = tmp_path / "own.key"
    path.write_bytes(tsig.render(tsig.Key("own", "hmac-sha256", Secret(b"o" * 32))))
    files = Files()
    keys = KeySource(str(path), files.read, files.listing)
    assert not keys.reject("own")
    assert keys().name == "own"
