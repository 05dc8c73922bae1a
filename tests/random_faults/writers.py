# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers that note what was acknowledged: one outside of the cluster, and one on every node."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.lab import access
from tests.lab.cluster import Cluster
from tests.lab.dns_client import Client
from tests.lab.layout import Node

PACE = 0.1
"""Seconds between two updates of one writer."""
ON_A_NODE = """
import itertools, subprocess, time
command = "nsupdate -k /etc/debvisor/keys/debvisor-node.key -t 1 -u 1 -r 0".split()
for number in itertools.count():
    owner = f"{prefix}{{number}}.{zone}."
    address = f"10.201.{{number // 250 % 250}}.{{number % 250}}"
    text = f"server {vip}\\nzone {zone}\\nupdate add {{owner}} 60 A {{address}}\\nsend\\n"
    if not subprocess.run(command, input=text, text=True, capture_output=True).returncode:
        print(owner, flush=True)
    time.sleep({pace})
"""


class NodeWriter:
    """Writes from a node, through ssh; begins anew, under other names, where the node went away."""

    def __init__(self, cluster: Cluster, node: Node, prefix: str) -> None:
        self.where = node.name
        self._cluster, self._node, self._prefix = cluster, node, prefix
        self._names: set[str] = set()
        self._stop = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def acknowledged(self) -> set[str]:
        return set(self._names)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._process:
            self._process.terminate()
        self._thread.join(10)

    def _run(self) -> None:
        options = ("-o", "BatchMode=yes", "-o", "ServerAliveInterval=3")
        for life in range(10**6):
            program = ON_A_NODE.format(
                prefix=f"{self._prefix}{life}-",
                zone=self._cluster.zone,
                vip=self._cluster.vip,
                pace=PACE,
            )
            with subprocess.Popen(
                [*access.ssh_command(self._cluster.lab, self._node, *options), "python3", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            ) as self._process:
                assert self._process.stdin
                assert self._process.stdout
                try:
                    self._process.stdin.write(program)
                    self._process.stdin.close()
                except BrokenPipeError:
                    pass
                for line in self._process.stdout:
                    if line.endswith(".\n"):  # a whole one
                        self._names.add(line.strip())
            if self._stop.wait(1.0):
                return


@dataclass
class Writers:
    """All that write, and all that they were acknowledged."""

    outside: Client
    on_nodes: list[NodeWriter]

    def acknowledged(self) -> dict[str, set[str]]:
        """Return the names that were acknowledged, by where they were written."""
        found = {writer.where: writer.acknowledged() for writer in self.on_nodes}
        return {**found, "outside": set(self.outside.acknowledged())}


@contextmanager
def writing(cluster: Cluster) -> Iterator[Writers]:
    """Let everybody write."""
    stamp = f"r{time.time_ns() // 1_000_000 % 10**8}"
    with ExitStack() as stack:
        outside = stack.enter_context(
            Client(cluster.vip, cluster.zone, cluster.key("node"), f"{stamp}-out-", PACE)
        )
        on_nodes = []
        for node in cluster.lab.nodes:
            writer = NodeWriter(cluster, node, f"{stamp}-{node.name}-")
            writer.start()
            stack.callback(writer.stop)
            on_nodes.append(writer)
        yield Writers(outside, on_nodes)
