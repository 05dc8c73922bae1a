# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What jobs did since this machine was set up, counted as each one ends. It outlives their records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .job import COMPLETED, Job, seconds_at

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters that only grow, and the time of the last success."""

    ended: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Jobs by operation and status."""
    downloaded: int = 0
    """Bytes."""
    cache: Mapping[str, int] = field(default_factory=dict)
    """Jobs by what the cache had for them: ``hit`` or ``miss``."""
    rollbacks: Mapping[str, int] = field(default_factory=dict)
    """Jobs that failed or were cancelled, by how they were rolled back: ``complete`` or ``incomplete``."""
    stages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By stage, how many jobs had it (``count``) and the seconds they spent in it (``seconds``)."""
    last_success: float = 0
    """Seconds since 1970; 0 for never."""

    def after(self, job: Job) -> Counters:
        """Return them with one more job, which ended."""
        ended = {**self.ended, job.operation: _more(self.ended.get(job.operation, {}), job.status)}
        cache, rollbacks, stages = self.cache, self.rollbacks, dict(self.stages)
        if job.cache_hit is not None:
            cache = _more(cache, "hit" if job.cache_hit else "miss")
        if job.rolled_back is not None:
            rollbacks = _more(rollbacks, "complete" if job.rolled_back else "incomplete")
        for stage, seconds in job.timings.items():
            before = stages.get(stage, {"count": 0, "seconds": 0.0})
            stages[stage] = {
                "count": before["count"] + 1,
                "seconds": round(before["seconds"] + seconds, 3),
            }
        success = seconds_at(job.ended_at) if job.status == COMPLETED else self.last_success
        downloaded = self.downloaded + job.bytes_downloaded
        return Counters(ended, downloaded, cache, rollbacks, stages, success)

    def written(self) -> dict[str, Any]:
        """Return them as JSON data."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def read(cls, written: Any) -> Counters:
        """Return what :meth:`written` wrote; nothing is counted yet where it is None.

        :raises ValueError: where it is something else.
        """
        if written is None:
            return cls()
        try:
            if written["format"] != FORMAT:
                raise ValueError(f"format {written['format']!r}, expected {FORMAT}")
            return cls(**{each.name: written[each.name] for each in fields(cls)})
        except (KeyError, TypeError) as cause:
            raise ValueError(f"{cause!r} in the counters of jobs") from cause


def _more(counted: Mapping[str, int], name: str) -> dict[str, int]:
    return {**counted, name: counted.get(name, 0) + 1}
