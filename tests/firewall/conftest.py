# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test begins and ends with a whole cluster. They need a converged lab, and run where asked for by path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.failover.cluster import Cluster


@pytest.fixture(scope="session")
def lab() -> Cluster:
    return Cluster.of_lab()


@pytest.fixture
def cluster(lab: Cluster) -> Iterator[Cluster]:
    lab.power_on()
    lab.whole()
    yield lab
    lab.power_on()
    lab.whole()
