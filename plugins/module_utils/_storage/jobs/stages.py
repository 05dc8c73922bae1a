# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a job is: its stages, their share of the whole, and how fast it goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..._core.ports import Clock

# fmt: off
STAGES: Mapping[str, tuple[int, int]] = {
    "queued": (0, 0),
    "preflight": (0, 2),
    "resolving_checksum": (2, 3),
    "checking_cache": (3, 5),
    "downloading": (5, 45),
    "verifying": (45, 48),
    "creating_volume": (48, 50),
    "preparing_target": (50, 52),
    "converting": (52, 95),
    "syncing": (95, 97),
    "verifying_volume": (97, 99),
    "publishing": (99, 99),
    "finalizing": (99, 99),
}
# fmt: on
"""The stages in order, and from which percent of the whole job to which each goes. Shares are those of a cold run, so a
hit in the cache leaps over the download's."""
FIRST = "queued"
LAST = "finalizing"
SAMPLE_EVERY = 0.5
"""Seconds between two samples of the rate."""
MEMORY = 10.0
"""Seconds after which a sample counts for a third (1/e): long enough to be calm, short enough to show a stall."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. Bytes, rate and ETA are the present stage's; None where that is unknown."""

    stage: str = FIRST
    percent: int = 0
    """Of the whole job. It never goes back, and is 100 only once the job is complete."""
    stage_percent: int | None = None
    bytes_processed: int = 0
    bytes_total: int = 0
    rate: int | None = None
    """Bytes a second."""
    eta: int | None = None
    """Seconds until this stage ends, at this rate."""

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> Progress:
        """Return what ``asdict`` wrote."""
        return cls(**{name: written[name] for name in cls.__dataclass_fields__})


class Meter:
    """Measures one job, by an injected clock."""

    def __init__(self, clock: Clock) -> None:
        self.stage = FIRST
        self._clock = clock
        self._total = 0
        self._done = 0
        self._percent = 0
        self._rate: float | None = None
        self._sample: tuple[float, int] | None = None
        self._spent: dict[str, float] = {}
        self._account = FIRST
        self._since = clock.monotonic()

    def begin(self, stage: str, total: int = 0) -> None:
        """Begin a stage of which ``total`` bytes are to be done, 0 where that is unknown."""
        self._percent = max(self._percent, STAGES[stage][0])
        self.stage, self._total, self._done = stage, total, 0
        self._rate, self._sample = None, None
        self._turn_to(stage)

    def done(self, count: int) -> None:
        """So many bytes of the stage are done. The first report may be of bytes that were there before (a resumed
        download), so the rate is reckoned from it on."""
        self._done = count
        start, end = STAGES[self.stage]
        self._percent = max(self._percent, math.floor(start + (end - start) * self._share))
        now = self._clock.monotonic()
        if self._sample is None:
            self._sample = (now, count)
            return
        then, before = self._sample
        if now - then < SAMPLE_EVERY:
            return
        self._sample = (now, count)
        speed = max(0, count - before) / (now - then)
        old = 0.0 if self._rate is None else math.exp(-(now - then) / MEMORY)
        self._rate = old * (self._rate or 0.0) + (1 - old) * speed

    def pause(self) -> None:
        """The job waits for another: that is no time of its stage, and tells nothing of its speed."""
        self._turn_to(FIRST)

    def resume(self) -> None:
        """It goes on."""
        self._turn_to(self.stage)
        self._sample = None

    def complete(self) -> None:
        """All is done."""
        self.begin(LAST)
        self._percent = 100

    def reading(self) -> Progress:
        """Return how far it is."""
        eta = None
        if self._total and self._rate:
            eta = math.ceil(max(0, self._total - self._done) / self._rate)
        return Progress(
            self.stage,
            self._percent,
            math.floor(100 * self._share) if self._total else None,
            self._done,
            self._total,
            None if self._rate is None else round(self._rate),
            eta,
        )

    def timings(self) -> dict[str, float]:
        """Return the seconds that each stage took so far, waiting as ``queued``."""
        self._turn_to(self._account)
        return {stage: round(spent, 3) for stage, spent in self._spent.items()}

    @property
    def _share(self) -> float:
        return min(1.0, self._done / self._total) if self._total else 0.0

    def _turn_to(self, account: str) -> None:
        now = self._clock.monotonic()
        self._spent[self._account] = self._spent.get(self._account, 0.0) + now - self._since
        self._account, self._since = account, now
