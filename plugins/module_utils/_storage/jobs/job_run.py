# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work that a job is, bound to its record, the host's queue, the signals and the clock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..._core.errors import CannotRecord, Conflict, TimedOut
from ..._core.ports import Clock
from .job import CANCELLED, COMPLETED, FAILED, QUEUED, RUNNING, Job, Liveness, Owner, Trouble, at
from .job_protocols import Cancelled
from .jobs import JobFiles, Jobs
from .stages import Meter

RECORD_EVERY = 1.0
"""Seconds between two records of mere progress."""
LOOK_EVERY = 0.25
"""Seconds between two looks for a request to stop, and at the queue."""
OTHERS = "other runs on the same object"
TOLD = (
    *("job_id", "correlation_id", "operation", "status", "volume_name", "backend", "pool"),
    *("image_url", "image_sha256", "cache_hit", "rolled_back"),
)
"""What of a job stands in each of its events."""


class Queue(Protocol):
    """The host's queue, and this job's place in it."""

    def width(self) -> int:
        """Return how many jobs may work at once."""

    def join(self) -> bool:
        """Take a ticket; False where that did not work right now. A job that has one keeps it."""

    def ahead(self) -> int:
        """Return how many jobs came before."""

    def leave(self) -> None:
        """Give the ticket back, where there is one."""


class Signals(Protocol):
    """Signals that ask the process to stop."""

    def catch(self) -> None:
        """Remember them from now on, instead of dying of them."""

    def received(self) -> str:
        """Return the name of the first that came, or ""."""


class OwnProcess(Liveness, Protocol):
    """Processes, our own among them."""

    def own(self) -> tuple[int, int]:
        """Return our number, and when we started."""


class Events(Protocol):
    """The log of events."""

    def note(self, event: str, *, failed: bool = False, **facts: Any) -> None:
        """Write one; never fails."""


@dataclass(frozen=True, slots=True)
class JobPorts:
    """What a job needs of its machine."""

    files: JobFiles
    queue: Queue
    signals: Signals
    processes: OwnProcess
    events: Events
    clock: Clock
    requester: Mapping[str, str]
    """Who asks, as the audit log says it."""


class Stopwatch:
    """Adds up the time between starts and stops."""

    def __init__(self, clock: Clock, limit: float) -> None:
        self.limit = limit
        self._clock = clock
        self._before = 0.0
        self._since: float | None = None

    def start(self) -> None:
        if self._since is None:
            self._since = self._clock.monotonic()

    def stop(self) -> None:
        self._before, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        running = 0.0 if self._since is None else self._clock.monotonic() - self._since
        return self._before + running

    @property
    def is_over(self) -> bool:
        """True where it runs and has run for longer than it may."""
        return self._since is not None and self.seconds > self.limit


class JobRun:
    """A job that others can see and stop. It implements :class:`work.Work`.

    :param timeout: seconds that the job may work.
    :param queue_timeout: seconds that it may wait, for its turn or for other jobs, all in all.
    """

    def __init__(
        self, operation: str, ports: JobPorts, *, timeout: float, queue_timeout: float
    ) -> None:
        self._ports = ports
        self._jobs = Jobs(ports.files, ports.processes)
        self._clock = ports.clock
        self._job = Job("", operation)
        self._meter = Meter(ports.clock)
        self._working = Stopwatch(ports.clock, timeout)
        self._queueing = Stopwatch(ports.clock, queue_timeout)
        self._in_turn = False
        self._recorded_at = self._looked_at = -1.0
        self._done_before: int | None = None

    def begin(self, job_id: str, **facts: Any) -> None:
        """Claim the name and record the job; from here on signals only ask it to stop.

        :raises Conflict: where a job of that name runs.
        """
        pid, started = self._ports.processes.own()
        now = at(self._clock.wall())
        job = replace(
            self._job,
            job_id=job_id,
            owner=Owner(pid, started, self._ports.processes.boot()),
            requester=dict(self._ports.requester),
            waiting_for=OTHERS,
            queued_at=now,
            updated_at=now,
            **facts,
        )
        self._ports.signals.catch()
        if other := self._jobs.claim(job):
            raise Conflict(
                f"the job {job_id} is {other.status} already",
                why=f"it was begun at {other.queued_at}"
                + (f" by process {other.owner.pid}" if other.owner else ""),
                hint="Wait for it or cancel it with debvisor.hci.volume_job, or choose another job_id",
            )
        self._job = job
        self._queueing.start()
        self._tell("queued")

    def note(self, **facts: Any) -> None:
        self._job = replace(self._job, **facts)
        self._record()

    def take_turn(self) -> None:
        if self._in_turn:
            return
        with self._queued("its turn"):
            self._line_up()
        self._in_turn = True

    def stage(self, name: str, total: int = 0) -> None:
        if self._job.status == QUEUED:
            self._go_on()
        self._meter.begin(name, total)
        self._done_before = None
        self._record()
        self._tell("stage")

    def progress(self, done: int) -> None:
        self._meter.done(done)
        if self._meter.stage == "downloading":
            self._count_download(done)
        if self._clock.monotonic() - self._recorded_at >= RECORD_EVERY:
            self._record()

    def check(self) -> None:
        if name := self._ports.signals.received():
            self._look_for_a_request()  # it says who asked, which a signal does not
            raise Cancelled("the job was stopped", why=f"its process received {name}")
        now = self._clock.monotonic()
        if now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            self._look_for_a_request()
        for watch, option, hint in (
            (
                self._working,
                "timeout",
                "Raise timeout, or see in the job's timings what took so long",
            ),
            (
                self._queueing,
                "queue_timeout",
                "Raise queue_timeout, or look at the jobs of this host",
            ),
        ):
            if watch.is_over:
                waited = f", waiting for {self._job.waiting_for}" if self._job.waiting_for else ""
                raise TimedOut(
                    f"the job exceeded its {option} of {watch.limit:g} s",
                    why=f"it was at {self._meter.stage}{waited}",
                    hint=hint,
                )

    @contextlib.contextmanager
    def waiting(self, reason: str) -> Iterator[None]:
        with self._queued(reason):
            self._ports.queue.leave()
            yield
            if self._in_turn:
                self._line_up()

    def ended(self, failure: BaseException | None, rolled_back: bool) -> None:
        if not self._job.job_id:  # it never began, or its name is another's
            return
        self._ports.queue.leave()
        if failure is None:
            status, error = COMPLETED, None
            self._meter.complete()
        else:
            stopped = isinstance(failure, (Cancelled, KeyboardInterrupt))
            status = CANCELLED if stopped else FAILED
            error = Trouble.of(failure, self._meter.stage)
        now = at(self._clock.wall())
        self._job = replace(
            self._job,
            status=status,
            error=error,
            rolled_back=None if failure is None else rolled_back,
            waiting_for="",
            progress=self._meter.reading(),
            timings=self._meter.timings(),
            updated_at=now,
            ended_at=now,
        )
        self._jobs.end(self._job)
        self._tell("ended")

    @contextlib.contextmanager
    def _queued(self, reason: str) -> Iterator[None]:
        """Let neither the time to work nor the stage's own pass inside this block."""
        self._working.stop()
        self._queueing.start()
        self._meter.pause()
        self._job = replace(self._job, status=QUEUED, waiting_for=reason)
        self._record()
        try:
            yield
        finally:
            self._go_on()
            self._record()

    def _go_on(self) -> None:
        self._queueing.stop()
        self._working.start()
        self._meter.resume()
        began = self._job.started_at or at(self._clock.wall())
        self._job = replace(self._job, status=RUNNING, waiting_for="", started_at=began)

    def _line_up(self) -> None:
        """Wait until fewer jobs than may work at once came before this one."""
        queue = self._ports.queue
        while True:
            self.check()
            if queue.join():
                ahead, width = queue.ahead(), queue.width()
                if ahead < width:
                    return
                self._say_what_it_waits_for(f"its turn: {ahead} jobs ahead, {width} at once")
            self._clock.sleep(LOOK_EVERY)

    def _say_what_it_waits_for(self, reason: str) -> None:
        if reason != self._job.waiting_for:
            self._job = replace(self._job, waiting_for=reason)
            self._record()

    def _look_for_a_request(self) -> None:
        requester = self._ports.files.cancel_request(self._job.job_id)
        if requester is not None:
            raise Cancelled("the job was cancelled", why=f"asked for by {requester}")

    def _count_download(self, done: int) -> None:
        """Count what came over the network: all but what an earlier try had left."""
        before, self._done_before = self._done_before, done
        if before is not None and done > before:
            self._job = replace(
                self._job, bytes_downloaded=self._job.bytes_downloaded + done - before
            )

    def _record(self) -> None:
        """Replace the record. A job goes on where that fails: whether it ends well does not depend on who looks."""
        self._recorded_at = self._clock.monotonic()
        self._job = replace(
            self._job,
            progress=self._meter.reading(),
            timings=self._meter.timings(),
            updated_at=at(self._clock.wall()),
        )
        with contextlib.suppress(CannotRecord):
            self._ports.files.write(self._job.job_id, self._job.written(), durable=False)

    def _tell(self, event: str) -> None:
        job = self._job
        self._ports.events.note(
            event,
            failed=job.status == FAILED,
            **{name: getattr(job, name) for name in TOLD},
            stage=self._meter.stage,
            error=job.error and job.error.what,
            why=job.error and job.error.why,
            timings=job.timings if job.ended else None,
        )


class UnrecordedRun:
    """What :class:`JobRun` is in check mode: nothing is written, waited for or stopped."""

    def begin(self, job_id: str, **facts: Any) -> None:
        pass

    def note(self, **facts: Any) -> None:
        pass

    def take_turn(self) -> None:
        pass

    def stage(self, name: str, total: int = 0) -> None:
        pass

    def progress(self, done: int) -> None:
        pass

    def check(self) -> None:
        pass

    def waiting(self, reason: str) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def ended(self, failure: BaseException | None, rolled_back: bool) -> None:
        pass
