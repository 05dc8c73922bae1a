# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that can lock people out: what stays, what is taken back, and by whom, wherever a process dies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.confirmation import check_limit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    CannotRecord,
    Conflict,
    Problem,
    TimedOut,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import (
    Outcome,
    Records,
    confirm,
    execute,
    locked,
    revert,
    run,
    take_back,
)
from ansible_collections.debvisor.hci.plugins.module_utils._entry import revert_change

from tests.fakes.dead_man import FakeDeadMan
from tests.fakes.drawers import FillDrawers, fail_at, kill_at, no_hook

WANTED = {"drawers": {"a": "one", "b": "two"}}
BEFORE = {"a": "old", "z": "untouched"}
AFTER = {"a": "one", "b": "two", "z": "untouched"}


class World:
    def __init__(self, base: Path) -> None:
        self.folder = base / "drawers"
        self.folder.mkdir()
        for name, text in BEFORE.items():
            (self.folder / name).write_text(text)
        self.records = Records(
            Journal(base / "journal"), Audit(base / "log" / "audit.jsonl"), base / "lock"
        )
        self.dead_man = FakeDeadMan(base / "armed")

    def operation(self, hook=no_hook) -> FillDrawers:
        return FillDrawers(self.folder, hook, confirm_within=30)

    def fill(self, hook=no_hook, wanted=None, **options) -> Outcome:
        return execute(
            self.operation(hook),
            wanted or WANTED,
            self.records,
            dead_man=self.dead_man,
            **options,
        )

    def confirm(self, identity: str, hook=no_hook, **options) -> Outcome:
        return confirm(self.operation(hook), identity, self.records, self.dead_man, **options)

    def take_back(self, identity: str, hook=no_hook, **options) -> Outcome:
        return take_back(self.operation(hook), identity, self.records, self.dead_man, **options)

    def fire(self, identity: str, hook=no_hook, **options) -> Outcome:
        """Do what the timer does."""
        outcome = revert(self.operation(hook), identity, self.records, **options)
        if outcome.failure is None:
            self.dead_man.disarm(identity)
        return outcome

    def die(self, what: Callable[[], object]) -> None:
        child = os.fork()
        if child == 0:
            try:
                what()
            finally:
                os._exit(0)
        _pid, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 137, "the process was to die, and did not"

    @property
    def state(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.iterdir()}

    @property
    def open_transactions(self) -> list[Path]:
        return list(self.records.journal.folder.glob("*"))

    @property
    def results(self) -> list[str]:
        path = self.records.audit.path
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["result"] for line in lines]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_change_awaits_its_confirmation(world: World) -> None:
    outcome = world.fill()
    assert (outcome.failure, outcome.changed) == (None, True)
    assert 29 < outcome.awaiting <= 30
    assert world.state == AFTER
    assert world.dead_man.armed == [outcome.transaction]
    [left] = world.open_transactions
    assert json.loads(left.read_text())["awaiting_until"] > 0
    assert world.results == ["awaiting confirmation"]


def test_confirmed_it_stays(world: World) -> None:
    identity = world.fill().transaction
    committed: list[str] = []
    outcome = world.confirm(identity, lambda stage, name: committed.append(f"{stage} {name}"))
    assert (outcome.failure, outcome.changed, outcome.warnings) == (None, True, [])
    assert committed == ["commit a", "commit b"]
    assert (world.state, world.open_transactions, world.dead_man.armed) == (AFTER, [], [])
    assert world.results == ["awaiting confirmation", "confirmed"]
    assert world.fill().changed is False


def test_confirming_twice_changes_nothing(world: World) -> None:
    identity = world.fill().transaction
    world.confirm(identity)
    outcome = world.confirm(identity)
    assert (outcome.failure, outcome.changed) == (None, False)
    assert world.results == ["awaiting confirmation", "confirmed"]


def test_unconfirmed_it_is_taken_back(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.fire(identity)
    assert (outcome.failure, outcome.unwound) == (None, [identity])
    assert (world.state, world.open_transactions) == (BEFORE, [])
    assert world.results == ["awaiting confirmation", "reverted"]


def test_disproven_it_is_taken_back_at_once_and_the_dead_man_stopped(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.take_back(identity)
    assert (outcome.failure, outcome.unwound) == (None, [identity])
    assert (world.state, world.open_transactions, world.dead_man.armed) == (BEFORE, [], [])
    assert world.results == ["awaiting confirmation", "reverted"]
    again = world.take_back(identity)
    assert (again.failure, again.unwound) == (None, [])
    assert world.results == ["awaiting confirmation", "reverted"]


def test_where_taking_back_at_once_fails_the_dead_man_does_it(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.take_back(identity, fail_at("undo", "a", OSError("stuck")))
    assert outcome.failure is not None
    assert world.dead_man.armed == [identity]
    world.fire(identity)
    assert (world.state, world.dead_man.armed) == (BEFORE, [])


@pytest.mark.parametrize("committed", [True, False])
def test_what_is_confirmed_cannot_be_taken_back(world: World, committed: bool) -> None:
    identity = world.fill().transaction
    if committed:  # and cut off in that very moment
        world.die(lambda: world.confirm(identity, kill_at("commit", "a")))
    else:
        world.confirm(identity)
    outcome = world.take_back(identity)
    assert isinstance(outcome.failure, Conflict)
    assert "is final" in str(outcome.failure)
    assert world.state == AFTER


def test_another_operation_cannot_take_it_back(world: World) -> None:
    identity = world.fill().transaction
    other = world.operation()
    other.name = "another"
    outcome = take_back(other, identity, world.records, world.dead_man)
    assert isinstance(outcome.failure, Conflict)
    assert world.state == AFTER


def test_taking_back_in_check_mode_changes_nothing(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.take_back(identity, check=True)
    assert (outcome.failure, world.state) == (None, AFTER)
    assert world.dead_man.armed == [identity]


def test_confirming_what_was_taken_back_is_a_failure(world: World) -> None:
    identity = world.fill().transaction
    world.fire(identity)
    outcome = world.confirm(identity)
    assert isinstance(outcome.failure, Conflict)
    assert "it was taken back" in str(outcome.failure)
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
    world.dead_man.reboot()
    outcome = world.confirm(identity)
    assert isinstance(outcome.failure, Conflict)
    assert "restart of the machine" in str(outcome.failure)
    again = world.fill(wanted={"drawers": {"a": "old"}})
    assert (again.failure, again.unwound, again.changed) == (None, [identity], False)
    assert world.state == BEFORE


def test_confirming_by_another_operation_is_a_failure(world: World) -> None:
    class Other(FillDrawers):
        name = "other"

    identity = world.fill().transaction
    outcome = confirm(Other(world.folder), identity, world.records, world.dead_man)
    assert "it is one of fill_drawers" in str(outcome.failure)
    assert world.dead_man.armed == [identity]


def test_confirming_in_check_mode_writes_nothing(world: World, tmp_path: Path) -> None:
    identity = world.fill().transaction
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert world.confirm(identity, check=True).changed is True
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_check_mode_arms_nothing_and_tells_of_what_awaits(world: World) -> None:
    foretold = world.fill(check=True)
    assert (foretold.awaiting, world.dead_man.armed, world.open_transactions) == (None, [], [])
    world.fill()
    [warning] = world.fill(check=True).warnings
    assert "was not confirmed" in warning


def test_where_it_cannot_be_armed_nothing_is_changed(world: World) -> None:
    world.dead_man.broken = "arm"
    outcome = world.fill()
    assert str(outcome.failure) == "systemd-run failed"
    assert (world.state, world.open_transactions, outcome.changed) == (BEFORE, [], False)


def test_a_dead_man_that_does_not_stop_is_said_and_does_no_harm(world: World) -> None:
    identity = world.fill().transaction
    world.dead_man.broken = "disarm"
    outcome = world.confirm(identity)
    assert outcome.failure is None
    assert "could not be stopped" in outcome.warnings[0]
    world.dead_man.broken = ""
    assert world.fire(identity).unwound == []
    assert world.state == AFTER


def test_a_plan_that_asks_for_a_dead_man_needs_one(world: World) -> None:
    outcome = execute(world.operation(), WANTED, world.records)
    assert isinstance(outcome.failure, ValueError)
    assert world.state == BEFORE


STEPS = [(stage, name) for stage in ("prepare", "apply", "applied") for name in "ab"]
STEPS += [("verify", "")]


@pytest.mark.parametrize(("stage", "name"), STEPS)
def test_a_failure_is_taken_back_at_once_and_the_dead_man_stopped(
    world: World, stage: str, name: str
) -> None:
    outcome = world.fill(fail_at(stage, name, OSError("disk on fire")))
    assert str(outcome.failure) == "disk on fire"
    assert (world.state, world.open_transactions, world.dead_man.armed) == (BEFORE, [], [])


def test_where_taking_back_fails_the_dead_man_gets_a_second_chance(world: World) -> None:
    def hook(stage: str, name: str) -> None:
        if (stage, name) in {("verify", ""), ("undo", "a")}:
            raise OSError("broke")

    outcome = world.fill(hook)
    assert outcome.rollback_errors
    assert world.dead_man.armed == [outcome.transaction]
    assert world.fire(outcome.transaction).failure is None
    assert world.state == BEFORE


@pytest.mark.parametrize(("stage", "name"), STEPS)
def test_killed_at_any_step_the_dead_man_takes_it_back(world: World, stage: str, name: str) -> None:
    world.die(lambda: world.fill(kill_at(stage, name)))
    [identity] = world.dead_man.armed
    assert world.fire(identity).failure is None
    assert (world.state, world.open_transactions) == (BEFORE, [])


@pytest.mark.parametrize(("stage", "name"), STEPS)
def test_killed_at_any_step_the_next_run_need_not_wait(world: World, stage: str, name: str) -> None:
    world.die(lambda: world.fill(kill_at(stage, name)))
    outcome = world.fill(lock_timeout=0)
    assert outcome.failure is None
    assert world.state == AFTER
    assert outcome.transaction in world.dead_man.armed


def test_what_was_cut_off_before_it_was_verified_cannot_be_confirmed(world: World) -> None:
    world.die(lambda: world.fill(kill_at("verify", "")))
    outcome = world.confirm(world.dead_man.armed[0])
    assert "cut off before all was verified" in str(outcome.failure)


@pytest.mark.parametrize("name", ["a", "b"])
def test_killed_while_confirming_it_stays(world: World, name: str) -> None:
    identity = world.fill().transaction
    world.die(lambda: world.confirm(identity, kill_at("commit", name)))
    assert world.fire(identity).unwound == []
    assert (world.state, world.open_transactions) == (AFTER, [])


def test_killed_while_confirming_the_confirmation_can_be_repeated(world: World) -> None:
    identity = world.fill().transaction
    world.die(lambda: world.confirm(identity, kill_at("commit", "a")))
    outcome = world.confirm(identity)
    assert (outcome.failure, world.state, world.open_transactions) == (None, AFTER, [])
    assert set(world.results) == {"awaiting confirmation", "confirmed"}


def test_where_tidying_up_fails_the_change_stays_and_the_dead_man_tidies_up(world: World) -> None:
    identity = world.fill().transaction
    outcome = world.confirm(identity, fail_at("commit", "b", OSError("disk on fire")))
    assert str(outcome.failure) == "disk on fire"
    assert (outcome.committed, outcome.changed) == (True, True)
    assert world.dead_man.armed == [identity]
    later = world.fire(identity)
    assert (later.failure, later.unwound, world.state) == (None, [], AFTER)
    assert (world.open_transactions, world.dead_man.armed) == ([], [])
    assert world.results == ["awaiting confirmation", "confirmed"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_killed_while_taking_back_it_can_be_repeated(world: World, name: str) -> None:
    identity = world.fill().transaction
    world.die(lambda: world.fire(identity, kill_at("undo", name)))
    assert world.dead_man.armed == [identity]
    assert world.fire(identity).failure is None
    assert (world.state, world.open_transactions) == (BEFORE, [])


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_is_half_taken_back_cannot_be_confirmed(world: World, name: str) -> None:
    identity = world.fill().transaction
    world.fire(identity, fail_at("undo", name, OSError("disk on fire")))
    assert world.dead_man.armed == [identity]
    for check in (True, False):
        outcome = world.confirm(identity, check=check)
        assert isinstance(outcome.failure, Conflict)
        assert "it is being taken back" in str(outcome.failure)
    assert world.fire(identity).failure is None
    assert (world.state, world.open_transactions) == (BEFORE, [])


def test_killed_while_taking_back_it_cannot_be_confirmed(world: World) -> None:
    identity = world.fill().transaction
    world.die(lambda: world.fire(identity, kill_at("undo", "b")))
    assert "it is being taken back" in str(world.confirm(identity).failure)


def test_another_run_does_not_wait_for_what_is_half_taken_back(world: World) -> None:
    identity = world.fill().transaction
    world.fire(identity, fail_at("undo", "a", OSError("disk on fire")))
    outcome = world.fill(wanted={"drawers": {"c": "three"}}, lock_timeout=0)
    assert (outcome.failure, outcome.unwound) == (None, [identity])
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


def test_the_dead_man_waits_for_a_run_that_still_works_a_bounded_time(world: World) -> None:
    identity = world.fill().transaction
    with locked(world.records.locks, f"drawers:{world.folder}", 1):
        outcome = world.fire(identity, lock_timeout=0.05)
    assert isinstance(outcome.failure, TimedOut)
    assert world.dead_man.armed == [identity]
    assert world.fire(identity).failure is None
    assert world.state == BEFORE


def test_where_waiting_cannot_be_recorded_all_is_taken_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*args: object, **options: object) -> None:
        raise OSError("No space left on device")

    def hook(stage: str, name: str) -> None:
        if stage == "verify":
            monkeypatch.setattr(journal, "write_whole", full_disk)

    outcome = world.fill(hook)
    assert isinstance(outcome.failure, CannotRecord)
    assert (world.state, world.dead_man.armed) == (BEFORE, [])


class Ended(Exception):
    """The module ended."""


class FakeModule:
    check_mode = _diff = False

    def __init__(self, params: dict) -> None:
        self.params = params

    def warn(self, warning: str) -> None:
        raise AssertionError(warning)

    def exit_json(self, **result: object) -> None:
        self.result = json.loads(json.dumps(result))
        raise Ended

    def fail_json(self, **result: object) -> None:
        self.exit_json(failed=True, **result)


def result_of(world: World, **params) -> dict:
    module = FakeModule({**WANTED, **params})
    with pytest.raises(Ended):
        run(world.operation(), module, world.records, world.dead_man)
    return module.result


def test_a_module_tells_what_awaits_and_confirms_it(world: World) -> None:
    awaiting = result_of(world)["awaiting"]
    assert awaiting["transaction"] == world.dead_man.armed[0]
    assert 29 < awaiting["seconds"] <= 30
    confirmed = result_of(world, confirm=awaiting["transaction"])
    assert (confirmed["changed"], "awaiting" in confirmed) == (True, False)
    assert "failed" not in confirmed
    refused = result_of(world, confirm="1-1")
    assert (refused["failed"], refused["committed"]) == (True, False)
    assert result_of(world, take_back=awaiting["transaction"])["failed"] is True


def test_revert_change_takes_back_what_was_not_confirmed(
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
    assert "nothing to take back" in capsys.readouterr().out


def test_every_operation_that_revert_change_knows_has_its_own_name() -> None:
    assert revert_change.OPERATIONS
    for name, make in revert_change.OPERATIONS.items():
        assert make().name == name


@pytest.mark.parametrize(("seconds", "wrong"), [(4.9, 1), (5, 0), (3600, 0), (3601, 1), (-1, 1)])
def test_the_time_to_confirm_has_bounds(seconds: float, wrong: int) -> None:
    problems: list[Problem] = []
    check_limit({"confirm_within": seconds}, problems)
    assert len(problems) == wrong
