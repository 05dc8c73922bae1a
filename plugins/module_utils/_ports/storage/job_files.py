# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of jobs on this machine: one file each, replaced as a whole, so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..._core.durable import private_umask, recording, write_whole
from ..._core.waiting import wait_until

FILE_MODE, FOLDER_MODE = 0o640, 0o750
LOCK_TIMEOUT = 10.0
"""Seconds. Nobody holds the lock for longer than a few writes take."""
REMEDY = "Make room on its file system, or fix its permissions, and run again"


class JobFiles:
    """``<id>.json`` in one folder, ``<id>.cancel`` beside it, and the counters of all."""

    def __init__(self, folder: Path, counters: Path, lock: Path) -> None:
        self._folder = folder
        self._counters = counters
        self._lock = lock

    def ids(self) -> list[str]:
        with recording("folder", self._folder, REMEDY):
            return sorted(path.stem for path in self._folder.glob("*.json"))

    def read(self, job_id: str) -> Any:
        return self._read(self._folder / f"{job_id}.json")

    def write(self, job_id: str, record: Mapping[str, Any], *, durable: bool = True) -> None:
        """Replace a job's record. One that is not durable costs no wait for the disk, which the job keeps busy."""
        path = self._folder / f"{job_id}.json"
        with recording("job file", path, REMEDY):
            if not self._folder.is_dir():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._folder.chmod(FOLDER_MODE)
            write_whole(path, _encoded(record), mode=FILE_MODE, durable=durable)

    def remove(self, job_id: str) -> None:
        with recording("folder", self._folder, REMEDY):
            (self._folder / f"{job_id}.json").unlink(missing_ok=True)
        self.forget_cancel(job_id)

    def cancel_request(self, job_id: str) -> str | None:
        path = self._folder / f"{job_id}.cancel"
        with recording("file", path, REMEDY):
            return path.read_text().strip() if path.exists() else None

    def request_cancel(self, job_id: str, requester: str) -> None:
        path = self._folder / f"{job_id}.cancel"
        with recording("file", path, REMEDY):
            write_whole(path, f"{requester}\n".encode(), mode=FILE_MODE)

    def forget_cancel(self, job_id: str) -> None:
        with recording("folder", self._folder, REMEDY):
            (self._folder / f"{job_id}.cancel").unlink(missing_ok=True)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with private_umask(), recording("lock", self._lock, REMEDY):
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)

    def counters(self) -> Any:
        return self._read(self._counters)

    def write_counters(self, counters: Mapping[str, Any]) -> None:
        with recording("file", self._counters, REMEDY):
            write_whole(self._counters, _encoded(counters), mode=FILE_MODE)

    def _read(self, path: Path) -> Any:
        with recording("file", path, REMEDY):
            try:
                return json.loads(path.read_bytes())
            except FileNotFoundError:
                return None


def _encoded(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=1).encode() + b"\n"


def _lock(handle: int) -> None:
    def taken() -> tuple[bool, str]:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False, "locked by another process"
        return True, ""

    wait_until(taken, what="the records of jobs", timeout=LOCK_TIMEOUT, first=0.01, longest=0.01)
