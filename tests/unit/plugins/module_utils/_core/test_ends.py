# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run ends is told once, and what dead runs left on other scopes is rolled back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.locking import locked
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import run
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import Plan

from tests.fakes.drawers import FillDrawers, Hook, die, fail_at, kill_at, no_hook
from tests.fakes.module import result_of

WANTED = {"drawers": {"a": "1", "b": "2"}}
BROKEN = OSError("disk on fire")


class Followed(FillDrawers):
    """Notes how it ended. Its receipts name the folder, so any run can take any other one back."""

    sweeps = True

    def __init__(self, folder: Path, hook: Hook = no_hook, **options: Any) -> None:
        super().__init__(folder, hook, **options)
        self.ends: list[tuple[str, bool]] = []
        self.order: list[str] = []

    def prepare(self, action: Any, wanted: Mapping[str, str]) -> dict[str, Any]:
        return {**super().prepare(action, wanted), "folder": str(self.folder)}

    def begun(self, wanted: Mapping[str, str]) -> None:
        self.order.append("begun")
        self.hook("begun", "")

    def waits(self) -> None:
        self.hook("waits", "")

    def undo(self, receipt: Mapping[str, Any]) -> None:
        self.order.append("undo")
        FillDrawers(Path(receipt["folder"]), self.hook).undo(receipt)

    def ended(self, plan: Plan, failure: BaseException | None, rolled_back: bool) -> None:
        self.order.append("ended")
        self.ends.append((str(failure or ""), rolled_back))
        self.hook("ended", "")

    def close(self) -> None:
        self.order.append("close")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(Journal(tmp_path / "journal"), Audit(tmp_path / "audit"), tmp_path / "lock")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "here"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("hook", "params", "told"),
    [
        (no_hook, WANTED, ("", False)),
        (no_hook, {"drawers": {}}, ("", False)),
        (no_hook, {"drawers": {"a": 1}}, ("1 problem in the input", True)),
        (fail_at("prepare", "a", BROKEN), WANTED, ("disk on fire", True)),
        (fail_at("apply", "b", BROKEN), WANTED, ("disk on fire", True)),
        (fail_at("verify", "", BROKEN), WANTED, ("disk on fire", True)),
        (fail_at("commit", "b", BROKEN), WANTED, ("disk on fire", False)),
    ],
)
def test_the_end_is_told_once_before_all_is_closed(
    folder: Path, records: Records, hook: Hook, params: dict, told: tuple[str, bool]
) -> None:
    operation = Followed(folder, hook)
    execute(operation, params, records)
    [(failure, rolled_back)] = operation.ends
    assert (failure.startswith(told[0]), rolled_back) == (True, told[1])
    assert bool(failure) == bool(told[0])
    assert operation.order[-2:] == ["ended", "close"]
    assert "begun" not in operation.order[1:]


def test_an_end_that_left_something_says_so(folder: Path, records: Records) -> None:
    def hook(stage: str, name: str) -> None:
        if (stage, name) in {("apply", "b"), ("undo", "a")}:
            raise BROKEN

    operation = Followed(folder, hook)
    execute(operation, WANTED, records)
    assert operation.ends == [("disk on fire", False)]


def test_an_interrupt_is_told_too(folder: Path, records: Records) -> None:
    operation = Followed(folder, fail_at("apply", "b", KeyboardInterrupt("stop")))
    with pytest.raises(KeyboardInterrupt):
        execute(operation, WANTED, records)
    assert operation.ends == [("stop", True)]
    assert list(folder.iterdir()) == []


def test_check_mode_tells_no_end(folder: Path, records: Records) -> None:
    operation = Followed(folder)
    execute(operation, WANTED, records, check=True)
    assert operation.order == ["close"]


def test_a_beginning_is_told_before_anything_is_done(folder: Path, records: Records) -> None:
    operation = Followed(folder, fail_at("begun", "", BROKEN))
    with locked(records.locks, f"drawers:{folder}", 1):  # it does not even get to wait for it
        outcome = execute(operation, WANTED, records)
    assert (outcome.failure, list(folder.iterdir())) == (BROKEN, [])
    assert operation.order == ["begun", "ended", "close"]
    assert operation.ends == [("disk on fire", True)]


def test_a_run_that_waits_for_its_lock_may_be_stopped(folder: Path, records: Records) -> None:
    operation = Followed(folder, fail_at("waits", "", BROKEN))
    with locked(records.locks, f"drawers:{folder}", 1):
        assert execute(operation, WANTED, records).failure is BROKEN
    assert execute(operation, WANTED, records).failure is None, (
        "one that need not wait is not asked"
    )


def test_an_end_that_cannot_be_recorded_does_not_fail_the_run(
    folder: Path, records: Records
) -> None:
    outcome = execute(Followed(folder, fail_at("ended", "", BROKEN)), WANTED, records)
    assert (outcome.failure, outcome.changed) == (None, True)
    assert outcome.warnings == ["The end of the run could not be recorded: disk on fire"]


def abandon(folder: Path, records: Records, stage: str, name: str) -> None:
    """Have another process begin to fill this folder, and die in that."""
    folder.mkdir(exist_ok=True)
    operation = Followed(folder, kill_at(stage, name))
    operation.sweeps = False  # two that die shall both leave something
    die(lambda: execute(operation, WANTED, records))


def sweep_from(folder: Path, records: Records, hook: Hook = no_hook) -> Outcome:
    return execute(Followed(folder, hook), WANTED, records)


def test_a_run_rolls_back_what_dead_runs_on_other_scopes_left(
    tmp_path: Path, folder: Path, records: Records
) -> None:
    abandon(tmp_path / "one", records, "verify", "")
    abandon(tmp_path / "two", records, "applied", "a")
    outcome = sweep_from(folder, records)
    assert (outcome.failure, len(outcome.rolled_back_runs)) == (None, 2)
    assert [list((tmp_path / name).iterdir()) for name in ("one", "two")] == [[], []]
    assert list(records.journal.folder.iterdir()) == []
    lines = [json.loads(line) for line in records.audit.path.read_text().splitlines()]
    assert [line["result"] for line in lines] == [
        "rolled_back_later",
        "rolled_back_later",
        "changed",
    ]


def test_what_was_committed_there_is_only_tidied_up(
    tmp_path: Path, folder: Path, records: Records
) -> None:
    abandon(tmp_path / "one", records, "commit", "a")
    outcome = sweep_from(folder, records)
    assert (outcome.failure, outcome.rolled_back_runs) == (None, [])
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["a", "b"]
    assert list(records.journal.folder.iterdir()) == []


def test_a_run_that_lives_is_left_alone(tmp_path: Path, folder: Path, records: Records) -> None:
    abandon(tmp_path / "one", records, "verify", "")
    with locked(records.locks, f"drawers:{tmp_path / 'one'}", 1):
        assert sweep_from(folder, records).rolled_back_runs == []
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["a", "b"]


def test_what_awaits_its_confirmation_is_left_alone(
    tmp_path: Path, folder: Path, records: Records
) -> None:
    abandon(tmp_path / "one", records, "verify", "")
    [transaction] = records.journal.unfinished("fill_drawers")
    transaction.await_confirmation(1.0)
    assert sweep_from(folder, records).rolled_back_runs == []
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["a", "b"]


def test_what_resists_is_said_and_does_not_stop_the_run(
    tmp_path: Path, folder: Path, records: Records
) -> None:
    abandon(tmp_path / "one", records, "verify", "")
    outcome = sweep_from(folder, records, fail_at("undo", "b", BROKEN))
    assert (outcome.failure, outcome.changed) == (None, True)
    [warning] = outcome.warnings
    assert "cannot be rolled back: fill b: disk on fire" in warning
    assert len(list(records.journal.folder.iterdir())) == 1, "the next run tries again"


def test_only_operations_that_say_so_sweep(tmp_path: Path, folder: Path, records: Records) -> None:
    abandon(tmp_path / "one", records, "verify", "")
    assert execute(FillDrawers(folder), WANTED, records).rolled_back_runs == []


def test_a_module_may_say_how_long_it_waits_for_its_lock(folder: Path, records: Records) -> None:
    with locked(records.locks, f"drawers:{folder}", 1):
        told = result_of(
            lambda module: run(Followed(folder), module, records, lock_timeout=0.25), WANTED
        )
    assert "waited 0.25 s for the lock" in told["msg"]
