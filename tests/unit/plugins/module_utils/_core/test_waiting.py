# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits end, and say what they last saw."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import TimedOut
from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import (
    intervals,
    wait_until,
)


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_it_returns_what_the_probe_saw_at_last() -> None:
    answers = iter([(False, 1), (False, 2), (True, 3)])
    assert wait_until(lambda: next(answers), what="three", timeout=10, clock=FakeClock()) == 3


def test_it_ends_on_time_with_what_it_last_saw() -> None:
    clock = FakeClock()
    count = itertools.count()
    with pytest.raises(TimedOut, match=r"waited 2 s for rain: last seen: cloud \d+"):
        wait_until(lambda: (False, f"cloud {next(count)}"), what="rain", timeout=2, clock=clock)
    assert clock.now == pytest.approx(102.0)


def test_no_time_at_all_still_asks_once() -> None:
    clock = FakeClock()
    assert wait_until(lambda: (True, "yes"), what="it", timeout=0, clock=clock) == "yes"
    assert clock.slept == []


def test_a_slow_probe_does_not_stretch_the_wait_by_more_than_itself() -> None:
    clock = FakeClock()

    def probe() -> tuple[bool, str]:
        clock.now += 3
        return False, "slow"

    with pytest.raises(TimedOut):
        wait_until(probe, what="it", timeout=5, clock=clock)
    assert clock.now <= 100 + 5 + 3


def test_pauses_grow_to_the_longest() -> None:
    pauses = list(itertools.islice(intervals(0.01, 0.5), 30))
    assert pauses[0] == pytest.approx(0.01, rel=0.11)
    assert max(pauses) <= 0.5 * 1.1
    assert pauses[-1] == pytest.approx(0.5, rel=0.11)
