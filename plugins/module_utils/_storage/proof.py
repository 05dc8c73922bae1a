# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bytes of a volume are read back after it was filled, and what must be there."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
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
    data: list[tuple[int, int]] = []
    holes: list[tuple[int, int]] = []
    for extent in extents:
        span = (int(extent["start"]), int(extent["start"]) + int(extent["length"]))
        (data if extent.get("data") and not extent.get("zero") else holes).append(span)
    length = min(SPAN, virtual_size)
    disk = [
        *_within(data, OF_DATA, chance),
        *_within(holes, OF_HOLES, chance),
        *_within([(0, virtual_size)], 2 if data or holes else OF_DATA, chance),
    ]
    tail = _within([(virtual_size, volume_size)], OF_TAIL, chance)
    return Samples(
        _aligned(disk, 0, virtual_size - length),
        _aligned(tail, virtual_size, volume_size - length),
        length,
    )


def _within(spans: Sequence[tuple[int, int]], count: int, chance: random.Random) -> tuple[int, ...]:
    """Return offsets inside the spans: the first and the last place of all, and some by chance, by weight."""
    weights = [end - begin for begin, end in spans]
    if not any(weights):
        return ()
    chosen = chance.choices(spans, weights, k=count)
    places = [chance.randrange(begin, end) for begin, end in chosen]
    places += [spans[0][0], spans[-1][1] - 1]
    places += [edge for begin, end in chosen[: count // 4] for edge in (begin, end - 1)]
    return tuple(places)


def _aligned(places: Iterable[int], first: int, last: int) -> tuple[int, ...]:
    """Return where the spans begin in which these places are; the last one ends with what there is."""
    if last < first:
        return ()
    return tuple(sorted({min(max(place // SPAN * SPAN, first), last) for place in places}))


def differing(expected: Mapping[int, bytes], found: Mapping[int, bytes]) -> list[int]:
    """Return the offsets at which what was read is not what it should be."""
    return [at for at, content in expected.items() if found.get(at) != content]
