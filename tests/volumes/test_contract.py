# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every backend must do, on those that a container can have: a folder, and an RBD pool of a real cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.volumes.checks import checks
from tests.volumes.gateway import POOL, Gateway

pytestmark = pytest.mark.long

PROGRAMS = "/root/contract"
FOLDER = "/var/lib/contract"
POOLS = {"directory": FOLDER, "rbd": f"{POOL}@{POOL}"}


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Gateway:
    gateway.deploy()
    gateway.cluster.run(gateway.node, f"mkdir -p {FOLDER} {PROGRAMS}")
    for program in ("contract.py", "rbd_contract.py"):
        text = Path(__file__).with_name(program).read_text()
        gateway.feed(f"cat > {PROGRAMS}/{program}", text)
    return gateway


def run(node: Gateway, program: str, kind: str, check: str) -> None:
    words = f"python3 {PROGRAMS}/{program} {kind} {POOLS[kind]} {check} || true"
    [line] = node.cluster.run(node.node, words, 300).splitlines()
    assert json.loads(line) == {"check": check, "failure": None}, json.loads(line)["failure"]


@pytest.mark.parametrize("check", checks("contract.py"))
@pytest.mark.parametrize("kind", POOLS)
def test_the_contract(node: Gateway, kind: str, check: str) -> None:
    run(node, "contract.py", kind, check)


@pytest.mark.parametrize("check", checks("rbd_contract.py"))
def test_an_rbd_pool(node: Gateway, check: str) -> None:
    run(node, "rbd_contract.py", "rbd", check)
