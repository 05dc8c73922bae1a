# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Epochs: written, read, trimmed; and where two histories part."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns import epoch, rdata
from ansible_collections.debvisor.hci.plugins.module_utils._dns.epoch import Epoch
from ansible_collections.debvisor.hci.plugins.module_utils._dns.serials import ahead
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


@given(st.frozensets(EPOCHS))
def test_what_is_recorded_is_read(history: frozenset[Epoch]) -> None:
    assert epoch.held(one.data for one in history) == history
    for one in history:
        assert rdata.render(rdata.TXT, one.data) == f'"{one.text()}"'


@pytest.mark.parametrize("text", ["", "v=2 epoch=1 node=a from=1 time=t", "epoch=1", "v=1 epoch=x"])
def test_what_is_not_ours_is_passed_over(text: str) -> None:
    assert epoch.parse([text, FIRST.text()]) == {FIRST}


def test_the_next_epoch_counts_on() -> None:
    assert epoch.following([], "n1", 7, "t") == Epoch(1, 7, "n1", "t")
    assert epoch.following([SECOND, FIRST], "n1", 7, "t").number == 3


@given(st.frozensets(EPOCHS, max_size=40))
def test_the_set_stays_small_and_keeps_the_youngest(history: frozenset[Epoch]) -> None:
    left = history - epoch.obsolete(history)
    assert len(left) < epoch.KEPT
    assert epoch.latest(left) == epoch.latest(history)


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
