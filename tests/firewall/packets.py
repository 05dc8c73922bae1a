# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets from any address we like, sent from one node to another, and which of them got past the lists.

The sender binds to addresses that are not its own (IP_TRANSPARENT, ip(7)). On the receiving node a table of our own
notes the source of each probe; its chain comes just after that of the block lists, so what is noted was let through.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterable, Iterator

from tests.lab.cluster import Cluster, eventually

PORT = 4242
TABLE = "debvisor_test_probe"
LAST = {4: "192.88.99.77", 6: "2001:20::77"}
"""Sources that no list has. Sent last: once they are noted, everything before them has been judged."""
SENDER = f"""
import json, socket, sys
for source, target in json.load(sys.stdin):
    six = ":" in source
    with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setsockopt(*((socket.IPPROTO_IPV6, 75, 1) if six else (socket.IPPROTO_IP, 19, 1)))
        link.bind((source, 0))
        link.sendto(b"probe", (target, {PORT}))
"""
NOTED = f"""
table inet {TABLE} {{
  set seen4 {{ type ipv4_addr; size 65535; flags dynamic; }}
  set seen6 {{ type ipv6_addr; size 65535; flags dynamic; }}
  chain noted {{
    type filter hook prerouting priority mangle + 1; policy accept;
    udp dport {PORT} add @seen4 {{ ip saddr }}
    udp dport {PORT} add @seen6 {{ ip6 saddr }}
  }}
}}
"""


class Packets:
    """Probes from one node to another."""

    def __init__(self, cluster: Cluster, sender: str, receiver: str) -> None:
        self.cluster = cluster
        self.sender = sender
        self.receiver = receiver

    def passing(self, sources: Iterable[str]) -> set[str]:
        """Send one packet from each address, and return those whose packet got past the lists."""
        to = self.cluster.node(self.receiver)
        pairs = [
            (source, str(to.address6 if ":" in source else to.address4))
            for source in [*sources, *LAST.values()]
        ]
        with self._noting():
            self._send(pairs)
            for _attempt in range(
                3
            ):  # a datagram may get lost on a busy machine; a dropped one stays missing
                seen = self._seen() - set(LAST.values())
                self._send([pair for pair in pairs if pair[0] not in seen])
            eventually("the last probes", lambda: set(LAST.values()) <= self._seen())
            return self._seen() - set(LAST.values())

    def _send(self, pairs: list[tuple[str, str]]) -> None:
        given = shlex.quote(json.dumps(pairs))
        self.cluster.run(self.sender, f"printf %s {given} | python3 -c {shlex.quote(SENDER)}")

    def _seen(self) -> set[str]:
        listed = json.loads(self.cluster.run(self.receiver, f"nft -j list table inet {TABLE}"))
        return {
            element
            for item in listed["nftables"]
            if "set" in item
            for element in item["set"].get("elem", [])
        }

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        self.cluster.run(self.receiver, f"nft -f - <<'END'\n{NOTED}\nEND")
        try:
            yield
        finally:
            self.cluster.run(self.receiver, f"nft delete table inet {TABLE}")
