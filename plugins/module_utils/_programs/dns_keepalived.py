# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends a keepalived that hangs: it would keep the VIP here, and be heard of by nobody.

systemd takes the VIP off this server then, and starts it again (keepalived.service.j2).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from .._ports.host import service_manager
from .console import complain

SERVICE = "keepalived.service"
STOPPED_FOR = 0.5
"""Seconds for which a process of it may be stopped, as by SIGSTOP or a debugger."""
SILENT_FOR = 8.0
"""Seconds since it ran dns-check, which it does once a second and waits for no longer than two."""
LONGEST = 0.5
"""Seconds that count between two looks: more is a machine that stood still, and keepalived with it."""


class KeepalivedWatch:
    """Looks at keepalived; :meth:`look` is to be called some times a second.

    :param checked: the file that dns-check touches.
    """

    def __init__(self, checked: Path) -> None:
        self._checked = checked
        self._processes: frozenset[int] = frozenset()
        self._seen = 0
        self._looked_at = 0.0
        self._silent = self._stopped = 0.0
        """Seconds without a check, and with a stopped process."""

    def look(self) -> None:
        """End it where it hangs."""
        at = time.monotonic()
        passed, self._looked_at = min(at - self._looked_at, LONGEST), at
        processes = frozenset(service_manager.processes(SERVICE))
        checked = self._modified()
        heard = checked != self._seen or not self._processes & processes  # a check, or a start
        self._seen, self._processes = checked, processes
        self._silent = 0.0 if heard else self._silent + passed
        stopped = any(service_manager.is_stopped(process) for process in processes)
        self._stopped = self._stopped + passed if stopped else 0.0
        if self._stopped > STOPPED_FOR:
            self._end("is stopped")
        elif self._silent > SILENT_FOR:
            self._end(f"has run no check for {SILENT_FOR:g} s")

    def _end(self, why: str) -> None:
        complain(f"keepalived {why}: it is killed, and systemd starts it again")
        self._silent = self._stopped = 0.0
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._processes = frozenset()

    def _modified(self) -> int:
        try:
            return self._checked.stat().st_mtime_ns
        except OSError:
            return 0
