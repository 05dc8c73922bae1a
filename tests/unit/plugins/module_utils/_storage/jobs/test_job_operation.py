# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cancelling and forgetting jobs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    InvalidInput,
    Refused,
    TimedOut,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job import Job, Owner, at
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_operation import (
    SPEC,
    VolumeJob,
    age,
    look,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.jobs import Jobs

from tests.fakes.job_world import START, World
from tests.fakes.operation_contract import Build, Case, OperationContract, Wire, named

RUNNING = Job("j1", status="running", queued_at=at(START), owner=Owner(100, 5000, "boot-1"))
HOUR = 3600


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(Journal(tmp_path / "journal"), Audit(tmp_path / "audit"), tmp_path / "lock")


def put(world: World, *some: Job) -> None:
    for job in some:
        world.files.write(job.job_id, job.written())


def ended(job_id: str, hours_ago: float, status: str = "completed") -> Job:
    return replace(RUNNING, job_id=job_id, status=status, ended_at=at(START - hours_ago * HOUR))


READS = ("ids", "read", "cancel_request", "counters")


def case(title: str, restores: bool = True, **options: Any) -> Build:
    def build(base: Path) -> Case:
        world = World()
        put(world, ended("a", 1), ended("b", 2), RUNNING)
        ends(world, "cancelled")

        def operation(wire: Wire) -> VolumeJob:
            files, processes = wire("files", world.files), wire("processes", world.processes)
            return VolumeJob(files, processes, world.clock, "root node9")

        return Case(
            operation,
            filled(SPEC, {"state": "absent", "timeout": 30, **options}),
            lambda: {**world.files.texts, "asked": dict(world.files.asked)},
            {f"files.{name}" for name in READS} | {"processes.alive", "processes.boot"},
            restores=restores,
        )

    return named(title, build)


class TestContract(OperationContract):
    operation = VolumeJob
    cases = (
        case("one", job_id="a"),
        case("many", keep=0),
        case("cancelled", restores=False, state="cancelled", job_id="j1"),
    )


def do(world: World, records: Records, *, check: bool = False, **options: Any) -> Outcome:
    operation = VolumeJob(world.files, world.processes, world.clock, "root node9")
    return execute(
        operation, filled(SPEC, {"state": "absent", "timeout": 30, **options}), records, check=check
    )


def cancel(world: World, records: Records, **options: Any) -> Outcome:
    return do(world, records, state="cancelled", job_id="j1", **options)


def ends(world: World, status: str, *, rolled_back: bool | None = True) -> None:
    """Have the job end like that two seconds after it is signalled."""

    def obey(pid: int) -> None:
        job = replace(RUNNING, status=status, rolled_back=rolled_back)
        world.clock.at(world.clock.now - 1000 + 2, lambda: put(world, job))

    world.processes.obeys = obey


def test_a_job_is_cancelled_and_waited_for(world: World, records: Records) -> None:
    put(world, RUNNING)
    ends(world, "cancelled")
    outcome = cancel(world, records)
    assert (outcome.failure, outcome.changed, outcome.warnings) == (None, True, [])
    assert world.processes.signalled == [100]
    assert outcome.facts["jobs"][0]["status"] == "cancelled"
    assert world.files.asked == {}
    assert cancel(world, records).changed is False


def test_the_job_is_told_who_asked(world: World, records: Records) -> None:
    put(world, RUNNING)
    told: list[str | None] = []
    ends(world, "cancelled")
    obey = world.processes.obeys

    def listen(pid: int) -> None:
        told.append(world.files.cancel_request("j1"))
        obey(pid)

    world.processes.obeys = listen
    cancel(world, records)
    assert told == ["root node9"]


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_job_that_ended_stays_as_it_is(world: World, records: Records, status: str) -> None:
    put(world, replace(RUNNING, status=status))
    outcome = cancel(world, records)
    assert (outcome.failure, outcome.changed, world.processes.signalled) == (None, False, [])
    assert outcome.plan.facts["jobs"][0]["status"] == status


def test_a_job_that_died_is_not_signalled(world: World, records: Records) -> None:
    put(world, RUNNING)
    world.processes.table[100] = 7000  # the number is another process's now
    outcome = cancel(world, records)
    assert (outcome.failure, outcome.changed, world.processes.signalled) == (None, False, [])


def test_a_job_that_is_not_there_cannot_be_cancelled(world: World, records: Records) -> None:
    assert isinstance(cancel(world, records).failure, Refused)


def test_a_job_that_does_not_end_in_time_is_still_asked_to(world: World, records: Records) -> None:
    put(world, RUNNING)
    outcome = cancel(world, records, timeout=5)
    assert isinstance(outcome.failure, TimedOut)
    assert "running, at queued" in str(outcome.failure)
    assert outcome.warnings == ["The job j1 is still asked to stop, and does so as soon as it can"]
    assert world.files.asked == {"j1": "root node9"}
    assert world.clock.now == pytest.approx(1005, abs=1)


def test_a_job_that_was_quicker_is_no_cancelled_one(world: World, records: Records) -> None:
    put(world, RUNNING)
    ends(world, "completed", rolled_back=None)
    outcome = cancel(world, records)
    assert isinstance(outcome.failure, Conflict)
    assert "completed before" in str(outcome.failure)
    assert world.files.asked == {}


def test_what_a_job_left_is_said(world: World, records: Records) -> None:
    put(world, RUNNING)
    ends(world, "cancelled", rolled_back=False)
    [warning] = cancel(world, records).warnings
    assert "could not be rolled back completely" in warning


def test_a_job_that_dies_of_it_is_said_to(world: World, records: Records) -> None:
    put(world, RUNNING)
    world.processes.obeys = world.processes.table.pop
    outcome = cancel(world, records)
    assert (outcome.failure, outcome.facts["jobs"][0]["status"]) == (None, "failed")
    [warning] = outcome.warnings
    assert warning.startswith("The job j1 failed before it could be stopped: ")
    assert warning.endswith(
        ". The job j1 could not be rolled back completely. What it left is rolled back by the next run of"
        " debvisor.hci.volume_image on this host"
    )


def test_one_job_is_forgotten(world: World, records: Records) -> None:
    put(world, ended("j1", 1), ended("j2", 1))
    outcome = do(world, records, job_id="j1")
    assert (outcome.failure, outcome.changed, world.files.ids()) == (None, True, ["j2"])
    assert outcome.plan.before == {"jobs": {"j1": "completed"}}
    assert do(world, records, job_id="j1").changed is False


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_job_that_runs_is_not_forgotten(world: World, records: Records, status: str) -> None:
    put(world, replace(RUNNING, status=status))
    assert isinstance(do(world, records, job_id="j1").failure, Refused)
    assert do(world, records, older_than="1m", keep=0).changed is False
    assert world.files.ids() == ["j1"]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"older_than": "2h"}, ["a", "run"]),
        ({"older_than": "1d"}, ["a", "b", "run"]),
        ({"older_than": "4w"}, ["a", "b", "c", "run"]),
        ({"keep": 0}, ["run"]),
        ({"keep": 2}, ["a", "b", "run"]),
        ({"keep": 9}, ["a", "b", "c", "run"]),
        ({"older_than": "2h", "keep": 2}, ["a", "b", "run"]),
    ],
)
def test_many_jobs_are_forgotten(
    world: World, records: Records, options: dict[str, Any], left: list[str]
) -> None:
    put(
        world,
        replace(RUNNING, job_id="run"),
        ended("a", 1),
        ended("b", 3),
        ended("c", 48, "failed"),
    )
    foretold = do(world, records, check=True, **options)
    assert world.files.ids() == ["a", "b", "c", "run"]
    outcome = do(world, records, **options)
    assert (outcome.failure, foretold.plan) == (None, outcome.plan)
    assert world.files.ids() == left
    assert do(world, records, **options).changed is False


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({}, ["job_id"]),
        ({"job_id": "a", "keep": 1}, ["job_id"]),
        ({"job_id": "../a"}, ["job_id"]),
        ({"state": "cancelled"}, ["job_id"]),
        ({"older_than": "7 days", "keep": -1}, ["older_than", "keep"]),
        ({"job_id": "a", "timeout": -1.0}, ["timeout"]),
    ],
)
def test_what_makes_no_sense_is_refused(
    world: World, records: Records, options: dict[str, Any], where: list[str]
) -> None:
    failure = do(world, records, **options).failure
    assert isinstance(failure, InvalidInput)
    assert [problem.where for problem in failure.problems] == where


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("2h", 7200), ("7d", 604800), ("1w", 604800)]
)
def test_ages(text: str, seconds: int) -> None:
    assert age(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1y", "1.5h", " 1h"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        age(text)


def test_jobs_are_told_as_they_truly_stand(world: World) -> None:
    put(world, RUNNING, ended("j0", 1))
    jobs = Jobs(world.files, world.processes)
    assert [job["job_id"] for job in look(jobs, {"job_id": None})["jobs"]] == ["j0", "j1"]
    world.processes.boot_id = "boot-2"
    [told] = look(jobs, {"job_id": "j1"})["jobs"]
    assert (told["status"], told["error"]["what"]) == (
        "failed",
        "the machine restarted while the job ran",
    )
    assert "format" not in told
    assert look(jobs, {"job_id": "j9"}) == {"jobs": []}
    with pytest.raises(InvalidInput):
        look(jobs, {"job_id": "../../etc/passwd"})
