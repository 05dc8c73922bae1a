# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What everybody on this machine and on a node could see meanwhile: arguments and variables of every process."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab import access
from tests.lab.control_node import ControlNode
from tests.lab.layout import Node
from tests.lab.sampler import look

SAMPLER = Path(__file__).with_name("sampler.py")
STOP = "/run/debvisor-sampler.stop"


def sample(control: ControlNode, node: Node) -> dict[str, Any]:
    """Return what a sampler on the node saw until ``STOP`` was made there."""
    control.on(node, f"rm -f {STOP}")
    done = subprocess.run(
        [*access.ssh_command(control.lab, node, "-o", "BatchMode=yes"), "python3 - 600"],
        input=SAMPLER.read_text(),
        capture_output=True,
        text=True,
        timeout=700,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class _Here(threading.Thread):
    """Looks at this machine."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: set[str] = set()
        self._over = threading.Event()

    def run(self) -> None:
        ages: dict[str, int] = {}
        while not self._over.wait(0.02):
            self.texts |= look(ages)

    def __enter__(self) -> _Here:
        self.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._over.set()
        self.join()


@contextmanager
def watched(control: ControlNode, node: Node) -> Iterator[list[str]]:
    """Give a list that holds, afterwards, what was to be seen."""
    texts: list[str] = []
    with ThreadPoolExecutor(1) as pool, _Here() as here:
        there = pool.submit(sample, control, node)
        try:
            yield texts
        finally:
            control.on(node, f"touch {STOP}")
    control.on(node, f"rm {STOP}")
    texts += [*here.texts, *there.result()["texts"]]
    assert len(texts) > 100, "the processes were not watched"
