# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs on a real host, put together in one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from .._core.waiting import Clock
from .._storage.job_run import JobRun, Surroundings
from .job_files import JobFiles
from .job_queue import JobQueue
from .processes import Processes
from .stop_signals import StopSignals
from .system_log import EventLog

PROGRAM = "debvisor-volume"
"""Under which name events stand in the system's log."""


class Places(Protocol):
    """Where things are on this host: the module ``settings``."""

    def jobs_dir(self) -> Path: ...

    def job_counters(self) -> Path: ...

    def job_queue(self) -> Path: ...

    def volume_config(self) -> Path: ...

    def lock_dir(self) -> Path: ...


def job_files(places: Places) -> JobFiles:
    """Return the records of this host's jobs."""
    return JobFiles(places.jobs_dir(), places.job_counters(), places.lock_dir() / "jobs")


def job_run(
    operation: str,
    places: Places,
    clock: Clock,
    requester: Mapping[str, str],
    *,
    timeout: float,
    queue_timeout: float,
) -> JobRun:
    """Return the job that this process is going to be."""
    around = Surroundings(
        job_files(places),
        JobQueue(places.job_queue(), places.volume_config()),
        StopSignals(),
        Processes(),
        EventLog(PROGRAM),
        clock,
        requester,
    )
    return JobRun(operation, around, timeout=timeout, queue_timeout=queue_timeout)
