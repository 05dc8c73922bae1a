# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest boots from a volume: what the image says is what the guest does."""

from __future__ import annotations

import secrets

import pytest

from tests.volumes.gateway import POOL, Gateway
from tests.volumes.hypervisor import PROGRAMS

pytestmark = pytest.mark.long

POOLS = {"directory": "/var/lib/bad-cases/pool", "rbd": f"{POOL}@{POOL}"}


@pytest.mark.parametrize("kind", POOLS)
def test_a_guest_boots_from_the_volume(hypervisor: Gateway, kind: str) -> None:
    marker = f"booted from {kind} {secrets.token_hex(4)}"
    told = hypervisor.cluster.run(
        hypervisor.node, f"python3 {PROGRAMS}/boots.py {kind} {POOLS[kind]} '{marker}'", 120
    )
    assert told == f"{marker}\n"
