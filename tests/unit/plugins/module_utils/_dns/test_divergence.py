# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three-way merge: it overwrites nothing and loses nothing."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns import divergence
from ansible_collections.debvisor.hci.plugins.module_utils._dns.divergence import (
    EMPTY,
    Content,
    Delta,
    Key,
    Record,
    RRset,
)
from hypothesis import given
from hypothesis import strategies as st

A, B = Key("a.z.", "A"), Key("b.z.", "A")


def rrset(*data: str) -> RRset:
    return RRset(60, frozenset(data))


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
    keys = [Key("z.", kind) for kind in divergence.LEFT_OUT] + [Key("_writer.z.", "TXT")]
    base = dict.fromkeys(keys, EMPTY)
    ours = dict.fromkeys(keys, rrset("x"))
    assert divergence.merge(base, ours, {}, skip=["_writer.z."]).empty


@pytest.mark.parametrize(("kind", "present"), [("CNAME", "A"), ("A", "CNAME")])
def test_a_cname_beside_other_data_is_a_conflict(kind: str, present: str) -> None:
    key = Key("a.z.", kind)
    theirs = {Key("a.z.", present): rrset("x")}
    merged = divergence.merge({key: EMPTY}, {key: rrset("y")}, theirs)
    assert [change.key for change in merged.conflicts] == [key]


def test_what_the_signer_adds_is_no_conflict_with_a_cname() -> None:
    key = Key("a.z.", "CNAME")
    served = {Key("a.z.", kind): rrset("x") for kind in ("CNAME", "RRSIG", "NSEC")}
    merged = divergence.merge({key: rrset("x")}, {key: rrset("y")}, served)
    assert [change.key for change in merged.apply] == [key]


KEYS = st.sampled_from([A, B, Key("c.z.", "TXT"), Key("c.z.", "CNAME")])
SETS = st.builds(RRset, st.just(60), st.frozensets(st.sampled_from("1234"), max_size=3))
CONTENTS = st.dictionaries(KEYS, SETS)


@given(CONTENTS, CONTENTS, CONTENTS)
def test_nothing_is_overwritten_and_nothing_lost(
    base: Content, ours: Content, theirs: Content
) -> None:
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
def histories(draw: st.DrawFn) -> tuple[Content, list[Delta], Content]:
    """A zone, the deltas that a server applied to it, and what came out."""
    start = {key: value for key, value in draw(CONTENTS).items() if value.data}
    now = dict(start)
    deltas = []
    for number in range(draw(st.integers(1, 5))):
        key = draw(KEYS)
        old = now.get(key, EMPTY).data
        new = draw(SETS).data
        removed = tuple(Record(key.name, key.kind, 60, data) for data in sorted(old - new))
        added = tuple(Record(key.name, key.kind, 60, data) for data in sorted(new - old))
        now[key] = RRset(60, new)
        deltas.append(Delta(number, number + 1, removed, added))
    return start, deltas, now


@given(histories())
def test_rewinding_finds_the_base(history: tuple[Content, list[Delta], Content]) -> None:
    start, deltas, now = history
    for key, found in divergence.rewind(now, deltas).items():
        assert found.data == start.get(key, EMPTY).data


JOURNAL = """\
del z.\t60 IN SOA ns.z. h.z. 1 2 3 4 5
add z.\t60 IN SOA ns.z. h.z. 2 2 3 4 5
add a.z.\t60 IN A 1.1.1.1
del z. 60 IN SOA ns.z. h.z. 2 2 3 4 5
del a.z. 60 IN A 1.1.1.1
add z. 60 IN SOA ns.z. h.z. 3 2 3 4 5
add T.z. 60 IN TXT "two words"
"""


def test_a_journal_is_read() -> None:
    first, second = divergence.journal(JOURNAL, "z.")
    assert (first.start, first.end, second.start, second.end) == (1, 2, 2, 3)
    assert first.added == (Record("a.z.", "A", 60, "1.1.1.1"),)
    assert second.removed == first.added
    assert second.added == (Record("t.z.", "TXT", 60, '"two words"'),)


@pytest.mark.parametrize("line", ["gibberish", "put a. 1 IN A 1.1.1.1", "add a. x IN A 1.1.1.1"])
def test_what_is_no_journal_is_said_so(line: str) -> None:
    with pytest.raises(ValueError, match="not a line"):
        divergence.journal(line, "z.")


def test_unshared() -> None:
    deltas = divergence.journal(JOURNAL, "z.")
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
    text = divergence.script("z", "192.0.2.1", merged.apply, ["why"])
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
