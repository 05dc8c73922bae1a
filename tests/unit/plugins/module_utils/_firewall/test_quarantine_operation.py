# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host is cut off and let back, exactly, whatever fails and wherever it is cut short."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import executor
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.confirming import (
    confirm,
    roll_back_unconfirmed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    DebvisorError,
    InvalidInput,
    Refused,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.ports import ReadsFiles
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import quarantine
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.quarantine_operation import (
    Ports,
    QuarantineHost,
)
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.quarantine_options import SPEC
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.quarantine_record import (
    RecordUnreadable,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.dns_server import FakeClock
from tests.fakes.files import content_of
from tests.fakes.hypervisor import FakeGuest, FakeHypervisor
from tests.fakes.nft import FakeTables
from tests.fakes.operation_contract import Build, Case, OperationContract, Wire, named, unwired
from tests.fakes.revert_timer import FakeRevertTimer
from tests.fakes.switchboard import calls

INET, ARP, BRIDGE = (f"{family} {quarantine.TABLE}" for family in ("inet", "arp", "bridge"))
PEERS = ["192.0.2.11", "192.0.2.12", "2001:db8::11"]
WEB = FakeGuest("u1", "web", "running", autostart=True)
DB = FakeGuest("u2", "db", "running")
IDLE = FakeGuest("u3", "idle", "shut off", autostart=True)
PAUSED = FakeGuest("u4", "asleep", "paused")
BRIEF = FakeGuest("u5", "brief", "running", persistent=False)
GUESTS = (WEB, DB, IDLE, PAUSED, BRIEF)
OTHERS = {
    "inet filter": "table inet filter {\n}\n",
    "inet debvisor_dns": "table inet debvisor_dns {\n}\n",
}


class Recorder:
    """Packs what it is given, in plain."""

    def __init__(self) -> None:
        self.failure: DebvisorError | None = None
        self.tables_then: list[Any] = []
        self.look: Callable[[], Any] = list

    def run(self, program: Sequence[str], *, timeout: float, most: int) -> tuple[bytes, str]:
        return b"seen", ""

    def read(self, path: str, *, most: int) -> tuple[bytes, str]:
        return b"", "gone"

    def pack(self, path: str, members: Sequence[tuple[str, bytes]], *, time: float) -> str:
        if self.failure is not None:
            raise self.failure
        self.tables_then = self.look()
        Path(path).parent.mkdir(exist_ok=True)
        content = json.dumps([name for name, _content in members]).encode()
        Path(path).write_bytes(content)
        return hashlib.sha256(content).hexdigest()


class Nft(FakeTables):
    """May fail to load what it rehearsed well, once."""

    def __init__(self) -> None:
        super().__init__()
        self.read_only = False
        self.failures: list[DebvisorError] = []

    def load(self, script: Iterable[str]) -> None:
        assert not self.read_only, "a write"
        if self.failures:
            raise self.failures.pop()
        super().load(script)


class World:
    def __init__(self, base: Path) -> None:
        self.folder = base / "firewall"
        self.folder.mkdir()
        self.metrics = base / "quarantine.prom"
        self.nft = Nft()
        self.nft.tables = dict(OTHERS)
        self.hypervisor = FakeHypervisor(*GUESTS)
        self.recorder = Recorder()
        self.recorder.look = lambda: sorted(self.nft.tables)
        self.client: tuple[str, int] | None = ("192.0.2.1", 22)
        self.lines: list[str] = []
        self.leaks = False
        self.deaf = False
        self.files: Files = Files()
        self.revert_timer = FakeRevertTimer(base / "revert_timer")
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    # Ports that are just functions

    def answering(self, addresses: Collection[str], port: int) -> frozenset[str]:
        cut = INET in self.nft.tables
        open_ = self.leaks or not (cut or self.deaf)
        return frozenset(addresses) if open_ else frozenset()

    def note(self, line: str) -> None:
        self.lines.append(line)

    def operation(self, wire: Wire = unwired) -> QuarantineHost:
        ports = Ports(
            nft=wire("nft", self.nft),
            files=wire("files", self.files),
            hypervisor=wire("hypervisor", self.hypervisor),
            recorder=wire("recorder", self.recorder),
            probe=wire("probe", self),
            log=wire("log", self),
            client=lambda: self.client,
            clock=FakeClock(),
        )
        return QuarantineHost(ports, str(self.folder))

    def params(self, state: str = "quarantined", **more: Any) -> dict[str, Any]:
        given = {
            "host": "node3",
            "state": state,
            "reason": "beacons",
            "requester": "alice",
            "forbidden_peers": PEERS,
            "metrics_file": str(self.metrics),
            "confirm_within": 60.0,
            **more,
        }
        return filled(SPEC.options, given)

    def run(self, state: str = "quarantined", check: bool = False, **more: Any) -> Outcome:
        return execute(
            self.operation(),
            self.params(state, **more),
            self.records,
            revert_timer=self.revert_timer,
            check=check,
        )

    def confirm(self, outcome: Outcome) -> Outcome:
        return confirm(self.operation(), outcome.transaction, self.records, self.revert_timer)

    def cut_off(self, **more: Any) -> Outcome:
        """Cut off and confirm."""
        outcome = self.run(**more)
        assert outcome.failure is None, outcome.failure
        assert outcome.awaiting is not None
        assert self.confirm(outcome).failure is None
        return outcome

    def state(self) -> dict[str, Any]:
        """Return all that release must bring back; evidence stays."""
        return {
            "tables": dict(self.nft.tables),
            "guests": dict(self.hypervisor.held),
            "files": sorted(path.name for path in self.folder.iterdir() if path.name != "evidence"),
            "metric": self.metrics.exists(),
        }

    def rules(self) -> str:
        return self.nft.tables[INET]


def case(state: str, **more: Any) -> Build:
    def build(base: Path) -> Case:
        world = World(base)
        if state == "released" or more:
            world.cut_off()
        reads = {"nft.listing", "nft.rehearsed", "hypervisor.guests", "probe.answering"}

        def found() -> dict[str, Any]:
            files = {n: each for n, each in content_of(world.folder).items() if ".tar" not in n}
            return {**world.state(), "files": files}

        return Case(
            world.operation,
            world.params(state, **more),
            found,
            reads | calls("files", ReadsFiles),
            aside=lambda: content_of(world.folder, aside=True),
            timer=world.revert_timer,
        )

    return named("other" if more else state, build)


class TestContract(OperationContract):
    operation = QuarantineHost
    cases = (
        case("quarantined"),
        case("quarantined", shared_addresses=["192.0.2.53"]),
        case("released"),
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- There and back


def test_a_host_is_cut_off_and_let_back_exactly(world: World) -> None:
    before = world.state()
    cut = world.cut_off()
    assert cut.changed
    states = {guest.name: guest.state for guest in world.hypervisor.guests()}
    assert states == {
        "web": "paused",
        "db": "paused",
        "idle": "shut off",
        "asleep": "paused",
        "brief": "paused",
    }
    assert not any(guest.autostart for guest in world.hypervisor.guests())
    assert "ip saddr { 192.0.2.1/32 } tcp dport { 22 } accept" in world.rules()
    assert world.nft.tables.keys() - OTHERS.keys() == {INET, BRIDGE}
    assert 'reason="beacons"} 1' in world.metrics.read_text()
    assert world.lines == ["QUARANTINE of node3 begins: reason='beacons' requester='alice'"]

    released = world.run("released")
    assert (released.failure, released.awaiting) == (None, None)
    assert world.state() == before
    assert world.lines[1:] == ["QUARANTINE of node3 ends: reason was 'beacons'"]


def test_evidence_is_kept_first_and_its_hash_is_audited(world: World) -> None:
    cut = world.cut_off()
    assert INET not in world.recorder.tables_then
    told = cut.plan.after["evidence"]
    since = cut.plan.after["since"]
    assert re.fullmatch(r"\d{8}T\d{6}Z", since)
    assert told["path"] == f"{world.folder}/evidence/{since}.tar.gz"
    content = Path(told["path"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == told["sha256"]
    assert "guests.json" in json.loads(content)
    audited = [json.loads(line) for line in world.records.audit.path.read_text().splitlines()]
    assert audited[0]["after"]["evidence"] == told
    assert world.run().plan.before["evidence"] == told
    world.run("released")
    assert Path(told["path"]).exists()


def test_guests_that_shut_down_start_again(world: World) -> None:
    world.hypervisor.stubborn = {"u2"}
    before = world.state()
    world.cut_off(guests="shutdown")
    states = {guest.name: guest.state for guest in world.hypervisor.guests()}
    assert states["web"] == "shut off"
    assert states["db"] == "paused", "it ignored that it was to shut down"
    assert states["brief"] == "paused", "it would have been gone for good"
    assert world.run("released").failure is None
    assert world.state() == before


def test_guests_that_are_left_alone_only_lose_their_autostart(world: World) -> None:
    before = world.state()
    world.cut_off(guests="leave")
    assert [guest.state for guest in world.hypervisor.guests()] == [guest.state for guest in GUESTS]
    assert not any(guest.autostart for guest in world.hypervisor.guests())
    world.run("released")
    assert world.state() == before


def test_what_somebody_did_to_a_guest_meanwhile_stays(world: World) -> None:
    world.cut_off()
    world.hypervisor.held["u1"] = FakeGuest(
        "u1", "web", "shut off"
    )  # a restart of the host, perhaps
    del world.hypervisor.held["u2"]
    world.hypervisor.resume("u5")
    world.hypervisor.held["u6"] = FakeGuest("u6", "new", "running", autostart=True)
    released = world.run("released")
    states = {guest.name: (guest.state, guest.autostart) for guest in world.hypervisor.guests()}
    assert states == {
        "web": ("shut off", True),
        "idle": ("shut off", True),
        "asleep": ("paused", False),
        "brief": ("running", False),
        "new": ("running", True),
    }
    assert [re.sub(r"\W+", " ", warning) for warning in released.warnings] == [
        "The guest web was paused and is shut off now it is left to you to start it",
        "The guest db ran before and is gone",
    ]


def test_other_options_change_the_rules_and_remember_the_rest(world: World) -> None:
    before = world.state()
    first = world.cut_off()
    world.hypervisor.held["u6"] = late = FakeGuest("u6", "late", "running", autostart=True)
    second = world.cut_off(
        reason="still beacons",
        shared_addresses=["192.0.2.53"],
        evidence=[
            {
                "networks": ["198.51.100.9"],
                "ports": [514],
                "protocol": "udp",
                "direction": "outbound",
            }
        ],
    )
    assert "udp dport { 514 }" in world.rules()
    assert ARP in world.nft.tables
    assert world.hypervisor.held["u6"].state == "paused"
    assert second.plan.after["evidence"] == first.plan.after["evidence"]
    assert 'reason="still beacons"' in world.metrics.read_text()
    world.run("released")
    before["guests"]["u6"] = late
    assert world.state() == before


def test_what_somebody_did_to_the_rules_is_put_right(world: World) -> None:
    world.cut_off()
    tables = dict(world.nft.tables)
    world.nft.tables[INET] = tables[INET].replace("iif lo accept", "accept")
    del world.nft.tables[BRIDGE]
    assert [action.verb for action in world.cut_off().plan.actions] == ["cut off"]
    assert world.nft.tables == tables


def test_a_host_without_guests_is_cut_off_just_the_same(world: World) -> None:
    world.hypervisor.held = {}
    before = world.state()
    cut = world.cut_off()
    assert [action.verb for action in cut.plan.actions] == [
        "keep", "remember", "load at boot", "write", "cut off",
    ]  # fmt: skip
    world.run("released")
    assert world.state() == before


# --- Confirmation


def test_the_next_boot_is_told_only_once_the_change_is_confirmed(world: World) -> None:
    boot = world.folder / "quarantine.nft"
    outcome = world.run()
    assert world.revert_timer.armed == [outcome.transaction]
    assert not boot.exists()
    world.confirm(outcome)
    assert boot.read_text().count("policy drop") == 4
    assert boot.stat().st_mode & 0o777 == 0o600
    assert world.revert_timer.armed == []


def test_an_unconfirmed_change_is_rolled_back_by_another_process(world: World) -> None:
    before = world.state()
    outcome = world.run()
    fired = roll_back_unconfirmed(world.operation(), outcome.transaction, world.records)
    assert (fired.failure, fired.rolled_back_runs) == (None, [outcome.transaction])
    assert world.state() == before
    assert world.lines[-1] == "QUARANTINE of node3: the last change is rolled back"


def test_an_unconfirmed_change_of_paths_brings_the_old_ones_back(world: World) -> None:
    world.cut_off()
    before = world.state()
    world.client = ("203.0.113.5", 22)
    outcome = world.run()
    assert "203.0.113.5" in world.rules()
    roll_back_unconfirmed(world.operation(), outcome.transaction, world.records)
    assert world.state() == before
    assert "203.0.113.5" not in (world.folder / "quarantine.nft").read_text()


def test_the_network_is_back_even_where_the_guests_are_not(world: World) -> None:
    outcome = world.run()
    world.hypervisor.unreachable = DebvisorError("libvirt does not answer")
    fired = roll_back_unconfirmed(world.operation(), outcome.transaction, world.records)
    assert "libvirt does not answer" in str(fired.failure)
    assert world.nft.tables == OTHERS
    world.hypervisor.unreachable = None
    assert (
        roll_back_unconfirmed(world.operation(), outcome.transaction, world.records).failure is None
    )
    assert world.hypervisor.held == {guest.uuid: guest for guest in GUESTS}


def test_a_release_needs_no_confirmation(world: World) -> None:
    world.cut_off()
    assert world.run("released").awaiting is None
    assert world.revert_timer.armed == []


@pytest.mark.parametrize("method", ["set_autostart", "load"])
def test_a_release_that_fails_leaves_the_host_cut_off(world: World, method: str) -> None:
    world.cut_off()
    before = world.state()
    if method == "load":
        world.nft.failures = [DebvisorError("no room")]
    else:
        world.hypervisor.broken[method] = DebvisorError("locked")
    failed = world.run("released")
    assert (failed.changed, failed.rollback_errors) == (False, [])
    assert world.state() == before
    assert world.run("released").failure is None


@pytest.mark.parametrize("policy", ["pause", "shutdown"])
@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("method", ["guests", "pause", "shut_down", "set_autostart"])
def test_a_guest_that_ends_by_itself_prevents_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, policy: str, gone: bool, method: str
) -> None:
    """Be it while evidence is gathered, or just before it would have been stopped."""

    def end(uuid: str) -> None:
        if gone:
            world.hypervisor.held.pop(uuid, None)
        else:
            world.hypervisor.held[uuid] = replace(
                world.hypervisor.held[uuid], state="shut off", autostart=False
            )

    def look() -> list[Any]:
        end("u1")
        end("u2")
        return []

    def refuse(uuid: str, *wanted: bool) -> None:
        end(uuid)
        raise DebvisorError("domain is not running")

    if method == "guests":
        world.recorder.look = look
    else:
        monkeypatch.setattr(world.hypervisor, method, refuse)
    world.cut_off(guests=policy)
    assert not any(guest.state == "running" for guest in world.hypervisor.guests())
    assert INET in world.nft.tables


def _wakes_and_dies(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a release be killed once the guests are awake."""

    def remove(path: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        world.files = Files()
        dying.setattr(world.files, "remove", remove)
        dying.setattr(executor.Run, "roll_back", lambda *asked: ["killed"])
        with pytest.raises(KeyboardInterrupt):
            world.run("released")
    world.files = Files()


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("state", ["quarantined", "released"])
def test_a_release_that_was_cut_off_by_a_restart_is_no_end(
    world: World, monkeypatch: pytest.MonkeyPatch, state: str, gone: bool
) -> None:
    world.cut_off()
    _wakes_and_dies(world, monkeypatch)
    assert world.hypervisor.held["u1"].state == "running"
    for uuid, guest in list(world.hypervisor.held.items()):
        world.hypervisor.held[uuid] = replace(guest, state="shut off")
    if gone:
        del world.hypervisor.held["u1"]
    after = world.run(state)
    assert (after.failure, len(after.rolled_back_runs)) == (None, 1)
    expected = "Guests are gone: u1" if gone else "are shut off, and are left so: u1, u2, u5"
    assert any(expected in warning for warning in after.warnings)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_guest_that_will_not_run_keeps_nothing_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    world.cut_off()
    resume = world.hypervisor.resume

    def resist(uuid: str) -> None:
        if uuid != "u1":
            resume(uuid)
        elif refuses:
            raise DebvisorError("no such disk")

    monkeypatch.setattr(world.hypervisor, "resume", resist)
    released = world.run("released")
    assert (released.failure, released.rolled_back) == (None, False)
    assert INET not in world.nft.tables
    states = {guest.name: guest.state for guest in world.hypervisor.guests()}
    assert (states["web"], states["db"], states["brief"]) == ("paused", "running", "running")
    why = "no such disk" if refuses else "it is paused"
    assert released.warnings == [f"The guest web does not run again: {why}"]


def test_a_guest_that_will_not_run_does_not_stand_in_the_way_of_undo(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = world.run()
    monkeypatch.setattr(world.hypervisor, "resume", lambda uuid: None)
    fired = roll_back_unconfirmed(world.operation(), outcome.transaction, world.records)
    assert fired.failure is None
    assert "The guest web does not run again: it is paused" in fired.warnings[0]
    assert not (world.folder / "quarantine.json").exists()


def test_a_start_that_is_rolled_back_ends_in_a_pause(world: World) -> None:
    world.cut_off(guests="shutdown")
    world.files = Files()
    original = world.files.remove

    def remove(path: str) -> None:
        if path == str(world.metrics):
            raise DebvisorError("read-only file system")
        original(path)

    world.files.remove = remove  # type: ignore[method-assign]
    failed = world.run("released")
    assert failed.rolled_back
    assert world.hypervisor.held["u1"].state == "paused"
    assert any("are paused: u1, u2" in warning for warning in failed.warnings)
    assert INET in world.nft.tables


def test_a_host_that_still_reaches_somebody_is_not_cut_off(world: World) -> None:
    world.leaks = True
    failed = world.run()
    assert isinstance(failed.failure, VerificationFailed)
    assert "192.0.2.11, 192.0.2.12, 2001:db8::11" in str(failed.failure)


def test_a_leak_is_found_later_too(world: World) -> None:
    world.cut_off()
    world.leaks = True
    later = world.run()
    assert isinstance(later.failure, VerificationFailed)
    assert not later.changed


def test_peers_who_prove_nothing_are_reported(world: World) -> None:
    world.deaf = True
    assert "will prove nothing" in world.run(check=True).warnings[0]


def test_whom_a_path_leads_to_is_no_forbidden_peer(world: World) -> None:
    world.client = ("192.0.2.11", 22)
    inbound = {"networks": ["2001:db8::/64"], "ports": [22]}
    assert world.run(check=True, management=[inbound]).plan.facts["forbidden_peers"] == [
        "192.0.2.12"
    ]


# --- Refusals


@pytest.mark.parametrize("family", quarantine.FAMILIES)
def test_a_table_of_somebody_else_is_left_alone(world: World, family: str) -> None:
    name = f"{family} {quarantine.TABLE}"
    world.nft.tables[name] = f'table {name} {{\n\tcomment "mine"\n}}\n'
    before = world.state()
    for state in ("quarantined", "released"):
        failed = world.run(state)
        assert isinstance(failed.failure, Conflict)
        assert f"{family} debvisor_quarantine is not ours" in str(failed.failure)
    assert world.state() == before


def test_a_member_of_a_quorum_is_cut_off_only_by_name(world: World) -> None:
    roles = ["k8s_control_plane", "ceph_mons"]
    for member in ("", "node1", "NODE3"):
        refused = world.run(quorum_roles=roles, cut_off_quorum_member=member)
        assert isinstance(refused.failure, Refused)
        assert "ceph_mons, k8s_control_plane" in str(refused.failure)
        assert "ceph osd ok-to-stop" in str(refused.failure)
    world.cut_off(quorum_roles=roles, cut_off_quorum_member="node3")
    assert world.run("released", quorum_roles=roles).failure is None, "who is let back harms nobody"


def test_nobody_is_locked_out_for_want_of_a_path(world: World) -> None:
    world.client = None
    failed = world.run(
        evidence=[
            {"networks": ["192.0.2.9"], "ports": [514], "protocol": "udp", "direction": "outbound"}
        ]
    )
    assert isinstance(failed.failure, InvalidInput)
    assert "management" in str(failed.failure)
    world.cut_off(management=[{"networks": ["192.0.2.0/28"], "ports": [22]}])


def test_guests_that_nobody_knows_stop_it(world: World) -> None:
    world.hypervisor.unreachable = DebvisorError("libvirt does not answer")
    before = world.nft.tables
    assert "libvirt does not answer" in str(world.run().failure)
    assert world.nft.tables == before
    left = world.cut_off(guests="leave")
    assert "stay as they are" in left.warnings[0]


def test_guests_that_nobody_knows_are_named_at_the_end(world: World) -> None:
    world.cut_off()
    world.hypervisor.unreachable = DebvisorError("libvirt does not answer")
    assert world.run("released").failure is not None
    left = world.run("released", guests="leave")
    assert left.failure is None
    assert "brief, db, idle, web" in left.warnings[0]


def test_a_record_that_is_none_stops_it(world: World) -> None:
    (world.folder / "quarantine.json").write_text("torn {")
    for state in ("quarantined", "released"):
        assert isinstance(world.run(state).failure, RecordUnreadable)


def test_all_that_is_wrong_is_told_at_once(world: World) -> None:
    wrong = world.run(
        host="a\nb",
        reason=" ",
        management=[{"networks": ["192.0.2.1/24", "0.0.0.0/0"], "ports": [0]}],
        evidence=[{"networks": [], "ports": [], "protocol": "udp", "direction": "inbound"}],
        shared_addresses=["nowhere"],
        forbidden_peers=["192.0.2.300"],
        journal_minutes=0,
        confirm_within=1.0,
    )
    assert isinstance(wrong.failure, InvalidInput)
    assert [problem.where for problem in wrong.failure.problems] == [
        "host",
        "reason",
        "management[0].networks",
        "management[0].networks",
        "management[0].ports",
        "evidence[0].networks",
        "evidence[0].ports",
        "shared_addresses",
        "forbidden_peers",
        "journal_minutes",
        "confirm_within",
    ]


@pytest.mark.parametrize("text", ["fe80::1%eth0", "fe80::1%x } accept; # "])
def test_text_behind_an_address_never_comes_to_the_rules(world: World, text: str) -> None:
    wrong = world.run(
        management=[{"networks": [text], "ports": [22]}],
        shared_addresses=[text],
        forbidden_peers=[text],
    )
    assert isinstance(wrong.failure, InvalidInput)
    wheres = [problem.where for problem in wrong.failure.problems]
    assert wheres == ["management[0].networks", "shared_addresses", "forbidden_peers"]


# --- Check mode


def test_the_difference_shows_the_rules_and_the_guests(world: World) -> None:
    rules, told = world.run(check=True).plan.differences
    assert (rules.name, rules.before) == (f"{world.folder}/quarantine.nft", "")
    assert "policy drop" in rules.after
    assert told.before == "state: released\n"
    assert "stopped: ['web', 'db', 'brief']" in told.after
    assert "autostart_off: ['web', 'idle']" in told.after
