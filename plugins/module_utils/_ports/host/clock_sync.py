# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far this machine's clock is off, by the program that disciplines it."""

from __future__ import annotations

from dataclasses import dataclass

from ..._core.errors import DebvisorError
from .command import run

TIMEOUT = 10.0
CHRONY_FIELDS = 14
OFFSET, LEAP = 4, 13
"""Places in what ``chronyc -c tracking`` prints: seconds that the clock is off, and whether anything sets it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """``offset`` in seconds at worst, either way; None where it is unknown, and ``why``."""

    source: str
    offset: float | None
    why: str = ""


class ClockSync:
    """chrony, or whoever else disciplines the kernel's clock."""

    def reading(self) -> Reading:
        """Ask chrony; where there is none, the kernel."""
        try:
            told = run(["chronyc", "-c", "tracking"], timeout=TIMEOUT).stdout.strip().split(",")
        except DebvisorError:
            return self._by_kernel()
        if len(told) != CHRONY_FIELDS or told[LEAP] == "Not synchronised":
            return Reading("chrony", None, "chrony is not synchronised")
        return Reading("chrony", abs(float(told[OFFSET])))

    def _by_kernel(self) -> Reading:
        """systemd calls a clock synchronised whose estimated error is below 16 seconds (adjtimex(2), maxerror)."""
        words = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        try:
            told = run(words, timeout=TIMEOUT).stdout.strip()
        except DebvisorError as cause:
            return Reading("the kernel", None, str(cause))
        if told != "yes":
            return Reading("the kernel", None, "nothing disciplines the clock")
        return Reading("the kernel", 0.0)
