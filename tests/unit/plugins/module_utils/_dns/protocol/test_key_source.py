# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key to sign with, and the other one that is fallen back on."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import dns.rcode
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, rdata, tsig
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.client import Client
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.errors import (
    BadKey,
    BadSignature,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.key_source import KeySource
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.rrset import Change, RRset
from ansible_collections.debvisor.hci.plugins.module_utils._dns.records import packing
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

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


def change(name: bytes) -> Change:
    return Change(name, rdata.A, None, RRset(60, frozenset({bytes([10, 0, 0, 1])})))


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
    messages = [
        packing.pack(zone, [change(names.parse(f"n{number}.{ZONE}"))])[0].message
        for number in range(3)
    ]
    outcomes = world.client(server).update(*messages)
    assert outcomes == [None, None, None]
    assert server.updates == 3
    assert "g3.x" in world.keys.fallbacks[0]


def test_of_a_batch_just_what_was_refused_for_its_key_is_sent_again(world: World) -> None:
    """The server is told of the next generation, and to forget the last, in the middle of a batch."""
    server = world.server(1)
    zone = names.parse(ZONE)

    def turn() -> None:
        server.keyring = world.server(3).keyring

    seen = []
    update = server._update

    def watched(request: Any) -> int:
        seen.append(str(request.keyname))
        return update(request)

    server._update = watched  # type: ignore[method-assign]
    # made with the old key; refused for another reason; then the keys change
    server.moods = [lambda: None, lambda: dns.rcode.REFUSED, turn]
    messages = [
        packing.pack(zone, [change(names.parse(f"n{number}.{ZONE}"))])[0].message
        for number in range(6)
    ]
    outcomes = world.client(server).update(*messages)
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["NoneType", "RequestRefused", *["NoneType"] * 4]
    assert seen == ["g1.x."] * 3 + ["g3.x."] * 3, "nothing that was answered was sent twice"
    assert sorted(server.content(ZONE)) == [f"n{number} A 60" for number in (0, 2, 3, 4, 5)]
    assert server.serial(ZONE) == 6


def test_many_questions_are_asked_again_as_a_whole(world: World) -> None:
    questions = [(names.parse(ZONE), rdata.SOA), (names.parse(f"no.{ZONE}"), rdata.A)]
    answers = world.client(world.server(3)).ask_many(questions)
    assert [answer.rcode for answer in answers] == [dns.rcode.NOERROR, dns.rcode.NXDOMAIN]
    assert len(world.keys.fallbacks) == 1


def test_another_secret_is_no_unknown_key(world: World) -> None:
    """BADSIG may be an attack or a damaged file: no other key is tried, and no other file is read."""
    server = FakeServer(keys={"g1.x": b"another".ljust(32, b"."), "g3.x": world.secret(3)})
    server.load(ZONE)
    with pytest.raises(BadSignature):
        world.client(server).soa(names.parse(ZONE))
    assert world.keys.fallbacks == []


def test_a_generation_that_went_between_listing_and_reading_is_none(world: World) -> None:
    files = Files()
    keys = KeySource(
        str(world.path), files.read, lambda folder: [*files.listing(folder), "x.g7.key"]
    )
    assert keys().name == "g1.x"
    assert keys.reject("g1.x")
    assert keys().name == "g3.x"


def test_a_switch_between_signing_and_the_answer_leads_to_the_new_key(world: World) -> None:
    (world.folder / "x.g3.key").unlink()
    assert world.keys().name == "g1.x"
    (world.folder / "x.g1.key").unlink()
    world.sign_with(2)
    assert world.keys.reject("g1.x"), "there is another to try: the one in the file now"
    assert world.keys().name == "g2.x"


def test_a_file_of_another_class_beside_it_is_not_taken(world: World) -> None:
    for number in (2, 3):
        key = tsig.Key(f"g{number}.y", "hmac-sha256", Secret(world.secret(number)))
        (world.folder / f"x.g{number}.key").write_bytes(tsig.render(key))
    assert not world.keys.reject("g1.x")


def test_no_secret_is_told_of_a_fallback(world: World) -> None:
    world.client(world.server(3)).soa(names.parse(ZONE))
    told = "".join(world.keys.fallbacks) + repr(world.keys()) + repr(world.keys)
    for number in (1, 2, 3):
        for shape in (world.secret(number).decode(), world.secret(number).hex()):
            assert shape not in told
        assert base64.b64encode(world.secret(number)).decode() not in told


def test_a_key_file_without_generations_has_nothing_to_fall_back_on(tmp_path: Path) -> None:
    path = tmp_path / "own.key"
    path.write_bytes(tsig.render(tsig.Key("own", "hmac-sha256", Secret(b"o" * 32))))
    files = Files()
    keys = KeySource(str(path), files.read, files.listing)
    assert not keys.reject("own")
    assert keys().name == "own"
