# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RFC 1982."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.serials import (
    ahead,
    reached,
)
from hypothesis import given
from hypothesis import strategies as st

serials = st.integers(0, 2**32 - 1)


@given(serials, st.integers(1, 2**31 - 1))
def test_a_serial_is_behind_what_was_added_to_it(serial: int, more: int) -> None:
    later = (serial + more) % 2**32
    assert (ahead(later, serial), ahead(serial, later)) == (more, -more)
    assert reached(later, serial)
    assert not reached(serial, later)


@pytest.mark.parametrize(
    ("one", "other", "distance"), [(0, 2**32 - 1, 1), (5, 5, 0), (2**31, 0, -(2**31))]
)
def test_edges(one: int, other: int, distance: int) -> None:
    assert ahead(one, other) == distance
