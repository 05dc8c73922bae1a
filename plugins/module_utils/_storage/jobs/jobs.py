# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs of this host, seen from outside of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from .job import FAILED, BadRecord, Job, Liveness, Trouble, judged
from .job_counters import Counters


class JobFiles(Protocol):
    """Where records of jobs are kept."""

    def ids(self) -> list[str]:
        """Return the names of all jobs."""

    def read(self, job_id: str) -> Any:
        """Return a job's record, or None where there is none. :raises ValueError: where it is no JSON."""

    def write(self, job_id: str, record: Mapping[str, Any], *, durable: bool = True) -> None:
        """Replace a job's record; one that is not durable may be lost with the machine, but is never half there."""

    def remove(self, job_id: str) -> None:
        """Forget a job. Gone already is well."""

    def cancel_request(self, job_id: str) -> str | None:
        """Return who asked for the job to stop, or None where there was no request."""

    def request_cancel(self, job_id: str, requester: str) -> None:
        """Ask for the job to stop."""

    def forget_cancel(self, job_id: str) -> None:
        """Forget the request. Gone already is well."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep others from claiming names and from counting, inside this block."""

    def counters(self) -> Any:
        """Return what was counted, or None where nothing was. :raises ValueError: where it is no JSON."""

    def write_counters(self, counters: Mapping[str, Any]) -> None:
        """Replace what was counted."""


class Jobs:
    """Every job, as it truly stands."""

    def __init__(self, files: JobFiles, processes: Liveness) -> None:
        self._files = files
        self._processes = processes

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None where there is none. One whose record is damaged has failed."""
        recorded = self._recorded(job_id)
        return recorded and judged(recorded, self._processes)

    def all(self) -> list[Job]:
        """Return all of them, oldest first."""
        found = [job for job_id in self._files.ids() if (job := self.find(job_id))]
        return sorted(found, key=lambda job: (job.queued_at, job.job_id))

    def counters(self) -> Counters:
        """Return what was counted of jobs that ended."""
        return Counters.read(self._files.counters())

    def settle(self) -> list[Job]:
        """Record and count what died without doing so itself, and return it. Only once: it then has failed for good."""
        with self._files.exclusive():
            return [job for job_id in self._files.ids() if (job := self._settled(job_id))]

    def claim(self, job: Job) -> Job | None:
        """Record a job that begins. Where one of that name runs, return that one and record nothing."""
        with self._files.exclusive():
            self._settled(job.job_id)
            there = self._recorded(job.job_id)
            if there is not None and not there.ended:
                return there
            self._files.forget_cancel(job.job_id)
            self._files.write(job.job_id, job.written())
        return None

    def end(self, job: Job) -> None:
        """Record and count a job that ended."""
        with self._files.exclusive():
            self._files.write(job.job_id, job.written())
            self._files.forget_cancel(job.job_id)
            self._count(job)

    def forget(self, job_ids: Iterable[str]) -> None:
        """Remove records, but for those of jobs that began anew meanwhile. One that died is counted first."""
        with self._files.exclusive():
            for job_id in job_ids:
                self._settled(job_id)
                recorded = self._recorded(job_id)
                if recorded is not None and recorded.ended:
                    self._files.remove(job_id)

    def _settled(self, job_id: str) -> Job | None:
        """Settle one job that died; None where there is nothing to settle. The caller has the lock."""
        recorded = self._recorded(job_id)
        if recorded is None or recorded.ended:
            return None
        job = judged(recorded, self._processes)
        if not job.ended:
            return None
        self._files.write(job_id, job.written())
        self._files.forget_cancel(job_id)
        self._count(job)
        return job

    def _recorded(self, job_id: str) -> Job | None:
        try:
            written = self._files.read(job_id)
            return None if written is None else Job.read(written)
        except (BadRecord, ValueError) as cause:
            trouble = Trouble("the job's record cannot be read", str(cause), "Remove the job")
            return Job(job_id, status=FAILED, error=trouble)

    def _count(self, job: Job) -> None:
        self._files.write_counters(self.counters().after(job).written())
