# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that the volume tests share. They need a lab that is up, and run where asked for by path."""

from __future__ import annotations

import pytest

from tests.lab.cluster import Cluster
from tests.lab.fixtures import lab
from tests.volumes import hypervisor as hypervisors
from tests.volumes.gateway import Gateway

__all__ = ["gateway", "hypervisor", "lab"]


@pytest.fixture(scope="session")
def gateway(lab: Cluster) -> Gateway:
    """Give the object gateway and the RBD pool, which are made where they are not there yet."""
    found = Gateway(lab)
    found.ensure()
    return found


@pytest.fixture(scope="session")
def hypervisor(gateway: Gateway) -> Gateway:
    """Give the node with the pools, on which guests can run, too."""
    hypervisors.make(gateway)
    return gateway
