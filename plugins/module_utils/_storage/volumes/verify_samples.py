# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bytes of a volume are read back after it was filled, and what must be there."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SPAN = 4096
"""Bytes of one sample: what any device reads in one piece."""
OF_DATA, OF_HOLES, OF_TAIL = 96, 24, 24


@dataclass(frozen=True, slots=True)
class Samples:
    """Offsets of spans. Those of the disk must equal the image; those of the tail must be zeros."""

    disk: tuple[int, ...]
    tail: tuple[int, ...]
    span: int
    """Bytes of each."""


def choose(
    extents: Iterable[Mapping[str, Any]], virtual_size: int, volume_size: int, chance: random.Random
) -> Samples:
    """Choose among what ``qemu-img map`` says of the image: always both ends of everything, the rest by chance.

    Errors of interest are whole regions (a discard that is no zeroing, a device that lost its writes), so samples go
    where regions begin and end, as well as anywhere; anywhere alone where the regions are not known.
    """
    data, holes = _Choice(OF_DATA, chance), _Choice(OF_HOLES, chance)
    for extent in extents:
        begin = int(extent["start"])
        choice = data if extent.get("data") and not extent.get("zero") else holes
        choice.offer(begin, begin + int(extent["length"]))
    known = [*data.places(), *holes.places()]
    length = min(SPAN, virtual_size)
    disk = _Choice(2 if known else OF_DATA, chance)
    disk.offer(0, virtual_size)
    tail = _Choice(OF_TAIL, chance)
    tail.offer(virtual_size, volume_size)
    return Samples(
        _begins([*known, *disk.places()], length, 0, virtual_size - length),
        _begins(tail.places(), length, virtual_size, volume_size - length),
        length,
    )


class _Choice:
    """So many bytes chosen by chance, all alike, from regions that come one after the other: an image may have millions
    of them, and none is kept.

    The byte of number n (from 1) would take the place of one chosen before with a chance of 1/n. The next one that does
    is drawn at once: that it comes after the n-th has a chance of m/n, where the present one was the m-th.
    """

    def __init__(self, count: int, chance: random.Random) -> None:
        self._chance = chance
        self._seen = 0
        self._next = [(1, slot) for slot in range(count)]
        self._chosen = [(0, 0, 0)] * count
        self._ends: tuple[int, int] | None = None

    def offer(self, begin: int, end: int) -> None:
        """Let a region's bytes be chosen."""
        if begin >= end:
            return
        self._ends = (self._ends[0] if self._ends else begin, end)
        self._seen += end - begin
        while self._next[0][0] <= self._seen:
            number, slot = self._next[0]
            self._chosen[slot] = (end - 1 - (self._seen - number), begin, end)
            following = int(number / (1 - self._chance.random())) + 1
            heapq.heapreplace(self._next, (following, slot))

    def places(self) -> list[int]:
        """Return what was chosen, both ends of all, and those of some regions that were hit."""
        if self._ends is None:
            return []
        edges = [at for _place, *region in self._chosen[::4] for at in (region[0], region[1] - 1)]
        return [
            self._ends[0],
            self._ends[1] - 1,
            *edges,
            *(place for place, _begin, _end in self._chosen),
        ]


def _begins(places: Iterable[int], span: int, first: int, last: int) -> tuple[int, ...]:
    """Return where the spans begin in which these places are; the last one ends with what there is."""
    if last < first:
        return ()
    return tuple(sorted({min(max(place // span * span, first), last) for place in places}))


def differing(expected: Mapping[int, bytes], found: Mapping[int, bytes]) -> list[int]:
    """Return the offsets at which what was read is not what it should be."""
    return [at for at, content in expected.items() if found.get(at) != content]
