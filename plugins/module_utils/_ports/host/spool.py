# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content that is on its way: in a file without a name, which nobody sees and which ends with the process."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..._core.errors import DebvisorError

BLOCK = 1 << 18
"""Bytes that are on their way at once."""


class SpoolFailed(DebvisorError):
    """This machine has no room for what comes in; that is no fault of who sends it."""


class Spool:
    """Bytes in a nameless file, with their number and their SHA-256."""

    def __init__(self, folder: str) -> None:
        """:param folder: on the file system that will keep the content, so that its room is asked for first."""
        self._folder = folder if Path(folder).is_dir() else tempfile.gettempdir()
        with self._told():
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - close() closes it
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, block: bytes) -> None:
        """Add to the content.

        :raises SpoolFailed: where there is no room.
        """
        with self._told():
            self._file.write(block)
        self._hash.update(block)
        self.size += len(block)

    def clear(self) -> None:
        """Begin anew."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The digest of the content so far."""
        return self._hash.hexdigest()

    def blocks(self) -> Iterator[bytes]:
        """Yield the content from its beginning."""
        with self._told():
            self._file.seek(0)
        while block := self._file.read(BLOCK):
            yield block

    @property
    def handle(self) -> int:
        """The descriptor, for another program to read ``/dev/fd/N``; all content is in the file."""
        with self._told():
            self._file.flush()
        return self._file.fileno()

    def close(self) -> None:
        """Let the content go."""
        self._file.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            raise SpoolFailed(
                f"there is no room for a temporary file in {self._folder}",
                why=cause.strerror or str(cause),
                hint="Make room on its file system and run again",
            ) from cause
