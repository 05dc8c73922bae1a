# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try again what only reads, where a server is absent for a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..._core.errors import DebvisorError, TimedOut, Unreachable
from ..._core.ports import Clock
from ..._core.waiting import wait_until
from .errors import NotAuthoritative, RequestRefused

T = TypeVar("T")

TRANSIENT = (RequestRefused, NotAuthoritative)
"""What a server also says while it takes over the virtual address. Nothing was written then.

A wrong key is none: which keys a server knows at an address does not change with its role.
"""


def retry_transient(
    act: Callable[[], T],
    retry_for: float,
    clock: Clock,
    transient: tuple[type[DebvisorError], ...] = (TimedOut, Unreachable, *TRANSIENT),
    *,
    first: float = 0.05,
) -> T:
    """Do what may be done twice, again until ``retry_for`` seconds have passed where the server is absent for a moment.

    :param transient: the errors that may go away.
    :param first: seconds to wait before the second try.
    :raises DebvisorError: the last one, where time ran out; any other at once.
    """
    failures: list[DebvisorError] = []

    def attempt() -> tuple[bool, tuple[T, ...]]:
        try:
            return True, (act(),)
        except transient as cause:
            failures.append(cause)
            return False, ()

    try:
        [result] = wait_until(
            attempt, what="the server", timeout=retry_for, first=first, longest=1.0, clock=clock
        )
    except TimedOut:
        if not failures:
            raise
        raise failures[-1] from failures[-1].__cause__
    return result
