# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of the machine begin with one that is up; `make vm` sees to that."""

from __future__ import annotations

import pytest

from tests.vm import deploy
from tests.vm.__main__ import require_running


@pytest.fixture(scope="session")
def vm() -> None:
    """The machine, with today's code."""
    require_running()
    deploy.collection()
