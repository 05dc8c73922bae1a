# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's spare disk, as a device that fails where it is told to, and pools on it. Runs in the machine."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

DISK = "/dev/disk/by-id/virtio-spare"
ASIDE = 8192
"""Sectors at its beginning that no device on top has, or LVM would find one and the same label twice."""
NAME = "ailing"
DEVICE = f"/dev/mapper/{NAME}"
MIB = 2048
"""Sectors."""
FAILING = "error"
LOSING = "flakey {disk} {at} 0 3600 1 drop_writes"
"""Writes seem to be done, and are not."""


def tool(*words: str) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(f"{words}: {done.stderr or done.stdout}")
    return done.stdout


@contextlib.contextmanager
def device(mebibytes: int) -> Iterator[str]:
    """Make the device for the time of a test: blank, and in the end it is well, whatever was done to it."""
    blank = ("if=/dev/zero", f"of={DISK}", "bs=1M", f"count={mebibytes + ASIDE // MIB}")
    tool("dd", *blank, "oflag=direct")
    tool("dmsetup", "create", NAME, "--table", _table(mebibytes * MIB))
    try:
        yield DEVICE
    finally:
        mend()
        tool("dmsetup", "remove", "--retry", NAME)


def spoil(first: int, count: int, how: str) -> None:
    """Let so many sectors fail, all others stay well."""
    pieces = (
        _linear(0, first),
        f"{first} {count} {how.format(disk=DISK, at=first + ASIDE)}",
        _linear(first + count, _size() - first - count),
    )
    _swap("\n".join(filter(None, pieces)))


def fail() -> None:
    """Let all of it fail."""
    _swap(f"0 {_size()} {FAILING}")


def mend() -> None:
    """Let all of it be well."""
    _swap(_table(_size()))


def _swap(table: str) -> None:
    """Give the device another table, without waiting for what it cannot write."""
    tool("dmsetup", "suspend", "--noflush", "--nolockfs", NAME)
    tool("dmsetup", "load", NAME, "--table", table)
    tool("dmsetup", "resume", NAME)


def _size() -> int:
    return int(tool("blockdev", "--getsz", DEVICE))


def _table(sectors: int) -> str:
    return _linear(0, sectors)


def _linear(first: int, count: int) -> str:
    return f"{first} {count} linear {DISK} {first + ASIDE}" if count else ""


# Pools on it ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def pool(kind: str, mebibytes: int = 160) -> Iterator[str]:
    """Make a pool on the device."""
    with device(mebibytes) as path:
        _make_pool(kind, path, mebibytes // 2)
        try:
            yield f"{NAME}/thin" if kind == "lvm_thin" else NAME
        finally:
            mend()
            _remove_pool(kind)


def _make_pool(kind: str, path: str, thin: int) -> None:
    if kind == "zfs":
        tool("zpool", "create", "-f", NAME, path)
        return
    tool("vgcreate", "--yes", NAME, path)
    if kind == "lvm_thin":
        words = (
            "--type",
            "thin-pool",
            "--zero",
            "y",
            "--chunksize",
            "64k",
            "--poolmetadatasize",
            "2m",
        )
        tool(
            "lvcreate",
            "--yes",
            *words,
            "--poolmetadataspare",
            "n",
            "--size",
            f"{thin}m",
            "--name",
            "thin",
            NAME,
        )


def _remove_pool(kind: str) -> None:
    if kind == "zfs":
        tool("zpool", "destroy", "-f", NAME)
    else:
        tool("udevadm", "settle")
        tool("vgremove", "--yes", "--force", NAME)
        tool("pvremove", "--yes", DEVICE)


OTHER = "somebody-elses"


def take_room(kind: str) -> None:
    """Let somebody else take what room the pool has."""
    if kind == "zfs":
        left = int(tool("zfs", "get", "-Hpo", "value", "available", NAME)) - (6 << 20)
        tool("zfs", "create", "-o", f"reservation={left}", f"{NAME}/{OTHER}")
    elif kind == "lvm":
        tool("lvcreate", "--yes", "--extents", "100%FREE", "--name", OTHER, NAME)
    else:
        tool(
            "lvcreate",
            "--yes",
            "--type",
            "thin",
            "--virtualsize",
            "1g",
            "--thinpool",
            "thin",
            "--name",
            OTHER,
            NAME,
        )
        used, whole = thin_blocks()
        with open(f"/dev/{NAME}/{OTHER}", "wb") as stream:
            for _block in range(whole - used):
                stream.write(b"x" * (64 << 10))


def give_room(kind: str) -> None:
    """Let them give it back."""
    if kind == "zfs":
        tool("zfs", "destroy", f"{NAME}/{OTHER}")
    else:
        tool("udevadm", "settle")
        tool("lvremove", "--yes", f"{NAME}/{OTHER}")


def take_metadata(percent: int) -> None:
    """Let the thin pool's metadata be so full, by volumes that LVM does not know: each takes a block of them."""
    used, whole = thin_blocks(4)
    last = 1000 + whole * percent // 100 - used
    message = f'dmsetup message {NAME}-thin-tpool 0 "create_thin $number"'
    loop = f"for number in $(seq 1000 {last}); do {message} || exit 0; done"
    tool("sh", "-c", loop)


def thin_blocks(what: int = 5) -> tuple[int, int]:
    """Return how many blocks of the thin pool's data are used, and how many there are; with 4, of its metadata."""
    used, whole = tool("dmsetup", "status", f"{NAME}-thin-tpool").split()[what].split("/")
    return int(used), int(whole)


def unused_sectors(kind: str, new: str) -> tuple[int, int]:
    """Return where on the device the data of a new volume are going to be: first sector and count."""
    if kind == "lvm":
        first, count = _place(new)
        return first + MIB, count - MIB
    first, count = _place(f"{NAME}-thin_tdata")
    used = thin_blocks()[0] * 128
    return first + used, count - used


def _place(name: str) -> tuple[int, int]:
    """Return where a device that is in one piece lies on ours."""
    _first, count, target, _device, first = tool("dmsetup", "table", name).split()
    if target != "linear":
        raise AssertionError(f"{name} is not in one piece")
    return int(first), int(count)
