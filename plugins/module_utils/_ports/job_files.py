# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of jobs on this machine: one file each, replaced as a whole, so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .._core.durable import private_umask, recording, write_whole
from .._core.errors import TimedOut

FILE_MODE, FOLDER_MODE = 0o640, 0o750
LOCK_TIMEOUT = 10.0
"""Seconds. Nobody holds the lock for longer than a few writes take."""
MEND = "Make room on its file system, or mend its permissions, and run again"


class JobFiles:
    """``<id>.json`` in one folder, ``<id>.cancel`` beside it, and the counters of all."""

    def __init__(self, folder: Path, counters: Path, lock: Path) -> None:
        self._folder = folder
        self._counters = counters
        self._lock = lock

    def ids(self) -> list[str]:
        """Return the names of all jobs."""
        with recording("folder", self._folder, MEND):
            return sorted(path.stem for path in self._folder.glob("*.json"))

    def read(self, job_id: str) -> Any:
        """Return a job's record, or None where there is none. :raises ValueError: where it is no JSON."""
        return self._read(self._folder / f"{job_id}.json")

    def write(self, job_id: str, record: Mapping[str, Any], *, durable: bool = True) -> None:
        """Replace a job's record. One that is not durable costs no wait for the disk, which the job keeps busy."""
        path = self._folder / f"{job_id}.json"
        with recording("job file", path, MEND):
            if not self._folder.is_dir():
                self._folder.mkdir(parents=True, exist_ok=True)
                self._folder.chmod(FOLDER_MODE)
            if durable:
                write_whole(path, _encoded(record), mode=FILE_MODE)
            else:
                _write_soon(path, _encoded(record))

    def remove(self, job_id: str) -> None:
        """Forget a job. Gone already is well."""
        with recording("folder", self._folder, MEND):
            (self._folder / f"{job_id}.json").unlink(missing_ok=True)
        self.forget_cancel(job_id)

    def cancel_request(self, job_id: str) -> str | None:
        """Return who asked for the job to stop, or None where nobody did."""
        path = self._folder / f"{job_id}.cancel"
        with recording("file", path, MEND):
            return path.read_text().strip() if path.exists() else None

    def request_cancel(self, job_id: str, asker: str) -> None:
        """Ask for the job to stop."""
        path = self._folder / f"{job_id}.cancel"
        with recording("file", path, MEND):
            write_whole(path, f"{asker}\n".encode(), mode=FILE_MODE)

    def forget_cancel(self, job_id: str) -> None:
        """Forget that somebody asked. Gone already is well."""
        with recording("folder", self._folder, MEND):
            (self._folder / f"{job_id}.cancel").unlink(missing_ok=True)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep others from claiming names and from counting, inside this block."""
        with private_umask(), recording("lock", self._lock, MEND):
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)

    def counters(self) -> Any:
        """Return what was counted, or None where nothing was. :raises ValueError: where it is no JSON."""
        return self._read(self._counters)

    def write_counters(self, counters: Mapping[str, Any]) -> None:
        """Replace what was counted."""
        with recording("file", self._counters, MEND):
            write_whole(self._counters, _encoded(counters), mode=FILE_MODE)

    def _read(self, path: Path) -> Any:
        with recording("file", path, MEND):
            try:
                return json.loads(path.read_bytes())
            except FileNotFoundError:
                return None


def _encoded(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=1).encode() + b"\n"


def _write_soon(path: Path, content: bytes) -> None:
    """Replace a file by rename(2), and leave it to the system when it reaches the disk."""
    aside = path.with_name(f".{path.name}.soon")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
    os.replace(aside, path)


def _lock(handle: int) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimedOut(
                    "the records of jobs are locked", why=f"waited {LOCK_TIMEOUT:g} s"
                ) from None
            time.sleep(0.01)
