# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real node is cut off and let back: real packets, real guests, real names; and nobody is locked out by accident."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dns.rdatatype
import pytest

from tests.firewall.tables import NFTABLES_INACTIVE, RULESET, ours, tables
from tests.lab import access
from tests.lab.cluster import Cluster, eventually
from tests.lab.rotations import Driver, Ended

TARGET, PEER = "node3", "node2"
TABLE = "inet debvisor_quarantine"
GUESTS = {"web": ["running", True], "db": ["running", False], "idle": ["shut off", True]}
STOPPED = {"web": ["paused", False], "db": ["paused", False], "idle": ["shut off", False]}
PACKAGES = "libvirt-daemon libvirt-daemon-driver-qemu python3-libvirt qemu-system-x86"
PATIENCE = 25
"""Seconds until an unconfirmed quarantine is taken back: time for the module on a busy machine, and little more."""
COLLECTOR = 53
"""A port of the peers that the baseline opens to each other. Who asks there gets an answer."""

BEAT = """
import socket, struct, sys, time
question = struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\\0" + struct.pack("!2H", 6, 1)
link = socket.create_connection((sys.argv[1], 53))
while True:
    link.sendall(struct.pack("!H", len(question)) + question)
    link.recv(4096)
    open("/run/beat", "w").write(str(time.time()))
    time.sleep(0.1)
"""
"""A flow that never pauses: the same question over one TCP connection."""


class Quarantine:
    """The play, and the target as others see it."""

    def __init__(self, cluster: Cluster, driver: Driver) -> None:
        self.cluster = cluster
        self.driver = driver

    def play(self, *options: str, target: str = TARGET, **extra: Any) -> Ended:
        extra = {"debvisor_target": target, "debvisor_reason": 'beacons to "x"', **extra}
        return self.driver.play("quarantine_host", *options, **extra)

    def cut_off(self, *options: str, target: str = TARGET, **extra: Any) -> Ended:
        ended = self.play(*options, target=target, debvisor_quarantine_cut_off=target, **extra)
        assert ended.status == 0, ended.output[-4000:]
        return ended

    def release(self, target: str = TARGET) -> Ended:
        ended = self.play(target=target, debvisor_quarantine="released")
        assert ended.status == 0, ended.output[-4000:]
        return ended

    def inside(self, command: str, name: str = TARGET) -> str:
        """Run a command in a node without its network."""
        container = self.cluster.node(name).container
        return self.cluster.host.podman("exec", container, "sh", "-c", command, timeout=60).stdout

    def program(self, name: str, unit: str, source: str, *arguments: str) -> None:
        """Let a Python program run on a node, as a unit of that name."""
        text = base64.b64encode(source.encode()).decode()
        words = shlex.join(["/usr/bin/python3", f"/run/{unit}.py", *arguments])
        self.cluster.run(
            name,
            f"echo {text} | base64 -d >/run/{unit}.py && systemctl reset-failed {unit} 2>/dev/null;"
            f" systemd-run --quiet --collect --unit={unit} {words}",
        )

    def reaches(self, source: str, address: str, port: int) -> bool:
        """Tell whether a node's connection gets anywhere: to somebody who takes it, or refuses it."""
        look = (
            f"import socket; s=socket.socket(socket.AF_INET6 if ':' in '{address}' else socket.AF_INET);"
            f" s.settimeout(1.5); print(s.connect_ex(('{address}', {port})))"
        )
        return self.inside(f"python3 -c {shlex.quote(look)}", source).strip() in ("0", "111")

    def pings(self, source: str, address: str) -> bool:
        return "1 received" in self.inside(f"ping -c 1 -W 1 {address} || true", source)

    def addresses(self, name: str) -> list[str]:
        node = self.cluster.node(name)
        return [str(node.address4), str(node.address6)]

    def paths(self, one: str, other: str) -> list[bool]:
        """Try ping and SSH both ways, by both families."""
        ways = [
            (source, address)
            for source, destination in ((one, other), (other, one))
            for address in self.addresses(destination)
        ]
        with ThreadPoolExecutor() as pool:
            found = [
                pool.submit(look, *way)
                for way in ways
                for look in (self.pings, lambda source, address: self.reaches(source, address, 22))
            ]
            return [each.result() for each in found]

    def managed(self) -> list[bool]:
        """Tell whether a new SSH session gets in, by each family."""
        lab, node = self.cluster.lab, self.cluster.node(TARGET)
        return [
            subprocess.run(
                [*access.ssh_command(lab, node, "-o", f"HostName={address}"), "true"],
                stdin=subprocess.DEVNULL,
                timeout=30,
                check=False,
            ).returncode
            == 0
            for address in self.addresses(TARGET)
        ]

    def tag(self) -> list[str]:
        answer = self.cluster.ask(
            self.cluster.vip, f"_quarantine.{TARGET}.{self.cluster.zone}", "TXT"
        )
        assert answer is not None
        return [
            record.to_text()
            for rrset in answer.answer
            if rrset.rdtype == dns.rdatatype.TXT
            for record in rrset
        ]

    def guests(self, what: str = "tell") -> dict[str, Any]:
        source = Path(__file__).with_name("guests.py").read_text()
        told: dict[str, Any] = json.loads(self.inside(f"python3 -c {shlex.quote(source)} {what}"))
        return told

    def state(self) -> dict[str, Any]:
        """Return all that a release must bring back."""
        return {
            "rules": self.inside(RULESET),
            "guests": self.guests(),
            # What its timer starts, and ends by itself, is not ours to put back.
            "units": self.inside(
                "systemctl list-units --state=active --plain --no-legend 'debvisor-*.service'"
            ),
            "files": self.inside(
                "ls -A /var/lib/debvisor/firewall /var/lib/prometheus/node-exporter || true"
            ),
            "tag": self.tag(),
            "paths": self.paths(TARGET, PEER),
        }


@pytest.fixture(scope="module")
def _libvirt(lab: Cluster) -> None:
    lab.run(
        TARGET,
        f"DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends {PACKAGES}"
        " && mkdir -p -m 0700 /var/lib/debvisor/firewall/evidence && mkdir -p /var/lib/prometheus/node-exporter",
        timeout=300,
    )


@pytest.fixture
def quarantine(lab: Cluster, tmp_path: Path, _libvirt: None) -> Iterator[Quarantine]:
    found = Quarantine(lab, Driver(lab, tmp_path))
    found.guests("make")
    yield found
    if TABLE in found.inside("nft list tables"):
        found.release()
    found.guests("remove")


def test_a_node_is_cut_off_and_let_back_exactly(quarantine: Quarantine, tmp_path: Path) -> None:
    cluster = quarantine.cluster
    quarantine.inside(NFTABLES_INACTIVE)
    before = quarantine.state()
    assert before["guests"] == GUESTS
    assert all(before["paths"])
    quarantine.program(PEER, "beat", BEAT, cluster.address(TARGET))
    beat = eventually("a flow from before", lambda: quarantine.inside("cat /run/beat", PEER))

    try:
        ended = quarantine.play(
            debvisor_quarantine_cut_off=TARGET,
            debvisor_quarantine_management=[{"networks": [str(cluster.lab.gateway6)]}],
            debvisor_quarantine_evidence=[
                {"networks": [address], "ports": [COLLECTOR]}
                for address in quarantine.addresses(PEER)
            ],
            debvisor_quarantine_fetch_to=str(tmp_path / "evidence"),
            quarantine_witnesses=["node1"],
            quarantine_dns_key_file="/nonexistent",
            awx_user_name="olga",
        )
        assert ended.status != 0
        assert f"{TARGET} is quarantined, and its tag in DNS is not" in " ".join(
            ended.output.split()
        )
        assert quarantine.tag() == []
        [fetched] = (tmp_path / "evidence").iterdir()
        assert "(item=node1)" in ended.output, "no witness proved it from outside"
        assert "WARNING: no witness proved" not in ended.output
        stopped = float(quarantine.inside("cat /run/beat", PEER))
        assert not any(quarantine.paths(TARGET, PEER))
        assert not any(quarantine.paths(TARGET, "node1"))
        assert quarantine.managed() == [True, True]
        assert cluster.ask(cluster.address(TARGET)) is None, "only SSH is named"
        for address in quarantine.addresses(PEER):
            assert quarantine.reaches(TARGET, address, COLLECTOR)
        for address in quarantine.addresses(TARGET):
            assert not quarantine.reaches(PEER, address, COLLECTOR), "the path has one direction"
            assert quarantine.reaches(TARGET, address, COLLECTOR), "its own addresses are itself"
        assert float(quarantine.inside("cat /run/beat", PEER)) == stopped > float(beat)

        assert quarantine.guests() == STOPPED
        assert r'reason="beacons to \"x\""} 1' in quarantine.inside(
            "cat /var/lib/prometheus/node-exporter/*"
        )
        assert f"QUARANTINE of {TARGET} begins" in quarantine.inside(
            "journalctl -t debvisor -n 1 -o cat"
        )
        _check_evidence(quarantine, fetched)

        again = quarantine.cut_off(
            f"--inventory={_with_a_dead_server(quarantine, tmp_path)}",
            debvisor_quarantine_management=[{"networks": [str(cluster.lab.gateway6)]}],
            debvisor_quarantine_evidence=[
                {"networks": [address], "ports": [COLLECTOR]}
                for address in quarantine.addresses(PEER)
            ],
            quarantine_witnesses=[],
            quarantine_dns_servers=["dead", "node1", PEER],
        )
        # Only the tag did, and a server that cannot be reached hides that from the recap.
        assert again.changed == 0, again.output[-3000:]
        assert [text.split()[0] for text in quarantine.tag()] == ['"state=quarantined']
        assert "WARNING: no witness proved" in again.output
        rules = ours(quarantine.inside(RULESET))
        for what in (
            "restart debvisor-quarantine",
            "start nftables",
            "restart nftables",
            "reload nftables",
        ):
            quarantine.inside(f"systemctl {what}")
            eventually(
                f"all our rules after {what}", lambda: ours(quarantine.inside(RULESET)) == rules
            )
            assert not any(quarantine.paths(TARGET, PEER)), what

        quarantine.release()
        quarantine.inside(NFTABLES_INACTIVE)
        after = quarantine.state()
        # Every table was made anew meanwhile, by these restarts, and stands in another place.
        assert tables(after.pop("rules")) == tables(before.pop("rules"))
        assert after == before
        assert quarantine.release().changed == 0
    finally:
        quarantine.inside("systemctl stop beat 2>/dev/null || true", PEER)
        quarantine.inside(NFTABLES_INACTIVE)


def _with_a_dead_server(quarantine: Quarantine, folder: Path) -> Path:
    """Write an inventory with a further name server, which nobody reaches."""
    address = str(quarantine.cluster.lab.subnet4[99])
    path = folder / "dead.json"
    path.write_text(
        json.dumps(
            {"strays": {"hosts": {"dead": {"ansible_host": address, "debvisor_address": address}}}}
        )
    )
    return path


def _check_evidence(quarantine: Quarantine, fetched: Path) -> None:
    folder = "/var/lib/debvisor/firewall/evidence"
    [name] = quarantine.inside(f"ls -t {folder} | head -n 1").split()
    audited = quarantine.inside(
        "grep quarantine_host /var/log/debvisor/audit.jsonl | grep 'awaiting confirmation' | tail -n 1"
    )
    after = json.loads(audited)["after"]
    assert after["requester"] == "olga"
    told = after["evidence"]
    assert told["path"] == f"{folder}/{name}"
    assert fetched.name == f"{TARGET}-{name}"
    assert hashlib.sha256(fetched.read_bytes()).hexdigest() == told["sha256"]
    assert quarantine.inside(f"sha256sum {folder}/{name}").split()[0] == told["sha256"]
    assert quarantine.inside(f"stat -c %a {folder}/{name}").strip() == "600"
    manifest = json.loads(quarantine.inside(f"tar xzOf {folder}/{name} manifest.json"))
    sockets = quarantine.inside(f"tar xzOf {folder}/{name} sockets.txt")
    assert f":{COLLECTOR}" in sockets
    assert "debvisor_quarantine" not in quarantine.inside(f"tar xzOf {folder}/{name} ruleset.nft")
    assert not manifest["journal.txt"].get("trouble")


def test_a_member_of_a_quorum_is_refused_and_nothing_is_touched(
    lab: Cluster, tmp_path: Path
) -> None:
    quarantine = Quarantine(lab, Driver(lab, tmp_path))
    ended = quarantine.play(target="node1")
    assert ended.status != 0
    assert "ceph_mons, ceph_osds, dns_primaries, k8s_control_plane" in ended.output
    assert "debvisor_quarantine" not in quarantine.inside("nft list tables", "node1")
    assert "quarantine" not in quarantine.inside("ls /var/lib/debvisor/firewall", "node1")


@pytest.mark.parametrize("target", ["", "node9", "all", "node2:node3"])
def test_exactly_one_known_host_must_be_named(lab: Cluster, tmp_path: Path, target: str) -> None:
    ended = Quarantine(lab, Driver(lab, tmp_path)).play(target=target)
    assert ended.status != 0
    assert "Name one host of the group debvisor" in " ".join(ended.output.split())
    assert ended.tasks == ["Check that exactly one host is named"]


class Killed(Exception):
    """The control node died."""


@pytest.mark.long
def test_a_control_node_that_dies_leaves_a_host_that_can_be_reached(quarantine: Quarantine) -> None:
    """No new connection gets in while the change waits for one; then the control node is gone."""
    before = quarantine.state()

    def strike(task: str) -> None:
        if task != "Quarantine or release the host":
            return
        quarantine.inside(
            "nft 'table inet deaf { chain input { type filter hook input priority -500;"
            " tcp dport 22 tcp flags syn / fin,syn,rst,ack drop; }; }'"
        )
        eventually("the switch", lambda: TABLE in quarantine.inside("nft list tables"))
        raise Killed  # the driver ends all processes of the play then

    try:
        with pytest.raises(Killed):
            quarantine.driver.play(
                "quarantine_host",
                on_task=strike,
                debvisor_target=TARGET,
                debvisor_reason="a test",
                debvisor_quarantine_cut_off=TARGET,
                debvisor_quarantine_confirm_within=PATIENCE,
            )
        assert not any(quarantine.paths(TARGET, PEER))
        assert quarantine.guests() == STOPPED
    finally:
        quarantine.inside("nft delete table inet deaf")
    eventually(
        "everything taken back",
        lambda: not quarantine.inside("ls /var/lib/debvisor/journal").strip(),
        PATIENCE + 20,
    )
    assert quarantine.state() == before


def test_a_witness_that_gets_through_takes_all_back(quarantine: Quarantine, tmp_path: Path) -> None:
    """One witness lies about its address, so that its real one can be a named path."""
    before = quarantine.state()
    liar = {
        "debvisor": {"hosts": {PEER: {"debvisor_address": str(quarantine.cluster.lab.subnet4[99])}}}
    }
    (tmp_path / "liar.json").write_text(json.dumps(liar))
    ended = quarantine.play(
        f"--inventory={tmp_path / 'liar.json'}",
        debvisor_quarantine_cut_off=TARGET,
        debvisor_quarantine_management=[{"networks": [quarantine.cluster.address(PEER)]}],
        quarantine_witnesses=[PEER],
    )
    assert ended.status != 0
    assert "a connection from a witness got through. Everything was rolled back." in " ".join(
        ended.output.split()
    )
    assert quarantine.state() == before


def test_a_primary_hands_over_stays_quiet_and_stays_cut_off_over_a_restart(
    cluster: Cluster, tmp_path: Path
) -> None:
    quarantine = Quarantine(cluster, Driver(cluster, tmp_path))
    holder = cluster.holder()
    other = cluster.other(holder)
    key = cluster.key("node")
    try:
        quarantine.cut_off(target=holder)
        eventually("the other one writes", lambda: cluster.status(other).get("role") == "writer")
        assert cluster.status(holder)["role"] != "writer"
        name = f"q{time.time_ns() // 1_000_000 % 10**8}.{cluster.zone}"
        eventually(
            "updates go on",
            lambda: cluster.update(cluster.vip, key, name, "192.0.2.9") == "NOERROR",
        )
        mac = cluster.node(other).mac
        for vip in (cluster.vip, str(cluster.lab.vip6)):
            for _round in range(5):  # both would answer here, were the cut-off one not kept from it
                quarantine.inside(f"ip neigh flush to {vip}; ping -c 1 -W 2 {vip} || true")
                assert mac in quarantine.inside(f"ip neigh show to {vip}"), vip

        cluster.kill(holder)
        cluster.start(holder)
        assert TABLE in quarantine.inside("nft list tables", holder)
        assert not any(quarantine.paths(holder, TARGET))
        assert cluster.writers() == [other]
    finally:
        quarantine.release(holder)
    assert "debvisor_quarantine" not in quarantine.inside("nft list tables", holder)
