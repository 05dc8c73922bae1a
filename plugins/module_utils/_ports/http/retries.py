# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long to be patient with a server: what is asked again, when, how often, and what counts as standing still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime


def worth_another_try(status: int) -> bool:
    """Say whether an answer may be another one next time. What is forbidden or missing stays so."""
    return status in (408, 429) or status >= 500


def retry_after(value: str | None, now: float) -> float:
    """Return for how many seconds a server asks to be left alone: a number, or a date (RFC 9110, section 10.2.3).

    :param now: seconds since 1970.
    """
    written = (value or "").strip()
    if written.isascii() and written.isdigit():
        return float(written)
    try:
        until = parsedate_to_datetime(written)
    except ValueError:
        return 0.0
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(until.timestamp() - now, 0.0)


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again. Pauses double, and part of each is left to chance: many clients shall not come in step."""

    attempts: int = 6
    """In a row, without anything having come."""
    first: float = 1.0
    """Seconds before the second attempt."""
    longest: float = 30.0
    patience: float = 120.0
    """A server that asks for a longer pause is given up."""

    def pause(self, failures: int, asked: float, chance: Callable[[], float]) -> float | None:
        """Return the seconds to wait after so many failures in a row, or None to give up.

        :param asked: the seconds that the server asks for.
        :param chance: returns a number from 0 to 1, as ``random.random``.
        """
        if failures >= self.attempts or asked > self.patience:
            return None
        grown: float = min(self.first * 2 ** (failures - 1), self.longest)
        return max(asked, grown / 2) + chance() * grown / 2


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard to pull, and how long to wait."""

    connections: int = 4
    part_size: int = 8 << 20
    connect_timeout: float = 10.0
    """Seconds to reach the server, for each of its addresses, and as many for TLS."""
    stall_rate: int = 1024
    """Bytes per second; a connection that delivers less for ``stall_seconds`` is cut and made anew."""
    stall_seconds: float = 30.0
    retry: Retry = field(default_factory=Retry)


class Flow:
    """Whether bytes come at the rate that is the least to be expected."""

    def __init__(self, rate: int, seconds: float) -> None:
        self._rate = rate
        self._seconds = seconds
        self._since: float | None = None
        self._had = 0
        self.stood_still = False

    def __str__(self) -> str:
        return f"fewer than {self._rate} bytes a second came in {self._seconds:g} s"

    def stalled(self, now: float, received: int) -> bool:
        """Take note of the bytes so far, and say whether too few came in the last stretch of time."""
        if self._since is None or received - self._had >= self._rate * self._seconds:
            self._since, self._had = now, received
        self.stood_still = now - self._since >= self._seconds
        return self.stood_still


class Portion:
    """How many bytes to wait for at once: few from a slow server, so that one sees whether it sends at all; many from a
    fast one, as each portion costs the same.
    """

    LEAST = 1 << 12
    QUICK = 0.05
    SLOW = 0.5

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = min(self.LEAST, most)

    def took(self, seconds: float) -> None:
        """Take note of how long the last one took."""
        if seconds < self.QUICK:
            self.size = min(self.size * 2, self._most)
        elif seconds > self.SLOW:
            self.size = max(self.size // 2, min(self.LEAST, self._most))
