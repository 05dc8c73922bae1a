# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on jobs, with their real ports."""

from __future__ import annotations

from collections.abc import Mapping

from .._core import settings
from .._core.audit import requester
from .._core.ports import Clock
from .._core.waiting import SystemClock
from .._ports.host.processes import Processes
from .._ports.host.stop_signals import StopSignals
from .._ports.host.system_log import EventLog
from .._ports.storage.job_files import JobFiles
from .._ports.storage.job_queue import JobQueue
from .._storage.jobs.job_operation import VolumeJob
from .._storage.jobs.job_run import JobPorts, JobRun
from .._storage.jobs.jobs import Jobs

PROGRAM = "debvisor-volume"
"""Under which name events stand in the system's log."""


def job_files() -> JobFiles:
    """Return the records of this host's jobs."""
    return JobFiles(settings.jobs_dir(), settings.job_counters(), settings.lock_dir() / "jobs")


def jobs() -> Jobs:
    """Return this host's jobs."""
    return Jobs(job_files(), Processes())


def volume_job() -> VolumeJob:
    """Return the operation of the module of this name."""
    return VolumeJob(job_files(), Processes(), SystemClock(), " ".join(requester().values()))


def job_run(
    operation: str,
    clock: Clock,
    requested_by: Mapping[str, str],
    *,
    timeout: float,
    queue_timeout: float,
) -> JobRun:
    """Return the job that this process is going to be."""
    ports = JobPorts(
        job_files(),
        JobQueue(settings.job_queue(), settings.volume_config()),
        StopSignals(),
        Processes(),
        EventLog(PROGRAM),
        clock,
        requested_by,
    )
    return JobRun(operation, ports, timeout=timeout, queue_timeout=queue_timeout)
