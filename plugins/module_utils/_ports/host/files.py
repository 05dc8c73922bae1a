# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of this machine, with owner, group and mode; every change is whole and on disk on return."""

from __future__ import annotations

import contextlib
import grp
import mmap
import os
import pwd
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..._core.durable import (
    clear_leftovers,
    link_whole,
    private_umask,
    sync_folder,
    write_blocks,
    write_whole,
)
from ..._core.errors import DebvisorError
from ..._core.ports import FileFacts


class FileProblem(DebvisorError):
    """A path is not what it has to be, or an account does not exist."""


class Files:
    """The file system. Follows no symbolic link at the end of a path."""

    def facts(self, path: str) -> FileFacts | None:
        """Return what is there, or None where nothing is.

        :raises FileProblem: where it is no regular file.
        """
        try:
            found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(found.st_mode):
            raise FileProblem(
                f"{path} is not a regular file", hint="Name the file itself, not a link to it"
            )
        return FileFacts(
            found.st_uid,
            found.st_gid,
            _owner(found.st_uid),
            _group(found.st_gid),
            stat.S_IMODE(found.st_mode),
            found.st_mtime,
        )

    def access(self, path: str) -> tuple[int, str, int]:
        """Return the owner's number, the group's name and the mode of a file or folder, where a link leads, too.

        :raises FileProblem: where it cannot be told.
        """
        with _told(path, "looked at"):
            found = os.stat(path)
        return found.st_uid, _group(found.st_gid), stat.S_IMODE(found.st_mode)

    def read(self, path: str) -> bytes:
        """Return the content.

        :raises FileProblem: as the system says it.
        """
        try:
            return Path(path).read_bytes()
        except OSError as cause:
            raise FileProblem(f"{path} cannot be read", why=cause.strerror or str(cause)) from cause

    def blocks(self, path: str, size: int = 1 << 19) -> Iterator[bytes]:
        """Yield the content in pieces, for what may be large.

        :raises FileProblem: as the system says it; also for what is no regular file.
        """
        with _told(path, "read"), open(path, "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise FileProblem(f"{path} is not a regular file")
            while block := stream.read(size):
                yield block

    def mapped(self, path: str) -> memoryview | None:
        """Return the content, mapped into memory and not read, or None where there is no such file."""
        with _told(path, "read"):
            try:
                with open(path, "rb") as stream:
                    if not os.fstat(stream.fileno()).st_size:
                        return memoryview(b"")
                    return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
            except FileNotFoundError:
                return None

    def listing(self, folder: str) -> list[str]:
        """Return the names in a folder, in order; none where there is no such folder."""
        with _told(folder, "listed"):
            try:
                return sorted(os.listdir(folder))
            except FileNotFoundError:
                return []

    def link_target(self, path: str) -> str | None:
        """Return what a symbolic link says, or None where there is none."""
        try:
            return os.readlink(path)
        except OSError:
            return None

    def real(self, path: str) -> str:
        """Return the path that symbolic links lead to."""
        return os.path.realpath(path)

    def exposed(self, path: str) -> bool:
        """Tell whether everybody on this machine may read what is there; a link is followed, as reading does."""
        try:
            return bool(os.stat(path).st_mode & stat.S_IROTH)
        except OSError:
            return False

    def account(self, owner: str | None, group: str | None) -> tuple[int, int]:
        """Return the numbers of owner and group; -1 for None.

        :raises FileProblem: where one does not exist.
        """
        uid = _number(owner, "user", lambda name: pwd.getpwnam(name).pw_uid)
        gid = _number(group, "group", lambda name: grp.getgrnam(name).gr_gid)
        return uid, gid

    def has_folder(self, path: str) -> bool:
        """Tell whether the folder that the path names a file in is there."""
        return Path(path).parent.is_dir()

    def make_folder(self, path: str) -> None:
        """Make a folder for our account alone, with its parents, where it is not there."""
        with _told(path, "made"), private_umask():
            os.makedirs(path, exist_ok=True)

    def write(self, path: str, content: bytes, *, mode: int, uid: int, gid: int) -> None:
        """Replace the file; owner and mode hold from the first byte."""
        with _told(path, "written"):
            write_whole(Path(path), content, mode=mode, uid=uid, gid=gid)

    def write_blocks(
        self, path: str, blocks: Iterable[bytes], *, mode: int, uid: int, gid: int
    ) -> None:
        """Do as :meth:`write`, with content that need not fit into memory."""
        with _told(path, "written"):
            write_blocks(Path(path), blocks, mode=mode, uid=uid, gid=gid)

    def link(self, path: str, target: str) -> None:
        """Make the path a symbolic link, in the place of whatever file is there; readers see the old or the new."""
        with _told(path, "linked"):
            link_whole(Path(path), target)

    def set_access(self, path: str, *, mode: int, uid: int, gid: int) -> None:
        """Set owner, group and mode; the mode is never wider than both the old and the new one."""
        with _told(path, "given its owner and mode"):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fchmod(handle, stat.S_IMODE(os.fstat(handle).st_mode) & mode)
                os.fchown(handle, uid, gid)
                os.fchmod(handle, mode)
                os.fsync(handle)
            finally:
                os.close(handle)

    def copy_aside(self, path: str, aside: str) -> None:
        """Keep a copy for undo, for our account alone, with the original's time."""
        with _told(path, "copied"):
            found = os.lstat(path)
            write_blocks(Path(aside), self.blocks(path), mode=0o600)
            os.utime(aside, ns=(found.st_atime_ns, found.st_mtime_ns))

    def bring_back(self, aside: str, path: str, *, mode: int, uid: int, gid: int) -> None:
        """Put the copy in the place of the original. Does nothing where there is no copy: it is back already."""
        with _told(path, "restored"):
            if not os.path.lexists(aside):
                return
            os.chown(aside, uid, gid)
            os.chmod(aside, mode)
            os.replace(aside, path)
            sync_folder(Path(path).parent)

    def remove(self, path: str) -> None:
        """Remove the file, where it is there."""
        with _told(path, "removed"):
            if not self.has_folder(path):
                return
            clear_leftovers(Path(path).parent)
            Path(path).unlink(missing_ok=True)
            sync_folder(Path(path).parent)


@contextlib.contextmanager
def _told(path: str, what: str) -> Iterator[None]:
    """Say which file it was when the system refuses."""
    try:
        yield
    except OSError as cause:
        raise FileProblem(f"{path} cannot be {what}", why=cause.strerror or str(cause)) from cause


def _number(account: str | None, kind: str, find: Callable[[str], int]) -> int:
    if account is None:
        return -1
    try:
        return int(account) if account.isdigit() else find(account)
    except KeyError:
        raise FileProblem(f"there is no {kind} {account!r} on this machine") from None


def _owner(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
