# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The executor: what it does when all goes well, when any step fails, and when the process dies."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import audit, journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit, verify
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    CannotRecord,
    TimedOut,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import (
    JournalUnreadable,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.locking import locked
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import run
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import (
    Action,
    Operation,
    Plan,
    Undo,
)

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

WANTED = {"drawers": {"a": "one", "b": "two", "c": "three"}}
AFTER = {"a": "one", "b": "two", "c": "three", "z": "untouched"}


class World(DrawerWorld):
    def fill(self, hook=no_hook, **options) -> Outcome:
        return execute(FillDrawers(self.folder, hook), WANTED, self.records, **options)

    def fill_in_a_process_that_dies(self, stage: str, name: str) -> None:
        die(lambda: self.fill(kill_at(stage, name)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_run_changes_verifies_and_leaves_one_audit_line(world: World) -> None:
    outcome = world.fill()
    assert (outcome.failure, outcome.changed, outcome.facts) == (None, True, {"count": 3})
    assert world.state == AFTER
    assert world.open_transactions == []
    [line] = world.audit_lines
    assert (line["result"], [step["target"] for step in line["actions"]]) == (
        "changed",
        ["a", "b", "c"],
    )


def test_a_second_run_changes_nothing_and_leaves_no_line(world: World) -> None:
    world.fill()
    assert world.fill().changed is False
    assert len(world.audit_lines) == 1


def test_check_mode_writes_nothing_at_all(world: World, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    outcome = execute(FillDrawers(world.folder, writable=False), WANTED, world.records, check=True)
    assert (outcome.failure, outcome.changed, outcome.done) == (None, True, [])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_check_mode_plans_what_the_run_then_does(world: World) -> None:
    planned = world.fill(check=True).plan
    assert world.fill().plan == planned


STEPS = [("prepare", name) for name in "abc"]
STEPS += [(stage, name) for name in "abc" for stage in ("apply", "applied")]
STEPS += [("verify", "")]


@pytest.mark.parametrize(("stage", "name"), STEPS)
def test_a_failure_at_any_step_leaves_the_world_as_it_was(
    world: World, stage: str, name: str
) -> None:
    outcome = world.fill(fail_at(stage, name, OSError("disk on fire")))
    assert str(outcome.failure) == "disk on fire"
    assert outcome.changed is False
    assert world.state == BEFORE
    assert world.open_transactions == []
    assert world.results == ["rolled_back"]


@pytest.mark.parametrize(("stage", "name"), STEPS)
def test_an_interrupt_is_undone_too_and_goes_on_its_way(
    world: World, stage: str, name: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        world.fill(fail_at(stage, name, KeyboardInterrupt()))
    assert world.state == BEFORE


@pytest.mark.parametrize(("stage", "name"), STEPS)
def test_killed_at_any_step_the_next_run_rolls_back_and_completes(
    world: World, stage: str, name: str
) -> None:
    world.fill_in_a_process_that_dies(stage, name)
    undone: list[str] = []
    outcome = world.fill(lambda now, drawer: undone.append(drawer) if now == "undo" else None)
    assert outcome.failure is None
    assert undone == sorted(undone, reverse=True), "receipts are undone in reverse"
    assert world.state == AFTER
    assert world.open_transactions == []


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_killed_after_the_commit_nothing_is_rolled_back(world: World, name: str) -> None:
    world.fill_in_a_process_that_dies("commit", name)
    outcome = world.fill(
        lambda stage, drawer: pytest.fail("rolled back a commit") if stage == "undo" else None
    )
    assert (outcome.failure, outcome.changed) == (None, False)
    assert world.state == AFTER
    assert world.open_transactions == []
    assert world.results == ["changed"], "its line was written, and is not repeated"


def killed_before_its_line(world: World, hook=no_hook) -> None:
    def dies() -> None:
        Audit.append = lambda self, **line: os._exit(KILLED)  # type: ignore[method-assign]
        world.fill(hook)

    die(dies)


def test_killed_between_the_commit_and_its_audit_line_the_next_run_writes_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("SUDO_USER", "alice")
        patched.delenv("SSH_CONNECTION", raising=False)
        killed_before_its_line(world)
    [left] = world.open_transactions
    outcome = world.fill()
    assert (outcome.failure, outcome.changed, world.state) == (None, False, AFTER)
    assert any(
        "made its changes, but its audit line was missing" in each for each in outcome.warnings
    )
    [line] = world.audit_lines
    assert (line["result"], line["transaction"]) == (
        "finished_later",
        left.name.partition(".")[0],
    )
    assert [step["target"] for step in line["actions"]] == ["a", "b", "c"]
    assert (line["before"]["a"], line["after"]["a"]) == ("old", "one")
    assert line["who"]["sudo_from"] == "alice", "it tells who made the change"
    assert world.open_transactions == []
    assert world.fill().warnings == []
    assert world.results == ["finished_later"]


def test_a_committed_journal_of_an_earlier_version_gets_its_line(world: World) -> None:
    killed_before_its_line(world)
    [left] = world.open_transactions
    record = json.loads(left.read_text())
    del record["line"]
    left.write_text(json.dumps(record))
    assert world.fill().failure is None
    [line] = world.audit_lines
    assert (line["result"], line["before"]) == ("finished_later", None)
    assert [step["target"] for step in line["actions"]] == ["a", "b", "c"]


def test_check_mode_tells_no_rollback_of_what_stands(world: World) -> None:
    killed_before_its_line(world)
    assert world.fill(check=True).warnings == []


def test_killed_again_while_rolling_back_a_third_run_completes(world: World) -> None:
    world.fill_in_a_process_that_dies("verify", "")
    world.fill_in_a_process_that_dies("undo", "b")
    assert world.fill().failure is None
    assert world.state == AFTER


def test_what_is_final_is_on_record_though_tidying_up_fails(world: World) -> None:
    outcome = world.fill(fail_at("commit", "b", OSError("disk on fire")))
    assert str(outcome.failure) == "disk on fire"
    assert (outcome.committed, outcome.changed, outcome.rolled_back) == (True, True, False)
    assert world.state == AFTER
    assert world.results == ["changed"]
    assert world.fill().failure is None
    assert world.open_transactions == []


def test_a_first_step_that_fails_and_cannot_be_undone_has_changed_something(world: World) -> None:
    def hook(stage: str, name: str) -> None:
        if (stage, name) in {("applied", "a"), ("undo", "a")}:
            raise OSError(f"{stage} {name} broke")

    outcome = world.fill(hook)
    assert (outcome.done, outcome.rollback_errors) == ([], ["fill a: undo a broke"])
    assert (outcome.rolled_back, outcome.changed) == (False, True)


def test_what_cannot_be_undone_is_said_and_its_journal_stays(world: World) -> None:
    def hook(stage: str, name: str) -> None:
        if (stage, name) in {("apply", "c"), ("undo", "b")}:
            raise OSError(f"{stage} {name} broke")

    outcome = world.fill(hook)
    assert str(outcome.failure) == "apply c broke"
    assert outcome.rollback_errors == ["fill b: undo b broke"]
    assert (outcome.rolled_back, outcome.changed) == (False, True)
    assert world.results == ["failed"]
    [left] = world.open_transactions
    assert [step["target"] for step in json.loads(left.read_text())["steps"]] == ["a", "b"]
    assert world.fill().failure is None, (
        "once the cause is gone the next run rolls back and completes"
    )
    assert world.state == AFTER


def test_leftovers_that_cannot_be_rolled_back_stop_the_next_run(world: World) -> None:
    world.fill_in_a_process_that_dies("verify", "")
    outcome = world.fill(fail_at("undo", "a", OSError("still broken")))
    assert "cannot be rolled back: fill a: still broken" in str(outcome.failure)
    assert outcome.done == []


def test_check_mode_says_that_a_cut_off_run_would_be_rolled_back_first(world: World) -> None:
    world.fill_in_a_process_that_dies("verify", "")
    [warning] = world.fill(check=True).warnings
    assert "would first roll back its 3 steps" in warning


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 99}', b"[]", b"\xff\xfe\x00"])
def test_a_damaged_journal_means_unknown_and_unknown_means_stop(
    world: World, damage: bytes
) -> None:
    world.records.journal.folder.mkdir()
    (world.records.journal.folder / "1.json").write_bytes(damage)
    outcome = world.fill()
    assert isinstance(outcome.failure, JournalUnreadable)
    assert world.state == BEFORE


def test_a_damaged_journal_of_another_operation_stops_nobody_else(world: World) -> None:
    world.records.journal.folder.mkdir()
    (world.records.journal.folder / "1-1.another.json").write_bytes(b"{")
    assert world.fill().failure is None
    (world.records.journal.folder / "1-1.fill_drawers.json").write_bytes(b"{")
    assert isinstance(world.fill().failure, JournalUnreadable)


def test_a_journal_of_an_earlier_version_is_rolled_back(world: World) -> None:
    world.fill_in_a_process_that_dies("verify", "")
    [left] = world.open_transactions
    left.rename(left.with_name(left.name.replace(".fill_drawers", "")))
    identity = left.name.partition(".")[0]
    found = world.records.journal.find(identity)
    assert (found and found.identity) == identity
    assert world.fill().rolled_back_runs == [identity]
    assert world.open_transactions == []


def test_journals_of_other_scopes_are_left_alone(world: World, tmp_path: Path) -> None:
    world.fill_in_a_process_that_dies("verify", "")
    other = tmp_path / "other"
    other.mkdir()
    assert execute(FillDrawers(other), WANTED, world.records).failure is None
    assert len(world.open_transactions) == 1


def test_all_problems_of_the_input_are_reported_at_once(world: World) -> None:
    outcome = execute(
        FillDrawers(world.folder), {"drawers": {"a": 1, "b": "ok", "c": None}}, world.records
    )
    assert [problem.where for problem in outcome.failure.problems] == ["drawers.a", "drawers.c"]


def test_a_second_run_on_the_same_scope_waits_its_bounded_time(world: World) -> None:
    with locked(world.records.locks, f"drawers:{world.folder}", 1):
        outcome = world.fill(lock_timeout=0.05)
    assert isinstance(outcome.failure, TimedOut)
    assert world.state == BEFORE
    assert world.fill().failure is None


def test_the_lock_dies_with_its_holder(world: World) -> None:
    world.fill_in_a_process_that_dies("apply", "a")
    assert world.fill(lock_timeout=0.05).failure is None


def test_no_change_is_made_where_no_audit_line_could_be_written(world: World) -> None:
    world.records.audit.path.parent.write_text("a file where the folder should be")
    outcome = world.fill()
    assert isinstance(outcome.failure, CannotRecord)
    assert str(world.records.audit.path) in str(outcome.failure)
    assert "Nothing was changed" in str(outcome.failure)
    assert world.state == BEFORE


def test_no_change_is_made_where_there_can_be_no_lock_or_journal(world: World) -> None:
    for folder in (world.records.locks, world.records.journal.folder):
        folder.write_text("a file where the folder should be")
        outcome = world.fill()
        assert isinstance(outcome.failure, CannotRecord)
        assert str(folder) in str(outcome.failure)
        assert "Nothing was changed" in str(outcome.failure)
        assert (world.state, outcome.changed, outcome.rollback_errors) == (BEFORE, False, [])
        folder.unlink()


def full_disk(*args: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_step_that_the_journal_cannot_take_is_not_done_and_not_undone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "write_whole", full_disk)
    outcome = world.fill(
        lambda stage, name: pytest.fail(stage) if stage in ("apply", "undo") else None
    )
    assert isinstance(outcome.failure, CannotRecord)
    assert str(world.records.journal.folder) in str(outcome.failure)
    assert "No space left on device. Nothing was changed" in str(outcome.failure)
    assert (outcome.changed, outcome.rolled_back, outcome.rollback_errors) == (False, False, [])
    assert world.open_transactions == []


@pytest.mark.parametrize("when", ["a", "b"])
def test_a_disk_that_fills_up_meanwhile_does_not_keep_the_steps_from_being_undone(
    world: World, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def fills_up(stage: str, name: str) -> None:
        if (stage, name) == ("applied", when):
            monkeypatch.setattr(journal, "write_whole", full_disk)

    outcome = world.fill(fills_up)
    assert isinstance(outcome.failure, CannotRecord)
    assert "steps before it are rolled back" in str(outcome.failure)
    assert (outcome.changed, outcome.rolled_back, outcome.rollback_errors) == (False, True, [])
    assert (world.state, world.open_transactions) == (BEFORE, [])


def test_a_commit_that_cannot_be_written_is_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills_up(stage: str, name: str) -> None:
        if stage == "verify":
            monkeypatch.setattr(journal, "write_whole", full_disk)

    outcome = world.fill(fills_up)
    assert isinstance(outcome.failure, CannotRecord)
    assert (world.state, outcome.rolled_back) == (BEFORE, True)


def test_a_journal_that_cannot_be_removed_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "sync_folder", full_disk)
    outcome = world.fill(fail_at("apply", "b", OSError("disk on fire")))
    assert str(outcome.failure) == "disk on fire"
    assert (outcome.rolled_back, world.state) == (True, BEFORE)
    assert "could not be removed" in " ".join(outcome.warnings)


def test_a_change_whose_journal_cannot_be_removed_is_on_record(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "sync_folder", full_disk)
    outcome = execute(NothingToForget(world.folder), WANTED, world.records)
    assert isinstance(outcome.failure, CannotRecord)
    assert (outcome.changed, world.state) == (True, AFTER)
    assert world.results == ["changed"]


def test_a_rollback_that_could_not_be_recorded_is_recorded_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fill_in_a_process_that_dies("verify", "")
    with monkeypatch.context() as patched:
        patched.setattr(Audit, "append", full_disk)
        assert "was rolled back" in str(world.fill().failure)
    assert world.fill().failure is None
    assert world.results == ["rolled_back_later", "changed"]


def test_killed_before_its_audit_line_a_rollback_is_recorded_by_the_next_run(world: World) -> None:
    killed_before_its_line(world, fail_at("verify", "", OSError("disk on fire")))
    assert world.state == BEFORE
    assert world.fill().failure is None
    assert world.results == ["rolled_back_later", "changed"]


class NothingToForget(FillDrawers):
    commit = Operation.commit


@pytest.mark.parametrize("kind", [FillDrawers, NothingToForget])
def test_a_line_that_cannot_be_written_is_kept_in_the_journal(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: type[FillDrawers]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Audit, "append", full_disk)
        outcome = execute(kind(world.folder), WANTED, world.records)
        assert (outcome.failure, outcome.changed, world.state) == (None, True, AFTER)
        assert "No audit line was written" in " ".join(outcome.warnings)
        assert isinstance(execute(kind(world.folder), WANTED, world.records).failure, CannotRecord)
    assert execute(kind(world.folder), WANTED, world.records).failure is None
    assert (world.results, world.open_transactions) == (["finished_later"], [])
    assert len(world.audit_lines[0]["actions"]) == 3


def test_a_line_that_neither_the_log_nor_the_journal_can_take_undoes_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills_up(stage: str, name: str) -> None:
        if stage == "verify":
            monkeypatch.setattr(Audit, "append", full_disk)
            monkeypatch.setattr(journal, "write_whole", full_disk)

    outcome = execute(NothingToForget(world.folder, fills_up), WANTED, world.records)
    assert isinstance(outcome.failure, CannotRecord)
    assert (world.state, outcome.rolled_back) == (BEFORE, True)
    assert world.open_transactions == []


def test_the_line_of_a_run_that_was_rolled_back_is_kept_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Audit, "append", full_disk)
        world.fill(fail_at("verify", "", OSError("disk on fire")))
    assert world.state == BEFORE
    outcome = world.fill()
    assert (outcome.failure, outcome.rolled_back_runs) == (None, [])
    assert "was rolled back, but its audit line was missing" in " ".join(outcome.warnings)
    assert (world.results, world.open_transactions) == (["rolled_back", "changed"], [])
    assert world.audit_lines[0]["error"] == "disk on fire"


def test_no_change_is_made_where_there_is_no_room_for_its_audit_line(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "reserve", full_disk)
    outcome = world.fill()
    assert isinstance(outcome.failure, CannotRecord)
    assert "No space left on device. Nothing was changed" in str(outcome.failure)
    assert (world.state, world.open_transactions) == (BEFORE, [])


def test_a_journal_that_cannot_be_read_is_named(world: World) -> None:
    (world.records.journal.folder / "1.json").mkdir(parents=True)
    outcome = world.fill()
    assert isinstance(outcome.failure, CannotRecord)
    assert "1.json" in str(outcome.failure)


def test_journal_and_audit_are_for_the_owner_alone(world: World) -> None:
    world.fill_in_a_process_that_dies("verify", "")
    [left] = world.open_transactions
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    world.fill()
    assert stat.S_IMODE(world.records.audit.path.stat().st_mode) == 0o600


def test_many_runs_at_once_keep_one_chain(world: World) -> None:
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            folder = world.folder.parent / f"drawers{number}"
            folder.mkdir()
            failed = execute(FillDrawers(folder), WANTED, world.records).failure
            os._exit(1 if failed else 0)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    verdict = verify(world.records.audit.path)
    assert (verdict.lines, verdict.broken) == (8, ())


def test_a_plan_with_an_irreversible_action_before_another_is_a_mistake() -> None:
    wipe = Action("wipe", "disk", undo=Undo.IRREVERSIBLE)
    with pytest.raises(ValueError, match="irreversible actions last"):
        Plan(actions=(wipe, Action("fill", "a")))


def module_result(world: World, hook=no_hook, **options) -> dict:
    operation = FillDrawers(world.folder, hook)
    return result_of(lambda module: run(operation, module, world.records), WANTED, **options)


def test_the_result_holds_what_every_module_promises(world: World) -> None:
    result = module_result(world, diff=True)
    assert {"changed", "actions", "before", "after", "transaction", "duration"} <= set(result)
    assert result["diff"][0] == {
        "before_header": "a",
        "after_header": "a",
        "before": "old",
        "after": "one",
    }
    assert result["count"] == 3


def test_the_diff_is_there_only_when_asked_for(world: World) -> None:
    assert "diff" not in module_result(world, check=True)


def test_a_failure_tells_what_was_done_and_what_was_rolled_back(world: World) -> None:
    result = module_result(world, fail_at("apply", "c", OSError("disk on fire")))
    assert result["failed"] is True
    assert result["msg"] == "disk on fire"
    assert [step["target"] for step in result["done"]] == ["a", "b"]
    assert (result["changed"], result["rolled_back"], result["rollback_errors"]) == (
        False,
        True,
        [],
    )
