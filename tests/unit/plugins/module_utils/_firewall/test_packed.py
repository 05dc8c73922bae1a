# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sorted addresses as bytes, and the store around them, held against plain sets and lists."""

from __future__ import annotations

from array import array

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import networks, packed
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.lists import Column
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.networks import (
    FAMILIES,
    V4,
    Family,
)
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.packed import pack
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.store import (
    Content,
    KeptList,
    Store,
    decode,
    encode,
    indexed,
)
from hypothesis import given
from hypothesis import strategies as st

numbers = st.lists(st.integers(0, 3000), unique=True, max_size=400).map(sorted)
both = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def spread(family: Family, some: list[int]) -> list[int]:
    """Spread small numbers over the whole address space, in order."""
    return [each << (family.bits - 12) for each in some]


@both
@given(old=numbers, new=numbers)
def test_a_change_is_what_sets_say(family: Family, old: list[int], new: list[int]) -> None:
    before, after = pack(family, spread(family, old)), pack(family, spread(family, new))
    since = array("I", old)
    found = packed.change(before, since, after, 9999)
    assert list(found.removed) == list(pack(family, spread(family, sorted(set(old) - set(new)))))
    assert list(found.added) == list(pack(family, spread(family, sorted(set(new) - set(old)))))
    assert list(found.since) == [each if each in set(old) else 9999 for each in new]


def test_a_small_change_looks_at_little() -> None:
    old = list(range(0, 200_000, 2))
    new = sorted({*old, 1001, 150_001} - {20_000})
    stretches = packed.differences(pack(V4, old), pack(V4, new))
    assert 1 <= len(stretches) <= 6
    assert sum(each.new[1] - each.new[0] for each in stretches) <= 6 * packed.SMALLEST


@both
def test_texts_and_places(family: Family) -> None:
    some = pack(family, [0, 1, (1 << family.bits) - 1])
    assert list(some.texts()) == [
        networks.address_text(family, each) for each in (0, 1, (1 << family.bits) - 1)
    ]
    assert [some.place(each) for each in some] == [0, 1, 2]
    assert some.place((2).to_bytes(family.bytes, "big")) is None
    assert pack(family, []).place(bytes(family.bytes)) is None


def test_a_store_comes_back_as_it_was() -> None:
    column = Column(V4)
    column.add(array("Q", [networks.key(5 << 8, 24)]), ([7], b"\1"))
    column.add(array("Q", [networks.key(5 << 8 | 1, 32)]), ([9], b"\1"))
    kept = KeptList("a", "block", [{"where": "/x"}])
    for family in FAMILIES:
        kept.sets[family] = {24: Content(pack(family, [5 << 8]), array("I", [11]))}
        kept.entries[family] = indexed(family, [Column(V4), column])
    content = b"".join(encode(Store([kept], "inputs", 12, "rules", "mark")))
    store = decode(content, "here")
    assert (store.inputs, store.changed, store.rules, store.fingerprint) == (
        "inputs",
        12,
        "rules",
        "mark",
    )
    [back] = store.lists
    assert (back.name, back.action, back.sources) == ("a", "block", [{"where": "/x"}])
    assert list(back.sets[V4][24].addresses) == [(5 << 8).to_bytes(4, "big")]
    assert list(back.sets[V4][24].since) == [11]
    assert list(back.entries[V4].meeting(networks.key(5 << 8 | 1, 32))) == [
        (networks.key(5 << 8, 24), 1, 7),
        (networks.key(5 << 8 | 1, 32), 1, 9),
    ]
    assert len(list(back.entries[V4].meeting(networks.key(5 << 8, 24)))) == 2
    assert list(back.entries[V4].meeting(networks.key(6 << 8, 24))) == []


entry = st.tuples(st.integers(0, 255), st.integers(24, 32)).map(
    lambda each: networks.key(each[0] & ~V4.spans[each[1]], each[1])
)


@given(some=st.lists(entry, max_size=40), asked=entry)
def test_meeting_finds_every_entry_with_an_address_in_common(some: list[int], asked: int) -> None:
    column = Column(V4)
    column.add(array("Q", some), (range(1, len(some) + 1), b"\1" * len(some)))
    found = sorted((key, line) for key, _source, line in indexed(V4, [column]).meeting(asked))
    wanted = sorted(
        (key, line)
        for line, key in enumerate(some, start=1)
        if networks.finds(V4, [key], asked) is not None
    )
    assert found == wanted
