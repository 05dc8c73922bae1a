# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, as people write them and as volumes have them."""

from __future__ import annotations

import re
from dataclasses import dataclass

GIB = 1024**3
UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": GIB, "T": 1024**4}
TOLERANCE = 20
"""A volume that is there counts as of the right size within one part in so many: 5 %."""


def parse(text: str) -> int:
    """Return bytes: ``10G`` and ``10GiB`` are 10 times 2^30; ``10GB`` is refused, as it may mean either.

    :raises ValueError: where it is not a size of at least one byte; says why.
    """
    found = re.fullmatch(r"\s*([0-9]{1,19})\s*([KMGT]?)(iB)?\s*", text)
    if found is None or (found[3] and not found[2]):
        raise ValueError(
            f"{text!r} is not a size: write a whole number and K, M, G or T (powers of 1024)"
        )
    size = int(found[1]) * UNITS[found[2]]
    if size < 1:
        raise ValueError("a size is at least one byte")
    return size


def rounded_up(size: int, granule: int) -> int:
    """Return the next multiple of the granule."""
    return -(-size // granule) * granule


def fits(present: int, wanted: int) -> bool:
    """Return whether a present volume may be taken for one of the wanted size."""
    return abs(present - wanted) <= wanted // TOLERANCE


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes, shown to people."""

    value: int

    def __str__(self) -> str:
        for unit in ("T", "G", "M", "K"):
            if self.value >= UNITS[unit]:
                return f"{self.value / UNITS[unit]:.4g} {unit}iB"
        return f"{self.value} bytes"
