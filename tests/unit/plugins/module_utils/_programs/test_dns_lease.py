# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease at work: real datagrams on loopback, and a fence that writes down what it is told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import Key, render
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.update_fence import (
    FenceFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs import dns_lease
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_keys import Keys
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_lease import (
    DRAIN,
    FENCE_GRACE,
    FENCE_SLACK,
    Gate,
    LeaseKeeper,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_settings import (
    ServerEntry,
    Settings,
)

LEASE = 0.6
PATIENCE = 10.0


class FakeFence:
    """Remembers until when it is open. A call may be slow, as where another transaction holds the kernel's lock."""

    def __init__(self) -> None:
        self.until = 0.0
        self.clients = False
        self.delay: Callable[[], None] = lambda: None
        self.calls: list[str] = []
        self.gone = False
        """Somebody removed the table."""

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.gone:
            raise FenceFailed("no such table")

    def open(self, seconds: float, *, clients: bool) -> None:
        self._call("open")
        self.delay()
        self.until, self.clients = dns_lease.clock() + seconds, clients

    def renew(self, seconds: float, *, clients: bool) -> bool:
        self.calls.append("renew")
        if self.gone:
            return False
        self.delay()
        if not self.lets_in:
            return False
        self.until, self.clients = dns_lease.clock() + seconds, clients
        return True

    def close(self) -> None:
        self._call("close")
        self.until = 0.0

    @property
    def lets_in(self) -> bool:
        return dns_lease.clock() < self.until


class Time:
    """A clock that goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(dns_lease, "clock", lambda: self.now)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def test_the_gate_is_open_for_a_little_less_than_the_lease(at: Time) -> None:
    fence = FakeFence()
    assert Gate(fence).follow(at.now + 1, clients=True)
    assert fence.until == pytest.approx(at.now + 1 - FENCE_SLACK)
    assert fence.clients


def test_it_is_told_once_and_renewed_when_there_is_more(at: Time) -> None:
    fence = FakeFence()
    gate = Gate(fence)
    for until in (1001.0, 1001.0, 1001.3):
        assert gate.follow(until, clients=True)
    assert gate.follow(1001.3, clients=False)
    assert fence.calls == ["open", "renew", "renew"]
    assert not fence.clients


def test_it_closes_when_the_lease_is_gone_and_only_then(at: Time) -> None:
    fence = FakeFence()
    gate = Gate(fence)
    assert gate.follow(float("-inf"), clients=True)
    assert fence.calls == []
    gate.follow(1001.0, clients=True)
    gate.follow(float("-inf"), clients=True)
    assert fence.calls == ["open", "close"]


def test_a_kernel_that_is_slow_once_gets_the_right_time_in_the_end(at: Time) -> None:
    fence = FakeFence()
    delays = iter([0.3, 0.0])
    fence.delay = lambda: setattr(at, "now", at.now + next(delays))
    assert Gate(fence).follow(1001.0, clients=True)
    assert fence.until == pytest.approx(1001.0 - FENCE_SLACK)


def test_a_kernel_that_is_too_slow_leaves_it_closed(at: Time) -> None:
    fence = FakeFence()
    fence.delay = lambda: setattr(at, "now", at.now + 3.0)
    assert not Gate(fence).follow(1001.0, clients=True)
    assert not fence.lets_in


def test_a_stall_on_the_way_to_a_renewal_does_not_open_what_had_closed(at: Time) -> None:
    fence = FakeFence()
    gate = Gate(fence)
    gate.follow(1001.0, clients=True)
    fence.delay = lambda: setattr(at, "now", at.now + 2.0)
    assert not gate.follow(1001.2, clients=True)
    assert not fence.lets_in


def test_a_fence_that_is_gone_for_a_moment_costs_nothing(at: Time) -> None:
    fence = FakeFence()
    gate = Gate(fence)
    assert gate.keep(1001.0, clients=True) == 1001.0
    fence.gone = True
    assert gate.keep(1001.3, clients=True) == 1001.0, "what it was set for last"
    at.now += FENCE_GRACE / 2
    assert gate.keep(1001.3, clients=True) == 1001.0
    assert (gate.failing, gate.trouble) == (True, "")
    fence.gone = False
    assert gate.keep(1001.3, clients=True) == 1001.3
    assert not gate.failing


def test_a_fence_that_stays_away_is_no_fence(at: Time) -> None:
    fence = FakeFence()
    gate = Gate(fence)
    gate.keep(1010.0, clients=True)
    fence.gone = True
    gate.keep(1010.3, clients=True)
    at.now += FENCE_GRACE
    for until in (1010.3, 1010.6, float("-inf")):
        assert gate.keep(until, clients=True) == float("-inf")
        assert "no such table" in gate.trouble
    fence.gone = False
    gate.keep(float("-inf"), clients=True)
    assert (gate.failing, gate.trouble) == (False, "")


def test_a_fence_that_is_not_in_use_is_looked_at_now_and_then(at: Time) -> None:
    fence = FakeFence()
    gate = Gate(fence)
    for _look in range(20):
        gate.keep(float("-inf"), clients=False)
        at.now += 0.2
    assert fence.calls == ["close", "close"]
    fence.gone = True
    for _look in range(20):
        gate.keep(float("-inf"), clients=False)
        at.now += 0.2
    assert gate.trouble


class Cluster:
    """Keepers of three servers, on addresses of the loopback interface."""

    def __init__(self, folder: Path) -> None:
        for name in ("debvisor-xfer", *(f"debvisor-xfer-n{i}" for i in range(3, 6))):
            key = Key(f"g1.{name}", "hmac-sha256", Secret(name.encode().ljust(32, b"k")))
            (folder / f"{name}.key").write_bytes(render(key))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self._folder, self.port = folder, port
        self.fences: dict[str, FakeFence] = {}
        self.keepers: dict[str, LeaseKeeper] = {}
        self._ends: dict[str, Callable[[], None]] = {}

    def key(self, *names: str) -> Path:
        """Return the file of the key that two servers share: that of the secondary, where one is one."""
        secondary = next((f"-{name}" for name in names if name > "n2"), "")
        return self._folder / f"debvisor-xfer{secondary}.key"

    def start(self, name: str, servers: int = 3, stolen: Path | None = None) -> LeaseKeeper:
        entries = tuple(
            ServerEntry(f"n{i}", f"127.0.0.{i}", i < 3, stolen or self.key(name, f"n{i}"))
            for i in range(1, servers + 1)
        )
        config = Settings(
            node=name,
            rank=0,
            vips=("192.0.2.53",),
            zones=(),
            servers=entries,
            quorum=servers // 2 + 1,
            port=53,
            link=self._folder,
            zone_dir=self._folder,
            role_key=self.key("n1", "n2"),
            transfer_key=self.key(name, name),
            lease=LEASE,
            lease_port=self.port,
        )
        self.fences[name] = FakeFence()
        keeper = LeaseKeeper(config, lambda: None, self.fences[name])
        keeper.open()
        stop = threading.Event()
        thread = threading.Thread(target=keeper.run, args=(stop,))
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(PATIENCE)
            keeper.shut()

        self._ends[name] = end
        self.keepers[name] = keeper
        return keeper

    def stop(self, name: str) -> None:
        self._ends.pop(name)()

    def close(self) -> None:
        for name in list(self._ends):
            self.stop(name)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.close()


def eventually(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)


def test_one_gets_it_keeps_it_and_the_other_one_hears_who(cluster: Cluster) -> None:
    first, second, _third = (cluster.start(name) for name in ("n1", "n2", "n3"))
    first.want(True)
    eventually(first.tenure)
    assert cluster.fences["n1"].lets_in
    second.want(True)
    eventually(lambda: second.rival() == "n1")
    time.sleep(2 * LEASE)
    assert (first.tenure(), second.tenure()) == (1, 0)
    assert not cluster.fences["n2"].lets_in


def test_clients_are_let_in_only_while_the_server_serves(cluster: Cluster) -> None:
    first, _second, _third = (cluster.start(name) for name in ("n1", "n2", "n3"))
    first.want(True)
    eventually(first.tenure)
    assert not cluster.fences["n1"].clients
    first.serve(first.tenure())
    eventually(lambda: cluster.fences["n1"].clients)
    first.serve(0)
    eventually(lambda: not cluster.fences["n1"].clients)


def test_clients_are_not_let_in_in_a_later_lease_before_the_server_says_so(
    cluster: Cluster,
) -> None:
    """Another server may have written before it, and BIND still be the writer of the lease that ended."""
    first, _second, _third = (cluster.start(name) for name in ("n1", "n2", "n3"))
    first.want(True)
    eventually(first.tenure)
    first.serve(first.tenure())
    eventually(lambda: cluster.fences["n1"].clients)
    first.want(False)
    eventually(lambda: not first.tenure())
    time.sleep(3 * DRAIN)  # until it is given back
    first.want(True)
    eventually(first.tenure)
    assert not cluster.fences["n1"].clients


def test_who_wants_it_no_more_closes_first_and_the_other_one_gets_it(cluster: Cluster) -> None:
    first, second, _third = (cluster.start(name) for name in ("n1", "n2", "n3"))
    first.want(True)
    eventually(first.tenure)
    term = first.term()
    second.want(True)
    first.want(False)
    eventually(second.tenure)
    assert not cluster.fences["n1"].lets_in
    assert not first.tenure()
    assert second.term() > term


def test_a_program_that_ends_gives_it_back(cluster: Cluster) -> None:
    first, second, _third = (cluster.start(name) for name in ("n1", "n2", "n3"))
    first.want(True)
    eventually(first.tenure)
    second.want(True)
    cluster.stop("n1")
    assert not cluster.fences["n1"].lets_in
    eventually(second.tenure)


def test_who_lost_the_fence_asks_no_more_and_the_other_one_gets_it_when_the_votes_ran_out(
    cluster: Cluster,
) -> None:
    """The program ended, was started again, and ended, with BIND open to all."""
    first, second, _third = (cluster.start(name) for name in ("n1", "n2", "n3"))
    first.want(True)
    eventually(first.tenure)
    cluster.fences["n1"].gone = True
    began = time.monotonic()
    eventually(first.trouble)
    second.want(True)
    eventually(second.tenure)
    assert time.monotonic() - began > LEASE / 2, "its votes were given back"
    assert not first.tenure()
    second.want(False)
    cluster.fences["n1"].gone = False
    eventually(first.tenure)
    assert first.trouble() == ""


def test_without_a_majority_it_runs_out(cluster: Cluster) -> None:
    first, _second, _third = (cluster.start(name) for name in ("n1", "n2", "n3"))
    first.want(True)
    eventually(first.tenure)
    for name in ("n2", "n3"):
        cluster.stop(name)
    eventually(lambda: not first.tenure())
    assert not cluster.fences["n1"].lets_in


def test_servers_that_know_of_other_servers_do_not_vote_for_each_other(cluster: Cluster) -> None:
    first = cluster.start("n1")
    others = [cluster.start(name, servers=4) for name in ("n2", "n3")]
    first.want(True)
    eventually(lambda: all(other.strangers() == ["n1"] for other in others))
    assert not first.tenure()


def test_a_term_that_a_zone_tells_of_is_not_used_again(cluster: Cluster) -> None:
    first, second, _third = (cluster.start(name) for name in ("n1", "n2", "n3"))
    second.learn(41)
    first.want(True)
    eventually(first.tenure)
    second.want(True)
    first.want(False)
    eventually(second.tenure)
    assert second.term() > 41


def test_who_has_the_key_of_a_secondary_does_not_vote_for_another_server(cluster: Cluster) -> None:
    first = cluster.start("n1")
    cluster.start("n2", stolen=cluster.key("n1", "n3"))
    first.want(True)
    time.sleep(4 * LEASE)
    assert not first.tenure()
    cluster.stop("n2")
    cluster.start("n2")
    eventually(first.tenure)


def test_what_is_no_letter_does_not_disturb_it(cluster: Cluster) -> None:
    first, _second, _third = (cluster.start(name) for name in ("n1", "n2", "n3"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for datagram in (b"", b"x" * 9000, b"g1.debvisor-xfer 0 {}", bytes(range(256))):
            for server in (1, 2, 3):
                stranger.sendto(datagram, (f"127.0.0.{server}", cluster.port))
    first.want(True)
    eventually(first.tenure)


def test_every_valid_generation_of_the_key_is_known_and_a_broken_file_hides_none(
    tmp_path: Path,
) -> None:
    """Servers change keys one after another, and another class's key is none of theirs."""
    keys = {name: Key(name, "hmac-sha256", Secret(b"k" * 32)) for name in ("g1.x", "g3.x", "g1.y")}
    for file, name in (("x.key", "g1.x"), ("x.g3.key", "g3.x"), ("x.g4.key", "g1.y")):
        (tmp_path / file).write_bytes(render(keys[name]))
    (tmp_path / "x.g2.key").write_bytes(b"half a k")
    known = Keys(str(tmp_path / "x.key"))
    assert known.current() == keys["g1.x"]
    assert [known.named(name) for name in ("g1.x", "g3.x")] == [keys["g1.x"], keys["g3.x"]]
    assert known.named("g1.y") is None
