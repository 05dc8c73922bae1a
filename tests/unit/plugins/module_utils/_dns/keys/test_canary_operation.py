# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A canary beside the play: started until it flies, ended with its counts, and never left behind by a failure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    DebvisorError,
    InvalidInput,
    TimedOut,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.ports import ReadsFiles
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.canary_operation import (
    DnsCanary,
    spec,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files
from ansible_collections.debvisor.hci.plugins.module_utils._programs import dns_canary

from tests.fakes.dns_server import FakeClock
from tests.fakes.operation_contract import Case, OperationContract, Wire
from tests.fakes.switchboard import calls


class Units:
    """Units in memory. A canary writes a report after some time, where ``made`` says that it makes updates."""

    def __init__(self, report: Path) -> None:
        self.report = report
        self.running: dict[str, tuple[Sequence[str], float]] = {}
        self.made: int | None = 1
        self.failures: list[DebvisorError] = []

    def is_active(self, name: str) -> bool:
        return name in self.running

    def start(self, name: str, program: Sequence[str], limit: float) -> None:
        for failure in self.failures:
            raise failure
        self.running[name] = (program, limit)
        if self.made is not None:
            self.report.write_text(json.dumps({"updates": {"made": self.made}}))

    def stop(self, name: str) -> None:
        self.running.pop(name, None)


class World:
    def __init__(self, base: Path) -> None:
        self.report = base / "report.json"
        self.units = Units(self.report)
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def params(self, state: str, **more: Any) -> dict[str, Any]:
        given = {
            "name": "canary",
            "state": state,
            "zone": "example.test",
            "record": "_canary-n1",
            "server": "192.0.2.10",
            "key_file": "/keys/x.key",
        }
        return filled(spec(str(self.report)), {**given, **more})

    def operation(self, wire: Wire = lambda name, port: port) -> DnsCanary:
        ports = (wire("units", self.units), wire("files", Files()), FakeClock())
        return DnsCanary(*ports, "/usr/libexec/debvisor")

    def run(self, state: str = "running", **more: Any) -> Outcome:
        return execute(self.operation(), self.params(state, **more), self.records)


def started(base: Path) -> Case:
    world = World(base)
    return Case(
        world.operation,
        world.params("running"),
        lambda: dict(world.units.running),
        reads={"units.is_active", *calls("files", ReadsFiles)},
    )


class TestContract(OperationContract):
    operation = DnsCanary
    cases = (started,)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_it_flies_once_and_is_ended_with_its_counts(world: World) -> None:
    world.report.write_text(json.dumps({"updates": {"made": 99}}))
    started = world.run()
    assert (started.failure, started.changed) == (None, True)
    assert started.facts["report"] == {"updates": {"made": 1}}, "the old report went"
    program, limit = world.units.running["canary"]
    assert (program[0], limit) == ("/usr/libexec/debvisor/dns-canary", 900.0)
    assert not world.run().changed
    ended = world.run("stopped")
    assert (ended.changed, ended.facts["report"]) == (True, {"updates": {"made": 1}})
    assert world.units.running == {}
    again = world.run("stopped")
    assert (again.changed, again.facts["report"]) == (False, {"updates": {"made": 1}})


def test_the_program_understands_its_words(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(
        transfer_from={"192.0.2.11": "/keys/t.key", "2001:db8::1": "/keys/s.key"},
        transfer_zone="example.test",
    )
    seen: list[Any] = []

    class Stub:
        def __init__(self, options: Any) -> None:
            seen.append(options)

        def run(self) -> int:
            return 0

        def stop(self, *signal: object) -> None: ...

    monkeypatch.setattr(dns_canary, "Canary", Stub)
    monkeypatch.setattr(dns_canary.signal, "signal", lambda *told: None)
    program, _limit = world.units.running["canary"]
    assert dns_canary.main(list(program[1:])) == 0
    [options] = seen
    assert (options.zone, options.name, options.server) == (
        "example.test",
        "_canary-n1",
        "192.0.2.10",
    )
    assert (options.key_file, options.interval, options.limit) == ("/keys/x.key", 0.1, 900.0)
    assert options.transfer_from == [
        ("192.0.2.11", "/keys/t.key"),
        ("2001:db8::1", "/keys/s.key"),
    ]
    assert options.transfer_interval == 1.0
    assert options.report == world.report


@pytest.mark.parametrize("made", [None, 0])
def test_one_that_does_not_fly_is_ended(world: World, made: int | None) -> None:
    world.units.made = made
    failed = world.run()
    assert isinstance(failed.failure, TimedOut)
    assert "first update" in str(failed.failure)
    assert failed.rolled_back
    assert world.units.running == {}


def test_a_report_that_is_none_is_told(world: World) -> None:
    world.report.write_text("torn {")
    assert "is no report of a canary" in str(world.run("stopped").failure)


def test_one_that_left_no_report_has_none(world: World) -> None:
    assert world.run("stopped").facts["report"] is None


def test_systemd_that_refuses_is_told(world: World) -> None:
    world.units.failures = [DebvisorError("systemd-run failed")]
    assert "systemd-run failed" in str(world.run().failure)
    assert world.units.running == {}


def test_all_that_is_wrong_is_told_at_once(world: World) -> None:
    wrong = world.run(
        server="nowhere..",
        transfer_from={"192.0.2.1": "x.key", "..": "/x.key"},
        interval=0.0,
        limit=1e9,
    )
    assert isinstance(wrong.failure, InvalidInput)
    assert [problem.where for problem in wrong.failure.problems] == [
        "server",
        "transfer_from[192.0.2.1]",
        "transfer_from",
        "transfer_zone",
        "interval",
        "limit",
    ]
