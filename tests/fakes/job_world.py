# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine on which jobs run: records in memory, a queue of names, a clock that somebody must push."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import CannotRecord
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_run import (
    JobPorts,
    JobRun,
)

START = 1_800_000_000.0
"""When the fake clock begins, in seconds since 1970."""


class Clock:
    """Time that passes when somebody sleeps or pushes. What shall happen meanwhile stands in ``later``."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.later: list[tuple[float, Callable[[], object]]] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return START + self.now - 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [each for each in self.later if each[0] <= self.now]
        self.later = [each for each in self.later if each not in due]
        for _time, act in due:
            act()

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        """Have it happen so many seconds after the clock began."""
        self.later.append((1000.0 + seconds, act))


class Files:
    """Records as text, as on disk; ``full`` refuses writes."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.asked: dict[str, str] = {}
        self.counted: str | None = None
        self.full = False
        self.writes: list[tuple[str, bool]] = []
        self.locked = False

    def ids(self) -> list[str]:
        return sorted(self.texts)

    def read(self, job_id: str) -> Any:
        return json.loads(self.texts[job_id]) if job_id in self.texts else None

    def write(self, job_id: str, record: Mapping[str, Any], *, durable: bool = True) -> None:
        self._check_room()
        self.texts[job_id] = json.dumps(record)
        self.writes.append((job_id, durable))

    def remove(self, job_id: str) -> None:
        self._check_room()
        self.texts.pop(job_id, None)
        self.asked.pop(job_id, None)

    def cancel_request(self, job_id: str) -> str | None:
        return self.asked.get(job_id)

    def request_cancel(self, job_id: str, requester: str) -> None:
        self._check_room()
        self.asked[job_id] = requester

    def forget_cancel(self, job_id: str) -> None:
        self.asked.pop(job_id, None)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        assert not self.locked, "a lock that is taken twice would wait for itself"
        self.locked = True
        try:
            yield
        finally:
            self.locked = False

    def counters(self) -> Any:
        return self.counted and json.loads(self.counted)

    def write_counters(self, counters: Mapping[str, Any]) -> None:
        assert self.locked, "counting without the lock loses counts"
        self._check_room()
        self.counted = json.dumps(counters)

    def _check_room(self) -> None:
        if self.full:
            raise CannotRecord("the job file cannot be used", why="No space left on device")


class Queue:
    """A queue in which ``before`` jobs stand already."""

    def __init__(self, before: int = 0, width: int = 2) -> None:
        self.before = before
        self.wide = width
        self.joined = False
        self.history: list[str] = []

    def width(self) -> int:
        return self.wide

    def join(self) -> bool:
        if not self.joined:
            self.history.append("join")
        self.joined = True
        return True

    def ahead(self) -> int:
        assert self.joined
        return self.before

    def leave(self) -> None:
        if self.joined:
            self.history.append("leave")
        self.joined = False


class Signals:
    """Signals that a test sends."""

    def __init__(self) -> None:
        self.caught = False
        self.came = ""

    def catch(self) -> None:
        self.caught = True

    def received(self) -> str:
        return self.came


class Processes:
    """A process table: number to start. Process 100 is ours. ``obeys`` is what a process does on SIGTERM."""

    def __init__(self) -> None:
        self.table = {100: 5000}
        self.boot_id = "boot-1"
        self.signalled: list[int] = []
        self.obeys: Callable[[int], object] = lambda pid: None

    def own(self) -> tuple[int, int]:
        return 100, self.table.get(100, 5000)

    def boot(self) -> str:
        return self.boot_id

    def alive(self, pid: int, started: int) -> bool:
        return self.table.get(pid) == started

    def end(self, pid: int, started: int) -> bool:
        if not self.alive(pid, started):
            return False
        self.signalled.append(pid)
        self.obeys(pid)
        return True


class Events:
    """What was logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def note(self, event: str, *, failed: bool = False, **facts: Any) -> None:
        self.lines.append({"event": event, "failed": failed, **facts})


class World:
    """All of it, and a job in it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.files = Files()
        self.queue = Queue()
        self.signals = Signals()
        self.processes = Processes()
        self.events = Events()

    def run(self, *, timeout: float = 3600, queue_timeout: float = 600) -> JobRun:
        around = JobPorts(
            self.files,
            self.queue,
            self.signals,
            self.processes,
            self.events,
            self.clock,
            {"account": "root", "host": "node1"},
        )
        return JobRun("volume_image", around, timeout=timeout, queue_timeout=queue_timeout)

    def record(self, job_id: str = "j1") -> dict[str, Any]:
        return dict(self.files.read(job_id))
