# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are whole or absent, and on disk when we say so."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import CannotRecord


@contextlib.contextmanager
def recording(what: str, path: Path, hint: str) -> Iterator[None]:
    """Turn the system's errors into one that names the record and what it means for the run.

    :raises CannotRecord: for an OSError inside this block.
    """
    try:
        yield
    except OSError as cause:
        raise CannotRecord(
            f"the {what} {path} cannot be used",
            why=cause.strerror or str(cause),
            hint=hint,
            details={"path": str(path)},
        ) from cause


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable (rename(2) alone is not: see fsync(2), NOTES)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(
    path: Path, content: bytes, *, mode: int = 0o600, uid: int = -1, gid: int = -1
) -> None:
    """Replace ``path`` by ``content``: readers see the old file or the new one, and a crash leaves one of them.

    Owner and mode hold from the first byte: the temporary file is made 0600 by mkstemp and gets both while it is empty.

    :raises OSError: as the system says it; the old file is then untouched and nothing is left beside it.
    """
    write_blocks(path, [content], mode=mode, uid=uid, gid=gid)


def write_blocks(
    path: Path, blocks: Iterable[bytes], *, mode: int = 0o600, uid: int = -1, gid: int = -1
) -> None:
    """Do as :func:`write_whole`, with content that comes in blocks and need not fit into memory."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchown(stream.fileno(), uid, gid)
            os.fchmod(stream.fileno(), mode)
            stream.writelines(blocks)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def private_umask() -> Iterator[None]:
    """Create files and folders for the owner alone inside this block."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
