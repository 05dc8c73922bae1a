# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is recorded of a job, and what a reader makes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from ..._core.errors import DebvisorError
from .stages import Progress

FORMAT = 1
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED = (
    "queued",
    "running",
    "completed",
    "failed",
    "cancelled",
)
ENDED = frozenset({COMPLETED, FAILED, CANCELLED})
TIME = "%Y-%m-%dT%H:%M:%SZ"
SWEPT = "What it left is rolled back by the next run of debvisor.hci.volume_image on this host"


class BadRecord(DebvisorError):
    """A job's file is not what we write."""


def id_fault(job_id: str) -> str:
    """Return why this cannot name a job, or "". The name is a file's, so nothing in it may lead elsewhere."""
    if not ID.fullmatch(job_id):
        return (
            "must be 1 to 128 of the characters A-Z a-z 0-9 . _ - and begin with a letter or digit"
        )
    return "must not hold .." if ".." in job_id else ""


def at(seconds: float) -> str:
    """Return a time as records have it: UTC, as in ``2026-01-31T12:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime(TIME)


def seconds_at(text: str) -> float:
    """Return what :func:`at` was given, in whole seconds."""
    return datetime.strptime(text, TIME).replace(tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class Owner:
    """The process of a job. A number alone is not enough: it is given out again."""

    pid: int
    started: int
    """Clock ticks after boot: field 22 of /proc/PID/stat."""
    boot: str
    """The kernel's boot id: after a restart all processes are others."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a job failed."""

    what: str
    why: str = ""
    hint: str = ""
    stage: str = ""

    @classmethod
    def of(cls, failure: BaseException, stage: str) -> Trouble:
        """Say what went wrong in that stage."""
        if isinstance(failure, DebvisorError):
            return cls(failure.what, failure.why, failure.hint, stage)
        return cls(type(failure).__name__, str(failure), "", stage)


class Liveness(Protocol):
    """Whether processes are still there."""

    def alive(self, pid: int, started: int) -> bool:
        """Return whether this process of this boot runs."""

    def boot(self) -> str:
        """Return this boot's id."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is recorded. It holds no secret: addresses come without credentials and query."""

    job_id: str
    operation: str = "volume_image"
    status: str = QUEUED
    progress: Progress = field(default_factory=Progress)
    error: Trouble | None = None
    correlation_id: str = ""
    volume_name: str = ""
    backend: str = ""
    pool: str = ""
    image_url: str = ""
    image_sha256: str = ""
    image_path: str = ""
    cache_hit: bool | None = None
    """None while that is unknown, and where no image was needed."""
    virtual_size: int = 0
    """Bytes of the image's disk."""
    volume: Mapping[str, Any] = field(default_factory=dict)
    """What became of it: device, identity, size and so on."""
    waiting_for: str = ""
    """What the job waits for while its status is ``queued``."""
    bytes_downloaded: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)
    queued_at: str = ""
    started_at: str = ""
    updated_at: str = ""
    ended_at: str = ""
    rolled_back: bool | None = None
    """After a failure, whether nothing of the job is left; None where that is unknown."""
    requester: Mapping[str, str] = field(default_factory=dict)
    owner: Owner | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def written(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def read(cls, written: Any) -> Job:
        """Return what :meth:`written` wrote.

        :raises BadRecord: where it is something else.
        """
        try:
            if written["format"] != FORMAT:
                raise ValueError(f"format {written['format']!r}, expected {FORMAT}")
            values = {each.name: written[each.name] for each in fields(cls)}
            values["progress"] = Progress.read(values["progress"])
            values["error"] = values["error"] and Trouble(**values["error"])
            values["owner"] = values["owner"] and Owner(**values["owner"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as cause:
            raise BadRecord("a job's record cannot be read", why=str(cause)) from cause

    def public(self) -> dict[str, Any]:
        """Return what modules show of it."""
        told = self.written()
        del told["format"]
        return told


def judged(job: Job, processes: Liveness) -> Job:
    """Return the job as it truly stands: one whose process is gone has failed, though nobody was left to record it."""
    if job.ended:
        return job
    if job.owner is None:
        what, why = (
            "the job's record names no process",
            "the file was not written by this collection",
        )
    elif job.owner.boot != processes.boot():
        what, why = "the machine restarted while the job ran", f"its process was {job.owner.pid}"
    elif not processes.alive(job.owner.pid, job.owner.started):
        what, why = "the job's process died", f"there is no process {job.owner.pid} of that age"
    else:
        return job
    trouble = Trouble(what, why, SWEPT, job.progress.stage)
    return replace(job, status=FAILED, error=trouble, waiting_for="", ended_at=job.updated_at)
