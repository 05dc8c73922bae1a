# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool in memory does what every backend must do: else tests on it would prove nothing."""

from __future__ import annotations

import pytest

from tests.fakes.volumes import FakePool
from tests.volumes import contract

NEEDS_A_REAL_ONE = {"a_pool_that_is_not_there_is_an_error", "a_user_is_seen"}


KINDS: dict[str, dict[str, bool]] = {
    "clones that need it": {},
    "clones that do not": {"clones_need_golden": False},
    "no clones": {"fresh_is_zero": False, "can_clone": False},
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FakePool:
    made = FakePool(**request.param)

    def write(place: str, offset: int, length: int, byte: int) -> None:
        made.write(place, offset, bytes([byte]) * length)

    def content(place: str, *offsets: int) -> dict[int, bytes]:
        held = made.at(place)
        assert held is not None
        return {at: bytes(held.content[at : at + contract.SPAN]) for at in offsets}

    monkeypatch.setattr(contract, "write", write)
    monkeypatch.setattr(contract, "content", content)
    return made


@pytest.mark.parametrize("name", sorted(contract.CHECKS.keys() - NEEDS_A_REAL_ONE))
def test_the_pool_keeps_the_contract(pool: FakePool, name: str) -> None:
    contract.CHECKS[name](pool)
