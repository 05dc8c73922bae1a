# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The revert timer of this machine: a transient timer of systemd that runs ``revert-change``."""

from __future__ import annotations

from .transient_unit import UnitFailed, call

LIVELY = frozenset({"active", "activating", "deactivating", "reloading"})


class TransientTimer:
    """A timer and a service a transaction. A reboot forgets both."""

    def __init__(self, libexec: str) -> None:
        self._program = f"{libexec}/revert-change"

    def arm(self, operation: str, transaction: str, seconds: float) -> None:
        """Start the timer. Its service is tried again until it has succeeded: nobody else can help a host then.

        The program runs once before, when there is nothing to roll back yet: one that is missing, or too old to know
        the operation, is found out while it does no harm.

        :raises UnitFailed: where the program does not run, or systemd does not start the timer.
        """
        call([self._program, operation, transaction])
        call(
            [
                "systemd-run",
                "--quiet",
                "--collect",
                f"--unit={_unit(transaction)}",
                f"--description=Roll back {operation} {transaction} unless it is confirmed",
                f"--on-active={seconds:g}s",
                "--timer-property=AccuracySec=100ms",
                "--property=Type=oneshot",
                "--property=TimeoutStartSec=300",
                "--property=Restart=on-failure",
                "--property=RestartSec=5",
                self._program,
                operation,
                transaction,
            ]
        )

    def is_armed(self, transaction: str) -> bool:
        """Tell whether the timer runs, or its service does or is about to.

        :raises UnitFailed: where systemd does not tell.
        """
        return bool(
            LIVELY & _states(f"{_unit(transaction)}.timer", f"{_unit(transaction)}.service")
        )

    def disarm(self, transaction: str) -> None:
        """Stop the timer, and a service that waits for our lock.

        :raises UnitFailed: where one of them is still there afterwards.
        """
        units = [f"{_unit(transaction)}.timer", f"{_unit(transaction)}.service"]
        call(["systemctl", "stop", *units], may_fail=True)  # it also fails for a unit that is gone
        if self.is_armed(transaction):
            raise UnitFailed(
                f"{units[0]} does not stop", hint=f"systemctl status {units[0]} tells more"
            )


def _unit(transaction: str) -> str:
    return f"debvisor-revert-{transaction}"


def _states(*units: str) -> set[str]:
    """Return the units' ActiveState; ``inactive`` for one that does not exist."""
    shown = call(["systemctl", "show", "--property=ActiveState", "--value", *units])
    return set(shown.printed.decode().split())
