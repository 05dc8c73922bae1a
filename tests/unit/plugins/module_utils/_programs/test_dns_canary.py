# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canary's program: it works at a steady pace with the key of the moment, counts, and cleans up."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import tsig
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.client import Client
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.key_source import KeySource
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files
from ansible_collections.debvisor.hci.plugins.module_utils._programs import dns_canary

from tests.fakes.dns_server import FakeServer

ZONE = "example.test."


def secret(number: int) -> bytes:
    return f"{number}".encode().ljust(32, b".")


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = folder / "report.json"
        for number in (1, 2):
            key = tsig.Key(f"g{number}.x", "hmac-sha256", Secret(secret(number)))
            (folder / f"x.g{number}.key").write_bytes(tsig.render(key))
        self.sign_with(1)
        self.server = FakeServer()
        self.server.load(ZONE)
        self.accept(1, 2)

    def accept(self, *numbers: int) -> None:
        keys = {f"g{number}.x": secret(number) for number in numbers}
        self.server.keyring = FakeServer(keys=keys).keyring

    def sign_with(self, number: int) -> None:
        Files().link(str(self.folder / "x.key"), f"x.g{number}.key")

    def signing_client(
        self, address: str, port: int, timeout: float, key_file: str
    ) -> tuple[Client, KeySource]:
        keys = KeySource(key_file, Files().read, Files().listing)
        return Client(self.server, keys, reject=keys.reject), keys

    def run(self, *more: str, limit: float = 0.3) -> int:
        words = [f"--zone={ZONE}", "--name=_canary", "--server=192.0.2.53"]
        words += [f"--key-file={self.folder / 'x.key'}", f"--report={self.report}"]
        return dns_canary.main([*words, "--interval=0.02", f"--limit={limit}", *more])

    def told(self) -> Any:
        return json.loads(self.report.read_text())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    found = World(tmp_path)
    monkeypatch.setattr(dns_canary, "signing_client", found.signing_client)
    former = {kind: signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGINT)}
    yield found
    for kind, handler in former.items():
        signal.signal(kind, handler)


def test_it_counts_and_leaves_nothing_in_the_zone(world: World) -> None:
    transfers = ["--transfer-zone=example.test", "--transfer-interval=0.02"]
    transfers += [f"--transfer-from=192.0.2.53={world.folder / 'x.key'}"]
    assert world.run(*transfers) == 0
    told = world.told()
    assert told["ended"]
    for work in ("updates", "transfers"):
        assert told[work]["made"] > 3
        assert (told[work]["failed"], told[work]["errors"]) == (0, [])
    assert told["fallbacks"] == []
    assert world.server.content(ZONE) == {}


def test_what_fails_is_counted_and_told_by_the_exit_code(world: World) -> None:
    world.accept(7)
    assert world.run() == 1
    told = world.told()["updates"]
    assert told["made"] == 0
    assert told["failed"] > 3
    assert len(told["errors"]) == 5
    assert "does not know the key" in told["errors"][0]


def test_it_signs_with_the_key_of_the_moment_and_loses_nothing(world: World) -> None:
    numbers = []
    answer = world.server.answer

    def turn() -> None:
        if len(numbers) == 5:
            world.sign_with(2)
        if len(numbers) == 8:
            world.accept(2)

    def watched(message: bytes) -> list[bytes]:
        numbers.append(next(number for number in (1, 2) if b"\x02g%d\x01x\0" % number in message))
        turn()
        return answer(message)

    world.server.answer = watched  # type: ignore[method-assign]
    assert world.run() == 0
    assert numbers[:5] == [1] * 5
    assert set(numbers[5:]) == {2}
    assert len(numbers) > 9
    assert world.told()["fallbacks"] == []


def test_a_key_that_a_server_does_not_know_is_fallen_back_from_and_told(world: World) -> None:
    world.accept(2)
    assert world.run() == 0
    [fallback] = world.told()["fallbacks"]
    assert "g1.x; g2.x" in fallback


def test_a_signal_ends_it_in_order(world: World) -> None:
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    assert world.run(limit=60) == 0
    timer.join()
    assert world.told()["ended"]
    assert world.server.content(ZONE) == {}


@pytest.mark.parametrize("wrong", ["--zone=a..b", "--name=" + "x" * 64, "--name=", "--name=a.b"])
def test_one_that_cannot_begin_says_so(
    world: World, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run(wrong) == 2
    assert "dns-canary: " in capsys.readouterr().err
    assert world.server.updates == 0


def test_a_zone_to_transfer_that_is_none_is_told_too(world: World) -> None:
    source = f"--transfer-from=192.0.2.53={world.folder / 'x.key'}"
    assert world.run(source, "--transfer-zone=a..b", "--transfer-interval=1") == 2


def test_transfers_need_their_pace(world: World) -> None:
    with pytest.raises(SystemExit) as ended:
        world.run("--transfer-from=192.0.2.53=x.key", "--transfer-zone=example.org")
    assert ended.value.code == 2


def test_a_source_of_transfers_has_a_key_file(world: World) -> None:
    for source in ("192.0.2.53", "=x.key", "192.0.2.53="):
        with pytest.raises(SystemExit):
            world.run(f"--transfer-from={source}", "--transfer-zone=a.b", "--transfer-interval=1")


def test_a_report_that_cannot_be_written_ends_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run(f"--report={world.folder / 'none' / 'report'}", limit=60) == 2
    assert "No such file" in capsys.readouterr().err
    assert world.server.content(ZONE) == {}, "its threads ended, too"
