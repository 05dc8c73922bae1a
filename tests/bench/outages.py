# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VIP when something breaks, how far followers lag, and what the lease costs, on a converged lab."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_probe import (
    Question,
    ask,
    serials,
)

from tests.bench.report import Aim, Row
from tests.lab.cluster import Cluster
from tests.lab.dns_client import Client

ROUNDS = 10
WATCHED = 6.0
"""Seconds that a client goes on after a strike. An outage that is not over by then stops the bench."""
PAUSED = 12.0
LAG_SECONDS = 10.0
COST_SECONDS = 30.0
ROLE = "/usr/libexec/debvisor/dns-role"

Strike = Callable[[Cluster, str], object]


def paused(cluster: Cluster, holder: str) -> None:
    """Let the whole node stand still, and go on."""
    cluster.pause(holder)
    time.sleep(PAUSED)
    cluster.resume(holder)


STRIKES: dict[str, Strike] = {
    "node killed": lambda cluster, holder: cluster.kill(holder),
    "node paused for 12 s": paused,
    "named killed": lambda cluster, holder: cluster.run(holder, "pkill -9 -x named"),
    "keepalived killed": lambda cluster, holder: cluster.run(holder, "pkill -9 -x keepalived"),
    "keepalived restarted": lambda cluster, holder: cluster.run(
        holder, "systemctl restart keepalived"
    ),
    "planned handover": lambda cluster, holder: cluster.run(holder, f"{ROLE} handover"),
    "link between the primaries cut": lambda cluster, holder: cluster.cut(
        holder, [cluster.other(holder)]
    ),
    "dns-role stopped": lambda cluster, holder: cluster.run(holder, "systemctl stop dns-role"),
}


def outage(what: str, strike: Strike) -> list[Row]:
    """Strike the holder while a client asks every 20 ms and updates every 50 ms; take the longest silence."""
    cluster = Cluster.of_lab()
    queries: list[float] = []
    updates: list[float] = []
    for number in range(ROUNDS):
        print(f"  {what}: round {number + 1} of {ROUNDS}", flush=True)
        cluster.whole()
        holder = cluster.holder()
        prefix = f"{number}-{time.time_ns()}-"
        with Client(cluster.vip, cluster.zone, cluster.key("node"), prefix) as client:
            since = time.monotonic()
            strike(cluster, holder)
            time.sleep(WATCHED)
            ended = time.monotonic()
        for track, into in ((client.queries, queries), (client.updates, updates)):
            if max(track.done.values()) < ended - 1:
                raise RuntimeError(f"{what}: the VIP had not come back after {WATCHED} s")
            into.append(track.longest_gap(since) * 1000)
        cluster.power_on()
        cluster.run(holder, "systemctl start dns-role")
    limit = 1000 if what == "planned handover" else 2000
    return [
        Row(
            f"{what}: longest time without an {kind}",
            "ms",
            values,
            better="less",
            aim=Aim(f"worst under {most} ms", _all_under(values, most)),
        )
        for kind, values, most in (
            ("answer", queries, 1000),
            ("accepted update", updates, limit),
        )
    ]


def _all_under(values: Sequence[float], limit: float) -> Callable[[float, float | None], bool]:
    return lambda ours, ratio: max(values) < limit


def lag(rate: int) -> Row:
    """Update so often a second; for each serial of the VIP, see when each follower has it."""
    cluster = Cluster.of_lab()
    cluster.whole()
    vip, holder = cluster.vip, cluster.holder()
    followers = [str(node.address4) for node in cluster.lab.nodes if node.name != holder]
    questions = [Question(address, cluster.zone) for address in (vip, *followers)]
    first: dict[str, dict[int, float]] = {address: {} for address in (vip, *followers)}
    prefix = f"lag{rate}-{time.time_ns()}-"
    with Client(vip, cluster.zone, cluster.key("node"), prefix, update_pace=1 / rate):
        deadline = time.monotonic() + LAG_SECONDS
        while time.monotonic() < deadline:
            for address, found in serials(ask(questions, 0.2)).items():
                first[address].setdefault(found[cluster.zone], time.monotonic())
            time.sleep(0.002)
    found = []
    for serial, at in first[vip].items():
        if at > deadline - 1:
            continue
        for address in followers:
            late = [seen for other, seen in first[address].items() if other >= serial]
            found.append((min(late) - at) * 1000 if late else float("inf"))
    return Row(
        f"followers behind the writer at {rate} updates/s",
        "ms",
        [max(0.0, each) for each in found],
        better="less",
        aim=Aim("worst under 250 ms", _all_under(found, 250)),
        note=f"each serial at each follower; the worst was {max(found):.0f} ms",
    )


COUNTER = "table inet bench {{ chain in {{ type filter hook input priority -300; udp dport {port} counter }} }}"


def cost() -> list[Row]:
    """Count what the lease's port hears, and the processor time of dns-role, on a cluster that does nothing else."""
    cluster = Cluster.of_lab()
    cluster.whole()
    nodes = [node.name for node in cluster.lab.nodes]
    spent = "cut -d' ' -f14,15 /proc/$(systemctl show -P MainPID dns-role)/stat"
    for name in nodes:
        cluster.run(name, f"nft '{COUNTER.format(port=8553)}'")
    try:
        before = [sum(map(int, cluster.run(name, spent).split())) for name in nodes]
        time.sleep(COST_SECONDS)
        after = [sum(map(int, cluster.run(name, spent).split())) for name in nodes]
        heard = [
            int(cluster.run(name, "nft list table inet bench").split("packets")[1].split()[0])
            for name in nodes
        ]
    finally:
        for name in nodes:
            cluster.run(name, "nft delete table inet bench")
    ticks = int(cluster.run(nodes[0], "getconf CLK_TCK"))
    return [
        Row(
            "messages on the lease's port, each server",
            "messages/s",
            [each / COST_SECONDS for each in heard],
            better="less",
            note="without the lease there are none",
        ),
        Row(
            "processor time of dns-role, each server",
            "% of one processor",
            [
                100 * (late - early) / ticks / COST_SECONDS
                for early, late in zip(before, after, strict=True)
            ],
            better="less",
            note="lease, probes, digests and all",
        ),
    ]


def measure() -> Iterator[list[Row]]:
    """Yield the rows of one part after another."""
    yield cost()
    yield [lag(rate) for rate in (5, 20, 100)]
    for what, strike in STRIKES.items():
        yield outage(what, strike)
