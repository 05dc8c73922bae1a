# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples lie where errors would, and inside of what can be read."""

from __future__ import annotations

import random

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes import verify_samples
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.verify_samples import (
    SPAN,
)
from hypothesis import given
from hypothesis import strategies as st

MIB = 1 << 20


def extent(start: int, length: int, *, data: bool = True, zero: bool = False) -> dict[str, object]:
    return {"start": start, "length": length, "data": data, "zero": zero}


@st.composite
def maps(draw: st.DrawFn) -> tuple[list[dict[str, object]], int]:
    """What ``qemu-img map`` may say: extents that follow each other and end with the disk, or with its last sector."""
    extents, at = [], 0
    for _dummy in range(draw(st.integers(0, 6))):
        length = draw(st.integers(1, 3 * SPAN))
        extents.append(extent(at, length, data=draw(st.booleans()), zero=draw(st.booleans())))
        at += length
    return extents, max(at - draw(st.integers(0, 511)), 1)


@given(maps(), st.integers(0, 5 * SPAN), st.integers())
def test_samples_can_be_read(
    mapped: tuple[list[dict[str, object]], int], beyond: int, seed: int
) -> None:
    extents, size = mapped
    samples = verify_samples.choose(extents, size, size + beyond, random.Random(seed))
    assert samples.span == min(SPAN, size)
    assert samples.disk
    assert all(0 <= at <= size - samples.span for at in samples.disk)
    assert all(size <= at <= size + beyond - samples.span for at in samples.tail)
    assert bool(samples.tail) == (beyond >= samples.span)


@pytest.mark.parametrize("size", [512, 1000, SPAN, SPAN + 512, 10 * SPAN, MIB + 512])
@pytest.mark.parametrize("beyond", [SPAN, 10 * SPAN, MIB - 512])
def test_both_ends_of_the_disk_and_of_the_tail_are_read(size: int, beyond: int) -> None:
    samples = verify_samples.choose([], size, size + beyond, random.Random(1))
    assert samples.disk[0] == 0
    assert samples.disk[-1] + samples.span == size
    assert samples.tail[0] == size
    assert samples.tail[-1] + samples.span == size + beyond


def test_data_holes_and_their_ends_are_all_read() -> None:
    extents = [
        extent(0, 4 * MIB, data=False),
        extent(4 * MIB, MIB),
        extent(5 * MIB, 4 * MIB, data=False, zero=True),
        extent(9 * MIB, MIB, zero=True),
        extent(10 * MIB, 90 * MIB),
    ]
    samples = verify_samples.choose(extents, 100 * MIB, 200 * MIB, random.Random(1))
    disk = set(samples.disk)
    assert {0, 4 * MIB, 10 * MIB - SPAN, 100 * MIB - SPAN} <= disk
    data = [at for at in disk if 4 * MIB <= at < 5 * MIB or at >= 10 * MIB]
    assert len(data) > verify_samples.OF_DATA * 0.9
    assert len(disk) - len(data) > verify_samples.OF_HOLES * 0.9
    assert len(samples.tail) > verify_samples.OF_TAIL * 0.9


def test_every_byte_is_chosen_as_often_as_any_other() -> None:
    regions = ((0, 10), (1000, 1030), (5000, 5060))
    hits = dict.fromkeys(regions, 0)
    for seed in range(2000):
        choice = verify_samples._Choice(1, random.Random(seed))
        for region in regions:
            choice.offer(*region)
        chosen = choice.places()[-1]
        hits[next(region for region in regions if chosen in range(*region))] += 1
    assert [round(count / 200) for count in hits.values()] == [1, 3, 6]


def test_where_an_image_begins_and_ends_to_have_data_is_looked_at_more_often() -> None:
    """One region that lost its last block is found."""
    extents = [extent(0, 64 * MIB, data=False), extent(64 * MIB, 64 * MIB)]
    for seed in range(20):
        samples = verify_samples.choose(extents, 128 * MIB, 128 * MIB, random.Random(seed))
        assert {64 * MIB, 64 * MIB - SPAN, 128 * MIB - SPAN} <= set(samples.disk)


def test_a_volume_that_is_as_large_as_the_disk_has_no_tail() -> None:
    assert verify_samples.choose([extent(0, MIB)], MIB, MIB, random.Random(1)).tail == ()


def test_what_differs_is_named_by_its_place() -> None:
    expected = {0: b"a", 8: b"b", 16: b"c"}
    assert verify_samples.differing(expected, dict(expected)) == []
    assert verify_samples.differing(expected, {0: b"a", 8: b"x"}) == [8, 16]
