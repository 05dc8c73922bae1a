# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd, in a few lines: its notify socket (sd_notify(3)), and the processes of a service."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

SLICE = Path("/sys/fs/cgroup/system.slice")
PROC = Path("/proc")


def notify(*states: str) -> None:
    """Tell systemd, where it asked to be told: ``READY=1``, ``WATCHDOG=1``, ``STATUS=...``."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    if path.startswith("@"):
        path = "\0" + path[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.connect(path)
        link.send("\n".join(states).encode())


def has_processes(service: str) -> bool:
    """Return whether a process of the service lives (cgroups(7), ``cgroup.events``), without asking systemd."""
    try:
        return "populated 1" in (SLICE / service / "cgroup.events").read_text()
    except OSError:
        return False


def processes(service: str) -> list[int]:
    """Return the processes of the service (cgroups(7), ``cgroup.procs``), without asking systemd."""
    try:
        return [int(line) for line in (SLICE / service / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def is_stopped(process: int) -> bool:
    """Return whether a process is stopped by a signal or a tracer (proc_pid_stat(5))."""
    try:
        return (PROC / str(process) / "stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    except OSError:
        return False
