# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that work on one thing and end together, whoever of them fails and whoever stops them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

TICK = 0.25
"""Seconds between two looks of the thread that waits."""
JOIN_SECONDS = 5.0
"""How long to wait for threads that were told to end. One may be looking up a name, which nothing can interrupt."""


class Stopped(Exception):
    """The others end, so this thread does, too."""


class ThreadGroup:
    """The threads. Whoever waits for them is told of the first failure, after all have ended."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        """Guards what they share; notified when that changes, and when they are to stop."""
        self._stopping = threading.Event()
        self._over = threading.Event()
        self._members: list[Callable[[], None]] = []
        self._working = 0
        self._failure: BaseException | None = None
        self._at_stop: list[Callable[[], None]] = []

    def at_stop(self, action: Callable[[], None]) -> None:
        """Have this done when they are to stop: it wakes one who would not notice."""
        self._at_stop.append(action)

    def add(self, work: Callable[[], None]) -> None:
        """Have one more thread. It should raise Stopped, or end, soon after :meth:`check` does so."""
        self._members.append(work)

    def check(self) -> None:
        """:raises Stopped: where they are to stop."""
        if self._stopping.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Do nothing for so long. :raises Stopped: where they are to stop meanwhile."""
        if self._stopping.wait(seconds):
            raise Stopped

    def run(self, tick: Callable[[], None]) -> None:
        """Let all work until all have ended, and call ``tick`` now and then; what that raises stops them.

        :raises BaseException: the first failure, of a thread or of ``tick``.
        """
        self._working = len(self._members)
        threads = [
            threading.Thread(target=self._work, args=(member,), daemon=True)
            for member in self._members
        ]
        try:
            for thread in threads:
                thread.start()
            while not self._over.wait(TICK):
                tick()
        finally:
            self._stop()
            deadline = time.monotonic() + JOIN_SECONDS
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(deadline - time.monotonic(), 0))
        if self._failure is not None:
            raise self._failure

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            pass
        except BaseException as failure:
            with self.changed:
                self._failure = self._failure or failure
            self._stop()
        finally:
            with self.changed:
                self._working -= 1
                if self._working == 0:
                    self._over.set()

    def _stop(self) -> None:
        with self.changed:
            self._stopping.set()
            self._over.set()
            self.changed.notify_all()
        for action in self._at_stop:
            action()


def aside(work: Callable[[], Result], tick: Callable[[], None]) -> Result:
    """Do something in another thread and return its result; meanwhile call ``tick`` now and then."""
    crew = ThreadGroup()
    results: list[Result] = []
    crew.add(lambda: results.append(work()))
    crew.run(tick)
    return results[0]


def pause(seconds: float, tick: Callable[[], None]) -> None:
    """Do nothing for so long but call ``tick`` now and then."""
    crew = ThreadGroup()
    crew.add(lambda: crew.pause(seconds))
    crew.run(tick)
