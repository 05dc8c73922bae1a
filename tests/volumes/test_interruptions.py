# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is interrupted, wherever it is, leaves the old volume or the new one: in a folder, and on RBD."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.volumes import interrupting
from tests.volumes.gateway import POOL, Gateway

pytestmark = pytest.mark.long

FOLDER = "/var/lib/interruptions"
POOLS = {"directory": FOLDER, "rbd": f"{POOL}@{POOL}"}
FILE = "/root/interruptions.py"


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Iterator[Gateway]:
    gateway.deploy()
    gateway.cluster.run(gateway.node, f"mkdir -p {FOLDER}")
    gateway.feed(f"cat > {FILE}", interrupting.PROGRAM.read_text())
    yield gateway
    gateway.cluster.run(gateway.node, f"rm -rf {FOLDER}")
    gateway.empty_pool()


def interrupt(node: Gateway, *words: str) -> str:
    return node.cluster.run(node.node, f"python3 {FILE} {' '.join(words)}", 600)


@pytest.mark.parametrize("how", ["kill", "term", "cancel"])
def test_interrupted_in_a_folder(node: Gateway, how: str) -> None:
    interrupting.judge(interrupt(node, "directory", FOLDER, how))


def test_killed_on_rbd(node: Gateway) -> None:
    interrupting.judge(interrupt(node, "rbd", POOLS["rbd"], "kill"))


@pytest.mark.parametrize("kind", POOLS)
def test_each_change_refused(node: Gateway, kind: str) -> None:
    rounds = interrupting.flawless(interrupt(node, kind, POOLS[kind], "fail"))
    assert len(rounds) >= 5


def test_killed_while_a_golden_image_is_made(node: Gateway) -> None:
    rounds = interrupting.flawless(interrupt(node, "rbd", POOLS["rbd"], "kill", "golden"))
    assert {"clone", "seal"} <= {each["point"].rpartition(" ")[2] for each in rounds}


def test_killed_while_it_is_overwritten_in_place(node: Gateway) -> None:
    """What it held is lost then, as its operator was told; it is not taken for good, and can be filled again."""
    rounds = interrupting.flawless(interrupt(node, "directory", FOLDER, "kill", "in_place"))
    assert "" in {each["held"] for each in rounds}
