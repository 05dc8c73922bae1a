# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster as the failure tests see it: nodes by role, keys, zones, and waits that end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import dns.xfr
import dns.zone
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import tsig
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import Key

from tests.lab import access, network, nodes, verbs
from tests.lab.control_node import ControlNode
from tests.lab.dns_client import keyring
from tests.lab.host import Host
from tests.lab.layout import DOMAIN, Lab, Node, current_lab

PRIMARIES = ("node1", "node2")
SECONDARY = "node3"


def eventually(what: str, check: Callable[[], Any], timeout: float = 30.0) -> Any:
    """Wait until ``check`` returns something true, and return it."""
    deadline = time.monotonic() + timeout
    while True:
        seen = check()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}; last seen: {seen!r}")
        time.sleep(0.1)


def holder_by(statuses: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the one primary that writes and has the VIP; empty where it is not exactly one."""
    found = [
        name for name, told in statuses.items() if told.get("role") == "writer" and told["vip"]
    ]
    return found[0] if len(found) == 1 else ""


def at_ease(statuses: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether each primary answers, and has no updates left that it alone has."""
    return all(
        told.get("healthy") and told.get("unshared", {}).get("waiting") == 0
        for told in statuses.values()
    )


@dataclass
class Cluster:
    """The lab, with what DNS tests need."""

    lab: Lab
    host: Host
    zone: str = DOMAIN

    @classmethod
    def of_lab(cls) -> Cluster:
        return cls(current_lab(), Host())

    @property
    def vip(self) -> str:
        return str(self.lab.vip4)

    def address(self, name: str) -> str:
        return str(self.lab.node(name).address4)

    def node(self, name: str) -> Node:
        return self.lab.node(name)

    def run(self, name: str, command: str, timeout: float = 60.0) -> str:
        """Run a command on a node; it must succeed."""
        return ControlNode(self.lab).on(self.node(name), command, timeout)

    def status(self, name: str) -> dict[str, Any]:
        """Return what dns-role says on a node; empty where it cannot be asked."""
        done = access.run(
            self.lab, self.node(name), "/usr/libexec/debvisor/dns-role status --json", timeout=10
        )
        try:
            found: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            return {}
        return found

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Return what dns-role says on each primary, asked at once."""
        with ThreadPoolExecutor(len(PRIMARIES)) as pool:
            return dict(zip(PRIMARIES, pool.map(self.status, PRIMARIES), strict=True))

    def writers(self) -> list[str]:
        return [name for name, told in self.statuses().items() if told.get("role") == "writer"]

    def holder(self) -> str:
        """Return the primary that holds the VIP and writes."""
        return str(eventually("exactly one writer", lambda: holder_by(self.statuses())))

    def other(self, name: str) -> str:
        return next(primary for primary in PRIMARIES if primary != name)

    def key(self, kind: str) -> Key:
        """Fetch a key as an operator would, over ssh."""
        file = f"/etc/debvisor/keys/debvisor-{kind}.key"
        return tsig.parse(self.run(PRIMARIES[0], f"cat {file}").encode(), file)

    def shared_with(self, node: str) -> str:
        """Return the kind of the key that primaries share with a DNS server."""
        return "xfer" if node in PRIMARIES else f"xfer-{node}"

    def transfer(self, address: str, key: Key | None) -> dict[str, set[str]]:
        """Return the A records of the zone, by a transfer."""
        content = dns.zone.Zone(self.zone + ".", relativize=False)
        signed = (
            {
                "keyring": keyring(key),
                "keyname": dns.name.from_text(key.name),
                "keyalgorithm": key.algorithm,
            }
            if key
            else {}
        )
        question, _serial = dns.xfr.make_query(content, **signed)
        dns.query.inbound_xfr(address, content, question, timeout=10, lifetime=20)
        found: dict[str, set[str]] = {}
        for name, _ttl, record in content.iterate_rdatas("A"):
            found.setdefault(name.to_text(), set()).add(record.to_text())
        return found

    def serial(self, address: str) -> int | None:
        answer = self.ask(address)
        if answer is None or not answer.answer:
            return None
        return int(answer.answer[0][0].serial)

    def ask(self, address: str, name: str = "", kind: str = "SOA") -> dns.message.Message | None:
        question = dns.message.make_query(name or self.zone, kind, flags=0)
        try:
            return dns.query.udp(question, address, timeout=0.5)
        except (dns.exception.Timeout, OSError):
            return None

    def addresses(self, name: str) -> set[str]:
        """Return the A records of a name, from the VIP."""
        answer = self.ask(self.vip, name, "A")
        assert answer is not None
        return {record.to_text() for rrset in answer.answer for record in rrset}

    def update(
        self,
        address: str,
        key: Key | None,
        name: str,
        value: str,
        *,
        replace: bool = False,
        tcp: bool = False,
    ) -> str:
        """Send one update; return the rcode, or the name of what went wrong."""
        message = dns.update.UpdateMessage(
            self.zone,
            keyring=keyring(key) if key else None,
            keyalgorithm=key.algorithm if key else dns.tsig.default_algorithm,
        )
        if replace:
            message.delete(dns.name.from_text(name), "A")
        message.add(dns.name.from_text(name), 60, "A", value)
        send = dns.query.tcp if tcp else dns.query.udp
        try:
            return dns.rcode.to_text(send(message, address, timeout=1.0).rcode())
        except (dns.exception.DNSException, OSError) as cause:
            return type(cause).__name__

    def level(self) -> bool:
        """Tell whether every server has the same serial."""
        serials = {self.serial(str(node.address4)) for node in self.lab.nodes}
        return len(serials) == 1 and None not in serials

    def power_on(self) -> None:
        """Start every node that is off."""
        running = nodes.pids(self.host, self.lab)
        for node in self.lab.nodes:
            if node.name not in running:
                verbs.start(self.host, self.lab, node)

    def whole(self) -> None:
        """Wait until the cluster is as it should be: one writer, everybody up and level."""
        if network.partitions(self.lab):
            self.mend()
        told = self.statuses()
        if holder_by(told) and at_ease(told) and self.level():
            return  # as a rule, one look is enough
        self.holder()
        eventually("all serials level", self.level, 60)
        eventually("both primaries at ease", lambda: at_ease(self.statuses()), 60)

    def reports(self, name: str) -> dict[str, dict[str, Any]]:
        """Return the reports of unshared updates on a node, by path."""
        listing = self.run(
            name, "ls -1 /var/lib/debvisor/dns/unshared/*.report.json 2>/dev/null || true"
        )
        return {path: json.loads(self.run(name, f"cat {path}")) for path in listing.split()}

    def kill(self, name: str) -> None:
        verbs.kill(self.host, self.lab, self.node(name))

    def start(self, name: str) -> None:
        verbs.start(self.host, self.lab, self.node(name))

    def pause(self, name: str) -> None:
        """Let every process of a node stand still, as a stunned guest's do."""
        nodes.pause(self.host, self.node(name))

    def resume(self, name: str) -> None:
        nodes.resume(self.host, self.node(name))

    def cut(self, name: str, peers: list[str], *, one_way: bool = False) -> None:
        others = [self.node(peer) for peer in peers]
        verbs.cut(self.host, self.lab, self.node(name), others, one_way=one_way)

    def mend(self) -> None:
        verbs.mend(self.host, self.lab, None)
