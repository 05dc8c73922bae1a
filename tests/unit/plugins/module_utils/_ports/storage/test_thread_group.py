# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that end together."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import thread_group
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.thread_group import (
    ThreadGroup,
    aside,
    pause,
)


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_group, "TICK", 0.01)


def nothing() -> None:
    pass


def failing() -> None:
    raise LookupError("first")


def test_all_are_waited_for() -> None:
    together = ThreadGroup()
    met = threading.Barrier(3)
    ended: list[int] = []
    for _number in range(3):
        together.add(lambda: ended.append(met.wait(30)))
    together.run(nothing)
    assert sorted(ended) == [0, 1, 2]


def test_one_that_ends_early_does_not_end_the_others() -> None:
    together = ThreadGroup()
    go = threading.Event()
    together.add(nothing)
    together.add(lambda: together.check() if go.wait(30) else failing())
    seen: list[bool] = []

    def tick() -> None:
        seen.append(True)
        go.set()

    together.run(tick)
    assert seen


def test_a_failure_stops_the_others_and_is_told() -> None:
    together = ThreadGroup()
    woken = threading.Event()
    together.at_stop(woken.set)
    together.add(lambda: together.pause(30))
    together.add(lambda: None if woken.wait(30) else failing())
    together.add(failing)
    with pytest.raises(LookupError, match="first"):
        together.run(nothing)
    assert woken.is_set()


def test_who_waits_may_stop_them() -> None:
    together = ThreadGroup()

    def waits() -> None:
        with together.changed:
            while True:
                together.check()
                together.changed.wait(30)

    together.add(waits)
    before = threading.active_count()
    with pytest.raises(LookupError):
        together.run(failing)
    assert threading.active_count() == before


def test_something_is_done_aside() -> None:
    ticked = threading.Event()
    assert aside(lambda: ticked.wait(30), ticked.set)
    with pytest.raises(LookupError):
        aside(failing, nothing)


def test_a_pause_can_be_ended() -> None:
    pause(0.001, nothing)
    with pytest.raises(LookupError):
        pause(300, failing)
