# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes for tests: several at once, one that is killed, one with a small disk of its own."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

FORK = multiprocessing.get_context("fork")
PATIENCE = 60
"""Seconds after which a process that does not end has failed."""
NEW_MOUNTS, NEW_ACCOUNTS, RECURSIVE, PRIVATE = 0x00020000, 0x10000000, 1 << 14, 1 << 18


def ends_of(*acts: Callable[[], object]) -> list[int]:
    """Run all of them at once, each in a process of its own, and return how they ended: minus the signal, if any."""
    processes = [FORK.Process(target=act) for act in acts]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    ends = [-1 if process.exitcode is None else process.exitcode for process in processes]
    for process in processes:
        process.kill()
        process.join()
        process.close()
    return ends


def on_small_disk(folder: Path, size: int, act: Callable[[], object]) -> None:
    """Run it in a process for which the folder is a file system of that many bytes. What it asserts must hold."""

    def inside() -> None:
        _mount(folder, size)
        act()

    assert ends_of(inside) == [0]


def _mount(folder: Path, size: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", NEW_MOUNTS | (NEW_ACCOUNTS if uid else 0))
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _call("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)
    _call("mount", b"none", str(folder).encode(), b"tmpfs", 0, f"size={size}".encode())


def _call(function: str, *arguments: object) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments):
        raise OSError(ctypes.get_errno(), function)
