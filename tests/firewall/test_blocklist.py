# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block lists and bans on real nodes, judged by the packets that get through."""

from __future__ import annotations

import ipaddress
import json
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.firewall.packets import Packets
from tests.firewall.tables import NFTABLES_INACTIVE
from tests.firewall.traffic import Traffic
from tests.lab import access
from tests.lab.cluster import Cluster, eventually
from tests.lab.control_node import ControlNode

HOST, SENDER = "node3", "node2"
TABLE = "nft list table inet debvisor_blocklist"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


NODE = """
import json, os, sys
sys.path.insert(0, "/usr/share/ansible/collections/ansible_collections/debvisor/hci")
from plugins.module_utils._core.executor import Records, execute
from plugins.module_utils._core.spec import filled
from plugins.module_utils._core.waiting import SystemClock
from plugins.module_utils._firewall import ban_operation, blocklist_options
from plugins.module_utils._firewall.ban_operation import NftBan
from plugins.module_utils._firewall.blocklist_operation import NftBlocklist
from plugins.module_utils._firewall.blocklist_state import BlocklistState
from plugins.module_utils._ports.host.files import Files
from plugins.module_utils._ports.firewall.nft import Nft
from plugins.module_utils._ports.net.network_identity import NetworkIdentity

class Dying(Nft):
    when = ""

    def load(self, script):
        if self.when == "before":
            os.kill(os.getpid(), 9)
        super().load(script)
        if self.when == "after":
            os.kill(os.getpid(), 9)

which, Dying.when, params = json.loads(sys.argv[1])
ports = Dying(), Files(), NetworkIdentity(), SystemClock()
store, book = "/var/lib/debvisor/firewall/blocklist", "/var/lib/debvisor/firewall/bans.json"
looking = BlocklistState(Files(), SystemClock(), store, book)
banning = which == "ban"
made = NftBan(*ports, looking, "test") if banning else NftBlocklist(*ports, store)
spec = ban_operation.SPEC if banning else blocklist_options.SPEC
outcome = execute(made, filled(spec, params), Records.default())
print(json.dumps({
    "failure": str(outcome.failure or ""), "changed": outcome.changed, "rolled_back_runs": outcome.rolled_back_runs,
    **outcome.plan.facts,
}))
"""
"""The operations behind the modules, run on the node itself: many calls through Ansible would take minutes."""


class Lists:
    """Lists and bans of one node."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.control = ControlNode(cluster.lab)
        self.folder = folder

    def command(self, which: str, params: dict[str, Any], dies: str = "") -> str:
        given = shlex.quote(json.dumps([which, dies, params]))
        return f"python3 -c {shlex.quote(NODE)} {given}"

    def call(self, which: str, *, ok: bool = True, **params: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cluster.run(HOST, self.command(which, params)))
        assert (not found["failure"]) is ok, found["failure"]
        return found

    def options(
        self, *entries: str, more: Sequence[dict[str, Any]] = (), **options: Any
    ) -> dict[str, Any]:
        return {"lists": [{"name": "test", "entries": list(entries)}, *more], **options}

    def block(self, *entries: str, ok: bool = True, **options: Any) -> dict[str, Any]:
        return self.call("block", ok=ok, **self.options(*entries, **options))

    def ban(self, *networks: str, **options: Any) -> dict[str, Any]:
        params = {"networks": list(networks), "ttl": "1h", "reason": "test"}
        return self.call("ban", **{**params, **options})

    def module(self, name: str, **options: Any) -> dict[str, Any]:
        """Call a module as an operator does."""
        run = self.control.ansible(
            HOST,
            f"--module-name=debvisor.hci.{name}",
            f"--args={json.dumps(options)}",
            log=self.folder / f"{name}.log",
            program="ansible",
            ANSIBLE_LOAD_CALLBACK_PLUGINS="1",
            ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
        )
        [result] = run.results().values()
        assert run.status == 0, result
        return result


@pytest.fixture
def lists(lab: Cluster, tmp_path: Path) -> Iterator[Lists]:
    """Lists and bans of the node, none of which stays."""
    lab.whole()
    found = Lists(lab, tmp_path)
    yield found
    banned = json.loads(lab.run(HOST, "cat /var/lib/debvisor/firewall/bans.json || echo '{}'"))
    found.ban(*(each["network"] for each in banned.get("bans", [])), state="absent")
    found.block()
    assert lab.run(HOST, "ls /var/lib/debvisor/journal") == ""


@pytest.fixture
def packets(lab: Cluster) -> Packets:
    return Packets(lab, SENDER, HOST)


def ladder() -> list[Network]:
    """Return a network of every prefix length that a list may have, none in another or beside it."""
    wide4 = {4: 176, 5: 144, 6: 132, 7: 120}
    wide6 = {
        7: 0x3000,
        **{length: 0x3400 + 0x200 * (length - 8) for length in range(8, 14)},
        14: 0x2800,
        15: 0x2A00,
    }
    found: list[Network] = []
    for length in range(4, 33):
        number = wide4.get(length, 20 + 2 * length) << 24 | 0x00A5C3F0
        found.append(ipaddress.IPv4Network((number, length), strict=False))
    for length in range(7, 129):
        number = (
            wide6.get(length, 0x2400 + 2 * length) << 112 | 0x0DB8_A5C3_F00F_1234_5678_9ABC_DEF1
        )
        found.append(ipaddress.IPv6Network((number, length), strict=False))
    return found


def edges(network: Network) -> list[str]:
    return [str(network[0]), str(network[-1])]


def outside(network: Network) -> list[str]:
    kind = type(network[0])
    return [str(kind(int(network[0]) - 1)), str(kind(int(network[-1]) + 1))]


def test_every_prefix_length_drops_what_it_covers_and_nothing_beside(
    lists: Lists, packets: Packets
) -> None:
    networks = ladder()
    inside = {address for network in networks for address in edges(network)}
    beside = {address for network in networks for address in outside(network)}
    assert packets.passing(inside | beside) == inside | beside, "the probes themselves arrive"
    result = lists.block(*map(str, networks), max_share=100)
    held = result["lists"][1]["prefix_lengths"]
    assert held == {"v4": list(range(4, 33)), "v6": list(range(7, 129))}
    assert packets.passing(inside | beside) == beside
    assert lists.block(*map(str, networks), max_share=100)["changed"] is False
    lists.block()
    assert packets.passing(inside) == inside


def test_allowed_and_protected_addresses_pass_in_the_middle_of_what_is_blocked(
    lists: Lists, packets: Packets
) -> None:
    own = str(lists.cluster.node(SENDER).address4)
    office = {
        "name": "office",
        "action": "allow",
        "entries": ["203.0.113.64/26", "2001:db8:1:2::7"],
    }
    result = lists.block(
        "203.0.113.0/24", "2001:db8:1::/48", "10.0.0.0/8", more=[office], protected=[own]
    )
    assert packets.passing(
        [
            "203.0.113.63",
            "203.0.113.64",
            "203.0.113.127",
            "203.0.113.128",
            "2001:db8:1:2::7",
            "2001:db8:1:2::8",
            own,
        ]
    ) == {"203.0.113.64", "203.0.113.127", "2001:db8:1:2::7", own}
    control = str(lists.cluster.lab.gateway4)
    met = {each["protected"] for each in result["protected_met"]}
    assert {own, control} <= met, "the control node and a peer are told of"
    assert lists.block("203.0.113.0/24")["changed"], "and the control node still gets in"


def test_established_flows_are_spared_by_a_list_and_cut_by_a_ban(lists: Lists) -> None:
    traffic = Traffic(lists.cluster)
    stranger = traffic.stranger(4)
    target = str(lists.cluster.node(HOST).address4)
    program = (
        "import socket, sys, time\n"
        f"link = socket.create_connection(('{target}', 22), source_address=('{stranger}', 0), timeout=5)\n"
        "link.recv(100)\n"
        "print('open', flush=True)\n"
        "for line in sys.stdin:\n"
        "    link.sendall(line.encode())\n"
        "    link.settimeout(float(line.split()[1]))\n"
        "    try:\n"
        "        print('answered' if link.recv(5000) else 'closed', flush=True)\n"
        "    except TimeoutError:\n"
        "        print('silent', flush=True)\n"
    )
    node = lists.cluster.node(SENDER)
    lists.cluster.run(SENDER, f"ip address replace {stranger}/32 dev eth0")
    try:
        with subprocess.Popen(
            [*access.ssh_command(lists.cluster.lab, node), f"python3 -c {shlex.quote(program)}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        ) as flow:
            assert flow.stdin
            assert flow.stdout
            assert flow.stdout.readline() == "open\n"
            lists.block(stranger)
            assert traffic.connect(SENDER, target, 22, stranger) == "dropped"
            flow.stdin.write("SSH-2.0-probe 10\r\n")
            assert flow.stdout.readline() == "answered\n"
            lists.ban(stranger)
            flow.stdin.write("x 2\r\n")
            assert flow.stdout.readline() == "silent\n"
            flow.stdin.close()
            flow.wait(20)
    finally:
        lists.cluster.run(SENDER, f"ip address delete {stranger}/32 dev eth0")


def test_a_ban_ends_by_itself_and_can_be_lifted(lists: Lists, packets: Packets) -> None:
    sources = ["198.51.100.7", "203.0.113.9", "2001:db8:bad::9"]
    lists.ban("198.51.100.7", ttl="15s")
    lists.ban("203.0.113.0/24", "2001:db8:bad::/48")
    assert packets.passing(sources) == set()
    eventually("the short ban ends", lambda: "198.51.100.7" in packets.passing(sources), 60)
    lists.ban("203.0.113.0/24", "2001:db8:bad::/48", state="absent")
    assert packets.passing(sources) == set(sources)


@pytest.mark.parametrize(
    "how", ["restart", *(pytest.param(how, marks=pytest.mark.long) for how in ("start", "reload"))]
)
def test_lists_and_bans_come_back_after_a_flush_with_the_time_that_is_left(
    lists: Lists, packets: Packets, how: str
) -> None:
    lists.block("198.51.100.0/24")
    lists.ban("203.0.113.9", ttl="1000s")
    time.sleep(2.1)
    for each in dict.fromkeys(["start", how]):
        lists.cluster.run(HOST, f"systemctl {each} nftables.service")  # it begins with a flush
    listed = str(eventually("the bans are back", lambda: bans(lists)))
    left = int(listed.partition("timeout ")[2].partition("s")[0].rpartition("m")[2] or 0)
    assert "203.0.113.9 timeout 16m" in listed
    assert left <= 38, listed
    eventually("the lists are back", lambda: not packets.passing(["198.51.100.1", "203.0.113.9"]))
    assert "policy drop" in lists.cluster.run(HOST, "nft list table inet debvisor_filter")
    assert lists.block("198.51.100.0/24")["changed"] is False
    assert lists.ban("203.0.113.9", ttl="1000s")["changed"] is False
    lists.cluster.run(HOST, NFTABLES_INACTIVE)


def bans(lists: Lists) -> str:
    """Return what the kernel lists. An SSH connection that begins while the rules are away may hang: then nothing."""
    look = "nft list set inet debvisor_bans v4_32"
    return access.run(lists.cluster.lab, lists.cluster.node(HOST), look, timeout=10).stdout


def test_hits_are_counted_by_list_and_family_and_outlast_changes(
    lists: Lists, packets: Packets
) -> None:
    lists.block("198.51.100.0/24", "2001:db8:bad::/48")
    packets.passing(["198.51.100.1", "2001:db8:bad::1"])
    before = counted(lists)
    assert before["test_v4"] >= 1
    assert before["test_v6"] >= 1
    lists.block("198.51.0.0/16", "2001:db8:bad::/47")
    assert counted(lists) == before
    lists.block("198.51.0.0/16", "2001:db8:bad::/47", rebuild=True)
    assert counted(lists) == before


def counted(lists: Lists) -> dict[str, int]:
    listed = json.loads(lists.cluster.run(HOST, f"nft -j -t {TABLE.removeprefix('nft ')}"))
    return {
        item["counter"]["name"]: item["counter"]["packets"]
        for item in listed["nftables"]
        if "counter" in item
    }


def test_why_an_address_is_blocked(lists: Lists) -> None:
    """Through the modules themselves."""
    lists.cluster.run(HOST, "printf '# a\\n198.51.100.0/24 # b\\n' > /tmp/list")
    feed = [{"name": "feed", "files": ["/tmp/list"]}]
    assert lists.module("nft_blocklist", lists=feed)["changed"]
    assert lists.module("nft_blocklist", lists=feed)["changed"] is False
    ban = {
        "networks": ["198.51.100.7"],
        "reason": "test",
        "requester": "alice",
        "source": "ticket 4711",
    }
    assert lists.module("nft_ban", **ban)["changed"]
    [found] = lists.module("block_info", addresses=["198.51.100.7"])["addresses"]
    ban, listed = found["by"]
    assert (ban["requester"], ban["reason"], ban["source"]) == ("alice", "test", "ticket 4711")
    assert listed["entries"] == [{"network": "198.51.100.0/24", "source": "/tmp/list", "line": 2}]


def test_a_table_of_another_program_is_left_alone(lists: Lists) -> None:
    lists.block(state="absent")
    lists.cluster.run(HOST, "nft add table inet debvisor_blocklist")
    try:
        result = lists.block("198.51.100.7", ok=False)
        assert "another program" in result["failure"]
        assert "198.51.100.7" not in lists.cluster.run(HOST, TABLE)
    finally:
        lists.cluster.run(HOST, "nft delete table inet debvisor_blocklist")


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_the_load(lists: Lists, packets: Packets, when: str) -> None:
    lists.block("198.51.100.7")
    dying = lists.command("block", lists.options("203.0.113.7"), dies=when)
    lists.cluster.run(HOST, f"{dying} || test $? = 137")
    assert lists.cluster.run(HOST, "ls /var/lib/debvisor/journal").strip()
    result = lists.block("198.51.100.8")
    assert len(result["rolled_back_runs"]) == 1
    assert packets.passing(["198.51.100.7", "198.51.100.8", "203.0.113.7"]) == {
        "198.51.100.7",
        "203.0.113.7",
    }


def test_two_runs_at_once_come_one_after_the_other(lists: Lists) -> None:
    first = lists.command("block", lists.options("203.0.113.1"))
    second = lists.command("block", lists.options("203.0.113.2"))
    said = lists.cluster.run(HOST, f"{first} & {second} & wait")
    assert [json.loads(line)["failure"] for line in said.splitlines()] == ["", ""]
    listed = lists.cluster.run(HOST, TABLE)
    assert ("203.0.113.1" in listed) != ("203.0.113.2" in listed)
    kept = "203.0.113.1" if "203.0.113.1" in listed else "203.0.113.2"
    assert lists.block(kept)["changed"] is False


def test_the_playbook_bans_everywhere_and_lifts(lists: Lists) -> None:
    extra = {
        "debvisor_block_ips": "203.0.113.5, 2001:db8:bad::/48",
        "debvisor_reason": "drill",
        "debvisor_block_ttl": "10m",
    }
    run = lists.control.ansible(
        "debvisor.hci.block_ips", f"--extra-vars={json.dumps(extra)}", log=lists.folder / "ban.log"
    )
    assert run.status == 0, run.output[-2000:]
    for node in lists.cluster.lab.nodes:
        listed = lists.cluster.run(node.name, "nft list table inet debvisor_bans")
        assert "203.0.113.5 timeout 10m" in listed
        assert "2001:db8:bad:: timeout 10m" in listed
    run = lists.control.ansible(
        "debvisor.hci.block_ips",
        f"--extra-vars={json.dumps({**extra, 'debvisor_block_state': 'absent'})}",
        log=lists.folder / "lift.log",
    )
    assert run.status == 0, run.output[-2000:]
    for node in lists.cluster.lab.nodes:
        assert "203.0.113.5" not in lists.cluster.run(
            node.name, "nft list table inet debvisor_bans"
        )


def test_the_playbook_says_what_is_missing(lists: Lists) -> None:
    run = lists.control.ansible("debvisor.hci.block_ips", log=lists.folder / "missing.log")
    assert run.status != 0
    assert "debvisor_block_ips is missing" in run.output
