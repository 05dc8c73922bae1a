# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of the DNS programs on a node: /etc/debvisor/dns.json, which the role dns_ha writes. No secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.errors import DebvisorError
from .._dns.protocol.client import Client
from .._ports.dns.dns_server import DnsServer
from .dns_check import CHECKED, LOADING
from .dns_client import signing_client
from .dns_concerns import BEHIND_LIMIT, STALE_AFTER

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class ServerEntry:
    """One DNS server of the cluster."""

    name: str
    address: str
    primary: bool
    key: Path
    """The file of the key that this server shares with that one."""


@dataclass(frozen=True)
class Settings:
    """The file's content. Times are seconds."""

    node: str
    rank: int
    vips: tuple[str, ...]
    zones: tuple[str, ...]
    servers: tuple[ServerEntry, ...]
    quorum: int
    port: int
    link: Path
    zone_dir: Path
    role_key: Path
    transfer_key: Path
    """The key that this server signs with at the VIP, and takes itself."""
    local_interval: float = 0.1
    local_budget: float = 0.25
    peer_interval: float = 0.25
    peer_budget: float = 0.2
    peer_patience: float = 0.8
    promote_patience: float = 3.0
    pull_patience: float = 4.0
    update_timeout: float = 0.5
    retry_pause: float = 0.5
    handover_patience: float = 5.0
    stale_after: float = STALE_AFTER
    behind_limit: float = BEHIND_LIMIT
    lag_patience: float = 0.6
    nudge_pause: float = 1.0
    lease: float = 1.0
    """How long a vote for the writer binds a server. It takes that long until a successor can write."""
    rival_patience: float = 1.5
    """For how many times a lease a server keeps the VIP without it, while another one has it."""
    adopt_patience: float = 1.5
    """How long a server that is about to write waits for what secondaries have beyond it."""
    proved_patience: float = 10.0
    """The same, for one that says that it holds just what the last writer attested."""
    lease_port: int = 8553
    grants: Sequence[Mapping[str, Any]] = ()
    """What clients may change: ``types``, in a ``zone`` or every zone of a ``kind``, and ``below`` which name."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Zone to its kind."""
    pid_file: Path = Path("/run/named/named.pid")
    """Of BIND. A new one is a server that read its zones from the disk."""
    state_file: Path = settings.RUN_DIR / "dns-role.json"
    health_file: Path = settings.RUN_DIR / "dns-health"
    lease_file: Path = settings.RUN_DIR / "dns-lease"
    loading_file: Path = settings.RUN_DIR / LOADING
    """Until when zones may be on their way into BIND."""
    checked_file: Path = settings.RUN_DIR / CHECKED
    """Touched by dns-check each time that keepalived runs it."""

    @property
    def primary(self) -> bool:
        """Whether this server may write."""
        return any(server.primary for server in self.servers if server.name == self.node)

    @property
    def address(self) -> str:
        """The address of this server."""
        return next(server.address for server in self.servers if server.name == self.node)

    @property
    def other_primaries(self) -> frozenset[str]:
        """The other servers that may write."""
        return frozenset(server.name for server in self.peers if server.primary)

    @property
    def peers(self) -> tuple[ServerEntry, ...]:
        """The servers that this one talks to: a secondary shares no key with other secondaries."""
        return tuple(
            server
            for server in self.servers
            if server.name != self.node and (self.primary or server.primary)
        )

    @property
    def audible(self) -> int:
        """How many servers this one can hear, itself included."""
        return len(self.peers) + 1

    @property
    def enough(self) -> int:
        """How many of them have to answer: a majority of all where this one may write, else one primary."""
        return self.quorum if self.primary else 2

    def vip(self, timeout: float, key_file: Path | None = None) -> closing[Client]:
        """Return a client of the server behind the VIP, for a ``with`` statement."""
        return self.client(self.vips[0], timeout, key_file)

    def own_vip(self, timeout: float) -> closing[Client]:
        """Return a client of this server at the VIP, with the key of roles, for a ``with`` statement.

        It speaks from the VIP, too, so that nothing reaches another server that has the VIP meanwhile.
        """
        address = self.vips[0]
        return closing(signing_client(address, self.port, timeout, str(self.role_key), address)[0])

    def client(self, address: str, timeout: float, key_file: Path | None = None) -> closing[Client]:
        """Return a client of one server, for a ``with`` statement."""
        if key_file is None:
            return closing(Client(DnsServer(address, self.port, timeout)))
        return closing(signing_client(address, self.port, timeout, str(key_file))[0])

    @property
    def former(self) -> Path:
        """Where copies of a former writer's zones wait to be compared."""
        return settings.SYSTEM_STATE_DIR / "dns" / "former"

    @property
    def unshared(self) -> Path:
        """Where updates that no other server has are written down."""
        return settings.SYSTEM_STATE_DIR / "dns" / "unshared"

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Read the file.

        :raises DebvisorError: where it is missing or not of its form.
        """
        try:
            found = json.loads(path.read_bytes())
            key = Path(found["transfer_key"])
            # A file from before secondaries had keys of their own is read until the run that replaces it did so.
            classes = found.get("shared_classes", {})
            servers = tuple(
                ServerEntry(
                    entry["name"],
                    entry["address"],
                    bool(entry["primary"]),
                    key.with_name(f"{shared}.key")
                    if (shared := classes.get(entry["name"]))
                    else key,
                )
                for entry in found["servers"]
            )
            timing: dict[str, Any] = {
                key: float(value) for key, value in found.get("timing", {}).items()
            }
            return cls(
                node=found["node"],
                rank=int(found["rank"]),
                vips=tuple(found["vips"]),
                zones=tuple(found["zones"]),
                servers=servers,
                quorum=int(found["quorum"]),
                port=int(found["port"]),
                link=Path(found["link"]),
                zone_dir=Path(found["zone_dir"]),
                role_key=Path(found["role_key"]),
                transfer_key=key,
                lease_port=int(found.get("lease_port", cls.lease_port)),
                grants=tuple(found.get("grants", ())),
                kinds=dict(found.get("kinds", {})),
                state_file=Path(found["state_file"]),
                **timing,
            )
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise DebvisorError(
                f"{path} cannot be used",
                why=repr(cause),
                hint="The dns_ha role writes it: run it again",
            ) from cause
