# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the DNS programs on a node are told: /etc/debvisor/dns.json, written by the dns_ha role. It holds no secret."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.errors import DebvisorError
from .._dns.client import Client
from .._ports.dns_server import DnsServer
from .dns_client import signing_client


@dataclass(frozen=True)
class ServerEntry:
    """One DNS server of the cluster."""

    name: str
    address: str
    primary: bool


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
    stale_after: float = 10.0
    behind_limit: float = 60.0
    lag_patience: float = 0.6
    nudge_pause: float = 1.0
    state_file: Path = settings.RUN_DIR / "dns-role.json"
    health_file: Path = settings.RUN_DIR / "dns-health"
    majority_file: Path = settings.RUN_DIR / "dns-majority"

    @property
    def peers(self) -> tuple[ServerEntry, ...]:
        """Every server but this one."""
        return tuple(server for server in self.servers if server.name != self.node)

    def vip(self, timeout: float, key_file: Path | None = None) -> closing[Client]:
        """Return a client of the server behind the VIP, for a ``with`` statement."""
        address = self.vips[0]
        if key_file is None:
            return closing(Client(DnsServer(address, self.port, timeout)))
        return closing(signing_client(address, self.port, timeout, str(key_file))[0])

    @property
    def former(self) -> Path:
        """Where copies of a former writer's zones wait to be compared."""
        return settings.SYSTEM_STATE_DIR / "dns" / "former"

    @property
    def unshared(self) -> Path:
        """Where updates that nobody else has are written down."""
        return settings.SYSTEM_STATE_DIR / "dns" / "unshared"

    @classmethod
    def read(cls, path: Path) -> Settings:
        """Read the file.

        :raises DebvisorError: where it is missing or not of its form.
        """
        try:
            told = json.loads(path.read_bytes())
            servers = tuple(
                ServerEntry(entry["name"], entry["address"], bool(entry["primary"]))
                for entry in told["servers"]
            )
            timing: dict[str, Any] = {
                key: float(value) for key, value in told.get("timing", {}).items()
            }
            return cls(
                node=told["node"],
                rank=int(told["rank"]),
                vips=tuple(told["vips"]),
                zones=tuple(told["zones"]),
                servers=servers,
                quorum=int(told["quorum"]),
                port=int(told["port"]),
                link=Path(told["link"]),
                zone_dir=Path(told["zone_dir"]),
                role_key=Path(told["role_key"]),
                transfer_key=Path(told["transfer_key"]),
                **timing,
            )
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise DebvisorError(
                f"{path} cannot be used",
                why=repr(cause),
                hint="The dns_ha role writes it: run it again",
            ) from cause


def write_atomically(path: Path, text: str) -> None:
    """Replace a small file on a file system that does not outlive the machine; no fsync."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="ascii")
    os.replace(aside, path)
