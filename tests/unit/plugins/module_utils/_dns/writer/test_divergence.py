# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three-way merge: it overwrites nothing and loses nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, rdata
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.incremental import (
    Delta,
    Record,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.rrset import (
    Key,
    RRset,
    Sets,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer import divergence
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.divergence import EMPTY
from hypothesis import given
from hypothesis import strategies as st


def key(name: str, kind: int) -> Key:
    return names.parse(name), kind


A, B = key("a.z.", rdata.A), key("b.z.", rdata.A)


def rrset(*data: str) -> RRset:
    return RRset(60, frozenset(text.encode() for text in data))


def to_wire(texts: Sequence[tuple[str, str]]) -> list[tuple[int, bytes]]:
    """Stand in for BIND's tool: a name for a PTR record, else the text's bytes."""
    return [
        (rdata.PTR, names.parse(text)) if kind == "PTR" else (rdata.TYPES[kind], text.encode())
        for kind, text in texts
    ]


def to_text(records: Sequence[tuple[int, bytes]]) -> list[tuple[str, str]]:
    return [(rdata.type_text(kind), data.decode()) for kind, data in records]


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "where"),
    [
        (EMPTY, rrset("1"), EMPTY, "apply"),
        (rrset("1"), rrset("1", "2"), rrset("1"), "apply"),
        (rrset("1"), EMPTY, rrset("1"), "apply"),
        (EMPTY, rrset("1"), rrset("1"), "already"),
        (rrset("1"), EMPTY, EMPTY, "already"),
        (rrset("1"), rrset("1"), rrset("9"), "already"),
        (EMPTY, rrset("1"), rrset("2"), "conflicts"),
        (rrset("1"), EMPTY, rrset("2"), "conflicts"),
        (rrset("1"), rrset("2"), EMPTY, "conflicts"),
    ],
)
def test_table(base: RRset, ours: RRset, theirs: RRset, where: str) -> None:
    merged = divergence.merge({A: base}, {A: ours}, {A: theirs})
    assert [change.key for change in getattr(merged, where)] == [A]
    assert len(merged.apply) + len(merged.already) + len(merged.conflicts) == 1


def test_what_the_server_keeps_itself_is_left_out() -> None:
    keys = [key("z.", kind) for kind in divergence.SERVERS_OWN_TYPES] + [
        key("_writer.z.", rdata.TXT)
    ]
    base = dict.fromkeys(keys, EMPTY)
    ours = dict.fromkeys(keys, rrset("x"))
    assert divergence.merge(base, ours, {}, skip=[names.parse("_writer.z.")]).empty


@pytest.mark.parametrize(("kind", "present"), [(rdata.CNAME, rdata.A), (rdata.A, rdata.CNAME)])
def test_a_cname_beside_other_data_is_a_conflict(kind: int, present: int) -> None:
    ours = key("a.z.", kind)
    theirs = {key("a.z.", present): rrset("x")}
    merged = divergence.merge({ours: EMPTY}, {ours: rrset("y")}, theirs)
    assert [change.key for change in merged.conflicts] == [ours]


def test_what_belongs_together_is_not_done_by_halves() -> None:
    """The CNAME made room for an address. To remove it, and not to bring the address, would leave nothing."""
    cname, address = key("a.z.", rdata.CNAME), key("a.z.", rdata.A)
    base = {cname: rrset("x"), address: EMPTY}
    ours = {cname: EMPTY, address: rrset("1")}
    merged = divergence.merge({**base, B: EMPTY}, {**ours, B: rrset("2")}, {cname: rrset("x")})
    assert {change.key for change in merged.conflicts} == {cname, address}
    assert [change.key for change in merged.apply] == [B]


def test_what_the_signer_adds_is_no_conflict_with_a_cname() -> None:
    ours = key("a.z.", rdata.CNAME)
    served = {key("a.z.", kind): rrset("x") for kind in (rdata.CNAME, rdata.RRSIG, rdata.NSEC)}
    merged = divergence.merge({ours: rrset("x")}, {ours: rrset("y")}, served)
    assert [change.key for change in merged.apply] == [ours]


KEYS = st.sampled_from([A, B, key("c.z.", rdata.TXT), key("c.z.", rdata.CNAME)])
SETS = st.builds(
    RRset, st.just(60), st.frozensets(st.sampled_from([b"1", b"2", b"3", b"4"]), max_size=3)
)
CONTENTS = st.dictionaries(KEYS, SETS)


@given(CONTENTS, CONTENTS, CONTENTS)
def test_nothing_is_overwritten_and_nothing_lost(base: Sets, ours: Sets, theirs: Sets) -> None:
    touched = {key: base.get(key, EMPTY) for key in {*base, *ours}}
    merged = divergence.merge(touched, ours, theirs)
    for change in merged.apply:
        assert theirs.get(change.key, EMPTY).data == touched[change.key].data
    sorted_out = [c.key for c in (*merged.apply, *merged.already, *merged.conflicts)]
    assert sorted(sorted_out) == sorted(touched)
    for change in merged.already:
        assert ours.get(change.key, EMPTY).data in (
            theirs.get(change.key, EMPTY).data,
            touched[change.key].data,
        )


@st.composite
def histories(draw: st.DrawFn) -> tuple[Sets, list[Delta], Sets]:
    """A zone, the deltas that a server applied to it, and what came out."""
    start = {key: value for key, value in draw(CONTENTS).items() if value.data}
    now = dict(start)
    deltas = []
    for number in range(draw(st.integers(1, 5))):
        changed = draw(KEYS)
        old = now.get(changed, EMPTY).data
        new = draw(SETS).data
        removed = tuple(Record(changed, 60, data) for data in sorted(old - new))
        added = tuple(Record(changed, 60, data) for data in sorted(new - old))
        now[changed] = RRset(60, new)
        deltas.append(Delta(number, number + 1, removed, added))
    return start, deltas, now


@given(histories())
def test_rewinding_finds_the_base(history: tuple[Sets, list[Delta], Sets]) -> None:
    start, deltas, now = history
    for key, found in divergence.rewind(now, deltas).items():
        assert found.data == start.get(key, EMPTY).data


JOURNAL = """\
del z.\t60 IN SOA ns.z. h.z. 1 2 3 4 5
add z.\t60 IN SOA ns.z. h.z. 2 2 3 4 5
add z.\t60 IN RRSIG SOA 13 2 60 20260101000000 20250101000000 1 z. AAAA
add a.z.\t60 IN A 1.1.1.1
del z. 60 IN SOA ns.z. h.z. 2 2 3 4 5
del a.z. 60 IN A 1.1.1.1
add z. 60 IN SOA ns.z. h.z. 3 2 3 4 5
add T.z. 60 IN TXT "two words"
"""


def test_a_journal_is_read() -> None:
    first, second = divergence.journal(JOURNAL, "z.", to_wire)
    assert (first.start, first.end, second.start, second.end) == (1, 2, 2, 3)
    assert first.added == (Record(A, 60, b"1.1.1.1"),)
    assert second.removed == first.added
    assert second.added == (Record(key("t.z.", rdata.TXT), 60, b'"two words"'),)


@pytest.mark.parametrize("line", ["gibberish", "put a. 1 IN A 1.1.1.1", "add a. x IN A 1.1.1.1"])
def test_what_is_no_journal_is_said_so(line: str) -> None:
    with pytest.raises(ValueError, match="not a line"):
        divergence.journal(line, "z.", to_wire)


def test_unshared() -> None:
    deltas = divergence.journal(JOURNAL, "z.", to_wire)
    assert divergence.unshared(deltas, 1) == deltas
    assert divergence.unshared(deltas, 2) == deltas[1:]
    assert divergence.unshared(deltas, 3) == ()
    assert divergence.unshared(deltas, 7) == ()
    assert divergence.unshared(deltas, 0) is None
    assert divergence.unshared((), 0) is None


def test_where_no_base_is_known_every_difference_is_a_conflict() -> None:
    merged = divergence.compare({A: rrset("1"), B: rrset("1")}, {B: rrset("1")})
    assert [change.key for change in merged.conflicts] == [A]
    assert not merged.apply


def test_the_script_says_what_each_change_rests_on() -> None:
    merged = divergence.merge({A: EMPTY, B: rrset("1")}, {A: rrset("1"), B: EMPTY}, {B: rrset("1")})
    told = divergence.described(merged.apply, to_text)
    text = divergence.script("z", "192.0.2.1", told, ["why"])
    assert text.splitlines() == [
        "; why",
        "server 192.0.2.1",
        "zone z",
        "",
        "prereq nxrrset a.z. A",
        "update add a.z. 60 A 1",
        "send",
        "",
        "prereq yxrrset b.z. A 1",
        "update delete b.z. A",
        "send",
    ]


def test_a_change_is_told_as_text_and_replayed_as_it_is() -> None:
    merged = divergence.merge({A: rrset("1")}, {A: EMPTY}, {A: rrset("1")})
    [change] = merged.apply
    assert change.update == (*A, rrset("1"), None)
    assert divergence.described([change], to_text) == [
        {"name": "a.z.", "type": "A", "ttl": 0, "base": ["1"], "ours": [], "theirs": ["1"]}
    ]


def test_what_came_and_went_is_told_too() -> None:
    merged = divergence.merge({A: EMPTY}, {A: EMPTY}, {})
    [told] = divergence.described(merged.already, to_text)
    assert (told["type"], told["base"], told["ours"], told["theirs"]) == ("A", [], [], [])
