# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the node tests."""

from __future__ import annotations

import pytest

from tests.node.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Return the converged lab."""
    return Cluster()
