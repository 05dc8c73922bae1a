# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an operator sits: run something on a node, run a playbook against all of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import access
from tests.lab.layout import CHECKOUT, Lab, Node, current_lab

PLAYBOOK_TIMEOUT = 900.0


@dataclass(frozen=True, slots=True)
class PlaybookRun:
    """What one ansible-playbook run printed, and how it ended."""

    status: int
    output: str
    log: Path

    def results(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return (host, task) -> result, for a run with the JSON callback. The last result of a repeated task wins."""
        return {
            (host, task["task"]["name"]): result
            for play in self._plays()
            for task in play["tasks"]
            for host, result in task["hosts"].items()
        }

    def _plays(self) -> Iterator[dict[str, Any]]:
        """Yield the plays of every playbook; each printed a document of its own."""
        at = self.output.find("{")
        while at >= 0:
            document, end = json.JSONDecoder().raw_decode(self.output, at)
            yield from document["plays"]
            at = self.output.find("{", end)


class ControlNode:
    """This machine, as the control node of a lab."""

    def __init__(self, lab: Lab | None = None) -> None:
        self.lab = lab or current_lab()

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.lab.nodes

    def on(self, node: Node, command: Sequence[str] | str, timeout: float = 60) -> str:
        """Run a command on a node as root and return what it printed; a failure fails the test."""
        done = access.run(self.lab, node, command, timeout=timeout, attempts=10)
        assert done.returncode == 0, f"{node.name}: {command}: {done.stderr or done.stdout}"
        return done.stdout

    @property
    def inventory(self) -> list[str]:
        sources = [CHECKOUT / "inventories" / "lab", access.overlay_inventory(self.lab)]
        return [f"--inventory={source}" for source in sources]

    def ansible(
        self, *arguments: str, log: Path, program: str = "ansible-playbook", **environment: str
    ) -> PlaybookRun:
        """Run ansible with the lab's inventory; everything it prints goes to ``log`` as well."""
        command = [str(Path(sys.executable).with_name(program)), *self.inventory, *arguments]
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PLAYBOOK_TIMEOUT,
            check=False,
        )
        log.write_text(done.stdout)
        return PlaybookRun(done.returncode, done.stdout, log)


def kill_with_descendants(process: int) -> None:
    """End a process and all that came of it at once. Ansible's workers have sessions of their own, and outlive it."""
    listing = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    parents = {int(pid): int(ppid) for pid, ppid in map(str.split, listing.stdout.splitlines())}
    doomed = {process}
    while more := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
        doomed |= more
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
