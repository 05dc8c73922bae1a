# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that can lock people out: what stays, what is rolled back, and by whom, wherever a process dies."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import audit, journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.confirmation import check_limit
from ansible_collections.debvisor.hci.plugins.module_utils._core.confirming import (
    confirm,
    roll_back,
    roll_back_unconfirmed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    CannotRecord,
    Conflict,
    Problem,
    TimedOut,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.locking import locked
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import run
from ansible_collections.debvisor.hci.plugins.module_utils._programs import revert_change

from tests.fakes.drawers import (
    BEFORE,
    KILLED,
    DrawerWorld,
    FillDrawers,
    die,
    fail_at,
    kill_at,
    no_hook,
)
from tests.fakes.module import result_of
from tests.fakes.revert_timer import FakeRevertTimer

WANTED = {"drawers": {"a": "one", "b": "two"}}
AFTER = {"a": "one", "b": "two", "z": "untouched"}


class World(DrawerWorld):
    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.revert_timer = FakeRevertTimer(base / "armed")

    def operation(self, hook=no_hook) -> FillDrawers:
        return FillDrawers(self.folder, hook, confirm_within=30)

    def fill(self, hook=no_hook, wanted=None, **options) -> Outcome:
        return execute(
            self.operation(hook),
            wanted or WANTED,
            self.records,
            revert_timer=self.revert_timer,
            **options,
        )

    def confirm(self, identity: str, hook=no_hook, **options) -> Outcome:
        return confirm(self.operation(hook), identity, self.records, self.revert_timer, **options)

    def roll_back(self, identity: str, hook=no_hook, **options) -> Outcome:
        return roll_back(self.operation(hook), identity, self.records, self.revert_timer, **options)

    def fire(self, identity: str, hook=no_hook, **options) -> Outcome:
        """Do what the timer does."""
        outcome = roll_back_unconfirmed(self.operation(hook), identity, self.records, **options)
        if outcome.failure is None:
            self.revert_timer.disarm(identity)
        return outcome


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_change_awaits_its_confirmation(world: World) -> None:
    outcome = world.fill()
    assert (outcome.failure, outcome.changed) == (None, True)
    assert 29 < outcome.awaiting <= 30
    assert world.state == AFTER
    assert world.revert_timer.armed == [outcome.transaction]
    [left] = world.open_transactions
    assert json.loads(left.read_text())["awaiting_until"] > 0
    assert world.results == ["awaiting confirmation"]


def test_confirmed_it_stays(world: World) -> None:
    identity = world.fill().transaction
    committed: list[str] = []
    outcome = world.confirm(identity, lambda stage, name: committed.append(f"{stage} {name}"))
    assert (outcome.failure, outcome.changed, outcome.warnings) == (None, True, [])
    assert committed == ["commit a", "commit b"]
    assert (world.state, world.open_transactions, world.revert_timer.armed) == (AFTER, [], [])
    assert world.results == ["awaiting confirmation", "confirmed"]
    assert world.fill().changed is False


def test_confirming_twice_changes_nothing(world: World) -> None:
    identity = world.fill().transaction
    world.confirm(identity)
    outcome = world.confirm(identity)
    assert (outcome.failure, outcome.changed) == (None, False)
    assert world.results == ["awaiting confirmation", "confirmed"]


def test_unconfirmed_it_is_rolled_back(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.fire(identity)
    assert (outcome.failure, outcome.rolled_back_runs) == (None, [identity])
    assert (world.state, world.open_transactions) == (BEFORE, [])
    assert world.results == ["awaiting confirmation", "reverted"]


def test_disproven_it_is_rolled_back_at_once_and_the_revert_timer_stopped(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.roll_back(identity)
    assert (outcome.failure, outcome.rolled_back_runs) == (None, [identity])
    assert (world.state, world.open_transactions, world.revert_timer.armed) == (BEFORE, [], [])
    assert world.results == ["awaiting confirmation", "reverted"]
    again = world.roll_back(identity)
    assert (again.failure, again.rolled_back_runs) == (None, [])
    assert world.results == ["awaiting confirmation", "reverted"]


def test_where_taking_back_at_once_fails_the_revert_timer_does_it(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.roll_back(identity, fail_at("undo", "a", OSError("stuck")))
    assert outcome.failure is not None
    assert world.revert_timer.armed == [identity]
    world.fire(identity)
    assert (world.state, world.revert_timer.armed) == (BEFORE, [])


@pytest.mark.parametrize("committed", [True, False])
def test_what_is_confirmed_cannot_be_rolled_back(world: World, committed: bool) -> None:
    identity = world.fill().transaction
    if committed:  # and cut off in that very moment
        die(lambda: world.confirm(identity, kill_at("commit", "a")))
    else:
        world.confirm(identity)
    outcome = world.roll_back(identity)
    assert isinstance(outcome.failure, Conflict)
    assert "is final" in str(outcome.failure)
    assert world.state == AFTER


def test_another_operation_cannot_take_it_back(world: World) -> None:
    identity = world.fill().transaction
    other = world.operation()
    other.name = "another"
    outcome = roll_back(other, identity, world.records, world.revert_timer)
    assert isinstance(outcome.failure, Conflict)
    assert world.state == AFTER


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("decided", ["never began", "confirmed", "open", "of another"])
def test_an_operation_that_rolls_back_is_closed_once(
    world: World, decided: str, check: bool
) -> None:
    identity = "1-1" if decided == "never began" else world.fill().transaction
    if decided == "confirmed":
        world.confirm(identity)
    closed: list[str] = []
    operation = world.operation()
    operation.close = lambda: closed.append("once")  # type: ignore[method-assign]
    if decided == "of another":
        operation.name = "another"
    roll_back(operation, identity, world.records, world.revert_timer, check=check)
    assert closed == ["once"]


def test_taking_back_in_check_mode_changes_nothing(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.roll_back(identity, check=True)
    assert (outcome.failure, world.state) == (None, AFTER)
    assert world.revert_timer.armed == [identity]


def test_confirming_what_was_rolled_back_is_a_failure(world: World) -> None:
    identity = world.fill().transaction
    world.fire(identity)
    outcome = world.confirm(identity)
    assert isinstance(outcome.failure, Conflict)
    assert "it was rolled back" in str(outcome.failure)
    assert outcome.changed is False


@pytest.mark.parametrize("identity", ["1-1", "../journal/1-1", ""])
def test_confirming_what_never_was_is_a_failure(world: World, identity: str) -> None:
    world.fill()
    outcome = world.confirm(identity)
    assert isinstance(outcome.failure, Conflict)
    assert "there is no such change" in str(outcome.failure)


def test_confirming_after_a_reboot_is_a_failure_and_the_next_run_takes_it_back(
    world: World,
) -> None:
    identity = world.fill().transaction
    world.revert_timer.reboot()
    outcome = world.confirm(identity)
    assert isinstance(outcome.failure, Conflict)
    assert "restart of the machine" in str(outcome.failure)
    again = world.fill(wanted={"drawers": {"a": "old"}})
    assert (again.failure, again.rolled_back_runs, again.changed) == (None, [identity], True)
    assert world.state == BEFORE


def test_confirming_by_another_operation_is_a_failure(world: World) -> None:
    class Other(FillDrawers):
        name = "other"

    identity = world.fill().transaction
    outcome = confirm(Other(world.folder), identity, world.records, world.revert_timer)
    assert "it is one of fill_drawers" in str(outcome.failure)
    assert world.revert_timer.armed == [identity]


def test_confirming_in_check_mode_writes_nothing(world: World, tmp_path: Path) -> None:
    identity = world.fill().transaction
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert world.confirm(identity, check=True).changed is True
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_check_mode_arms_nothing_and_tells_of_what_awaits(world: World) -> None:
    planned = world.fill(check=True)
    assert (planned.awaiting, world.revert_timer.armed, world.open_transactions) == (None, [], [])
    world.fill()
    [warning] = world.fill(check=True).warnings
    assert "was not confirmed" in warning


def test_where_it_cannot_be_armed_nothing_is_changed(world: World) -> None:
    world.revert_timer.broken = "arm"
    outcome = world.fill()
    assert str(outcome.failure) == "systemd-run failed"
    assert (world.state, world.open_transactions, outcome.changed) == (BEFORE, [], False)


def test_a_revert_timer_that_does_not_stop_is_said_and_does_no_harm(world: World) -> None:
    identity = world.fill().transaction
    world.revert_timer.broken = "disarm"
    outcome = world.confirm(identity)
    assert outcome.failure is None
    assert "Could not cancel the revert timer" in outcome.warnings[0]
    world.revert_timer.broken = ""
    assert world.fire(identity).rolled_back_runs == []
    assert world.state == AFTER


def test_a_plan_that_asks_for_a_revert_timer_needs_one(world: World) -> None:
    outcome = execute(world.operation(), WANTED, world.records)
    assert isinstance(outcome.failure, ValueError)
    assert world.state == BEFORE


STEPS = [(stage, name) for stage in ("prepare", "apply", "applied") for name in "ab"]
STEPS += [("verify", "")]


@pytest.mark.parametrize(("stage", "name"), STEPS)
def test_a_failure_is_rolled_back_at_once_and_the_revert_timer_stopped(
    world: World, stage: str, name: str
) -> None:
    outcome = world.fill(fail_at(stage, name, OSError("disk on fire")))
    assert str(outcome.failure) == "disk on fire"
    assert (world.state, world.open_transactions, world.revert_timer.armed) == (BEFORE, [], [])


def test_where_taking_back_fails_the_revert_timer_gets_a_second_chance(world: World) -> None:
    def hook(stage: str, name: str) -> None:
        if (stage, name) in {("verify", ""), ("undo", "a")}:
            raise OSError("broke")

    outcome = world.fill(hook)
    assert outcome.rollback_errors
    assert world.revert_timer.armed == [outcome.transaction]
    assert world.fire(outcome.transaction).failure is None
    assert world.state == BEFORE


@pytest.mark.parametrize(("stage", "name"), STEPS)
def test_killed_at_any_step_the_revert_timer_takes_it_back(
    world: World, stage: str, name: str
) -> None:
    die(lambda: world.fill(kill_at(stage, name)))
    [identity] = world.revert_timer.armed
    assert world.fire(identity).failure is None
    assert (world.state, world.open_transactions) == (BEFORE, [])


@pytest.mark.parametrize(("stage", "name"), STEPS)
def test_killed_at_any_step_the_next_run_need_not_wait(world: World, stage: str, name: str) -> None:
    die(lambda: world.fill(kill_at(stage, name)))
    outcome = world.fill(lock_timeout=0)
    assert outcome.failure is None
    assert world.state == AFTER
    assert outcome.transaction in world.revert_timer.armed


def test_what_was_cut_off_before_it_was_verified_cannot_be_confirmed(world: World) -> None:
    die(lambda: world.fill(kill_at("verify", "")))
    outcome = world.confirm(world.revert_timer.armed[0])
    assert "interrupted before everything was verified" in str(outcome.failure)


@pytest.mark.parametrize("name", ["a", "b"])
def test_killed_while_confirming_it_stays(world: World, name: str) -> None:
    identity = world.fill().transaction
    die(lambda: world.confirm(identity, kill_at("commit", name)))
    assert world.fire(identity).rolled_back_runs == []
    assert (world.state, world.open_transactions) == (AFTER, [])


def test_killed_while_confirming_the_confirmation_can_be_repeated(world: World) -> None:
    identity = world.fill().transaction
    die(lambda: world.confirm(identity, kill_at("commit", "a")))
    outcome = world.confirm(identity)
    assert (outcome.failure, world.state, world.open_transactions) == (None, AFTER, [])
    assert set(world.results) == {"awaiting confirmation", "confirmed"}


@pytest.mark.parametrize("settled_by", ["timer", "run", "confirmation"])
def test_killed_between_confirmation_and_audit_line_it_is_on_record_later(
    world: World, settled_by: str
) -> None:
    identity = world.fill().transaction

    def dies() -> None:
        Audit.append = lambda self, **line: os._exit(KILLED)  # type: ignore[method-assign]
        world.confirm(identity)

    die(dies)
    if settled_by == "timer":
        assert world.fire(identity).failure is None
    elif settled_by == "run":
        assert world.fill().failure is None
    assert world.confirm(identity).failure is None
    assert isinstance(world.roll_back(identity).failure, Conflict)
    last = "confirmed" if settled_by == "confirmation" else "finished_later"
    assert (world.state, world.results) == (AFTER, ["awaiting confirmation", last])
    assert world.open_transactions == []


def test_where_a_confirmation_cannot_be_recorded_it_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*args: object) -> None:
        raise OSError(28, "No space left on device")

    identity = world.fill().transaction
    with monkeypatch.context() as full:
        full.setattr(audit, "reserve", full_disk)
        assert isinstance(world.confirm(identity).failure, CannotRecord)
    assert world.confirm(identity).failure is None


def test_a_change_that_awaits_and_cannot_be_recorded_is_rolled_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*args: object, **line: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Audit, "append", full_disk)
    outcome = world.fill()
    assert isinstance(outcome.failure, CannotRecord)
    assert (outcome.rolled_back, world.state) == (True, BEFORE)
    assert not world.revert_timer.is_armed(outcome.transaction)


def test_where_tidying_up_fails_the_change_stays_and_the_revert_timer_tidies_up(
    world: World,
) -> None:
    identity = world.fill().transaction
    outcome = world.confirm(identity, fail_at("commit", "b", OSError("disk on fire")))
    assert str(outcome.failure) == "disk on fire"
    assert (outcome.committed, outcome.changed) == (True, True)
    assert world.revert_timer.armed == [identity]
    later = world.fire(identity)
    assert (later.failure, later.rolled_back_runs, world.state) == (None, [], AFTER)
    assert (world.open_transactions, world.revert_timer.armed) == ([], [])
    assert world.results == ["awaiting confirmation", "confirmed"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_killed_while_taking_back_it_can_be_repeated(world: World, name: str) -> None:
    identity = world.fill().transaction
    die(lambda: world.fire(identity, kill_at("undo", name)))
    assert world.revert_timer.armed == [identity]
    assert world.fire(identity).failure is None
    assert (world.state, world.open_transactions) == (BEFORE, [])


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_is_half_rolled_back_cannot_be_confirmed(world: World, name: str) -> None:
    identity = world.fill().transaction
    world.fire(identity, fail_at("undo", name, OSError("disk on fire")))
    assert world.revert_timer.armed == [identity]
    for check in (True, False):
        outcome = world.confirm(identity, check=check)
        assert isinstance(outcome.failure, Conflict)
        assert "it is being rolled back" in str(outcome.failure)
    assert world.fire(identity).failure is None
    assert (world.state, world.open_transactions) == (BEFORE, [])


def test_killed_while_taking_back_it_cannot_be_confirmed(world: World) -> None:
    identity = world.fill().transaction
    die(lambda: world.fire(identity, kill_at("undo", "b")))
    assert "it is being rolled back" in str(world.confirm(identity).failure)


def test_another_run_does_not_wait_for_what_is_half_rolled_back(world: World) -> None:
    identity = world.fill().transaction
    world.fire(identity, fail_at("undo", "a", OSError("disk on fire")))
    outcome = world.fill(wanted={"drawers": {"c": "three"}}, lock_timeout=0)
    assert (outcome.failure, outcome.rolled_back_runs) == (None, [identity])
    assert world.state == {**BEFORE, "c": "three"}


def test_a_full_disk_does_not_stop_the_taking_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*args: object, **options: object) -> None:
        raise OSError("No space left on device")

    identity = world.fill().transaction
    with monkeypatch.context() as full:
        full.setattr(journal, "write_whole", full_disk)
        world.fire(identity)
    assert world.state == BEFORE


def test_another_run_waits_for_the_decision_its_bounded_time(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.fill(wanted={"drawers": {"c": "three"}}, lock_timeout=0.05)
    assert isinstance(outcome.failure, TimedOut)
    assert f"the change {identity} awaits its confirmation until 20" in str(outcome.failure)
    assert world.state == AFTER
    world.confirm(identity)
    assert world.fill(wanted={"drawers": {"c": "three"}}).failure is None


def test_the_revert_timer_waits_for_a_run_that_still_works_a_bounded_time(world: World) -> None:
    identity = world.fill().transaction
    with locked(world.records.locks, f"drawers:{world.folder}", 1):
        outcome = world.fire(identity, lock_timeout=0.05)
    assert isinstance(outcome.failure, TimedOut)
    assert world.revert_timer.armed == [identity]
    assert world.fire(identity).failure is None
    assert world.state == BEFORE


def test_where_waiting_cannot_be_recorded_all_is_rolled_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*args: object, **options: object) -> None:
        raise OSError("No space left on device")

    def hook(stage: str, name: str) -> None:
        if stage == "verify":
            monkeypatch.setattr(journal, "write_whole", full_disk)

    outcome = world.fill(hook)
    assert isinstance(outcome.failure, CannotRecord)
    assert (world.state, world.revert_timer.armed) == (BEFORE, [])


def test_a_module_tells_what_awaits_and_confirms_it(world: World) -> None:
    def told(**params) -> dict:
        def work(module) -> None:
            run(world.operation(), module, world.records, world.revert_timer)

        return result_of(work, {**WANTED, **params})

    awaiting = told()["awaiting"]
    assert awaiting["transaction"] == world.revert_timer.armed[0]
    assert 29 < awaiting["seconds"] <= 30
    confirmed = told(confirm=awaiting["transaction"])
    assert (confirmed["changed"], "awaiting" in confirmed) == (True, False)
    assert not {"failed", "warnings"} & set(confirmed)
    refused = told(confirm="1-1")
    assert (refused["failed"], refused["committed"]) == (True, False)
    assert told(rollback=awaiting["transaction"])["failed"] is True


def test_revert_change_rolls_back_what_was_not_confirmed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(identity: str, hook=no_hook) -> int:
        known = {"fill_drawers": lambda: world.operation(hook)}
        return revert_change.main(["fill_drawers", identity], known, world.records)

    identity = world.fill().transaction
    assert call(identity, fail_at("undo", "a", OSError("disk on fire"))) == 1
    assert "disk on fire" in capsys.readouterr().err
    assert call(identity) == 0
    assert world.state == BEFORE
    assert call(identity) == 0
    assert "nothing to roll back: no change of fill_drawers" in capsys.readouterr().out


def test_every_operation_that_revert_change_knows_has_its_own_name() -> None:
    assert revert_change.OPERATIONS
    for name, make in revert_change.OPERATIONS.items():
        assert make().name == name


@pytest.mark.parametrize(("seconds", "wrong"), [(4.9, 1), (5, 0), (3600, 0), (3601, 1), (-1, 1)])
def test_the_time_to_confirm_has_bounds(seconds: float, wrong: int) -> None:
    problems: list[Problem] = []
    check_limit({"confirm_within": seconds}, problems)
    assert len(problems) == wrong
