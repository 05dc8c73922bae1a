# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a primary gives up the VIP, and when it may have it again."""

from __future__ import annotations

from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.stand_back import (
    FIRST,
    LONGEST,
    StandBack,
)

IN_VAIN: dict[str, Any] = {"vip": True, "holds": False, "rival": "b", "near": False}


def standing() -> tuple[StandBack, float]:
    made = StandBack(1.5)
    assert not made.look(10.0, **IN_VAIN)
    assert not made.look(11.4, **IN_VAIN)
    assert made.look(11.6, **IN_VAIN)
    return made, 11.6


def test_it_stands_back_after_asking_in_vain_for_a_while() -> None:
    standing()


def test_a_short_wait_for_a_lease_that_runs_out_is_no_reason() -> None:
    made = StandBack(1.5)
    assert not made.look(10.0, **IN_VAIN)
    assert not made.look(11.0, **{**IN_VAIN, "rival": ""})
    assert not made.look(12.0, **IN_VAIN)


def test_it_goes_on_standing_back_while_the_other_one_is_out_of_sight() -> None:
    made, at = standing()
    assert made.look(at + 1000, **{**IN_VAIN, "vip": False})


def test_it_ends_with_the_rivals_lease_and_with_a_lease_of_its_own() -> None:
    made, at = standing()
    assert not made.look(at + 0.1, **{**IN_VAIN, "vip": False, "rival": ""})
    made, at = standing()
    assert not made.look(at + 0.1, vip=False, holds=True, rival="", near=False)


def test_it_tries_again_once_the_other_one_answers_and_longer_after_each_time_in_vain() -> None:
    made, at = standing()
    needed = FIRST
    for _round in range(8):
        waiting = {**IN_VAIN, "vip": False, "near": True}
        assert made.look(at + 0.1, **waiting)
        assert made.look(at + needed - 0.1, **waiting)
        assert not made.look(at + needed + 0.2, **waiting)
        at += needed + 10
        assert not made.look(at, **IN_VAIN)
        at += 1.6
        assert made.look(at, **IN_VAIN)
        needed = min(2 * needed, LONGEST)


def test_the_time_in_sight_counts_without_a_break() -> None:
    made, at = standing()
    assert made.look(at + 0.1, **{**IN_VAIN, "near": True})
    assert made.look(at + 1.0, **{**IN_VAIN, "near": False})
    assert made.look(at + 2.5, **{**IN_VAIN, "near": True})
