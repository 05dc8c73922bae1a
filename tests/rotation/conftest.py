# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every test begins with a whole cluster and settled keys; they need a converged lab, and run where asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import Cluster
from tests.lab.fixtures import lab
from tests.lab.rotations import Driver

__all__ = ["driver", "lab"]


@pytest.fixture
def driver(lab: Cluster, tmp_path: Path) -> Iterator[Driver]:
    lab.power_on()
    lab.whole()
    found = Driver(lab, tmp_path)
    found.current()
    yield found
    lab.power_on()
