# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, records, and who goes first."""

from __future__ import annotations

import random

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images import cache
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.cache import (
    Entry,
    Limits,
    Origin,
    Record,
)
from hypothesis import given
from hypothesis import strategies as st

DIGEST = "5f" * 32
NOW = 1_800_000_000
GIB = 1 << 30


def record(last_used: int = NOW, pinned: bool = False) -> Record:
    return Record("https://x.example.org/a", '"v1"', 7, GIB, 5, NOW, last_used, pinned)


def entry(number: int, age: int = 0, *, room: int = GIB, **more: bool) -> Entry:
    pinned = more.get("pinned", False)
    known = record(NOW - age, pinned) if more.get("known", True) else None
    name = f"{number:064x}.qcow2"
    return Entry(name, room, room, NOW - age, known, True, more.get("in_use", False))


ENTRIES = st.lists(
    st.builds(
        entry,
        st.integers(0, 1 << 64),
        st.integers(0, 100_000),
        room=st.integers(0, 10 * GIB),
        pinned=st.booleans(),
        in_use=st.booleans(),
        known=st.booleans(),
    ),
    unique_by=lambda each: each.name,
    max_size=12,
)
LIMITS = st.builds(
    Limits,
    st.none() | st.integers(0, 100_000),
    st.none() | st.integers(0, 60 * GIB),
    st.none() | st.integers(0, 60 * GIB),
)


@given(ENTRIES, LIMITS, st.integers(0, 60 * GIB), st.randoms())
def test_what_goes_is_what_the_limits_ask_for_and_no_more(
    entries: list[Entry], limits: Limits, free: int, shuffler: random.Random
) -> None:
    pruning = cache.prune(entries, limits, now=NOW, free=free)
    gone = [victim.entry for victim in pruning.victims]
    stays = [each for each in entries if each not in gone]

    assert all(each.evictable for each in gone)
    shuffler.shuffle(entries)
    assert cache.prune(entries, limits, now=NOW, free=free) == pruning, "whatever the order"

    used = [(each.last_used, each.name) for each in gone]
    assert used == sorted(used)
    left = [each for each in stays if each.evictable]
    assert all(used[-1] < (each.last_used, each.name) for each in left if used)

    total = sum(each.room for each in stays if each.record)
    free_then = free + sum(each.room for each in gone)
    assert pruning.excess == max(
        0, total - (limits.max_bytes if limits.max_bytes is not None else total)
    )
    assert pruning.lack == max(0, (limits.min_free or 0) - free_then)
    assert not left or not (pruning.excess or pruning.lack), "nothing is missing while one could go"
    if limits.max_age is not None:
        assert all(NOW - each.last_used <= limits.max_age for each in left)
    assert not cache.prune(stays, limits, now=NOW, free=free_then).victims, "once is enough"

    if gone:  # without the last one a limit would be broken
        last = gone[-1]
        broken = [
            limits.max_age is not None and NOW - last.last_used > limits.max_age,
            limits.max_bytes is not None and total + last.room > limits.max_bytes,
            limits.min_free is not None and free_then - last.room < limits.min_free,
        ]
        assert any(broken)


@pytest.mark.parametrize(
    ("limits", "free", "expected"),
    [
        (Limits(), 0, {}),
        (Limits(max_age=500), 0, {3: "max_age"}),
        (Limits(max_bytes=3 * GIB), 0, {3: "max_bytes", 1: "max_bytes"}),
        (Limits(min_free=GIB), GIB, {}),
        (Limits(min_free=GIB), GIB - 1, {3: "min_free"}),
        (Limits(500, 3 * GIB, 3 * GIB), 0, {3: "max_age", 1: "max_bytes", 2: "min_free"}),
    ],
)
def test_each_limit_gives_its_reason(limits: Limits, free: int, expected: dict[int, str]) -> None:
    entries = [entry(1, 500), entry(2, 10), entry(3, 900), entry(4, 9999, pinned=True), entry(5)]
    pruning = cache.prune(entries, limits, now=NOW, free=free)
    assert {int(each.entry.name[:64], 16): each.reason.split()[-1] for each in pruning.victims} == {
        number: {"max_age": "max_age", "max_bytes": "max_bytes", "min_free": "free"}[limit]
        for number, limit in expected.items()
    }


@given(
    st.builds(
        Record,
        st.text(),
        st.text(),
        *[st.integers(0, 1 << 63)] * 5,
        st.booleans(),
    )
)
def test_a_record_comes_back_as_it_was_written(record: Record) -> None:
    assert Record.read(record.written()) == record


@given(st.binary() | st.none())
def test_what_is_no_record_is_none(content: bytes | None) -> None:
    assert Record.read(content) is None


def test_a_record_with_anything_of_another_kind_is_none() -> None:
    written = record().written()
    assert Record.read(written.replace(b'"pinned": false', b'"pinned": 1')) is None
    assert Record.read(written.replace(b'"inode": 7', b'"inode": "7"')) is None
    assert Record.read(written.replace(b'"inode": 7,', b"")) is None
    assert Record.read(written.replace(b'"inode"', b'"more": 1, "inode"')) is None


def test_names_lead_back_to_what_they_were_made_from() -> None:
    for image_type in cache.IMAGE_TYPES:
        assert cache.named(cache.file_name(DIGEST, image_type)) == (DIGEST, image_type)
    for other in ("", "base.qcow2", DIGEST, f"{DIGEST}.vmdk", f"a{DIGEST}.raw", f"{DIGEST}.raw\n"):
        assert cache.named(other) is None


def test_what_is_beside_an_image_is_no_image_for_anybody() -> None:
    name = cache.file_name(DIGEST, "raw")
    origin = Origin("https://x.example.org/a", '"v1"', 7, "raw")
    beside = [*cache.places(name)[1:], cache.record_of(name), cache.map_of(name), origin.link]
    assert all(path.startswith(f"{cache.HIDDEN}/") for path in beside)
    assert len({*beside}) == len(beside)
    assert cache.named(origin.name) is None


@pytest.mark.parametrize(
    "other",
    [
        Origin("https://x.example.org/b", '"v1"', 7, "raw"),
        Origin("https://x.example.org/a", '"v2"', 7, "raw"),
        Origin("https://x.example.org/a", '"v1"', 8, "raw"),
        Origin("https://x.example.org/a", '"v1"', 7, "qcow2"),
    ],
)
def test_another_object_is_another_origin(other: Origin) -> None:
    assert other.link != Origin("https://x.example.org/a", '"v1"', 7, "raw").link
