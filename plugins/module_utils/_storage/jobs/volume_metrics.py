# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the jobs of a host did and do.

The names are those of the service that this collection takes the place of, so that alerts and dashboards go on; its
requests are runs here. Every label has its values from the start: a counter that came into being with its first failure
would hide that failure from ``increase()``.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..._core.metrics import Family, sample, single
from .job import CANCELLED, COMPLETED, FAILED, QUEUED, Job
from .job_counters import Counters
from .stages import STAGES

PREFIX = "libvirt_volume_provisioner"
STATUSES = (COMPLETED, FAILED, CANCELLED)
OPERATION = "volume_image"
"""What is counted from the start."""


def families(counters: Counters, jobs: Iterable[Job]) -> list[Family]:
    """Return all of it.

    :param counters: of the jobs that ended.
    :param jobs: the jobs of the host, as they truly stand.
    """
    return [*_counted(counters), *_present(counters, list(jobs))]


def _counted(counters: Counters) -> list[Family]:
    cache, rollbacks = counters.cache, counters.rollbacks
    return [
        Family(
            f"{PREFIX}_runs_total",
            "counter",
            "Jobs that ended, by what they did.",
            [
                sample(counted.get(status, 0), operation=operation, status=status)
                for operation, counted in {OPERATION: {}, **counters.ended}.items()
                for status in STATUSES
            ],
        ),
        single(
            f"{PREFIX}_downloaded_bytes_total",
            "counter",
            "Bytes of images that came over the network.",
            counters.downloaded,
        ),
        single(
            f"{PREFIX}_cache_hits_total",
            "counter",
            "Jobs whose image was on the host already.",
            cache.get("hit", 0),
        ),
        single(
            f"{PREFIX}_cache_misses_total",
            "counter",
            "Jobs whose image was not on the host.",
            cache.get("miss", 0),
        ),
        Family(
            f"{PREFIX}_rollbacks_total",
            "counter",
            "Jobs that did not end well, by whether all was rolled back.",
            [sample(rollbacks.get(each, 0), result=each) for each in ("complete", "incomplete")],
        ),
        Family(
            f"{PREFIX}_stage_seconds",
            "summary",
            "Time that jobs spent in a stage; waiting is queued.",
            [
                sample(counters.stages.get(stage, {}).get(key, 0), part, stage=stage)
                for stage in STAGES
                for part, key in (("_sum", "seconds"), ("_count", "count"))
            ],
        ),
        single(
            f"{PREFIX}_last_success_timestamp_seconds",
            "gauge",
            "When a job was last completed, in seconds since 1970; 0 is never.",
            counters.last_success,
        ),
    ]


def _present(counters: Counters, jobs: list[Job]) -> list[Family]:
    active = [job for job in jobs if not job.ended]
    waiting = [job for job in active if job.status == QUEUED]
    ended = {
        status: sum(counted.get(status, 0) for counted in counters.ended.values())
        for status in STATUSES
    }
    by_status = {"started": sum(ended.values()) + len(active), **ended}
    return [
        Family(
            f"{PREFIX}_jobs_total",
            "counter",
            "Jobs by what became of them.",
            [sample(count, status=status) for status, count in by_status.items()],
        ),
        single(f"{PREFIX}_active_jobs", "gauge", "Jobs that run or wait.", len(active)),
        single(f"{PREFIX}_queued_jobs", "gauge", "Jobs that wait.", len(waiting)),
    ]
