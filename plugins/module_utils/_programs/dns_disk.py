# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether BIND can write its zones down here: the room on its disk, and whether a write comes to an end."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

INTERVAL = 1.0
ROOM = 4 << 20
"""Bytes that have to be free: an update of the largest size, some times over, and a copy of what was not shared."""
FILES = 8
"""Files that have to be free, where the file system counts them: BIND makes some for each zone."""
PATIENCE = 3.0
"""Seconds that a write may take. BIND answers no update meanwhile."""


class DiskWatch:
    """Writes a few bytes where BIND keeps its zones, again and again. The thread may hang with the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        """Over what follows."""
        self._began: float | None = None
        self._failure = ""

    def trouble(self) -> str:
        """Return why BIND cannot write here; empty where it can."""
        with self._lock:
            hangs = self._began is not None and time.monotonic() - self._began > PATIENCE
            return f"a write to {self._folder} hangs" if hangs else self._failure

    def run(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.is_set():
            self.look()
            stop.wait(INTERVAL)

    def look(self) -> None:
        """Look once."""
        with self._lock:
            self._began = time.monotonic()
        try:
            failure = self._try()
        except OSError as cause:
            failure = f"{self._folder} cannot be written to: {cause.strerror}"
        with self._lock:
            self._began, self._failure = None, failure

    def _try(self) -> str:
        room = os.statvfs(self._folder)
        if room.f_bavail * room.f_frsize < ROOM:
            return f"{self._folder} has no room: less than {ROOM >> 20} MiB are free"
        if room.f_files and room.f_favail < FILES:
            return f"{self._folder} has no room: less than {FILES} files (inodes) are free"
        path = self._folder / ".dns-role-writes"
        with open(path, "wb", buffering=0) as stream:
            stream.write(b"x" * 4096)
            os.fsync(stream.fileno())
        path.unlink()
        return ""
