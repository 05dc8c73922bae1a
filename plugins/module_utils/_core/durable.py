# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are whole or absent, and on disk when we say so."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import CannotRecord

ENDING = ".debvisor"
"""Of the names of temporary files. A run that is killed leaves one behind, and whoever comes next knows it by this."""
_KEEP_SIZE = 1
"""FALLOC_FL_KEEP_SIZE of fallocate(2)."""


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
    path: Path,
    content: bytes,
    *,
    mode: int = 0o600,
    uid: int = -1,
    gid: int = -1,
    durable: bool = True,
) -> None:
    """Replace ``path`` by ``content``: readers see the old file or the new one, and a crash leaves one of them.

    Owner and mode hold from the first byte: the temporary file is made 0600 by mkstemp and gets both while it is empty.

    :param durable: False for a file that does not outlive the machine, or need not: it is not waited for the disk.
    :raises OSError: as the system says it; the old file is then untouched and nothing is left beside it.
    """
    write_blocks(path, [content], mode=mode, uid=uid, gid=gid, durable=durable)


def write_blocks(
    path: Path,
    blocks: Iterable[bytes],
    *,
    mode: int = 0o600,
    uid: int = -1,
    gid: int = -1,
    durable: bool = True,
) -> None:
    """Do as :func:`write_whole`, with content that comes in blocks and need not fit into memory."""
    clear_leftovers(path.parent)
    descriptor, name = _temporary(path)
    with os.fdopen(descriptor, "wb") as stream:
        try:
            os.fchown(stream.fileno(), uid, gid)
            os.fchmod(stream.fileno(), mode)
            stream.writelines(blocks)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
    if durable:
        sync_folder(path.parent)


def _temporary(path: Path) -> tuple[int, str]:
    """Make a temporary file beside ``path``, locked as long as it is open: so others know that its writer lives."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=ENDING)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, name
        os.close(descriptor)  # somebody cleared it away before it was locked


def clear_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed writers left in a folder, and that may hold secrets.

    A writer holds a lock that dies with it. What cannot be removed stays for the next one: it is not what we came for.
    """
    with contextlib.suppress(OSError, ValueError):  # the latter where it is no name of a folder
        for name in os.listdir(folder):
            if name.startswith(".") and name.endswith(ENDING):
                with contextlib.suppress(OSError):
                    _clear(folder / name)


def clear_leftovers_beside(named: Any) -> None:
    """Do the same in the folder of each file that a receipt names, at any depth."""
    match named:
        case Mapping():
            for value in named.values():
                clear_leftovers_beside(value)
        case list():
            for value in named:
                clear_leftovers_beside(value)
        case str() if named.startswith("/"):
            clear_leftovers(Path(named).parent)


def _clear(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    finally:
        os.close(handle)


def reserve(descriptor: int, size: int) -> None:
    """Have the file system keep room for so many bytes behind the end of a file, which does not grow by that.

    Where the file system cannot reserve, nothing is known about it, and nothing is said.

    :raises OSError: where there is no room.
    """
    # os.posix_fallocate would make the file longer.
    libc = ctypes.CDLL(None, use_errno=True)
    end = ctypes.c_int64(os.fstat(descriptor).st_size)
    while libc.fallocate64(descriptor, _KEEP_SIZE, end, ctypes.c_int64(size)):
        number = ctypes.get_errno()
        if number in {errno.EOPNOTSUPP, errno.ENOSYS}:
            return
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


def link_whole(path: Path, target: str, *, durable: bool = True) -> None:
    """Make ``path`` a symbolic link in the place of whatever file is there: readers see the old or the new.

    :raises OSError: as the system says it; what was there is then untouched.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    os.replace(aside, path)
    if durable:
        sync_folder(path.parent)


class _Umask:
    """A process has one umask for all threads: the first that needs it private sets it, the last restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = os.umask(0o077)
            self._users += 1

    def __exit__(self, *failure: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                os.umask(self._before)


_UMASK = _Umask()


def private_umask() -> contextlib.AbstractContextManager[None]:
    """Create files and folders for the owner alone inside this block."""
    return _UMASK
