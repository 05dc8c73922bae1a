# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder that the cache of images is in, and the locks by which its users get along.

All names are relative to the folder. What is on disk on return is said at each method, as the cache's promises rest on
the order in which things get there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from ..._core.durable import link_whole, private_umask, sync_folder, write_whole
from ..._core.errors import Conflict, DebvisorError
from ..._storage.images.cache import Identity

MODE = 0o600
"""Of images: only root needs to read them, and an image may hold what its maker should not have left in it. A guest
gets the bytes, never the file."""
FOLDER_MODE = 0o711
"""Of the folder itself, as libvirt has it: guests' disks in it must be reachable for qemu."""
BLOCK = 1 << 20
MOUNTS = Path("/proc/self/mountinfo")
SHARED = frozenset(
    {"afs", "ceph", "cifs", "gfs2", "lustre", "nfs", "nfs4", "ocfs2", "smb3"}
    | {"fuse.ceph", "fuse.glusterfs", "fuse.sshfs"}
)
"""File systems that other hosts write to, too; the locks here know this host alone."""
_FLOCK = "hhqqi0q"
"""``struct flock`` of fcntl(2) where offsets have 64 bits."""


class CacheFolderProblem(DebvisorError):
    """The file system refused."""


class Lock:
    """A lock that is held until this block ends, or the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


class ImageFolder:
    """A folder of real files. Follows no symbolic link at the end of a name."""

    def __init__(self, path: str, locks: Path) -> None:
        self._folder = Path(path)
        self._locks = locks

    def path(self, name: str) -> str:
        """Return the whole path of a name."""
        return str(self._folder / name)

    # --- looking

    def there(self) -> bool:
        """Return whether the folder exists."""
        return self._folder.is_dir()

    def identity(self, name: str) -> Identity | None:
        """Return which regular file has that name; None where there is none."""
        found = self._stat(name)
        return _identity(found) if found else None

    def room(self, name: str) -> int:
        """Return how many bytes it takes on disk; 0 where there is no such file."""
        found = self._stat(name)
        return found.st_blocks * 512 if found else 0

    def changed(self, name: str) -> int:
        """Return when a file or link was last written to or renamed, in seconds since 1970; 0 where there is none."""
        try:
            return int(os.lstat(self._folder / name).st_ctime)
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def names(self, folder: str = "") -> list[str]:
        """Return the names in a folder, in order; none where there is no such folder."""
        with self._told(folder or ".", "listed"):
            try:
                return sorted(os.listdir(self._folder / folder))
            except FileNotFoundError:
                return []

    def read(self, name: str) -> bytes | None:
        """Return the content of a small file; None where there is none."""
        with self._told(name, "read"):
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def link_target(self, name: str) -> str | None:
        """Return what a symbolic link says; None where there is none."""
        try:
            return os.readlink(self._folder / name)
        except OSError:
            return None

    def digest(self, name: str, tick: Callable[[int], None]) -> tuple[str, Identity]:
        """Return the SHA-256 of a file, and which file that was.

        :param tick: called with the bytes done; what it raises ends the work.
        :raises Conflict: where somebody wrote to it meanwhile.
        """
        digest, done = hashlib.sha256(), 0
        with self._told(name, "read"):
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW)
            with os.fdopen(handle, "rb", buffering=0) as stream:
                before = _identity(os.fstat(handle))
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_SEQUENTIAL)
                block = memoryview(bytearray(BLOCK))
                while size := stream.readinto(block):
                    digest.update(block[:size])
                    done += size
                    tick(done)
                after = _identity(os.fstat(handle))
        if before != after:
            raise Conflict(
                f"{self.path(name)} was written to while it was verified",
                hint="Find out who writes into the cache; images in it are never changed",
            )
        return digest.hexdigest(), after

    def free(self) -> int:
        """Return how many bytes the file system has left for us."""
        with self._told(".", "asked for its free space"):
            told = os.statvfs(self._folder)
            return told.f_bavail * told.f_frsize

    # --- writing

    def make(self, *folders: str) -> None:
        """Make the folder where it is not there, and those in it, for our account alone.

        :raises CacheFolderProblem: where other hosts may write to it.
        """
        with self._told(".", "made"):
            self._check_ours_alone()
            if not self._folder.is_dir():
                os.makedirs(self._folder, FOLDER_MODE)
            with private_umask():
                for folder in folders:
                    os.makedirs(self._folder / folder, exist_ok=True)

    def _check_ours_alone(self) -> None:
        there = next(each for each in (self._folder, *self._folder.parents) if each.is_dir())
        kind = _file_system(os.stat(there).st_dev)
        if kind in SHARED:
            raise CacheFolderProblem(
                f"{self._folder} cannot hold the cache of images",
                why=f"it is on {kind}, to which other hosts may write, and they do not see each other's locks",
                hint="Give each host a folder of its own, on a disk of its own",
            )

    def unmake(self, *folders: str) -> None:
        """Remove the folder and those in it, as far as they are empty."""
        for folder in (*reversed(folders), ""):
            with contextlib.suppress(OSError):
                (self._folder / folder).rmdir()

    def write(self, name: str, content: bytes) -> None:
        """Replace a small file; on disk on return."""
        with self._told(name, "written"):
            write_whole(self._folder / name, content, mode=MODE)

    def link(self, name: str, target: str) -> None:
        """Make the name a symbolic link, in the place of what is there."""
        with self._told(name, "linked"):
            link_whole(self._folder / name, target, durable=False)

    def seal(self, name: str) -> Identity:
        """Give a file its mode, put its content on disk, and return which file it is. A rename keeps all three."""
        with self._told(name, "put on disk"):
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fchmod(handle, MODE)
                os.fsync(handle)
                return _identity(os.fstat(handle))
            finally:
                os.close(handle)

    def rename(self, name: str, new: str) -> None:
        """Rename, in the place of what is there; on disk on return. Does nothing where there is no such file."""
        with self._told(name, f"renamed to {new}"):
            try:
                os.replace(self._folder / name, self._folder / new)
            except FileNotFoundError:
                return
            for folder in {(self._folder / each).parent for each in (name, new)}:
                sync_folder(folder)

    def remove(self, *names: str) -> None:
        """Remove files, one after the other; those that are not there are well."""
        for name in names:
            with self._told(name, "removed"):
                (self._folder / name).unlink(missing_ok=True)

    # --- getting along

    def try_lock(self, name: str, *, exclusive: bool = True) -> Lock | None:
        """Return the lock of that name, or None where others hold it against us. It dies with its holder."""
        with self._told(f"the lock of {name}", "made"), private_umask():
            self._locks.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._lock(name), os.O_RDWR | os.O_CREAT, 0o600)
        if _flocked(handle, exclusive):
            return Lock(handle)
        os.close(handle)
        return None

    def is_locked(self, name: str) -> bool:
        """Return whether anybody holds the lock of that name, be it we. No write."""
        try:
            handle = os.open(self._lock(name), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _flocked(handle, exclusive=True)
        finally:
            os.close(handle)

    def is_open(self, name: str) -> bool:
        """Return whether a program of QEMU has the file open: a guest, or the child that a killed run of ours left.

        QEMU locks ranges of its images by fcntl(2).
        """
        try:
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            told = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked)
            return bool(struct.unpack(_FLOCK, told)[0] != fcntl.F_UNLCK)
        finally:
            os.close(handle)

    def _lock(self, name: str) -> Path:
        return self._locks / f"image-{name}"

    def _stat(self, name: str) -> os.stat_result | None:
        try:
            found = os.lstat(self._folder / name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    @contextlib.contextmanager
    def _told(self, name: str, what: str) -> Iterator[None]:
        """Say which file it was when the system refuses."""
        try:
            yield
        except OSError as cause:
            full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
            raise CacheFolderProblem(
                f"{self.path(name)} cannot be {what}",
                why=cause.strerror or str(cause),
                hint="Make room on its file system and run again" if full else "",
            ) from cause


def _flocked(handle: int, exclusive: bool) -> bool:
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file_system(device: int) -> str:
    """Return the type of a file system (proc(5), mountinfo), or "" where its number is not that of its mount."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in MOUNTS.read_text(errors="replace").splitlines():
        mount, _separator, system = line.partition(" - ")
        if mount.split()[2] == number:
            return system.split()[0]
    return ""


def _identity(found: os.stat_result) -> Identity:
    return Identity(found.st_ino, found.st_size, found.st_mtime_ns)
