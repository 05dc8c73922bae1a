# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with the DNS servers, done for real, while a client asks and updates without a pause.

Whatever happens: every update that was acknowledged is served in the end, or stands in a report as a conflict.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dns.tsig
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret

from tests.lab.cluster import PRIMARIES, SECONDARY, Cluster, eventually
from tests.lab.control_node import ControlNode
from tests.lab.dns_client import Client
from tests.lab.layout import BUILD

WATCHED = 6.0
"""Seconds that a client goes on after a strike. It must be served again by then; how soon, `make bench-dns` tells."""


def prefix() -> str:
    return f"f{time.time_ns() // 1_000_000 % 10**8}-"


@contextlib.contextmanager
def watched(cluster: Cluster) -> Iterator[Client]:
    with Client(cluster.vip, cluster.zone, cluster.key("node"), prefix()) as client:
        time.sleep(1.0)
        yield client


def assert_all_there(cluster: Cluster, client: Client) -> None:
    """Every acknowledged record is on every server."""
    cluster.whole()
    acknowledged = client.acknowledged()
    assert len(acknowledged) > 20
    for node in cluster.lab.nodes:
        have = cluster.transfer(str(node.address4), cluster.key(cluster.shared_with(node.name)))
        lost = [
            name for name, address in acknowledged.items() if address not in have.get(name, set())
        ]
        assert not lost, (
            f"{len(lost)} of {len(acknowledged)} are missing on {node.name}: {lost[:5]}"
        )


def note(what: str, client: Client, since: float) -> None:
    """Write the outages down for people."""
    queries, updates = client.queries.longest_gap(since), client.updates.longest_gap(since)
    path = BUILD / "failover.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known.setdefault(what, []).append({"queries": round(queries, 3), "updates": round(updates, 3)})
    path.write_text(json.dumps(known, indent=1) + "\n")


def outage(cluster: Cluster, what: str, strike: Callable[[str], object]) -> tuple[Client, str]:
    """Strike the holder while a client works; the client must be served again before it ends."""
    holder = cluster.holder()
    with watched(cluster) as client:
        began = time.monotonic()
        strike(holder)
        time.sleep(WATCHED)
        ended = time.monotonic()
    note(what, client, began)
    for kind, track in (("answers", client.queries), ("accepted updates", client.updates)):
        assert max(track.done.values()) > ended - 1.0, (
            f"{what}: no {kind} after {WATCHED:g} s\n{told(cluster)}"
        )
    return client, holder


def told(cluster: Cluster) -> str:
    """Return what the primaries that run said lately: their journals go when they are killed."""
    lines = "journalctl -u dns-role -u keepalived -n 25 --no-pager -o short-precise | cut -c8-170"
    return "\n".join(f"{name}:\n{cluster.run(name, lines)}" for name in PRIMARIES)


def test_named_killed(cluster: Cluster) -> None:
    client, _holder = outage(
        cluster, "named killed", lambda holder: cluster.run(holder, "pkill -9 -x named")
    )
    assert_all_there(cluster, client)


def test_dns_role_killed(cluster: Cluster) -> None:
    client, _holder = outage(
        cluster,
        "dns-role killed",
        lambda holder: cluster.run(holder, "systemctl kill -s KILL dns-role.service"),
    )
    assert_all_there(cluster, client)


def test_planned_handover(cluster: Cluster) -> None:
    client, holder = outage(
        cluster,
        "planned handover",
        lambda holder: cluster.run(holder, "/usr/libexec/debvisor/dns-role handover"),
    )
    assert cluster.holder() == cluster.other(holder)
    assert not client.updates.refused, "a final answer, though the next writer would take it"
    assert_all_there(cluster, client)


def test_node_killed_and_returned_with_an_older_zone(cluster: Cluster) -> None:
    client, holder = outage(cluster, "node killed", cluster.kill)
    assert cluster.writers() == [cluster.other(holder)]
    cluster.start(holder)
    assert_all_there(cluster, client)
    assert cluster.holder() == cluster.other(holder), "a node that returns takes nothing over"


def test_node_cut_off_killed_and_returned_with_a_diverged_zone(cluster: Cluster) -> None:
    holder = cluster.holder()
    reports = cluster.reports(holder)
    with watched(cluster) as client:
        cluster.cut(holder, [cluster.other(holder), SECONDARY])
        time.sleep(0.2)
        cluster.kill(holder)
        time.sleep(5.0)
    cluster.mend()
    cluster.start(holder)
    assert_all_there(cluster, client)
    new = {path: told for path, told in cluster.reports(holder).items() if path not in reports}
    assert sum(told["updates"] for told in new.values()) > 0
    assert not [told for told in new.values() if told["conflicts"]]


def test_holder_cut_off_from_its_peers(cluster: Cluster) -> None:
    holder = cluster.holder()
    reports = cluster.reports(holder)
    client, _holder = outage(
        cluster, "holder cut off", lambda name: cluster.cut(name, [cluster.other(name), SECONDARY])
    )
    assert cluster.writers() == [cluster.other(holder)], "a node without a majority does not write"
    answer = cluster.ask(cluster.address(holder))
    assert answer is not None
    assert answer.answer, "a node without a majority goes on answering"
    assert_all_there(cluster, client)
    new = [path for path in cluster.reports(holder) if path not in reports]
    for path in new:
        script = cluster.run(holder, f"cat {path.replace('.report.json', '.nsupdate')}")
        assert client.prefix in script
        assert script.rstrip().endswith("send")


def test_both_sides_changed_the_same_name(cluster: Cluster) -> None:
    """What both changed is left to a person; what is served stays as it is."""
    for _attempt in range(5):
        name, holder, known, accepted = change_on_both_sides(cluster)
        assert cluster.addresses(name) == {"192.0.2.2"}
        if accepted:
            break
    else:
        pytest.fail("the holder noticed each cut before the update came: nothing was ever merged")
    new = [told for path, told in cluster.reports(holder).items() if path not in known]
    conflicts = [conflict for told in new for conflict in told["conflicts"]]
    assert [(c["name"], c["ours"], c["theirs"]) for c in conflicts] == [
        (f"{name}.", ["192.0.2.1"], ["192.0.2.2"])
    ]


def change_on_both_sides(cluster: Cluster) -> tuple[str, str, set[str], bool]:
    """Give a name one address on the cut-off holder and another on its successor, then mend the cut.

    Return the name, the holder, its reports from before, and whether it took the update before it stopped writing.
    """
    holder = cluster.holder()
    key = cluster.key("node")
    name = f"{prefix()}both.{cluster.zone}"
    known = set(cluster.reports(holder))
    cluster.cut(holder, [cluster.other(holder), SECONDARY])
    accepted = cluster.update(cluster.vip, key, name, "192.0.2.1") == "NOERROR"
    eventually("the other primary writes", lambda: cluster.writers() == [cluster.other(holder)])
    eventually(
        "the other side takes the update",
        lambda: cluster.update(cluster.vip, key, name, "192.0.2.2", replace=True) == "NOERROR",
    )
    cluster.whole()
    return name, holder, known, accepted


def test_both_primaries_started_cold_together(cluster: Cluster) -> None:
    with watched(cluster) as client:
        time.sleep(2.0)
    for name in PRIMARIES:
        cluster.kill(name)
    for name in PRIMARIES:
        cluster.start(name)
    assert_all_there(cluster, client)


def test_one_primary_alone_with_the_secondary_down_does_not_write(cluster: Cluster) -> None:
    holder = cluster.holder()
    for name in (cluster.other(holder), SECONDARY):
        cluster.kill(name)
    eventually("nobody writes", lambda: cluster.writers() == [])
    answer = cluster.ask(cluster.vip)
    assert answer is not None
    assert answer.answer
    assert (
        cluster.update(
            cluster.vip, cluster.key("node"), f"{prefix()}alone.{cluster.zone}", "192.0.2.1"
        )
        != "NOERROR"
    )


def test_secondary_down_during_a_change(cluster: Cluster) -> None:
    cluster.kill(SECONDARY)
    with watched(cluster) as client:
        time.sleep(2.0)
    assert len(client.updates.done) == len(client.updates.sent)
    cluster.start(SECONDARY)
    assert_all_there(cluster, client)


@pytest.mark.parametrize("who", ["holder", pytest.param("other", marks=pytest.mark.long)])
def test_a_zone_file_that_does_not_load(cluster: Cluster, who: str) -> None:
    holder = cluster.holder()
    name = holder if who == "holder" else cluster.other(holder)
    file = f"/var/lib/bind/{cluster.zone}.zone"
    with watched(cluster) as client:
        cluster.run(name, f"pkill -9 -x named; echo nonsense > {file}; rm -f {file}.jnl")
        time.sleep(6.0)
    note(f"zone file broken on the {who}", client, 0.0)
    cluster.whole()
    served = cluster.transfer(cluster.vip, cluster.key("xfer"))
    lost = [name for name in client.acknowledged() if name not in served]
    # Its disk lost what it alone had: at most what it acknowledged in the moment before.
    assert len(lost) <= (2 if who == "holder" else 0)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("name", PRIMARIES)
def test_no_other_address_takes_updates(cluster: Cluster, name: str, tcp: bool) -> None:
    key = cluster.key("node")
    record = f"{prefix()}no.{cluster.zone}"
    assert cluster.update(cluster.address(name), key, record, "192.0.2.1", tcp=tcp) == "PeerBadKey"
    assert cluster.addresses(record) == set()


def test_not_from_localhost_either(cluster: Cluster) -> None:
    holder = cluster.holder()
    script = f"server 127.0.0.1\\nzone {cluster.zone}\\nupdate add x.{cluster.zone} 60 A 192.0.2.1\\nsend\\n"
    told = cluster.run(
        holder, f"printf '{script}' | nsupdate -k /etc/debvisor/keys/debvisor-node.key 2>&1 || true"
    )
    assert "update failed: NOTAUTH" in told  # it knows the key there, and has no zone
    assert cluster.addresses(f"x.{cluster.zone}") == set()


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        ("vm", "x.{zone}", "REFUSED"),
        ("xfer", "x.{zone}", "REFUSED"),
        ("node", "{zone}", "REFUSED"),
        ("node", "x.vm.{zone}", "REFUSED"),
        ("admin", "_writer.{zone}", "REFUSED"),
    ],
)
def test_no_other_key_may(cluster: Cluster, kind: str, name: str, code: str) -> None:
    record = name.format(zone=cluster.zone)
    found = cluster.update(cluster.vip, cluster.key(kind), record, "192.0.2.1")
    assert found == code


def test_no_key_no_update(cluster: Cluster) -> None:
    assert cluster.update(cluster.vip, None, f"x.{cluster.zone}", "192.0.2.1") == "REFUSED"


def test_another_secret_is_refused(cluster: Cluster) -> None:
    key = cluster.key("node")
    forged = replace(key, secret=Secret(bytes(32)))
    assert (
        cluster.update(cluster.vip, forged, f"x.{cluster.zone}", "192.0.2.1") == "PeerBadSignature"
    )


def test_no_key_no_transfer(cluster: Cluster) -> None:
    for node in cluster.lab.nodes:
        with pytest.raises(Exception, match=r"(?i)refused"):
            cluster.transfer(str(node.address4), None)
        for kind in ("xfer", "xfer-node3"):
            if kind == cluster.shared_with(node.name) or node.name in PRIMARIES:
                assert cluster.transfer(str(node.address4), cluster.key(kind))
            else:
                with pytest.raises(dns.tsig.PeerBadKey):
                    cluster.transfer(str(node.address4), cluster.key(kind))


@pytest.mark.long
def test_a_run_that_fails_puts_in_force_what_it_rendered(cluster: Cluster, tmp_path: Path) -> None:
    """The next run would find it rendered and announce nothing. That one leaves the other primary out, and mends it."""
    control = ControlNode(cluster.lab)
    configured = "rndc status | grep 'last configured'"
    before = cluster.run("node1", configured)
    networks = "{{ ['no network'] if inventory_hostname == 'node2' else ['any', '192.0.2.1'] }}"
    extra = json.dumps({"debvisor_dns_allow_query": networks})
    try:
        failed = control.ansible(
            "debvisor.hci.dns_ha",
            "--skip-tags=install",
            f"--extra-vars={extra}",
            log=tmp_path / "failed.log",
        )
        assert failed.status != 0
        assert "192.0.2.1;" in cluster.run("node1", "grep allow-query /etc/bind/named.conf")
        assert cluster.run("node1", configured) != before
    finally:
        mended = control.ansible(
            "debvisor.hci.dns_ha",
            "--skip-tags=install",
            "--limit=node1,node3",
            log=tmp_path / "mended.log",
        )
    assert mended.status == 0, mended.output[-3000:]
    assert "192.0.2.1;" not in cluster.run("node1", "grep allow-query /etc/bind/named.conf")


@pytest.mark.long
def test_rules_that_would_keep_the_servers_from_voting_are_told_before(
    cluster: Cluster, tmp_path: Path
) -> None:
    refused = ControlNode(cluster.lab).ansible(
        "debvisor.hci.dns_ha",
        "--skip-tags=install",
        "--extra-vars=dns_server_lease_port=8554",
        log=tmp_path / "run.log",
    )
    assert refused.status != 0
    assert "does not open UDP port 8554" in refused.output, refused.output[-3000:]
    assert "8554" not in cluster.run("node3", "cat /etc/debvisor/dns.json")


def test_a_zone_does_not_begin_on_one_primary_alone(cluster: Cluster, tmp_path: Path) -> None:
    zones = json.dumps({"debvisor_dns_zones": [{"name": "new.test", "kind": "node"}]})
    refused = ControlNode(cluster.lab).ansible(
        "debvisor.hci.dns_ha",
        "--skip-tags=install",
        "--limit=node1",
        f"--extra-vars={zones}",
        log=tmp_path / "run.log",
    )
    assert refused.status != 0
    assert "node2 cannot be reached or is not in this run" in refused.output, refused.output
    assert "new.test" not in cluster.run("node1", "cat /etc/bind/named.conf")
