# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that run beside a play: transient units of systemd (systemd-run(1)), which end by themselves in the end."""

from __future__ import annotations

from collections.abc import Sequence

from ..._core.errors import DebvisorError
from .command import Ended, ProgramFailed, attempt

CALL_TIMEOUT = 60.0
"""Seconds for one call. Stopping waits for the program, which may have to clean up."""


class UnitFailed(DebvisorError):
    """systemd did not do what it was asked to."""


class TransientUnits:
    """The transient units of this machine."""

    def is_active(self, name: str) -> bool:
        """Tell whether the unit runs."""
        return call(["systemctl", "is-active", "--quiet", name], may_fail=True).status == 0

    def start(self, name: str, program: Sequence[str], limit: float) -> None:
        """Run a program for ``limit`` seconds at most."""
        call(
            [
                "systemd-run",
                "--quiet",
                "--collect",
                f"--unit={name}",
                f"--property=RuntimeMaxSec={limit + 30:g}",
                "--property=TimeoutStopSec=30",
                *program,
            ]
        )

    def stop(self, name: str) -> None:
        """End the program and wait until it has ended."""
        call(["systemctl", "stop", name], may_fail=True)
        if self.is_active(name):
            raise UnitFailed(f"{name} does not stop", hint=f"systemctl status {name} tells more")


def call(words: Sequence[str], *, may_fail: bool = False) -> Ended:
    """Run one of systemd's programs; that it fails is an error unless it may."""
    try:
        ended = attempt(words, timeout=CALL_TIMEOUT)
    except ProgramFailed as cause:
        raise UnitFailed(f"{words[0]} cannot be run", why=cause.why) from cause
    if ended.status != 0 and not may_fail:
        said = (ended.complained or ended.printed).decode(errors="replace")
        raise UnitFailed(f"{words[0]} failed", why=said.strip())
    return ended
