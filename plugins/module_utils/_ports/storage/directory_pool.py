# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes as raw, sparse files in a folder, such as libvirt's pool of type ``dir``. Marks are extended attributes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ..._core.durable import sync_folder
from ..._core.errors import Refused, Unreachable
from ..._storage.volumes.volumes import Marks, Space, User, Volume
from ..host import command, open_files

ENDING = ".raw"
MARK = "user.debvisor."
IDENTITY = f"{MARK}identity"
GRANULE = 4096
BLOCK = 1 << 20
HINTS = {  # ENOTSUP and EOPNOTSUPP are one on Linux
    errno.EOPNOTSUPP: "Its file system must have extended attributes and O_TMPFILE, as ext4 and XFS do; NFS does not",
    errno.ENOSPC: "Make room and run again",
}


def canonical_pool(backend: str, pool: str) -> str:
    """Return the one name of a pool, as one volume has one lock: of a folder, whatever links lead to it."""
    return os.path.realpath(pool) if backend == "directory" and pool.startswith("/") else pool


class DirectoryPool:
    """The volumes of one folder: ``NAME.raw``."""

    kind = "directory"
    fresh_is_zero = True
    can_clone = False

    def __init__(self, pool: str) -> None:
        self.pool = pool

    def name_fault(self, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}", name):
            return "a name has letters, digits and _ . + - and begins with a letter or digit; at most 200 characters"
        return "the file's ending .raw is added; leave it off" if name.endswith(ENDING) else ""

    def space(self) -> Space:
        """Look at the file system."""
        with self._told():
            mode = os.stat(self.pool).st_mode
            if not stat.S_ISDIR(mode):
                raise Unreachable(f"{self.pool} is not a folder")
            system = os.statvfs(self.pool)
        # Who may write there may put a link in a volume's place while it is filled.
        open_to_all = (f"everybody may write to {self.pool}",) if mode & stat.S_IWOTH else ()
        return Space(system.f_bavail * system.f_frsize, GRANULE, open_to_all)

    def find(self, name: str) -> Volume | None:
        """Look at one file."""
        path = self._path(name)
        with self._told():
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                if not os.path.isdir(self.pool):
                    raise
                return None
            if not stat.S_ISREG(status.st_mode):
                return Volume(
                    name, f"inode:{status.st_ino}", 0, path, special="link, folder or device"
                )
            kept = _attributes(path)
        special = "file with several names" if status.st_nlink > 1 else ""
        identity, _at, inode = kept.pop("identity", "").rpartition("@")
        if inode != str(status.st_ino):  # somebody's, or a copy of ours, which somebody made
            kept, identity = {}, f"inode:{status.st_ino}"  # the device's number may change at boot
        return Volume(name, identity, status.st_size, path, Marks.read(kept), special)

    def owned(self) -> tuple[Volume, ...]:
        """Return the volumes of the folder that are ours."""
        with self._told():
            names = sorted(name for name in os.listdir(self.pool) if name.endswith(ENDING))
        volumes = [self.find(name.removesuffix(ENDING)) for name in names]
        return tuple(
            volume for volume in volumes if volume is not None and volume.marks is not None
        )

    def users(self, volume: Volume) -> tuple[User, ...]:
        """Say who has the file open."""
        with self._told(volume.path):
            return tuple(User(*each) for each in open_files.holders(volume.path))

    def create(self, name: str, size: int, marks: Marks) -> Volume:
        """Make a sparse file; it has no name until it has its size and its marks."""
        path = self._path(name)
        with self._told(path):
            descriptor = os.open(self.pool, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(descriptor, -(-size // GRANULE) * GRANULE)
                identity = f"{secrets.token_hex(16)}@{os.fstat(descriptor).st_ino}"
                os.setxattr(descriptor, IDENTITY, identity.encode())
                for key, value in marks.written().items():
                    os.setxattr(descriptor, f"{MARK}{key}", value.encode())
                os.fsync(descriptor)
                # With a folder given, Python calls linkat(2) and follows the link, as O_TMPFILE needs (open(2)).
                os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)
            finally:
                os.close(descriptor)
            sync_folder(Path(self.pool))
        return self._present(name)

    def clone(self, golden: Volume, name: str, size: int, marks: Marks) -> Volume:
        """Refuse: a folder cannot do that (``can_clone``)."""
        raise Refused(f"{self.pool} cannot clone volumes", hint="Set golden to false")

    def seal(self, volume: Volume) -> None:
        """Refuse, as :meth:`clone` does."""
        raise Refused(f"{self.pool} cannot clone volumes", hint="Set golden to false")

    def mark(self, volume: Volume, marks: Marks) -> Volume:
        """Replace our marks. One that vanishes goes first: a volume that is half marked must not look proved.

        They are on disk on return: where the power fails, what is then written must not show under the old marks.
        """
        wanted = marks.written()
        with self._told(volume.path), _opened(volume.path) as descriptor:
            for key in set(_attributes(volume.path)) - {*wanted, "identity"}:
                os.removexattr(descriptor, f"{MARK}{key}")
            for key, value in wanted.items():
                os.setxattr(descriptor, f"{MARK}{key}", value.encode())
            os.fsync(descriptor)
        return self._present(volume.name)

    def rename(self, volume: Volume, name: str) -> Volume:
        """Rename. Nobody but we makes such names here, and we hold the volume's lock: so looking before is enough."""
        self._still(volume)
        path = self._path(name)
        with self._told(path):
            if os.path.lexists(path):
                raise Refused(f"{path} is there already")
            os.rename(volume.path, path)
            sync_folder(Path(self.pool))
        return self._present(name)

    def remove(self, volume: Volume) -> None:
        """Remove the file of this identity."""
        if self.find(volume.name) is None:
            return
        self._still(volume)
        with self._told(volume.path):
            os.unlink(volume.path)
            sync_folder(Path(self.pool))

    def zero(self, volume: Volume, start: int, length: int, tick: Callable[[], None]) -> None:
        """Make a hole, or write zeros where the file system cannot do that. The file keeps its size all the time."""
        tick()
        place = ("--offset", str(start), "--length", str(length), volume.path)
        try:
            command.run(("fallocate", "--punch-hole", *place))
        except command.ProgramFailed:
            self._write_zeros(volume, start, length, tick)

    def _write_zeros(
        self, volume: Volume, start: int, length: int, tick: Callable[[], None]
    ) -> None:
        with self._told(volume.path), _opened(volume.path) as descriptor:
            for at in range(start, start + length, BLOCK):
                tick()
                _write_all(descriptor, bytes(min(BLOCK, start + length - at)), at)

    def sync(self, volume: Volume) -> None:
        """Wait until the file is on stable storage."""
        with self._told(volume.path), _opened(volume.path) as descriptor:
            os.fsync(descriptor)

    def close(self) -> None:
        """Nothing is held open."""

    def _path(self, name: str) -> str:
        return os.path.join(self.pool, f"{name}{ENDING}")

    def _present(self, name: str) -> Volume:
        volume = self.find(name)
        if volume is None:
            raise Unreachable(f"{self._path(name)} vanished")
        return volume

    def _still(self, volume: Volume) -> None:
        present = self.find(volume.name)
        if present is None or present.identity != volume.identity:
            raise Refused(
                f"{volume.path} is another file than before", hint="Nothing was done to it"
            )

    @contextlib.contextmanager
    def _told(self, path: str = "") -> Iterator[None]:
        """Turn the system's errors into ours."""
        try:
            yield
        except FileNotFoundError as cause:
            raise Unreachable(f"{path or self.pool} is not there") from cause
        except OSError as cause:
            raise Refused(
                f"{path or self.pool} cannot be used",
                why=cause.strerror or str(cause),
                hint=HINTS.get(cause.errno or 0, ""),
            ) from cause


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _attributes(path: str) -> dict[str, str]:
    return {
        name.removeprefix(MARK): os.getxattr(path, name).decode()
        for name in os.listxattr(path)
        if name.startswith(MARK)
    }


def _write_all(descriptor: int, content: bytes, at: int) -> None:
    view = memoryview(content)
    while view:
        done = os.pwrite(descriptor, view, at)
        view, at = view[done:], at + done
