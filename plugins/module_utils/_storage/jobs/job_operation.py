# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``volume_job``: stop a job and wait for its end, or forget jobs that ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..._core.checks import check_range, refuse_any
from ..._core.errors import Conflict, InvalidInput, Problem, Refused
from ..._core.plan import Action, Difference, Operation, Plan, Receipt, Undo
from ..._core.ports import Clock
from ..._core.spec import Spec
from ..._core.waiting import wait_until
from .job import CANCELLED, COMPLETED, SWEPT, Job, Liveness, at, id_fault
from .jobs import JobFiles, Jobs

SPEC = Spec(
    {
        "state": {"type": "str", "choices": ["cancelled", "absent"], "required": True},
        "job_id": {"type": "str"},
        "older_than": {"type": "str"},
        "keep": {"type": "int"},
        "timeout": {"type": "float", "default": 120},
    }
)
INFO_SPEC = Spec({"job_id": {"type": "str"}})
UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


class Processes(Liveness, Protocol):
    """Processes, and how to end one."""

    def end(self, pid: int, started: int) -> bool:
        """Ask this very process to end; False where it is gone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked. Without a ``job_id`` all jobs that ended are meant, but for those that may stay."""

    cancel: bool
    job_id: str
    older_than: int
    """Seconds since the end; younger ones stay."""
    keep: int
    """So many of the youngest stay."""
    timeout: float


@dataclass(frozen=True, slots=True)
class Observed:
    """The jobs in question, and the time."""

    jobs: tuple[Job, ...]
    now: float


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask a job to stop, and wait for its end."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the records of jobs."""

    job_ids: tuple[str, ...]


def age(text: str) -> int:
    """Return how many seconds ``30m``, ``12h``, ``7d`` or ``4w`` are.

    :raises ValueError: where it is none of these.
    """
    found = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if found is None:
        raise ValueError(f"{text!r} is not a time such as 30m, 12h, 7d or 4w")
    return int(found[1]) * UNITS[found[2]]


def look(jobs: Jobs, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``volume_job_info`` reports: one job or all, in their true state.

    :raises InvalidInput: where the name cannot be a job's.
    """
    job_id = params["job_id"]
    if job_id is None:
        found = jobs.all()
    else:
        if fault := id_fault(job_id):
            raise InvalidInput([Problem("job_id", fault)])
        found = [job for job in [jobs.find(job_id)] if job is not None]
    return {"jobs": [job.public() for job in found]}


class VolumeJob(Operation[Wanted, Observed]):
    """Cancel or forget jobs."""

    name = "volume_job"

    def __init__(self, files: JobFiles, processes: Processes, clock: Clock, requester: str) -> None:
        self._files = files
        self._processes = processes
        self._clock = clock
        self._requester = requester
        self._jobs = Jobs(files, processes)

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        job_id, older_than, keep = params["job_id"], params["older_than"], params["keep"]
        cancel = params["state"] == "cancelled"
        if job_id is not None and (fault := id_fault(job_id)):
            problems.append(Problem("job_id", fault))
        if cancel and job_id is None:
            problems.append(Problem("job_id", "required to cancel a job"))
        if not cancel and (job_id is None) is (older_than is None and keep is None):
            problems.append(Problem("job_id", "name one, or select some with older_than and keep"))
        seconds = 0
        try:
            seconds = age(older_than) if older_than is not None else 0
        except ValueError as wrong:
            problems.append(Problem("older_than", str(wrong)))
        if keep is not None and keep < 0:
            problems.append(Problem("keep", "is less than 0"))
        check_range("timeout", params["timeout"], 0, UNITS["h"], problems)
        refuse_any(problems)
        return Wanted(cancel, job_id or "", seconds, keep or 0, params["timeout"])

    def scope(self, wanted: Wanted) -> str:
        return f"volume_job:{wanted.job_id}"

    def observe(self, wanted: Wanted) -> Observed:
        if not wanted.job_id:
            return Observed(tuple(self._jobs.all()), self._clock.wall())
        job = self._jobs.find(wanted.job_id)
        return Observed(() if job is None else (job,), self._clock.wall())

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        return _cancelling(observed, wanted) if wanted.cancel else _forgetting(observed, wanted)

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        """Keep the records that go."""
        match action.payload:
            case Forget(job_ids):
                return {"records": {job_id: self._record(job_id) for job_id in job_ids}}
        return {"cancel": wanted.job_id}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> str | None:
        match action.payload:
            case Cancel(job_id):
                self._cancel(job_id, wanted.timeout)
                return _complaint(self._jobs.find(job_id))
            case Forget(job_ids):
                self._jobs.forget(job_ids)
        return None

    def undo(self, receipt: Receipt) -> str | None:
        """Bring records back. That a job was asked to stop cannot be undone: it may have begun to."""
        if "cancel" in receipt:
            job = self._jobs.find(receipt["cancel"])
            if job is None or job.ended:
                return None
            return f"The job {job.job_id} is still asked to stop, and does so as soon as it can"
        for job_id, record in receipt["records"].items():
            if record is not None and self._files.read(job_id) is None:
                self._files.write(job_id, record)
        return None

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        """Return how the cancelled job ended."""
        if not wanted.cancel or not plan.actions:
            return {}
        job = self._jobs.find(wanted.job_id)
        if job is None:
            return {"jobs": []}
        if job.status == COMPLETED:
            raise Conflict(
                f"the job {job.job_id} completed before it could be stopped",
                hint="Its volume is filled. There is nothing left to cancel",
            )
        return {"jobs": [job.public()]}

    def _cancel(self, job_id: str, timeout: float) -> None:
        """Ask for the end both ways: the request reaches a process that cannot be signalled, the signal is quicker."""
        job = self._jobs.find(job_id)
        if job is None or job.ended:
            return
        self._files.request_cancel(job_id, self._requester)
        if job.owner is not None:
            self._processes.end(job.owner.pid, job.owner.started)
        wait_until(
            lambda: self._has_ended(job_id),
            what=f"the end of the job {job_id}",
            timeout=timeout,
            clock=self._clock,
            hint="It was asked to stop, and rolls back what it did. Check it again later",
        )
        self._files.forget_cancel(job_id)

    def _has_ended(self, job_id: str) -> tuple[bool, str]:
        job = self._jobs.find(job_id)
        if job is None:
            return True, "gone"
        return job.ended, f"{job.status}, at {job.progress.stage}"

    def _record(self, job_id: str) -> Any:
        try:
            return self._files.read(job_id)
        except ValueError:  # it is damaged, and nothing is lost with it
            return None


def _complaint(job: Job | None) -> str | None:
    """Return what went wrong with a job that was to stop."""
    if job is None or job.status == COMPLETED:
        return None
    notes = []
    if job.status != CANCELLED:
        cause = job.error.what if job.error is not None else "its record has no cause"
        notes.append(f"The job {job.job_id} failed before it could be stopped: {cause}")
    if not job.rolled_back:
        notes.append(f"The job {job.job_id} could not be rolled back completely. {SWEPT}")
    return ". ".join(notes) or None


def _cancelling(observed: Observed, wanted: Wanted) -> Plan:
    if not observed.jobs:
        raise Refused(
            f"there is no job {wanted.job_id}", hint="debvisor.hci.volume_job_info lists all"
        )
    [job] = observed.jobs
    before = {"status": job.status}
    if job.ended:
        return Plan(before=before, after=before, facts={"jobs": [job.public()]})
    after = {"status": CANCELLED}
    return Plan(
        before=before,
        after=after,
        actions=(
            Action(
                "cancel",
                job.job_id,
                "the job stops, and rolls back what it did",
                Undo.IRREVERSIBLE,
                Cancel(job.job_id),
            ),
        ),
        differences=(Difference(job.job_id, f"{job.status}\n", f"{CANCELLED}\n"),),
        facts={"jobs": [job.public()]},
    )


def _forgetting(observed: Observed, wanted: Wanted) -> Plan:
    for job in observed.jobs:
        if wanted.job_id and not job.ended:
            raise Refused(
                f"the job {job.job_id} is {job.status}",
                hint="Wait for its end, or cancel it, before it is forgotten",
            )
    going = observed.jobs if wanted.job_id else _old(observed, wanted)
    told = {job.job_id: job.status for job in going}
    if not going:
        return Plan(facts={"jobs": []})
    target = going[0].job_id if len(going) == 1 else f"{len(going)} jobs"
    forget = Forget(tuple(job.job_id for job in going))
    lines = "".join(f"{job.job_id} {job.status} {job.ended_at}\n" for job in going)
    return Plan(
        before={"jobs": told},
        after={"jobs": {}},
        actions=(Action("forget", target, "the records go; the volumes stay", payload=forget),),
        differences=(Difference("jobs", lines, ""),),
        facts={"jobs": [job.public() for job in going]},
    )


def _old(observed: Observed, wanted: Wanted) -> tuple[Job, ...]:
    """Return the jobs that ended long enough ago and are not among the youngest that stay."""
    ended = sorted((job for job in observed.jobs if job.ended), key=lambda job: job.ended_at)
    there = ended[: len(ended) - wanted.keep] if wanted.keep else ended
    latest = at(observed.now - wanted.older_than)
    return tuple(job for job in there if job.ended_at <= latest)
