# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of up to a million lines on a node of the lab: reckoned, loaded, changed, banned from, and passed by packets.

Peers are Debian 13's own tools on the same node, in turn with ours: iprange, netaddr, nft with one interval set, ipset.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.report import Aim, Row
from tests.lab.cluster import Cluster

NODE, CLIENT = "node1", "node3"
MILLION = 1_000_000
SIZES = (10_000, 100_000, MILLION)
PORT = 9100
"""Open to the monitoring node by the baseline, and nothing listens there in the lab."""
STEP_TIMEOUT = 1800.0
PLACE = "/var/tmp/firewall_node.py"
CONNECTS = """
import socket, statistics, time
taken = []
for number in range({count}):
    started = time.perf_counter()
    socket.create_connection(("{to}", {port}), timeout=5).close()
    taken.append(1e6 * (time.perf_counter() - started))
print(statistics.median(taken))
"""
LISTENER = (
    "import socket; l = socket.create_server(('0.0.0.0', {port}), backlog=4096)\n"
    "while True: l.accept()[0].close()"
)


class Node:
    """The node that is measured."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        program = Path(__file__).with_name("firewall_node.py").read_text()
        self._run(f"cat > {PLACE} <<'END'\n{program}\nEND")
        self._run(
            "apt-get -qq install --yes --no-install-recommends iprange ipset python3-netaddr time > /dev/null"
        )

    def _run(self, command: str) -> str:
        return self.cluster.run(NODE, command, timeout=STEP_TIMEOUT)

    def step(self, *words: object, apart: bool = True) -> list[dict[str, Any]]:
        """Run a step, in a network namespace of its own, and return what it told."""
        own = "unshare --net " if apart else ""
        said = self._run(f"{own}python3 -I {PLACE} {' '.join(map(str, words))}")
        return [json.loads(line) for line in said.splitlines()]

    def clean(self) -> None:
        self._run(f"rm -rf {PLACE} /var/tmp/bench")


def picked(told: list[dict[str, Any]], key: str = "ms", **match: object) -> list[float]:
    return [
        each[key]
        for each in told
        if key in each and all(each.get(name) == value for name, value in match.items())
    ]


def effective_rows(node: Node) -> Iterator[Row]:
    print("  effective set: a million lines less 10,000 allows", flush=True)
    told = node.step("effective", MILLION, 5, "with")
    ours, iprange = picked(told, who="ours"), picked(told, who="iprange")
    yield Row(
        "effective set of 1M lines less 10k allows",
        "ms",
        ours,
        "iprange",
        iprange,
        better="less",
        aim=Aim("within 2.5 times", lambda mine, ratio: ratio is not None and ratio >= 1 / 2.5),
    )
    yield Row(
        "the same",
        "ms",
        ours,
        "netaddr.cidr_merge",
        picked(told, who="netaddr"),
        better="less",
        aim=Aim("10 times faster", lambda mine, ratio: ratio is not None and ratio >= 10),
    )
    yield Row(
        "- peak memory",
        "MB",
        picked(told, "mb", who="ours"),
        "iprange",
        picked(told, "mb", who="iprange"),
        better="less",
    )


def load_rows(node: Node) -> Iterator[Row]:
    for size in SIZES:
        print(f"  load {size:,}", flush=True)
        told = node.step("load", size, 3)
        whole = size == MILLION
        peer = "one interval set by nft -f"
        yield Row(
            f"load {size:,}: the module's whole work",
            "ms",
            picked(told, who="ours"),
            peer,
            picked(told, who="interval"),
            better="less",
        )
        yield Row(
            f"- of it, the transaction ({size:,})",
            "ms",
            picked(told, "load_ms", who="ours"),
            peer,
            picked(told, who="interval"),
            better="less",
            aim=Aim("3 times faster", lambda mine, ratio: ratio is not None and ratio >= 3)
            if whole
            else None,
        )
        yield Row(
            f"- peak memory of nft ({size:,})",
            "MB",
            picked(told, "nft_mb", who="ours"),
            peer,
            picked(told, "mb", who="interval"),
            better="less",
            aim=Aim("at most half", lambda mine, ratio: ratio is not None and ratio >= 2)
            if whole
            else None,
        )
        yield Row(
            f"- peak memory of the module ({size:,})",
            "MB",
            picked(told, "mb", who="ours"),
            better="less",
        )


def change_rows(node: Node) -> Iterator[Row]:
    print("  change 100 of a million", flush=True)
    told = node.step("change", MILLION, 2)
    yield Row(
        "change 100 of 1M entries: the module's whole work",
        "ms",
        picked(told, what="change"),
        better="less",
        aim=Aim("under 5 s", lambda mine, ratio: mine < 5000),
    )
    both = [
        own + nft
        for own, nft in zip(
            picked(told, "mb", what="change"), picked(told, "nft_mb", what="change"), strict=True
        )
    ]
    yield Row(
        "- peak memory, nft's included",
        "MB",
        both,
        better="less",
        aim=Aim("under 300 MB", lambda mine, ratio: mine < 300),
    )
    yield Row(
        "run with 1M entries and nothing to change",
        "ms",
        picked(told, what="nothing"),
        better="less",
    )


def ban_rows(node: Node) -> Iterator[Row]:
    print("  ban one while a million are in force", flush=True)
    told = node.step("ban", MILLION, 20)
    yield Row(
        "one ban with 1M entries in force: the change in the kernel",
        "ms",
        picked(told, who="kernel"),
        "ipset add",
        picked(told, who="ipset"),
        better="less",
        aim=Aim("within 3 times", lambda mine, ratio: ratio is not None and ratio >= 1 / 3),
    )
    yield Row(
        "one ban with 1M entries in force: the module's whole work",
        "ms",
        picked(told, who="module"),
        "nft add element, interval set",
        picked(told, who="interval"),
        better="less",
        aim=Aim("under 100 ms", lambda mine, ratio: mine < 100),
    )
    yield Row("why is an address blocked, of 1M", "ms", picked(told, who="why"), better="less")


def packet_rows(node: Node) -> Iterator[Row]:
    """Time new connections from another node, with no list in force and with a million entries, in turn."""
    print("  packets: new connections with and without a million entries", flush=True)
    cluster = node.cluster
    unit = "debvisor-bench-listener"
    cluster.run(
        NODE,
        f'systemd-run --quiet --collect --unit={unit} python3 -c "{LISTENER.format(port=PORT)}"',
    )
    taken: dict[str, list[float]] = {"-": [], f"/var/tmp/bench/block.{MILLION}": []}
    program = CONNECTS.format(to=cluster.address(NODE), port=PORT, count=3000)
    protected = [
        str(each) for other in cluster.lab.nodes for each in (other.address4, other.address6)
    ]
    try:
        for _round in range(5):
            for path, runs in taken.items():
                node.step("one_run", path, *protected, apart=False)
                runs.append(
                    float(cluster.run(CLIENT, f"python3 - <<'END'\n{program}\nEND", timeout=120))
                )
    finally:
        node.step("one_run", "-", apart=False)
        cluster.run(NODE, f"systemctl stop {unit}")
        cluster.run(NODE, "systemctl restart debvisor-blocklist.service")
    without, million = taken.values()
    yield Row(
        "a new TCP connection between two nodes, 1M entries",
        "us",
        million,
        "no list",
        without,
        better="less",
    )


def measure() -> Iterator[list[Row]]:
    """Yield the rows, part by part."""
    cluster = Cluster.of_lab()
    node = Node(cluster)
    try:
        print("  making the lists", flush=True)
        node.step("make", *SIZES)
        for part in (effective_rows, load_rows, change_rows, ban_rows, packet_rows):
            yield list(part(node))
    finally:
        node.clean()
