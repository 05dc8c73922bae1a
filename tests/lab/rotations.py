# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drive rotations as an operator does, kill them as an accident does, and look at the nodes as a stranger does."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import tsig
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import Key

from tests.lab.cluster import Cluster, eventually
from tests.lab.control_node import ControlNode, PlaybookRun, kill_with_descendants
from tests.lab.layout import CHECKOUT

KEYS = "/etc/debvisor/keys"
KEYRING = "/var/lib/debvisor/keyring.json"
REPORT = "/var/log/debvisor/tsig-rotation.json"
CLASSES = ("admin", "node", "role", "vm", "xfer", "xfer-node3")
QUICK = {"debvisor_tsig_grace": 2, "debvisor_tsig_canary_interval": 0.02}
TIMEOUT = 240.0

OnTask = Callable[[str], None]


@dataclass(slots=True)
class Ended:
    """How a playbook ended, and the tasks that it began."""

    status: int
    output: str
    tasks: list[str] = field(default_factory=list)

    @property
    def changed(self) -> int:
        return sum(int(count) for count in re.findall(r"changed=(\d+)", self.output))


class Driver:
    """The rotation's control node."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.control = ControlNode(cluster.lab)
        self._folder = folder

    def play(
        self,
        playbook: str = "rotate_tsig",
        *options: str,
        on_task: OnTask | None = None,
        kill_at: tuple[str, int] | None = None,
        kill_once: Callable[[], bool] | None = None,
        **extra: Any,
    ) -> Ended:
        """Run a playbook; with ``kill_at`` it dies with all that came of it (SIGKILL) in the nth task of that name.

        :param kill_once: not before this holds; how long a task takes to begin depends on the machine.
        """
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *self.control.inventory,
            *options,
            "--extra-vars",
            json.dumps({**QUICK, **extra}),
            f"debvisor.hci.{playbook}",
        ]
        with subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            ended = Ended(0, "")
            deadline = time.monotonic() + TIMEOUT
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    ended.output += line
                    assert time.monotonic() < deadline, ended.output[-3000:]
                    if not (found := re.match(r"TASK \[(?:\S+ : )?(.*?)\] \*", line)):
                        continue
                    task = found.group(1)
                    ended.tasks.append(task)
                    if on_task is not None:
                        on_task(task)
                    if kill_at == _occurrence(kill_at, ended.tasks):
                        if kill_once is None:
                            time.sleep(0.4)  # into the task, not before it
                        else:
                            eventually(f"the task {task} takes effect", kill_once, TIMEOUT)
                        break
            finally:
                if kill_at is not None or sys.exc_info()[0]:
                    kill_with_descendants(process.pid)
            ended.status = process.wait(TIMEOUT)
        return ended

    def rotate(self, **extra: Any) -> Ended:
        """Rotate all classes now; it must succeed."""
        ended = self.play(debvisor_tsig_rotation="now", **extra)
        assert ended.status == 0, ended.output[-4000:]
        return ended

    def ansible(self, *arguments: str) -> PlaybookRun:
        return self.control.ansible(*arguments, log=self._folder / "ansible.log")

    def report(self) -> dict[str, Any]:
        """Return what the last rotation wrote down."""
        found: dict[str, Any] = json.loads(self.cluster.run("node1", f"cat {REPORT}"))
        return found

    def keyring(self) -> dict[str, dict[str, Any]]:
        """Return the keyring as it lies on the disk, without its secrets."""
        document = json.loads(self.cluster.run("node1", f"cat {KEYRING}"))
        return {
            name: {
                each["number"]: each["standing"]
                for each in sorted(entry["generations"], key=lambda entry: entry["number"])
            }
            for name, entry in document["classes"].items()
        }

    def current(self) -> dict[str, int]:
        """Return the current generation of each class. The keyring must be settled."""
        ring = self.keyring()
        assert all(list(entry.values()) == ["current"] for entry in ring.values()), ring
        return {name: next(iter(entry)) for name, entry in ring.items()}

    def held(self, node: str) -> dict[str, str]:
        """Return the key files of a node and what its links lead to, as ``ls`` shows them."""
        listing = self.cluster.run(
            node, f"cd {KEYS} && for f in *.key; do echo $f $(readlink $f || true); done"
        )
        return {words[0]: " ".join(words[1:]) for words in map(str.split, listing.splitlines())}

    def key(self, name: str, node: str = "node1") -> Key:
        """Fetch a key file from a node."""
        path = f"{KEYS}/{name}.key"
        return tsig.parse(self.cluster.run(node, f"cat {path}").encode(), path)

    def assert_settled_everywhere(self) -> dict[str, int]:
        """Every node holds just the current generation of its classes, and signs with it."""
        current = self.current()
        for node in self.cluster.lab.nodes:
            held = self.held(node.name)
            for of_class, number in current.items():
                mine = {name: to for name, to in held.items() if name.startswith(of_class + ".")}
                if mine:
                    file = f"{of_class}.g{number}.key"
                    assert mine == {file: "", f"{of_class}.key": file}, (node.name, mine)
        return current

    @contextlib.contextmanager
    def witnesses(self) -> Iterator[list[Witness]]:
        """Let BIND's own nsupdate work on every node meanwhile, with the key file as it is each time."""
        started = [Witness(self.cluster, node.name) for node in self.cluster.lab.nodes]
        try:
            for witness in started:
                witness.start()
            yield started
        finally:
            for witness in started:
                witness.stop()


class Witness:
    """A loop of nsupdate(1) on a node; see witness.sh."""

    def __init__(
        self, cluster: Cluster, node: str, zone: str = "", key: str = "", patience: int = 5
    ) -> None:
        self._cluster = cluster
        self._zone = zone or cluster.zone
        self._key = key or f"{KEYS}/debvisor-node.key"
        self._patience = patience
        self.node = node
        self.made = 0
        self.failed = -1

    def start(self) -> None:
        script = base64.b64encode(Path(__file__).with_name("witness.sh").read_bytes()).decode()
        record = f"_witness-{self.node}.{self._zone}"
        self._cluster.run(
            self.node,
            "rm -f /run/debvisor-witness.*;"
            f" echo {script} | base64 -d >/run/debvisor-witness.sh;"
            " systemd-run --quiet --collect --unit=debvisor-witness --property=RuntimeMaxSec=330"
            " /bin/bash /run/debvisor-witness.sh"
            f" {self._cluster.vip} {self._zone} {record} {self._key} {self._patience}",
        )

    def stop(self) -> None:
        counts = self._cluster.run(
            self.node,
            "touch /run/debvisor-witness.stop;"
            " for i in $(seq 100); do [ -s /run/debvisor-witness.out ] && break; sleep 0.1; done;"
            " cat /run/debvisor-witness.out",
        ).split()
        self.made, self.failed = int(counts[0]), int(counts[1])


def _occurrence(of: tuple[str, int] | None, tasks: Sequence[str]) -> tuple[str, int] | str:
    """Return the name that is looked for, and which one of it the last task is; a mere word where it is another."""
    if of is None or of[0] not in tasks[-1]:
        return "another"
    return of[0], sum(of[0] in task for task in tasks)


def names(numbers: dict[str, int], classes: Sequence[str] = CLASSES) -> list[str]:
    """Return the names of keys, ``g2.debvisor-node``."""
    return sorted(f"g{numbers[f'debvisor-{each}']}.debvisor-{each}" for each in classes)
