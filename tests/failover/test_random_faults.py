# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults in random sequence: one minute of them, and ten. The seed that is printed draws the same ones again."""

from __future__ import annotations

import time

import pytest

from tests.lab.cluster import Cluster
from tests.random_faults.run import run


@pytest.mark.parametrize("minutes", [1, pytest.param(10, marks=pytest.mark.long)])
def test_nothing_is_lost_and_nobody_has_two_writers(cluster: Cluster, minutes: int) -> None:
    seed = time.time_ns() % 10**6
    outcome = run(cluster, seed, minutes * 60, print)
    print(outcome)
    assert not outcome.wrong, f"seed {seed}"
    assert sum(outcome.acknowledged.values()) > 100 * minutes
    assert outcome.faults
    assert all(outcome.acknowledged.values()), "a writer wrote nothing"
