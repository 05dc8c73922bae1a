# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The baseline on real nodes: what passes, what is dropped, and that nobody is locked out for long."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.firewall.tables import NFTABLES_INACTIVE, RULESET, ours
from tests.firewall.traffic import Traffic
from tests.lab.cluster import Cluster, eventually
from tests.lab.control_node import ControlNode, PlaybookRun, kill_with_descendants
from tests.lab.layout import CHECKOUT

VICTIM = "node3"
BOOT_FILE = "/var/lib/debvisor/firewall/baseline.nft"
CLOSED_PORT = 7777
LIBVIRT_TLS = 16514
TABLE = "nft --stateless list table inet debvisor_filter"
FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
FOREIGN = """
table ip libvirt_network {
  chain guest_output {
    type filter hook forward priority filter; policy accept;
    counter
  }
}
table inet somebody {
  chain input {
    type filter hook input priority 10; policy accept;
    tcp dport 4711 counter
  }
}
"""


@pytest.fixture(scope="module")
def traffic(lab: Cluster) -> Iterator[Traffic]:
    """Packets between nodes; node3 also speaks from addresses that nobody knows."""
    found = Traffic(lab)
    with found.strangers():
        yield found


@pytest.fixture
def control(cluster: Cluster) -> ControlNode:
    return ControlNode(cluster.lab)


@pytest.fixture
def settled(cluster: Cluster, control: ControlNode, tmp_path: Path) -> Iterator[str]:
    """Give the victim's rules; afterwards they must be in force again, and nothing left open."""
    before = cluster.run(VICTIM, TABLE)
    yield before
    eventually("the victim answers again", lambda: reachable(cluster), 60)
    run = converge(control, tmp_path / "settle.log")
    assert run.status == 0, run.output[-3000:]
    assert cluster.run(VICTIM, TABLE) == before
    assert cluster.run(VICTIM, "ls /var/lib/debvisor/journal") == ""


def converge(control: ControlNode, log: Path, *options: str, **extra: Any) -> PlaybookRun:
    return control.ansible(
        "debvisor.hci.firewall", *options, f"--extra-vars={json.dumps(extra)}", log=log
    )


def ruleset(control: ControlNode, log: Path, **options: Any) -> PlaybookRun:
    """Call the module for the victim, through its action plugin."""
    return control.ansible(
        VICTIM,
        "--module-name=debvisor.hci.nft_ruleset",
        f"--args={json.dumps(options)}",
        log=log,
        program="ansible",
    )


def changed(run: PlaybookRun) -> int:
    assert run.status == 0, run.output[-3000:]
    return sum(int(count) for count in re.findall(r"changed=(\d+)", run.output))


def reachable(cluster: Cluster) -> bool:
    """Tell whether sshd on the victim greets a new connection."""
    with contextlib.suppress(OSError):
        link = socket.create_connection((cluster.address(VICTIM), 22), timeout=1)
        with link:
            return link.recv(4) == b"SSH-"
    return False


@contextlib.contextmanager
def controller_that_locks_itself_out(control: ControlNode, seconds: int) -> Iterator[None]:
    """Run a control node that does so until its change is in force, then kill it as an accident does."""
    cluster = Cluster.of_lab()
    options = {"allow_lockout": True, "confirm_within": seconds}
    program = Path(sys.executable).with_name("ansible")
    command = [
        str(program),
        *control.inventory,
        VICTIM,
        "--module-name=debvisor.hci.nft_ruleset",
        f"--args={json.dumps(options)}",
    ]
    with subprocess.Popen(
        command,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            eventually("the lockout", lambda: not reachable(cluster), 30)
        finally:
            kill_with_descendants(process.pid)
    yield


@FAMILIES
def test_an_open_service_passes_and_a_closed_port_is_dropped(traffic: Traffic, family: int) -> None:
    node1 = traffic.address("node1", family)
    assert traffic.connect(VICTIM, node1, 22) == "open"
    traffic.cluster.run(VICTIM, f"ping -c 1 -W 2 {node1}")
    with traffic.listening("node1", CLOSED_PORT):
        assert traffic.connect("node1", node1, CLOSED_PORT) == "open", "loopback is spared"
        assert traffic.connect(VICTIM, node1, CLOSED_PORT) == "dropped"


@FAMILIES
def test_what_serves_peers_is_closed_to_strangers(traffic: Traffic, family: int) -> None:
    node1 = traffic.address("node1", family)
    with traffic.listening("node1", LIBVIRT_TLS):
        assert traffic.connect(VICTIM, node1, LIBVIRT_TLS) == "open"
        assert traffic.connect(VICTIM, node1, LIBVIRT_TLS, traffic.stranger(family)) == "dropped"
        assert traffic.connect(VICTIM, node1, 22, traffic.stranger(family)) == "open"


@FAMILIES
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_strangers_get_dns_at_the_vip_and_peers_everywhere(
    traffic: Traffic, family: int, tcp: bool
) -> None:
    stranger = traffic.stranger(family)
    eventually(
        "the VIP answers", lambda: traffic.resolves(VICTIM, traffic.vip(family), stranger, tcp=tcp)
    )
    for primary in ("node1", "node2"):
        address = traffic.address(primary, family)
        assert traffic.resolves(VICTIM, address, tcp=tcp), "a peer"
        traffic.cluster.run(primary, "systemctl stop debvisor-dns-gate")
        try:
            assert not traffic.resolves(VICTIM, address, stranger, tcp=tcp), "by the baseline alone"
        finally:
            traffic.cluster.run(primary, "systemctl start debvisor-dns-gate")
        assert traffic.resolves(primary, "127.0.0.1", tcp=tcp)


def test_what_is_dropped_is_counted(traffic: Traffic) -> None:
    def dropped() -> int:
        listing = traffic.cluster.run("node1", "nft list table inet debvisor_filter")
        return int(re.findall(r"counter packets (\d+) bytes \d+ drop", listing)[-1])

    before = dropped()
    traffic.connect(VICTIM, traffic.address("node1", 4), CLOSED_PORT)
    assert dropped() > before


def test_a_second_run_changes_nothing(control: ControlNode, tmp_path: Path) -> None:
    assert changed(converge(control, tmp_path / "run.log")) == 0


def test_check_mode_tells_and_changes_nothing(
    cluster: Cluster, control: ControlNode, settled: str, tmp_path: Path
) -> None:
    extra = {"firewall_extra_openings": [{"service": "prometheus"}]}
    kept = cluster.run(VICTIM, f"stat -c %Y%i {BOOT_FILE}")
    run = converge(control, tmp_path / "check.log", "--check", "--diff", **extra)
    assert changed(run) == 3
    assert '+\t\ttcp dport 9090 counter accept comment "prometheus"' in run.output
    assert cluster.run(VICTIM, TABLE) == settled
    assert cluster.run(VICTIM, f"stat -c %Y%i {BOOT_FILE}") == kept
    assert cluster.run(VICTIM, "systemctl list-timers --all 'debvisor-revert-*' --no-legend") == ""


@pytest.mark.long
@pytest.mark.usefixtures("settled")
def test_check_mode_gets_by_without_nft(
    cluster: Cluster, control: ControlNode, tmp_path: Path
) -> None:
    """As on a machine where it is yet to be installed, which check mode does not do."""
    playbooks = ["debvisor.hci.firewall", "debvisor.hci.blocklist"]
    cluster.run(VICTIM, "mv /usr/sbin/nft /usr/sbin/nft.away")
    try:
        run = control.ansible("--check", f"--limit={VICTIM}", *playbooks, log=tmp_path / "run.log")
    finally:
        cluster.run(VICTIM, "mv /usr/sbin/nft.away /usr/sbin/nft")
    assert run.status == 0, run.output[-3000:]
    assert "or nft itself, are not there yet" in " ".join(run.output.split())


@pytest.mark.long
def test_tables_of_others_are_left_alone(
    cluster: Cluster, control: ControlNode, tmp_path: Path
) -> None:
    def foreign() -> str:
        return cluster.run(
            VICTIM, "nft -s -a list table ip libvirt_network; nft -s -a list table inet somebody"
        )

    cluster.run(VICTIM, f"nft -f - <<'END'\n{FOREIGN}\nEND")
    try:
        before = foreign()
        extra = {"firewall_extra_openings": [{"service": "prometheus"}]}
        assert changed(converge(control, tmp_path / "more.log", **extra)) == 3
        assert changed(converge(control, tmp_path / "less.log")) == 3
        assert foreign() == before, "handles too: nothing was made anew"
    finally:
        cluster.run(VICTIM, "nft 'delete table ip libvirt_network; delete table inet somebody'")


@pytest.mark.usefixtures("settled")
def test_a_rule_that_was_added_by_hand_is_taken_out(
    cluster: Cluster, control: ControlNode, tmp_path: Path
) -> None:
    cluster.run(VICTIM, "nft insert rule inet debvisor_filter input accept")
    assert changed(converge(control, tmp_path / "run.log")) == 1


def test_rules_that_would_lock_ansible_out_are_refused(
    cluster: Cluster, control: ControlNode, settled: str, tmp_path: Path
) -> None:
    run = ruleset(control, tmp_path / "run.log", state="present")
    assert run.status != 0
    assert "the rules would lock Ansible out" in run.output
    assert cluster.run(VICTIM, TABLE) == settled


def test_a_lockout_that_was_insisted_on_is_rolled_back(
    cluster: Cluster, control: ControlNode, settled: str, tmp_path: Path
) -> None:
    run = ruleset(control, tmp_path / "run.log", allow_lockout=True, confirm_within=8)
    assert run.status != 0
    assert "rolls it back by itself" in re.sub(r"\s+", " ", run.output)
    eventually("the victim answers again", lambda: reachable(cluster), 30)
    assert cluster.run(VICTIM, TABLE) == settled
    assert (
        cluster.run(VICTIM, "tail -n 1 /var/log/debvisor/audit.jsonl | grep -c reverted") == "1\n"
    )


def test_a_controller_killed_in_a_lockout_leaves_a_reachable_host(
    cluster: Cluster, control: ControlNode, settled: str
) -> None:
    started = time.monotonic()
    with controller_that_locks_itself_out(control, seconds=15):
        eventually("the victim answers again", lambda: reachable(cluster), 40)
    assert time.monotonic() - started > 10, "it was never locked out: the test proves nothing"
    assert cluster.run(VICTIM, TABLE) == settled


def test_a_restart_before_the_confirmation_brings_the_old_rules(
    cluster: Cluster, control: ControlNode, settled: str
) -> None:
    with controller_that_locks_itself_out(control, seconds=3000):
        cluster.kill(VICTIM)
        cluster.start(VICTIM)
        assert cluster.run(VICTIM, TABLE) == settled


def test_a_restart_brings_the_rules_back(cluster: Cluster, settled: str) -> None:
    cluster.kill(VICTIM)
    cluster.start(VICTIM)
    assert cluster.run(VICTIM, TABLE) == settled
    order = "systemd-analyze verify debvisor-firewall.service 2>&1 | grep debvisor || true"
    assert cluster.run(VICTIM, order) == ""


@pytest.mark.parametrize(
    ("node", "how"),
    [
        ("node1", "restart"),
        pytest.param("node1", "start", marks=pytest.mark.long),
        pytest.param(VICTIM, "restart", marks=pytest.mark.long),
        (VICTIM, "start"),
    ],
)
def test_nftables_of_debian_takes_the_rules_away_and_brings_them_back(
    cluster: Cluster, node: str, how: str
) -> None:
    before = ours(cluster.run(node, RULESET))
    assert ("table inet debvisor_dns {" in "".join(before)) is (node == "node1"), "the DNS gate"
    cluster.run(node, f"systemctl {how} nftables.service")
    try:
        eventually("our rules are back", lambda: ours(cluster.run(node, RULESET)) == before)
    finally:
        cluster.run(node, NFTABLES_INACTIVE)
