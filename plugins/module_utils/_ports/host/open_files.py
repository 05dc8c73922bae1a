# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a file or a device open: the kernel's own account, as locks of QEMU protect neither (measured)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

from ..._core.errors import Refused

Holder = tuple[str, str, str]
"""A kind, a name, and what else is known."""
WRITER: Holder = ("writer", "", "without a process: swap, an exported disk, a mapping")
PROC = Path("/proc")
BLOCK_DEVICES = Path("/sys/block")


def holders(path: str) -> tuple[Holder, ...]:
    """Return who has it open, or uses it as a loop device. Needs root to see every process."""
    if os.geteuid() != 0:
        raise Refused(
            f"who has {path} open cannot be seen",
            why="only root sees every process",
            hint="Run as root (become: true)",
        )
    wanted = _key(os.stat(path))
    found = {("process", str(pid), _name(pid)) for pid, key in _open_files() if key == wanted}
    found |= {("loop device", device, "") for device, key in _loop_devices() if key == wanted}
    if not found and wanted[0] == "file" and _is_written_to(path):
        return (WRITER,)
    return tuple(sorted(found))


def _key(status: os.stat_result) -> tuple[str, int, int]:
    """A device is known by its number, whatever node leads to it; a file by its place on its file system."""
    if stat.S_ISBLK(status.st_mode):
        return "device", status.st_rdev, 0
    return "file", status.st_dev, status.st_ino


def _open_files() -> Iterator[tuple[int, tuple[str, int, int]]]:
    for process in os.scandir(PROC):
        if not process.name.isdecimal():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile
            for descriptor in os.scandir(f"{process.path}/fd"):
                with contextlib.suppress(OSError):
                    yield int(process.name), _key(os.stat(descriptor.path))


def _loop_devices() -> Iterator[tuple[str, tuple[str, int, int]]]:
    for device in BLOCK_DEVICES.glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            yield device.parent.parent.name, _key(os.stat(device.read_text().rstrip("\n")))


def _is_written_to(path: str) -> bool:
    """Tell whether anybody has a file open for writing, the kernel too: it gives no lease for reading then (fcntl(2)).

    A file system without leases does not tell.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Who opens it for writing in this very moment has us told by a signal, which is to be one that harms nobody.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as cause:
        return cause.errno == errno.EAGAIN
    else:
        return False
    finally:
        os.close(descriptor)  # which ends the lease


def _name(pid: int) -> str:
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return "ended"
