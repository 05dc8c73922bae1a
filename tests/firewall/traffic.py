# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real packets between nodes: who reaches what, and what happens to the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.lab.cluster import Cluster

PROBE = """
import socket
try:
    socket.create_connection(("{to}", {port}), timeout=1.5, source_address=("{source}", 0)).close()
    print("open")
except TimeoutError:
    print("dropped")
except ConnectionRefusedError:
    print("refused")
"""
LISTENER = (
    "import socket; l = socket.create_server(('::', {port}), family=socket.AF_INET6, dualstack_ipv6=True)\n"
    "while True: l.accept()[0].close()"
)
STRANGER = 99
"""Host part of the addresses that are in no inventory."""


class Traffic:
    """What passes between the nodes."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def address(self, node: str, family: int) -> str:
        found = self.cluster.node(node)
        return str(found.address4 if family == 4 else found.address6)

    def vip(self, family: int) -> str:
        return str(self.cluster.lab.vip4 if family == 4 else self.cluster.lab.vip6)

    def stranger(self, family: int) -> str:
        lab = self.cluster.lab
        return str((lab.subnet4 if family == 4 else lab.subnet6)[STRANGER])

    @contextlib.contextmanager
    def strangers(self) -> Iterator[None]:
        """Give node3 the strangers' addresses meanwhile."""
        addresses = {4: f"{self.stranger(4)}/32", 6: f"{self.stranger(6)}/128"}
        for each in addresses.values():
            self.cluster.run("node3", f"ip address replace {each} dev eth0 nodad preferred_lft 0")
        try:
            yield
        finally:
            for each in addresses.values():
                self.cluster.run("node3", f"ip address delete {each} dev eth0 || true")

    def connect(self, source_node: str, to: str, port: int, source: str = "") -> str:
        """Open a TCP connection; return open, refused or dropped."""
        program = PROBE.format(
            to=to, port=port, source=source or ("::" if ":" in to else "0.0.0.0")
        )
        return self.cluster.run(source_node, f"python3 - <<'END'\n{program}\nEND").strip()

    def resolves(
        self, source_node: str, server: str, source: str = "", *, tcp: bool = False
    ) -> bool:
        """Ask a server for the zone's SOA."""
        command = f"dig @{server} {self.cluster.zone} SOA +short +time=1 +tries=1"
        command += f" -b {source}" if source else ""
        command += " +tcp" if tcp else ""
        said = self.cluster.run(source_node, f"{command} || true").splitlines()
        return any(not line.startswith(";") for line in said)  # what dig remarks begins with it

    @contextlib.contextmanager
    def listening(self, node: str, port: int) -> Iterator[None]:
        """Let a program on the node accept connections, on both families."""
        unit = f"debvisor-test-listener-{port}"
        program = LISTENER.format(port=port)
        self.cluster.run(
            node,
            f'systemd-run --quiet --collect --unit={unit} python3 -c "{program}";'
            f" for i in $(seq 50); do ss -Hltn sport = :{port} | grep -q . && break; sleep 0.1; done",
        )
        try:
            assert self.connect(node, "127.0.0.1", port) == "open"
            yield
        finally:
            self.cluster.run(node, f"systemctl stop {unit}")
