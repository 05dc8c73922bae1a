# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs as real processes: stopped, killed and cancelled in every stage, and seen from outside."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Conflict
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import Records, execute
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import (
    Action,
    Plan,
    Receipt,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.processes import Processes
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.stop_signals import (
    StopSignals,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.job_files import JobFiles
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.job_queue import JobQueue
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job import Job
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_operation import (
    VolumeJob,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_run import (
    JobPorts,
    JobRun,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.jobs import Jobs
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.stages import STAGES

from tests.fakes.drawers import FillDrawers
from tests.fakes.job_world import Events

FORK = multiprocessing.get_context("fork")
WANTED = {"drawers": {"a": "1"}}
WORKING = [stage for stage in STAGES if stage != "queued"]
OPTIONS = {"job_id": None, "older_than": None, "keep": None, "timeout": 30.0}


class Place:
    """A host: the folders of jobs, and who works in them."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.files = JobFiles(base / "jobs", base / "counters.json", base / "lock" / "jobs")
        self.jobs = Jobs(self.files, Processes())
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def work(self) -> JobRun:
        around = JobPorts(
            self.files,
            JobQueue(self.base / "lock" / "queue", self.base / "volumes.json"),
            StopSignals(),
            Processes(),
            Events(),
            SystemClock(),
            {"account": "root"},
        )
        return JobRun("fill_slowly", around, timeout=600, queue_timeout=600)

    def drawers(self, name: str) -> Path:
        folder = self.base / name
        folder.mkdir(exist_ok=True)
        return folder


class FillSlowly(FillDrawers):
    """Fills a drawer at once, then goes through the stages, and in one of them stays until it is told to go on."""

    name = "fill_slowly"
    sweeps = True

    def __init__(self, place: Place, job_id: str, stay: str, wire: Connection) -> None:
        super().__init__(place.drawers(job_id))
        self.place, self.job_id, self.stay, self.wire = place, job_id, stay, wire
        self.work = place.work()

    def begun(self, wanted: Mapping[str, str]) -> None:
        self.work.begin(self.job_id)

    def waits(self) -> None:
        self.work.check()

    def prepare(self, action: Action, wanted: Mapping[str, str]) -> Receipt:
        return {**super().prepare(action, wanted), "folder": str(self.folder)}

    def apply(self, action: Action, receipt: Receipt, wanted: Mapping[str, str]) -> None:
        super().apply(action, receipt, wanted)
        self.work.take_turn()
        for stage in WORKING:
            self.work.stage(stage)
            self._pause(stage)

    def undo(self, receipt: Receipt) -> None:
        self._pause("undo", deaf=True)
        FillDrawers(Path(receipt["folder"])).undo(receipt)

    def ended(self, plan: Plan, failure: BaseException | None, rolled_back: bool) -> None:
        self.work.ended(failure, rolled_back)

    def _pause(self, stage: str, *, deaf: bool = False) -> None:
        if stage not in self.stay.split("+"):
            return
        self.wire.send(stage)
        while not self.wire.poll(0.01):
            if not deaf:
                self.work.check()
        self.wire.recv()


class Child:
    """A job in a process of its own."""

    def __init__(self, place: Place, job_id: str, stay: str) -> None:
        self.wire, self._far = FORK.Pipe()
        self.place, self.job_id = place, job_id
        self.process = FORK.Process(target=self._run, args=(stay,), daemon=True)
        self.process.start()

    def _run(self, stay: str) -> None:
        for number in (signal.SIGHUP, signal.SIGINT):  # nohup(1) and a shell's & have them ignored
            signal.signal(number, signal.SIG_DFL)
        operation = FillSlowly(self.place, self.job_id, stay, self._far)
        failure = execute(operation, WANTED, self.place.records).failure
        os._exit(0 if failure is None else 1)

    def reaches(self, stage: str) -> None:
        assert self.wire.poll(30), f"the job did not come to {stage}"
        assert self.wire.recv() == stage

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def ends(self) -> Job:
        self.process.join(30)
        assert self.process.exitcode is not None, "the job did not end"
        job = self.place.jobs.find(self.job_id)
        assert job is not None
        return job

    @property
    def left(self) -> list[str]:
        return os.listdir(self.place.drawers(self.job_id))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def start(place: Place) -> Iterator[Callable[..., Child]]:
    started: list[Child] = []

    def begin(job_id: str = "j1", stay: str = "") -> Child:
        started.append(Child(place, job_id, stay))
        return started[-1]

    yield begin
    for child in started:
        child.process.kill()
        child.process.join()


Start = Callable[..., Child]


def eventually(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


def test_a_job_is_seen_while_it_works(place: Place, start: Start) -> None:
    child = start(stay="converting")
    child.reaches("converting")
    job = place.jobs.find("j1")
    assert (job.status, job.progress.stage, job.owner.pid) == (
        "running",
        "converting",
        child.process.pid,
    )
    child.wire.send("go on")
    job = child.ends()
    assert (job.status, job.progress.percent, child.left) == ("completed", 100, ["a"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_job_and_all_is_rolled_back(
    place: Place, start: Start, number: int
) -> None:
    child = start(stay="converting")
    child.reaches("converting")
    child.send(number)
    job = child.ends()
    assert (job.status, job.rolled_back, child.left) == ("cancelled", True, [])
    assert signal.Signals(number).name in job.error.why


def test_a_second_signal_does_not_stop_the_taking_back(place: Place, start: Start) -> None:
    child = start(stay="converting+undo")
    child.reaches("converting")
    child.send(signal.SIGTERM)
    child.reaches("undo")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        child.send(number)
    child.wire.send("go on")
    job = child.ends()
    assert (job.status, job.rolled_back, child.left) == ("cancelled", True, [])


@pytest.mark.parametrize("stage", WORKING)
def test_a_job_is_cancelled_in_any_stage(place: Place, start: Start, stage: str) -> None:
    child = start(stay=stage)
    child.reaches(stage)
    operation = VolumeJob(place.files, Processes(), SystemClock(), "root node9")
    options = {**OPTIONS, "state": "cancelled", "job_id": "j1"}
    outcome = execute(operation, options, place.records)
    assert (outcome.failure, outcome.warnings) == (None, [])
    assert outcome.facts["jobs"][0]["status"] == "cancelled"
    assert outcome.facts["jobs"][0]["error"]["stage"] == stage
    assert child.left == []
    child.ends()


@pytest.mark.parametrize("stage", [*WORKING, "undo"])
def test_a_job_killed_in_any_stage_is_rolled_back_by_the_next_run(
    place: Place, start: Start, stage: str
) -> None:
    child = start(stay=f"finalizing+{stage}")
    if stage == "undo":
        child.reaches("finalizing")
        child.send(signal.SIGTERM)
    child.reaches(stage)
    child.send(signal.SIGKILL)
    job = child.ends()
    assert (job.status, job.error.what, job.rolled_back) == (
        "failed",
        "the job's process died",
        None,
    )
    assert child.left == ["a"]
    other = start("j2")
    assert other.ends().status == "completed"
    assert (child.left, other.left) == ([], ["a"])
    place.jobs.settle()
    assert place.jobs.counters().ended == {"fill_slowly": {"completed": 1, "failed": 1}}


def test_two_work_at_once_and_the_third_when_one_has_ended_or_died(
    place: Place, start: Start
) -> None:
    working = [start(name, stay="converting") for name in ("j1", "j2")]
    for child in working:
        child.reaches("converting")
    third = start("j3", stay="converting")
    eventually(
        lambda: (
            (job := place.jobs.find("j3"))
            and job.waiting_for == "its turn: 2 jobs ahead, 2 at once"
        )
    )
    fourth = start("j4", stay="converting")
    eventually(
        lambda: (
            (job := place.jobs.find("j4"))
            and job.waiting_for == "its turn: 3 jobs ahead, 2 at once"
        )
    )
    working[0].send(signal.SIGKILL)
    third.reaches("converting")
    assert place.jobs.find("j4").status == "queued"
    working[1].wire.send("go on")
    fourth.reaches("converting")


def test_a_job_that_waits_for_its_turn_is_cancelled(place: Place, start: Start) -> None:
    (place.base / "volumes.json").write_text('{"jobs_at_once": 1}')
    working = start("j1", stay="converting")
    working.reaches("converting")
    waiting = start("j2")
    eventually(
        lambda: (job := place.jobs.find("j2")) and job.waiting_for.startswith("its turn: 1 ")
    )
    waiting.send(signal.SIGTERM)
    assert (waiting.ends().status, waiting.left) == ("cancelled", [])


def test_a_name_is_one_jobs(place: Place, start: Start) -> None:
    first = start("j1", stay="converting")
    first.reaches("converting")
    with pytest.raises(Conflict, match="j1 is running already"):
        place.work().begin("j1")
    assert place.jobs.find("j1").owner.pid == first.process.pid


def test_every_reader_sees_a_whole_record(place: Place, start: Start) -> None:
    child = start()
    seen = set()
    while child.process.is_alive():
        job = place.jobs.find("j1")
        seen.add(job.status if job is not None else "none")
    assert seen <= {"none", "queued", "running", "completed"}
    assert child.ends().status == "completed"
