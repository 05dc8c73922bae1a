# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the jobs of a host did and do, in Prometheus' text format.

The names are those of the service that this collection takes the place of, so that alerts and dashboards go on; its
requests are runs here. Every label has its values from the start: a counter that came into being with its first failure
would hide that failure from ``increase()``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .job import CANCELLED, COMPLETED, FAILED, QUEUED, Job
from .job_counters import Counters
from .stages import STAGES

PREFIX = "libvirt_volume_provisioner"
STATUSES = (COMPLETED, FAILED, CANCELLED)
OPERATION = "volume_image"
"""What is counted from the start."""

Labels = Mapping[str, str]
Family = tuple[str, str, str, Sequence[tuple[Labels, float]]]
"""Name, type, help, and samples. The label ``part`` of a summary's samples (``sum``, ``count``) goes into the name."""


def text(counters: Counters, jobs: Iterable[Job]) -> str:
    """Return all of it.

    :param counters: of the jobs that ended.
    :param jobs: the jobs of the host, as they truly stand.
    """
    return "".join(
        f"# HELP {PREFIX}_{name} {told}\n# TYPE {PREFIX}_{name} {kind}\n"
        + "".join(_sample(name, labels, value) for labels, value in samples)
        for name, kind, told, samples in (*_counted(counters), *_present(counters, list(jobs)))
    )


def _counted(counters: Counters) -> list[Family]:
    cache, rollbacks = counters.cache, counters.rollbacks
    return [
        (
            "runs_total",
            "counter",
            "Jobs that ended, by what they did.",
            [
                ({"operation": operation, "status": status}, counted.get(status, 0))
                for operation, counted in {OPERATION: {}, **counters.ended}.items()
                for status in STATUSES
            ],
        ),
        (
            "downloaded_bytes_total",
            "counter",
            "Bytes of images that came over the network.",
            [({}, counters.downloaded)],
        ),
        (
            "cache_hits_total",
            "counter",
            "Jobs whose image was on the host already.",
            [({}, cache.get("hit", 0))],
        ),
        (
            "cache_misses_total",
            "counter",
            "Jobs whose image was not on the host.",
            [({}, cache.get("miss", 0))],
        ),
        (
            "rollbacks_total",
            "counter",
            "Jobs that did not end well, by whether all was taken back.",
            [({"result": each}, rollbacks.get(each, 0)) for each in ("complete", "incomplete")],
        ),
        (
            "stage_seconds",
            "summary",
            "Time that jobs spent in a stage; waiting is queued.",
            [
                ({"stage": stage, "part": part}, counters.stages.get(stage, {}).get(key, 0))
                for stage in STAGES
                for part, key in (("sum", "seconds"), ("count", "count"))
            ],
        ),
        (
            "last_success_timestamp_seconds",
            "gauge",
            "When a job was last completed, in seconds since 1970; 0 is never.",
            [({}, counters.last_success)],
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
        (
            "jobs_total",
            "counter",
            "Jobs by what became of them.",
            [({"status": status}, count) for status, count in by_status.items()],
        ),
        ("active_jobs", "gauge", "Jobs that run or wait.", [({}, len(active))]),
        ("queued_jobs", "gauge", "Jobs that wait.", [({}, len(waiting))]),
    ]


def _sample(name: str, labels: Labels, value: float) -> str:
    """Return one line. Values of labels are names of ours, so nothing in them needs escaping."""
    part = f"_{labels['part']}" if "part" in labels else ""
    shown = ",".join(f'{key}="{each}"' for key, each in labels.items() if key != "part")
    return f"{PREFIX}_{name}{part}{{{shown}}} {value:.15g}\n".replace("{}", "")
