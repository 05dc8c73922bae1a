# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A writer that is there and cannot write: its disk is full, a program of it hangs, or the kernel lost the fence."""

from __future__ import annotations

import time

import pytest

from tests.failover.test_failover import assert_all_there, outage, prefix
from tests.lab.cluster import SECONDARY, Cluster, eventually
from tests.random_faults.faults import ZONES, small_disk

ROLE = "/usr/libexec/debvisor/dns-role"


def concerns(cluster: Cluster, node: str) -> list[str]:
    return list(cluster.status(node)["concerns"])


def without_concern(cluster: Cluster, node: str) -> None:
    eventually(f"{node} has no concern", lambda: not concerns(cluster, node))


def test_a_full_disk(cluster: Cluster) -> None:
    """Every update was answered with SERVFAIL, the VIP stayed, and nobody was told."""
    holder = cluster.other(cluster.holder())
    with small_disk(cluster, holder):
        cluster.whole()
        cluster.run(cluster.holder(), f"{ROLE} handover")
        assert cluster.holder() == holder
        fill = f"dd if=/dev/zero of={ZONES}/filler bs=64k 2>/dev/null; true"
        client, _holder = outage(cluster, "disk full", lambda name: cluster.run(name, fill))
        assert cluster.holder() == cluster.other(holder)
        assert any(f"{ZONES} has no room" in each for each in concerns(cluster, holder))
        cluster.run(holder, f"rm {ZONES}/filler")
        without_concern(cluster, holder)
        assert_all_there(cluster, client)
    cluster.whole()


def test_keepalived_hangs(cluster: Cluster) -> None:
    """It kept the VIP, and was not heard of any more: the other one took the VIP as well."""
    client, holder = outage(
        cluster, "keepalived stopped", lambda name: cluster.run(name, "pkill -STOP -x keepalived")
    )
    assert "keepalived is stopped: it is killed" in cluster.run(
        holder, "journalctl -u dns-role --since -1min --no-pager"
    )
    assert_all_there(cluster, client)
    without_concern(cluster, holder)


def test_dns_role_hangs(cluster: Cluster) -> None:
    """Nobody renewed the lease, and the VIP stayed for ten seconds where no update was taken."""
    holder = cluster.holder()
    try:
        client, _holder = outage(
            cluster,
            "dns-role stopped",
            lambda name: cluster.run(name, "systemctl kill -s STOP dns-role.service"),
        )
        assert cluster.status(cluster.other(holder))["role"] == "writer"
    finally:
        cluster.run(holder, "systemctl kill -s CONT dns-role.service")
    assert_all_there(cluster, client)
    without_concern(cluster, holder)


@pytest.mark.parametrize("seconds", [0.1, 8.0])
def test_the_fence_is_lost(cluster: Cluster, seconds: float) -> None:
    """dns-role ended, was started and ended again, with BIND open to all meanwhile."""
    holder = cluster.holder()

    def strike(node: str) -> None:
        cluster.run(
            node,
            "systemd-run --quiet --collect sh -c 'nft delete table inet debvisor_dns;"
            f" sleep {seconds}; nft --file /etc/debvisor/dns-gate.nft'",
        )

    started = cluster.run(holder, "systemctl show --value -p NRestarts dns-role")
    client, _holder = outage(cluster, f"fence lost for {seconds:g} s", strike)
    time.sleep(max(0.0, seconds - 6.0))
    moved = cluster.holder() != holder
    assert moved is (seconds > 1)
    without_concern(cluster, holder)
    assert cluster.run(holder, "systemctl show --value -p NRestarts dns-role") == started
    assert_all_there(cluster, client)


@pytest.mark.long
def test_a_follower_that_takes_the_vip_for_unreachable_starts_bind_afresh(cluster: Cluster) -> None:
    """BIND does not try for ten minutes what refused it once."""
    refuse = f"nft insert rule inet debvisor_test output ip daddr {cluster.vip} tcp dport 53 reject with tcp reset"
    cluster.run(
        SECONDARY,
        "nft add table inet debvisor_test; nft 'add chain inet debvisor_test output"
        f" {{ type filter hook output priority 0; }}'; {refuse}",
    )
    started = "systemctl show -P ExecMainStartTimestampMonotonic named"
    before = cluster.run(SECONDARY, started)
    try:
        key, name = cluster.key("node"), f"{prefix()}refused.{cluster.zone}"
        assert cluster.update(cluster.vip, key, name, "192.0.2.1") == "NOERROR"
        eventually(
            "BIND to be refused",
            lambda: "(cached)" in cluster.run(SECONDARY, "journalctl -u named -n 20 --no-pager"),
            20,
        )
    finally:
        cluster.run(SECONDARY, "nft delete table inet debvisor_test")
    eventually("the secondary to have it", cluster.level, 60)
    assert cluster.run(SECONDARY, started) != before
