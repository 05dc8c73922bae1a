# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module and its operation need to ask for confirmation; docs/ARCHITECTURE.md tells how that works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from .errors import Problem

SHORTEST, LONGEST = 5, 3600
"""Seconds. A new connection and a module run must fit in; nobody shall be locked out for longer than an hour."""

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "confirm_within": {"type": "float", "default": 60},
    "confirm": {"type": "str"},
    "rollback": {"type": "str"},
}
"""The options of every module whose changes are confirmed, documented in the fragment ``commit_confirm``."""


class RevertTimer(Protocol):
    """Rolls a transaction back, from another process, unless it is stopped in time."""

    def arm(self, operation: str, transaction: str, seconds: float) -> None:
        """Roll the transaction back after so many seconds. On return that is certain."""

    def is_armed(self, transaction: str) -> bool:
        """Tell whether the transaction is yet to be rolled back, or is being rolled back."""

    def disarm(self, transaction: str) -> None:
        """Leave the transaction alone."""


def check_limit(params: Mapping[str, Any], problems: list[Problem]) -> None:
    """Judge the option ``confirm_within``."""
    if not SHORTEST <= params["confirm_within"] <= LONGEST:
        problems.append(
            Problem(
                "confirm_within",
                f"{params['confirm_within']:g} is not from {SHORTEST} to {LONGEST}",
            )
        )
