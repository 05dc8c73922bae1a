# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that comes in parts, in any order, and the map beside it that says which of them are there."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from ..._core.durable import write_whole
from ..._core.errors import DebvisorError

_NO_RESERVING = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""How a file system says that it cannot reserve room; then a full disk shows later."""


class CannotKeep(DebvisorError):
    """This machine cannot keep what comes; that is no fault of who sends it."""


class PartFile:
    """The file, open. Any thread may use it; one that comes late finds it closed, and not another file."""

    def __init__(self, path: str, size: int) -> None:
        """:param size: bytes that it will have when it is whole."""
        self.path = path
        self.size = size
        self._map = Path(f"{path}.map")
        self._lock = threading.Lock()
        self._users = 1
        with self._told():
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._handle = os.open(path, flags, 0o600)

    def recorded(self) -> str | None:
        """Return the map, or None where there is none that this file could be described by."""
        with self._using():
            if os.fstat(self._handle).st_size != self.size:
                return None
            try:
                return self._map.read_text(encoding="utf-8", errors="replace")
            except FileNotFoundError:
                return None

    def begin_anew(self) -> None:
        """Forget what is there, and take the room that all of it will need.

        :raises CannotKeep: where there is not so much; what there is is given back.
        """
        self.forget()
        with self._using():
            os.ftruncate(self._handle, 0)
            try:
                os.posix_fallocate(self._handle, 0, self.size)
            except OSError as cause:
                os.ftruncate(self._handle, 0)
                if cause.errno not in _NO_RESERVING:
                    raise
                os.ftruncate(self._handle, self.size)

    def write(self, block: memoryview, offset: int) -> None:
        """Put a block where it belongs."""
        with self._using():
            while block:
                count = os.pwrite(self._handle, block, offset)
                block, offset = block[count:], offset + count

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill the buffer from there, and return how many bytes there were; at least one."""
        with self._using():
            count = os.preadv(self._handle, [buffer], offset)
        if not count:
            raise CannotKeep(f"another process truncated {self.path}", hint="Run again")
        return count

    def sync(self) -> None:
        """Wait until what was written is on disk."""
        with self._using():
            os.fsync(self._handle)

    def record(self, text: str) -> None:
        """Put the map beside the file. What it promises must be on disk already."""
        with self._using():
            write_whole(self._map, text.encode())

    def forget(self) -> None:
        """Remove the map: nothing is promised any more."""
        with self._using():
            self._map.unlink(missing_ok=True)

    def close(self) -> None:
        """Close it as soon as nobody is at it."""
        self._leave()

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        """Keep the file open inside this block."""
        with self._lock:
            if not self._users:
                raise CannotKeep(f"{self.path} is closed already")
            self._users += 1
        try:
            with self._told():
                yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                os.close(self._handle)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Say what the system's errors inside this block mean."""
        try:
            yield
        except OSError as cause:
            full = cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            raise CannotKeep(
                f"{self.path} cannot keep the image, which needs {self.size} bytes",
                why=cause.strerror or str(cause),
                hint="Make room on its file system and run again" if full else "",
                details={"path": self.path, "bytes": self.size},
            ) from cause
