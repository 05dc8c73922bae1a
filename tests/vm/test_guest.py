# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest boots from a volume: what the image says is what the guest does."""

from __future__ import annotations

import secrets

import pytest

from tests.vm import programs
from tests.vm.programs import POOLS


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("kind", POOLS)
def test_a_guest_boots_from_the_volume(kind: str) -> None:
    marker = f"booted from {kind} {secrets.token_hex(4)}"
    assert programs.run("boots.py", kind, POOLS[kind], marker, timeout=300) == f"{marker}\n"
