# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dns-role where BIND hangs, the disk is full, or a run before was cut off. A fake BIND tells what it has read."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import TimedOut
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.writer import (
    Role,
    Situation,
    Verb,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs import (
    dns_mend,
    dns_role,
    dns_settings,
    dns_transitions,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_cluster_view import (
    ClusterView,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_role_controller import (
    Controller,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_settings import (
    ServerEntry,
    Settings,
)

ZONE = "z.test"


class FakeBind:
    """What the link says, and what the server has read."""

    def __init__(self, in_force: str) -> None:
        self.link = in_force
        self.read = in_force
        self.hangs = False
        self.full = False
        self.starts = 0
        self.fetched: list[str] = []
        self.lasting: list[str] = []
        """What was put in force durably."""
        self.written = 1
        """Changes whenever the journal does."""

    def in_force(self) -> str:
        return self.link

    def point_to(self, name: str, *, durable: bool = False) -> None:
        self.link = name
        if durable:
            self.lasting.append(name)

    def journal_marks(self, zones: Sequence[str]) -> tuple[tuple[int, int], ...]:
        return ((self.written, self.written),)

    def start_afresh(self) -> None:
        self.starts += 1

    def retransfer(self, zone: str) -> None:
        self.fetched.append(zone)

    def reconfigure(self, timeout: float = 3.0) -> None:
        if self.hangs:
            raise TimedOut("rndc reconfig did not end")
        self.read = self.link

    def keep_copy(self, zone: str, folder: Path) -> bool:
        (folder / f"{zone}.zone.jnl").write_text("half of it")
        if self.full:
            raise OSError(28, "No space left on device")
        return True


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(dns_settings.settings, "SYSTEM_STATE_DIR", tmp_path)
    return Settings(
        node="n1",
        rank=0,
        vips=("192.0.2.53",),
        zones=(ZONE,),
        servers=tuple(
            ServerEntry(f"n{at}", f"192.0.2.{at}", at < 3, tmp_path / "transfer.key")
            for at in (1, 2, 3)
        ),
        quorum=2,
        port=53,
        link=tmp_path / "named.conf",
        zone_dir=tmp_path / "zones",
        role_key=tmp_path / "role.key",
        transfer_key=tmp_path / "transfer.key",
        retry_pause=0.0,
        loading_file=tmp_path / "dns-loading",
    )


@pytest.fixture
def bind(monkeypatch: pytest.MonkeyPatch) -> FakeBind:
    found = FakeBind("writer")
    for module in (dns_role, dns_transitions):
        monkeypatch.setattr(module, "Bind", lambda link, zone_dir: found)
    return found


class HoldingKeeper:
    """Has the lease of the writer, always."""

    def __init__(self) -> None:
        self.served: list[int] = []
        self.present = 1
        self.younger = 7

    def want(self, wanted: bool) -> None: ...
    def learn(self, term: int) -> None: ...
    def run(self, stop: threading.Event) -> None: ...

    def serve(self, tenure: int) -> None:
        self.served.append(tenure)

    def tenure(self) -> int:
        return self.present

    def term(self) -> int:
        return self.younger

    def rival(self) -> str:
        return ""

    def strangers(self) -> list[str]:
        return []

    def trouble(self) -> str:
        return ""


def controller(config: Settings, *, vip: bool) -> Controller:
    view = ClusterView(HoldingKeeper(), vip=vip, misses=0, healthy=True, own={ZONE: 10})
    view.peers = {"n2": {ZONE: 10}, "n3": {ZONE: 10}}
    made = Controller(config, view)
    made.transitions.begin()
    return made


def test_a_handover_that_is_called_off_says_why_and_what_to_do(
    config: Settings,
    bind: FakeBind,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = controller(config, vip=True)
    found._view.peers["n2"] = {ZONE: 9}
    assert found._unfit() == {"n2": f"lacks changes of {ZONE}"}
    found._view.peers["n2"] = {ZONE: 10}
    monkeypatch.setattr(found.transitions.content, "says_able", {"n2": False}.get)
    assert found._unfit() == {"n2": "says that it is not able to write"}
    found._view.peers.clear()
    assert found._unfit() == {"n2": "does not answer"}
    written = iter(
        [
            {"vip": True, "role": "writer"},
            {"vip": True, "role": "follower"},
            {
                "vip": True,
                "role": "writer",
                "handover_called_off": {"why": "n2 is away", "at": "t"},
            },
        ]
    )
    monkeypatch.setattr(dns_role, "read_state", lambda config: next(written))
    monkeypatch.setattr(dns_role.command, "run", lambda words: None)
    assert dns_role.handover(config) == 1
    said = capsys.readouterr().err
    assert "Not handed over, this node writes on: n2 is away." in said
    assert "dns-role status" in said


class FakeWatchers:
    """Notes what is told, and lets the VIP go when it is offered no more."""

    def __init__(self, view: ClusterView) -> None:
        self.offer, self._view = self, view
        self.said: list[str] = []
        self.withdrawn = ""

    def wish(self) -> None:
        self.said.append("gives the lease back" if self._view.hold.is_set() else "wishes")

    def withdraw(self, source: str, why: str) -> None:
        self.withdrawn = why

    def look(self) -> None:
        assert self.withdrawn
        self.said.append("lets go")
        self._view.vip = False


def handed_over(found: Controller) -> tuple[list[str], ClusterView]:
    view, stop = found._view, threading.Event()
    watchers: Any = FakeWatchers(view)
    stop.set()
    view.asked.set()
    found.transitions._wrote_in = 1
    found.hand_over(watchers, stop)
    assert watchers.withdrawn == ""
    assert not view.asked.is_set()
    assert not view.hold.is_set()
    return watchers.said, view


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_a_handover_does_not_wait_for_what_it_keeps_from_coming_over(
    config: Settings, bind: FakeBind, late: float
) -> None:
    """The other one lacked one update, which it could only fetch at the VIP, and that was closed by then."""
    found = controller(config, vip=True)
    found._view.peers["n2"] = {ZONE: 9}
    found._view.lagging["n2", ZONE] = (10, time.monotonic() - late)
    said, _view = handed_over(found)
    assert said == ["gives the lease back", "lets go"]
    assert bind.read == "follower"


def test_a_handover_to_one_that_is_far_behind_never_stops_the_writing(
    config: Settings, bind: FakeBind
) -> None:
    """It was called off after seconds without updates."""
    found = controller(dataclasses.replace(config, handover_patience=0.05), vip=True)
    found._view.peers["n2"] = {ZONE: 9}
    found._view.lagging["n2", ZONE] = (10, time.monotonic() - 60)
    said, view = handed_over(found)
    assert said == []
    assert (bind.read, view.vip) == ("writer", True)
    assert found.called_off["why"] == f"n2 lacks changes of {ZONE}"


def test_bind_starts_afresh_where_it_does_not_fetch_what_the_writer_has(
    config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waited two minutes for its own VIP, and took that for unreachable for ten more."""
    bind.link = bind.read = "follower"
    found = controller(dataclasses.replace(config, behind_limit=0.0), vip=False)
    writers = [frozenset[str]()]
    monkeypatch.setattr(found.transitions.content, "writers", lambda: writers[0])

    def starts() -> int:
        for _look in range(3):
            found.start_bind_afresh()
            time.sleep(0.001)
        return bind.starts

    view = found._view
    view.peers["n3"] = {ZONE: 99}
    assert starts() == 0, "nobody says that it writes"
    writers[0] = frozenset({"n2"})
    assert starts() == 0, "the writer has no more"
    view.peers["n2"] = {ZONE: 11}
    view.vip = True
    assert starts() == 0, "clients ask here"
    view.vip = False
    assert starts() == 1
    assert starts() == 1, "it gets its time"


def test_a_zone_is_not_fetched_from_the_own_vip(
    config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind.link = bind.read = "follower"
    found = controller(config, vip=True)
    monkeypatch.setattr(found.transitions.content, "differing", lambda name: [ZONE])
    found.renew_content()
    assert bind.fetched == []
    found._view.vip = False
    found.renew_content()
    assert bind.fetched == [ZONE]


def test_a_server_that_hangs_is_told_again_until_it_follows(
    config: Settings, bind: FakeBind
) -> None:
    found = controller(config, vip=False)
    bind.hangs = True
    assert found.act().verb is Verb.DEMOTE
    assert "did not end" in found.trouble
    assert (bind.link, bind.read) == ("follower", "writer")
    assert found.transitions.situation().role is Role.CLOSED
    bind.hangs = False
    assert found.act().verb is Verb.FOLLOW
    assert bind.read == "follower"
    assert found.act().verb is Verb.STAY
    assert found.trouble == ""


def test_what_a_run_that_was_cut_off_did_not_tell_the_server_is_told_at_the_start(
    config: Settings, bind: FakeBind
) -> None:
    bind.read = "closed"
    controller(config, vip=True)
    assert bind.read == "writer"


def test_a_writer_without_room_for_a_copy_does_not_follow(config: Settings, bind: FakeBind) -> None:
    found = controller(config, vip=False)
    bind.full = True
    assert found.act().verb is Verb.DEMOTE
    assert "could not be copied: No space left" in found.trouble
    for _again in range(2):
        assert bind.read == "closed"
        assert list(config.former.iterdir()) == []
        found.act()
    bind.full = False
    found.act()
    assert bind.read == "follower"
    [kept] = config.former.iterdir()
    assert [path.name for path in kept.iterdir()] == [f"{ZONE}.zone.jnl"]


def test_what_a_hanging_server_still_wrote_is_copied_too(
    config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on as the writer that it was, until it says that it follows."""
    stamps = iter(f"2026010{day}T000000" for day in range(1, 9))
    monkeypatch.setattr(dns_mend.time, "strftime", lambda *_given: next(stamps))
    found = controller(config, vip=False)
    bind.hangs = True
    for copies, written in [(1, 1), (1, 1), (2, 2), (2, 2)]:
        bind.written = written
        found.act()
        assert len(list(config.former.iterdir())) == copies
    bind.hangs, bind.written = False, 3
    found.act()
    assert bind.read == "follower"
    assert len(list(config.former.iterdir())) == 3


@pytest.mark.parametrize(("full", "starts"), [(False, "follower"), (True, "closed")])
def test_a_server_starts_also_without_room_for_a_copy(
    config: Settings, bind: FakeBind, full: bool, starts: str
) -> None:
    bind.full = full
    assert dns_role.boot(config) == 0
    assert bind.link == starts


def test_a_server_starts_also_where_nothing_can_be_written(
    config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind.link = "follower"
    monkeypatch.setattr(bind, "point_to", lambda name: pytest.fail("it writes"))
    assert dns_role.boot(config) == 0


def about_to_write(config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch) -> Controller:
    """Return one that follows, and sees no reason not to write."""
    bind.link = bind.read = "follower"
    found = controller(config, vip=True)
    followed: Situation = found.transitions.situation()
    monkeypatch.setattr(found.transitions, "_look_again", lambda: followed)
    return found


def test_dns_check_waits_for_zones_that_are_loaded_and_not_again_where_they_did_not_come(
    config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = about_to_write(config, bind, monkeypatch)
    monkeypatch.setattr(found.transitions, "_check_content", lambda: None)
    monkeypatch.setattr(dns_transitions, "ask", lambda *given: {})
    for _try in range(2):
        before = time.monotonic()
        found.transitions._config = dataclasses.replace(config, promote_patience=0.05)
        assert found.act().verb is Verb.PROMOTE
        assert "the VIP to serve every zone" in found.trouble
        if _try == 0:
            first = float(config.loading_file.read_text())
            assert before < first <= time.monotonic() + 0.05
    assert float(config.loading_file.read_text()) == first


def test_an_older_zone_from_the_disk_is_not_put_in_force(
    config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = about_to_write(config, bind, monkeypatch)
    monkeypatch.setattr(found.transitions, "_wait_for_zones", lambda: {ZONE: 1})
    monkeypatch.setattr(found.transitions, "_check_content", lambda: None)
    assert found.act().verb is Verb.PROMOTE
    assert f"{ZONE} was at serial 10, and BIND loaded 1" in found.trouble
    assert bind.read == "follower"


def test_content_is_attested_in_the_term_of_its_epoch(
    config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal may be of a younger term, which is in no zone: whoever compared the two would find content missing."""
    found = about_to_write(config, bind, monkeypatch)
    transitions, keeper = found.transitions, found._view.keeper
    assert isinstance(keeper, HoldingKeeper)
    monkeypatch.setattr(transitions, "_wait_for_zones", lambda: {ZONE: 10})
    for name in ("_check_content", "_begin"):
        monkeypatch.setattr(transitions, name, lambda *_given: None)
    monkeypatch.setattr(transitions._adoption, "collect", lambda _seen: {})
    assert found.act().verb is Verb.PROMOTE
    assert bind.read == "writer"
    assert keeper.served[-1] == 1
    assert bind.lasting == ["closed"]
    keeper.younger = 9
    assert transitions._writing() == (1, 7)


def test_nobody_writes_before_it_heard_the_others(
    config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has just started knows no attestation, and would take what was attested for mere trust."""
    found = about_to_write(config, bind, monkeypatch)
    assert found.act().verb is Verb.PROMOTE
    assert "it waits for what the other servers tell" in found.trouble


def test_who_is_silent_for_a_moment_keeps_what_it_had(
    config: Settings, bind: FakeBind, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind.link = bind.read = "follower"
    found = controller(config, vip=True)
    monkeypatch.setattr(dns_transitions, "ask", lambda questions, budget: {})
    monkeypatch.setattr(
        dns_transitions, "ask_peers", lambda config, keys, budget: {"n2": {ZONE: 11}}
    )
    assert found.transitions._look_again().peers == {"n2": {ZONE: 11}, "n3": {ZONE: 10}}


def test_a_copy_that_cannot_be_compared_is_tried_less_and_less(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = config.former / "20261126T000000.000" / f"{ZONE}.zone.jnl"
    journal.parent.mkdir(parents=True)
    journal.touch()
    now, tried = [0.0], list[float]()

    class Stop:
        def wait(self, seconds: float) -> bool:
            now[0] += seconds
            return now[0] > 100

    def fail(path: Path) -> bool:
        tried.append(now[0])
        raise dns_mend.NotKept("the journal is torn")

    log = list[str]()
    stop: Any = Stop()
    nothing: Any = None
    mender = dns_mend.Mender(config, nothing, nothing, stop, log.append)
    monkeypatch.setattr(mender, "compare", fail)
    monkeypatch.setattr(dns_mend.time, "monotonic", lambda: now[0])
    assert mender.summary()["waiting_for"] == 0
    mender._work()
    assert 5 < len(tried) < 12
    assert len(log) == 1
    assert mender.summary() == {
        "waiting": 1,
        "waiting_for": pytest.approx(100, abs=1),
        "reports": [],
    }
