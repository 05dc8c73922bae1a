# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer, and one content: what made two of either before there was a lease, and digests of what zones hold."""

from __future__ import annotations

import socket
import time

import pytest

from tests.failover.test_failover import assert_all_there, outage, prefix, watched
from tests.lab.cluster import SECONDARY, Cluster, eventually

ROLE = "/usr/libexec/debvisor/dns-role"


def reports(cluster: Cluster) -> set[str]:
    return {
        f"{node.name}:{path}" for node in cluster.lab.nodes for path in cluster.reports(node.name)
    }


def test_keepalived_killed(cluster: Cluster) -> None:
    """It stayed dead, with the VIP on its node, and both primaries wrote."""
    client, holder = outage(
        cluster, "keepalived killed", lambda holder: cluster.run(holder, "pkill -9 -x keepalived")
    )
    assert_all_there(cluster, client)
    assert cluster.run(holder, "systemctl is-active keepalived").strip() == "active"


@pytest.mark.long
def test_a_node_that_stood_still_takes_nothing_that_is_lost_or_disputed(cluster: Cluster) -> None:
    """It wrote a stale zone for a minute; what its successor had acknowledged came back as conflicts."""
    holder, before = cluster.holder(), reports(cluster)
    with watched(cluster) as client:
        cluster.pause(holder)
        try:
            time.sleep(12)
        finally:
            cluster.resume(holder)
        time.sleep(8)
    assert_all_there(cluster, client)
    conflicts = [
        path
        for node in cluster.lab.nodes
        for path, told in cluster.reports(node.name).items()
        if f"{node.name}:{path}" not in before and told["conflicts"]
    ]
    assert conflicts == []


@pytest.mark.long
def test_only_the_link_between_the_primaries_breaks(cluster: Cluster) -> None:
    """Both wrote, and the one that was behind went on after the mend."""
    holder = cluster.holder()
    with watched(cluster) as client:
        cluster.cut(holder, [cluster.other(holder)])
        for _look in range(20):
            assert len(cluster.writers()) <= 1
            time.sleep(0.2)
        cluster.mend()
        for _look in range(10):
            assert len(cluster.writers()) <= 1
            time.sleep(0.2)
    assert_all_there(cluster, client)


@pytest.mark.long
def test_idle_connections_do_not_stop_replication(cluster: Cluster) -> None:
    """160 of anybody's used up what BIND serves at once."""
    links = []
    try:
        with watched(cluster) as client:
            for _number in range(400):
                links.append(socket.create_connection((cluster.vip, 53), 2))
            name, key = f"{prefix()}idle.{cluster.zone}", cluster.key("node")
            assert cluster.update(cluster.vip, key, name, "192.0.2.1") == "NOERROR"
            for node in cluster.lab.nodes:
                eventually(
                    f"{node.name} has it",
                    lambda at=str(node.address4): (
                        (answer := cluster.ask(at, name, "A")) is not None and answer.answer
                    ),
                    2,
                )
        assert_all_there(cluster, client)
    finally:
        for link in links:
            link.close()


def rewrite(cluster: Cluster, node: str, edit: str) -> None:
    """Let somebody with root there change a zone file while BIND is down: its content, or its serial, too."""
    file = f"/var/lib/bind/{cluster.zone}.zone"
    cluster.run(
        node,
        f"rndc sync -clean {cluster.zone} IN vip && systemctl stop named"
        f" && {edit.format(file=file)} && rm -f {file}.jnl && systemctl start named",
    )


def forged(serial: int, zone: str) -> str:
    """Return the command that raises the serial of ``{file}`` by 5,000 and adds a text at the apex."""
    return f"sed -i 's/\\b{serial}\\b/{serial + 5000}/' {{file}} && echo '{zone}. 60 TXT forged' >>{{file}}"


def test_a_secondary_is_not_believed(cluster: Cluster) -> None:
    """Its serial was 5,000 higher; at the next handover its content was the truth."""
    holder, before = cluster.holder(), reports(cluster)
    serial = cluster.serial(cluster.address(SECONDARY))
    assert serial
    rewrite(cluster, SECONDARY, forged(serial, cluster.zone))
    eventually(
        "node3 claims to be ahead",
        lambda: (cluster.serial(cluster.address(SECONDARY)) or 0) == serial + 5000,
    )
    cluster.run(holder, f"{ROLE} handover")
    assert cluster.holder() == cluster.other(holder)
    answer = cluster.ask(cluster.vip, cluster.zone, "TXT")
    assert answer is not None
    assert not answer.answer
    cluster.whole()
    answer = cluster.ask(cluster.address(SECONDARY), cluster.zone, "TXT")
    assert answer is not None
    assert not answer.answer
    new = reports(cluster) - before
    assert any(SECONDARY in path.partition("/")[2] for path in new), new


def test_a_zone_that_was_edited_at_its_serial_is_fetched_afresh(cluster: Cluster) -> None:
    """Nothing told, and nothing ever mended it."""
    name, key = f"{prefix()}edited", cluster.key("node")
    assert cluster.update(cluster.vip, key, f"{name}.{cluster.zone}", "192.0.2.1") == "NOERROR"
    cluster.whole()
    rewrite(cluster, SECONDARY, f"sed -i '/^{name}/s/192.0.2.1/192.0.2.66/' {{file}}")
    at = cluster.address(SECONDARY)

    def served() -> str:
        answer = cluster.ask(at, f"{name}.{cluster.zone}", "A")
        return answer.answer[0][0].to_text() if answer and answer.answer else ""

    assert eventually("node3 serves the edited zone", served) == "192.0.2.66"
    eventually("node3 fetched the zone afresh", lambda: served() == "192.0.2.1", 30)
    log = cluster.run(SECONDARY, "journalctl -u dns-role --since -2min --no-pager")
    assert f"{cluster.zone} is not what the writer has at the same serial" in log
