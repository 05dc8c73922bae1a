# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of zones."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.incremental import (
    difference,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.rrset import RRset, Sets
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.content import (
    REMEMBERED,
    Content,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.zone_changes import APEX, adds, record

ZONES = st.dictionaries(
    st.tuples(
        st.sampled_from([names.parse(name, APEX) for name in "abc"]), st.sampled_from([1, 16])
    ),
    st.frozensets(st.binary(min_size=1, max_size=3), min_size=1, max_size=3).map(
        lambda data: RRset(60, data)
    ),
)


@given(ZONES, ZONES)
def test_a_digest_follows_from_deltas(before: Sets, after: Sets) -> None:
    followed = Content.of(1, before)
    followed.take([difference(1, before, 2, after)])
    assert followed.digest == Content.of(2, after).digest
    assert followed.past == {1: Content.of(1, before).digest, 2: followed.digest}
    same = {key: held.data for key, held in before.items()} == {
        key: held.data for key, held in after.items()
    }
    assert (followed.past[1] == followed.past[2]) is same


@given(ZONES, ZONES, ZONES)
def test_the_way_back_leads_to_where_it_began(first: Sets, second: Sets, third: Sets) -> None:
    way = [difference(1, first, 2, second), difference(2, second, 3, third)]
    before = Content.of(3, third).before(way)
    assert (before.serial, before.digest) == (1, Content.of(1, first).digest)


def test_no_other_way_is_gone_back() -> None:
    content = Content.of(3, {})
    with pytest.raises(ValueError, match="ends at 3, and 2 is wanted"):
        content.before([adds(2, record("b")), adds(2, record("a"))])
    with pytest.raises(ValueError, match="more than once"):
        content.before([adds(1, record("a")), adds(2, record("a"))])


def test_a_gap_between_deltas_is_not_bridged() -> None:
    with pytest.raises(ValueError, match="begins at 2, and the zone is at 1"):
        Content.of(1, {}).take([adds(2, record("a"))])


def test_old_serials_are_forgotten() -> None:
    followed = Content.of(0, {})
    followed.take(adds(serial) for serial in range(2 * REMEMBERED))
    assert list(followed.past) == list(range(REMEMBERED + 1, 2 * REMEMBERED + 1))
