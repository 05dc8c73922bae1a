# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan that changes too much is refused."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Problem
from ansible_collections.debvisor.hci.plugins.module_utils._core.limits import (
    TooManyChanges,
    check_option,
    check_share,
    limited,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import Spec, filled


@pytest.mark.parametrize(
    ("changed", "total", "allowed"),
    [(3, 10, 30), (9, 9, 30), (0, 0, 30), (10, 10, 100), (0, 100, 0)],
)
def test_small_changes_and_small_sets_pass(changed: int, total: int, allowed: float) -> None:
    check_share("pools", changed, total, allowed=allowed)


@pytest.mark.parametrize(("changed", "total", "needed"), [(4, 10, 40), (1, 10, 10), (67, 99, 68)])
def test_a_larger_share_is_refused_and_the_option_named(
    changed: int, total: int, needed: int
) -> None:
    with pytest.raises(TooManyChanges, match=f"would change {changed} of {total} pools") as caught:
        check_share("pools", changed, total, allowed=5)
    assert f"set max_share={needed} to go on" in caught.value.hint
    check_share("pools", changed, total, allowed=needed)


def test_more_than_all_is_allowed_where_all_is() -> None:
    check_share("pools", 12, 11, allowed=100)


@pytest.mark.parametrize(("share", "wrong"), [(0, 0), (100, 0), (-1, 1), (100.5, 1)])
def test_the_option_is_a_percentage(share: float, wrong: int) -> None:
    problems: list[Problem] = []
    assert check_option(filled(Spec(limited(30)), {"max_share": share}), problems) == share
    assert [each.where for each in problems] == ["max_share"] * wrong
    assert filled(Spec(limited(30)), {}) == {"max_share": 30}
