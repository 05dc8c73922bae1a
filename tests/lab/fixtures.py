# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of every test on a converged lab; such tests run where asked for by path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.cluster import Cluster
from tests.lab.control_node import ControlNode


@pytest.fixture(scope="session")
def lab() -> Cluster:
    return Cluster.of_lab()


@pytest.fixture(scope="session")
def control() -> ControlNode:
    """Return the control node of the converged lab."""
    return ControlNode()


@pytest.fixture
def cluster(lab: Cluster) -> Iterator[Cluster]:
    """Begin and end with a whole cluster."""
    lab.power_on()
    lab.whole()
    yield lab
    lab.power_on()
    lab.whole()
