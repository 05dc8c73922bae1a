# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sorted addresses as bytes: what is kept on disk, compared, searched, and handed to the packet filter.

Addresses stand one after the other in network byte order, so that bytes sort as numbers do, a file that is mapped into
memory can be searched without being read, and equal stretches of two lists are found by comparing memory.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from socket import inet_ntop

from .networks import V4, Family

SMALLEST = 64
"""Addresses below which two stretches that differ are compared one by one."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Addresses of one family, sorted. ``data`` is bytes, or a view into a mapped file."""

    family: Family
    data: bytes | memoryview

    def __len__(self) -> int:
        return len(self.data) // self.family.bytes

    def __getitem__(self, place: int) -> bytes:
        width = self.family.bytes
        return bytes(self.data[place * width : (place + 1) * width])

    def __iter__(self) -> Iterator[bytes]:
        return map(self.__getitem__, range(len(self)))

    def slice(self, first: int, last: int) -> bytes:
        """Return the bytes of a stretch."""
        width = self.family.bytes
        return bytes(self.data[first * width : last * width])

    def texts(self) -> Iterator[str]:
        """Yield every address as text."""
        width = self.family.bytes
        data = bytes(self.data)
        return map(
            inet_ntop,
            repeat(self.family.number),
            (data[start : start + width] for start in range(0, len(data), width)),
        )

    def place(self, address: bytes) -> int | None:
        """Return where an address stands, or None."""
        found = bisect_left(self, address)
        return found if found < len(self) and self[found] == address else None


def pack(family: Family, addresses: Sequence[int]) -> Packed:
    """Return sorted numbers as bytes."""
    if family is V4:
        return Packed(family, struct.pack(f">{len(addresses)}I", *addresses))
    return Packed(family, b"".join([each.to_bytes(16, "big") for each in addresses]))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A place where two lists differ: from ``old[0]`` up to ``old[1]`` in one, and the same in the other."""

    old: tuple[int, int]
    new: tuple[int, int]


def differences(old: Packed, new: Packed) -> list[Stretch]:
    """Return where two lists differ, in order.

    The cost grows with the differences: equal halves are found at once, and only the others are looked into.
    """
    return list(_differences(old, new, (0, len(old)), (0, len(new))))


def _differences(
    old: Packed, new: Packed, in_old: tuple[int, int], in_new: tuple[int, int]
) -> Iterator[Stretch]:
    if old.slice(*in_old) == new.slice(*in_new):
        return
    longer, (first, last) = max(
        (new, in_new), (old, in_old), key=lambda each: each[1][1] - each[1][0]
    )
    if last - first <= SMALLEST:
        yield Stretch(in_old, in_new)
        return
    pivot = longer[(first + last) // 2]
    old_middle = bisect_left(old, pivot, *in_old)
    new_middle = bisect_left(new, pivot, *in_new)
    yield from _differences(old, new, (in_old[0], old_middle), (in_new[0], new_middle))
    yield from _differences(old, new, (old_middle, in_old[1]), (new_middle, in_new[1]))


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a set: addresses that go, addresses that come, and since when each that is there then is."""

    removed: Packed
    added: Packed
    since: array[int]


def change(old: Packed, old_since: Sequence[int], new: Packed, now: int) -> Change:
    """Compare what is with what is wanted; ``old_since`` has the seconds since 1970 of each address in ``old``."""
    removed: list[bytes] = []
    added: list[bytes] = []
    since = array("I")
    reached = 0
    for stretch in differences(old, new):
        since.extend(old_since[reached : stretch.old[0]])
        reached = stretch.old[1]
        before = {old[place]: old_since[place] for place in range(*stretch.old)}
        for place in range(*stretch.new):
            address = new[place]
            known = before.pop(address, None)
            since.append(now if known is None else known)
            if known is None:
                added.append(address)
        removed += before
    since.extend(old_since[reached : len(old)])
    family = new.family
    return Change(Packed(family, b"".join(removed)), Packed(family, b"".join(added)), since)
