# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of this machine, told apart from later ones with the same number."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Processes:
    """The process table (proc(5))."""

    def boot(self) -> str:
        return BOOT_ID.read_text().strip()

    def started(self, pid: int) -> int | None:
        """Return when a process started, in clock ticks after boot; None where there is none, or only its status is
        left (a zombie)."""
        try:
            told = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        values = told.rpartition(")")[2].split()  # the name before it may hold anything
        return None if values[0] in "ZX" else int(values[19])

    def own(self) -> tuple[int, int]:
        return os.getpid(), self.started(os.getpid()) or 0

    def alive(self, pid: int, started: int) -> bool:
        return self.started(pid) == started

    def end(self, pid: int, started: int) -> bool:
        """Send SIGTERM to this very process; False where it is gone.

        The descriptor pins the process, so that between the look and the signal its number cannot become another's.
        """
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive(pid, started):
                return False
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGTERM)
            return True
        finally:
            os.close(handle)
