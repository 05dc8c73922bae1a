# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices: who uses one, bytes that shall read as zeros, and stable storage."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from ..._core.errors import Refused, Unreachable
from ..._storage.volumes.volumes import User
from ..host import command, open_files

BLKZEROOUT = 0x127F
"""ioctl(2), linux/fs.h: zeros by the device's own command where it has one, else written by the kernel."""
SECTOR = 512
STEP = 16 << 20
"""Bytes that even a slow disk zeroes within a second."""
SPARING_STEP = 1 << 20
SETTLE = 10.0
DEVICES = Path("/sys/dev/block")


def users(path: str) -> tuple[User, ...]:
    """Return who has a device open; none where there is no such device, as with an inactive volume.

    udev looks at every device that was written to, and is gone a moment later: it is given that moment.
    """
    found = _users(path)
    if found:
        settle()
        found = _users(path)
    return found


def settle() -> None:
    """Wait until udev has nothing to do, for a bounded time."""
    with contextlib.suppress(command.ProgramFailed):  # it is still busy: so be it
        command.run(("udevadm", "settle", f"--timeout={SETTLE:g}"))


def wait_for(path: str) -> None:
    """Wait until udev has made a device's link.

    :raises Unreachable: where it does not come.
    """
    with contextlib.suppress(command.ProgramFailed):
        command.run(("udevadm", "settle", f"--timeout={SETTLE:g}", f"--exit-if-exists={path}"))
    if not os.path.exists(path):
        raise Unreachable(f"{path} does not appear", hint="Check whether systemd-udevd runs")


def zero(
    path: str, start: int, length: int, tick: Callable[[], None], *, sparing: bool = False
) -> None:
    """Make bytes of a device read as zeros; never by a discard, which promises nothing.

    :param sparing: write only where there is something else, so that a thin volume gets no blocks for zeros.
    """
    with _opened(path, os.O_RDWR) as descriptor:
        for at, count in _steps(start, length, SPARING_STEP if sparing else STEP):
            tick()
            if not (sparing and _reads_as_zeros(descriptor, at, count)):
                _zero(descriptor, at, count)


def sync(path: str) -> None:
    """Wait until all that was written to a device is on stable storage.

    :raises Refused: for a write error, be it of an earlier write that was thought to be done.
    """
    with _opened(path, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)


def _users(path: str) -> tuple[User, ...]:
    try:
        number = os.stat(path).st_rdev
        processes = open_files.holders(path)
    except FileNotFoundError:
        return ()
    stacked = DEVICES / f"{os.major(number)}:{os.minor(number)}" / "holders"
    devices = tuple(("device", entry.name, "") for entry in stacked.glob("*"))
    if processes or devices:
        return tuple(User(*each) for each in (*processes, *devices))
    return (User("kernel", detail="a mount, or swap"),) if _is_claimed(path) else ()


def _is_claimed(path: str) -> bool:
    """Return whether the kernel itself has claimed the device; that of a mount counts, whoever sees the mount."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as cause:
        if cause.errno == errno.EBUSY:
            return True
        raise Unreachable(f"{path} cannot be opened", why=cause.strerror or str(cause)) from cause
    return False


def _steps(start: int, length: int, step: int) -> Iterator[tuple[int, int]]:
    """Cut a range at the multiples of a step."""
    end = start + length
    while start < end:
        stop = min(end, (start // step + 1) * step)
        yield start, stop - start
        start = stop


def _reads_as_zeros(descriptor: int, at: int, count: int) -> bool:
    found = os.pread(descriptor, count, at)
    os.posix_fadvise(descriptor, at, count, os.POSIX_FADV_DONTNEED)
    return found == bytes(count)


def _zero(descriptor: int, at: int, count: int) -> None:
    if at % SECTOR or count % SECTOR:
        view = memoryview(bytes(count))
        while view:
            view = view[os.pwrite(descriptor, view, at + count - len(view)) :]
    else:
        fcntl.ioctl(descriptor, BLKZEROOUT, struct.pack("QQ", at, count))


@contextlib.contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    """Open a device, never a file in its place; turn the system's errors into ours."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        try:
            if not stat.S_ISBLK(os.fstat(descriptor).st_mode):
                raise Refused(f"{path} is not a block device")
            yield descriptor
        finally:
            os.close(descriptor)
    except FileNotFoundError as cause:
        raise Unreachable(
            f"{path} is not there", hint="Check whether the volume is active"
        ) from cause
    except OSError as cause:
        raise Refused(f"{path} cannot be used", why=cause.strerror or str(cause)) from cause
