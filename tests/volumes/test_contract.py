# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every backend must do, on those that a container can have: a folder, and an RBD pool of a real cluster."""

from __future__ import annotations

import ast
import json
import shlex
from pathlib import Path

import pytest

from tests.volumes.gateway import POOL, Gateway

CONTRACT = Path(__file__).with_name("contract.py")
FOLDER = "/var/lib/contract"
POOLS = {"directory": FOLDER, "rbd": f"{POOL}@{POOL}"}


def checks() -> list[str]:
    """Name them, read from the text: the module itself runs on nodes."""
    found = [
        each.name
        for each in ast.parse(CONTRACT.read_text()).body
        if isinstance(each, ast.FunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == "check" for mark in each.decorator_list)
    ]
    assert found
    return found


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Gateway:
    gateway.deploy()
    gateway.cluster.run(gateway.node, f"mkdir -p {FOLDER}")
    return gateway


@pytest.mark.parametrize("check", checks())
@pytest.mark.parametrize("kind", POOLS)
def test_the_contract(node: Gateway, kind: str, check: str) -> None:
    told = node.cluster.run(
        node.node,
        f"python3 -c {shlex.quote(CONTRACT.read_text())} {kind} {POOLS[kind]} {check} || true",
        300,
    )
    [line] = told.splitlines()
    assert json.loads(line) == {"check": check, "failure": None}, json.loads(line)["failure"]
