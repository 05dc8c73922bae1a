# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the node tests."""

from __future__ import annotations

import pytest

from tests.node.control_node import ControlNode


@pytest.fixture(scope="session")
def control() -> ControlNode:
    """Return the control node of the converged lab."""
    return ControlNode()
