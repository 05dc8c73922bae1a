# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold at the end: nothing is lost, nobody ever had two writers, and nothing is left for a person."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from tests.lab.cluster import Cluster, eventually

LOG = "/var/log/named/debvisor-keys.log"
ADDED = re.compile(
    r"^(?P<at>\S+) .*updating zone '(?P<zone>[^/']+)/IN': adding an RR at '(?P<name>[^']+)'"
)


class Change(NamedTuple):
    """One record that a server added, by its own log."""

    at: str
    """ISO 8601 in UTC, so that it sorts; all nodes of the lab have the same clock."""
    server: str
    name: str


def lost(cluster: Cluster, names: Collection[str]) -> dict[str, list[str]]:
    """Return the acknowledged names that a server does not have, by server."""
    missing = {}
    for node in cluster.lab.nodes:
        have = cluster.transfer(str(node.address4), cluster.key(cluster.shared_with(node.name)))
        if found := sorted(name for name in names if name not in have):
            missing[node.name] = found
    return missing


def changes(server: str, log: str, zone: str) -> list[Change]:
    """Read a server's log of updates."""
    return [
        Change(found["at"], server, found["name"])
        for line in log.splitlines()
        if (found := ADDED.match(line)) and found["zone"] == zone
    ]


def after_a_successor(
    all_changes: Iterable[Change], names: Collection[str], epochs: str
) -> list[str]:
    """Return the acknowledged names that a server took after another one had begun to write.

    Who begins to write enters that at the name ``epochs`` first, so each update is to come from who did so last. A name
    that was replayed later is in several logs: it counts where it was first.
    """
    writer, seen, found = "", set(), []
    for change in sorted(all_changes):
        if change.name == epochs:
            writer = change.server
        elif change.name in names and change.name not in seen:
            seen.add(change.name)
            if writer and change.server != writer:
                found.append(f"{change.at} {change.server}, not {writer}: {change.name}")
    return found


def two_writers(cluster: Cluster, names: Collection[str]) -> list[str]:
    """Read every server's log, and see whether two ever wrote at once."""
    found: list[Change] = []
    for node in cluster.lab.nodes:
        log = cluster.run(
            node.name, f"grep -h 'adding an RR' $(ls -tr {LOG}*) || true", timeout=120
        )
        found += changes(node.name, log, cluster.zone)
    absolute = {name.rstrip(".") for name in names}
    return after_a_successor(found, absolute, f"_writer.{cluster.zone}")


def conflicts(cluster: Cluster, before: Mapping[str, Collection[str]]) -> list[str]:
    """Return the new reports that leave something to a person."""
    return [
        f"{node.name}:{path}"
        for node in cluster.lab.nodes
        for path, told in cluster.reports(node.name).items()
        if path not in before[node.name] and told.get("conflicts")
    ]


def reports(cluster: Cluster) -> dict[str, set[str]]:
    """Return the reports that are there."""
    return {node.name: set(cluster.reports(node.name)) for node in cluster.lab.nodes}


def settle(cluster: Cluster) -> None:
    """Wait until the cluster is as it should be, with nothing left to compare."""
    cluster.power_on()
    cluster.whole()
    eventually(
        "no server has a concern",
        lambda: (
            not [
                concern
                for node in cluster.lab.nodes
                for concern in cluster.status(node.name).get("concerns", ["is silent"])
            ]
        ),
        90,
    )
    cluster.whole()
