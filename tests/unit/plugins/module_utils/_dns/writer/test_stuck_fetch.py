# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When BIND is started afresh: where a zone stands still that the writer has more of, and seldom."""

from __future__ import annotations

from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.stuck_fetch import (
    StuckFetch,
)

PATIENCE, PAUSE = 30.0, 600.0


def test_a_zone_that_stands_still_is_told_once_a_pause() -> None:
    found = StuckFetch(PATIENCE, PAUSE)
    told = [at for at in range(1400) if found.look(at, {"a": 7, "b": None}) == ["a", "b"]]
    assert told == [31, 631, 1231]


def test_a_zone_that_moves_is_fetched_however_far_it_is_behind() -> None:
    found = StuckFetch(PATIENCE, PAUSE)
    assert not any(found.look(at, {"a": at // 20}) for at in range(500))


def test_a_zone_that_was_level_in_between_begins_anew() -> None:
    found = StuckFetch(PATIENCE, PAUSE)
    for at in range(300):
        assert not found.look(at, {"a": 7} if at % 30 else {})


def test_only_the_zones_that_stand_still_are_named() -> None:
    found = StuckFetch(PATIENCE, PAUSE)
    told = [found.look(at, {"still": 1, "moves": at}) for at in range(40)]
    assert [zones for zones in told if zones] == [["still"]]
