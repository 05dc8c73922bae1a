# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits that end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from .errors import TimedOut
from .ports import Clock

T = TypeVar("T")


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wall(self) -> float:
        """Seconds since 1970, for what other machines compare with their own clocks."""
        return time.time()


def intervals(
    first: float, longest: float, factor: float = 1.5, jitter: float = 0.1
) -> Iterator[float]:
    """Yield growing pauses in seconds, each off by up to ``jitter`` of itself: many waiters do not march in step."""
    pause = first
    while True:
        yield pause * random.uniform(1 - jitter, 1 + jitter)
        pause = min(pause * factor, longest)


def wait_until(
    probe: Callable[[], tuple[bool, T]],
    *,
    what: str,
    timeout: float,
    first: float = 0.02,
    longest: float = 0.5,
    clock: Clock | None = None,
    hint: str = "",
) -> T:
    """Call ``probe`` until it says yes, and return what it saw.

    :param probe: returns (done, what was seen).
    :param what: the end of the sentence "waited for ...".
    :param timeout: seconds; the probe is asked at least once, and once more at the very end.
    :raises TimedOut: with what was seen last.
    """
    clock = clock or SystemClock()
    deadline = clock.monotonic() + timeout
    for pause in intervals(first, longest):
        done, seen = probe()
        if done:
            return seen
        left = deadline - clock.monotonic()
        if left <= 0:
            raise TimedOut(f"waited {timeout:g} s for {what}", why=f"last seen: {seen}", hint=hint)
        clock.sleep(min(pause, left))
    raise RuntimeError("unreachable: the pauses never end")
