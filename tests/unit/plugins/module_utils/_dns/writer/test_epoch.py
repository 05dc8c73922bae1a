# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Epochs: written, read, trimmed; and where two histories part."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, rdata, wire
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.serials import ahead
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer import epoch
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.epoch import Epoch
from hypothesis import given
from hypothesis import strategies as st

FIRST = Epoch(1, 1, "n1", "t1")
SECOND = Epoch(2, 65600, "n2", "t2")
EPOCHS = st.builds(
    Epoch,
    st.integers(1, 10**8),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["n1", "n2"]),
    st.just("2026-01-01T00:00:00Z"),
)


@given(st.frozensets(EPOCHS))
def test_what_is_written_is_read(history: frozenset[Epoch]) -> None:
    assert epoch.parse(one.text() for one in history) == history


@given(st.frozensets(EPOCHS, max_size=10))
def test_what_is_recorded_is_read(history: frozenset[Epoch]) -> None:
    data = epoch.recorded(history)
    assert epoch.held([data] if history else []) == history
    if history:
        texts = [one.text() for one in sorted(history, reverse=True)]
        assert rdata.render(rdata.TXT, data) == " ".join(f'"{text}"' for text in texts)


@given(st.frozensets(EPOCHS, max_size=16))
def test_the_records_of_before_are_read_beside_it(history: frozenset[Epoch]) -> None:
    """Each epoch had a record of its own, and they have no order."""
    old = [f"v=1 {one.text()}".encode() for one in history]
    records = [bytes([len(text)]) + text for text in old]
    assert epoch.held(records) == history
    assert epoch.held([*records, epoch.recorded({FIRST})]) == history | {FIRST}


@pytest.mark.parametrize("text", ["", "v=2 epoch=1 node=a from=1 time=t", "epoch=1", "v=1 epoch=x"])
def test_what_is_not_ours_is_passed_over(text: str) -> None:
    assert epoch.parse([text, FIRST.text()]) == {FIRST}


def test_the_next_epoch_counts_on() -> None:
    assert epoch.following([], "n1", 7, "t") == Epoch(1, 7, "n1", "t")
    assert epoch.following([SECOND, FIRST], "n1", 7, "t").number == 3


@given(st.frozensets(EPOCHS, min_size=1, max_size=40), st.integers(1, 63))
def test_the_answer_fits_into_a_datagram_and_keeps_the_youngest(
    history: frozenset[Epoch], length: int
) -> None:
    """Sixteen records were 1.4 KiB, so every reader had to come again over TCP."""
    named = {Epoch(one.number, one.start, "n" * length, one.time) for one in history}
    data = epoch.recorded(named)
    zone = names.parse(".".join(["a" * 61] * 4) + ".")
    answer = wire.query(1, epoch.owner(zone), rdata.TXT, edns=True) + wire.record(
        b"\xc0\x0c", rdata.TXT, wire.IN, 60, data
    )
    signature = wire.record(
        names.parse("g99.debvisor-transfer."), wire.TSIG, 255, 0, bytes(13 + 80)
    )
    assert len(answer + signature) <= wire.LONGEST_DATAGRAM
    left = epoch.held([data])
    assert left == frozenset(sorted(named, reverse=True)[: len(left)])
    longest = max(len(one.text()) + 1 for one in named)
    assert len(left) >= min(len(named), epoch.ROOM // longest)


def test_it_keeps_ten_epochs_whatever_their_numbers_where_names_are_short() -> None:
    young = [Epoch(10**9 - at, 2**32 - at, "n" * 8, "2026-01-01T00:00:00Z") for at in range(1, 41)]
    assert len(epoch.held([epoch.recorded(young)])) == 10


@given(st.integers(0, 2**32 - 1))
def test_two_that_take_over_at_once_reach_different_serials(serial: int) -> None:
    one, other = epoch.leap(serial, 0), epoch.leap(serial, 1)
    leaps = [ahead(one, serial), ahead(other, serial) - ahead(one, serial)]
    assert leaps == [epoch.LEAP, epoch.LEAP]


def test_no_fork_while_nobody_took_over() -> None:
    assert epoch.fork({FIRST}, {FIRST}) is None
    assert epoch.fork({FIRST, SECOND}, {FIRST}) is None


def test_a_fork_is_where_the_successor_began() -> None:
    third = Epoch(3, 200000, "n1", "t3")
    assert epoch.fork({FIRST}, {FIRST, SECOND, third}) == epoch.Fork(SECOND.start, SECOND)


def test_two_writers_of_the_same_epoch_forked_where_the_other_began() -> None:
    mine, theirs = Epoch(2, 30, "n1", "t"), Epoch(2, 28, "n2", "t")
    assert epoch.fork({FIRST, mine}, {FIRST, theirs}) == epoch.Fork(28, theirs)


def test_without_a_common_epoch_the_base_is_unknown() -> None:
    far = Epoch(40, 5, "n2", "t")
    assert epoch.fork({FIRST}, {far}) == epoch.Fork(None, far)


def test_the_first_epoch_of_all_needs_no_common_one() -> None:
    assert epoch.fork(set(), {FIRST}) == epoch.Fork(1, FIRST)
