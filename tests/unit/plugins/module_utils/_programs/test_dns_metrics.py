# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dns-role sees, as metrics."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._programs import dns_collectors

from tests.fakes.collecting import CollectingHost

STATE: dict[str, Any] = {
    "vip": True,
    "lease": True,
    "rival": "",
    "role": "writer",
    "keepalived": True,
    "healthy": True,
    "quorum": True,
    "answering": 3,
    "trouble": "",
    "zones": {},
}


class Server(CollectingHost):
    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.state = base / "dns-role.json"
        self.settings = base / "dns.json"
        servers = [
            {"name": f"n{at}", "address": f"192.0.2.{at}", "primary": at < 3} for at in (1, 2, 3)
        ]
        config = {"node": "n1", "rank": 0, "vips": ["192.0.2.53"], "zones": [], "servers": servers}
        config |= {"quorum": 2, "port": 53, "lease_port": 8553, "link": "l", "zone_dir": "z"}
        config |= {"role_key": "r", "transfer_key": "t", "state_file": str(self.state)}
        self.settings.write_text(json.dumps(config))

    def measured(self, **change: Any) -> tuple[int, dict[str, float]]:
        if change.pop("reports", True):
            self.state.write_text(json.dumps({**STATE, "heartbeat": time.monotonic(), **change}))
        status = self.collect("dns", settings=self.settings)
        values = self.values()
        return status, {name.removeprefix("debvisor_dns_"): values[name] for name in values}


class FakeBind:
    def __init__(self, *_places: Path) -> None:
        pass

    def tcp_clients(self) -> tuple[int, int]:
        return 20, 3000


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(dns_collectors, "Bind", FakeBind)
    return Server(tmp_path)


def test_a_writer_that_is_well(server: Server) -> None:
    status, values = server.measured()
    assert status == 0
    assert values == {
        "running": 1,
        "vip": 1,
        "lease": 1,
        "writer": 1,
        "keepalived": 1,
        "servers": 3,
        "servers_answering": 3,
        "tcp_clients_high": 20,
        "tcp_clients_limit": 3000,
        "concerns": 0,
    }


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"keepalived": False}, "keepalived"),
        ({"lease": False, "rival": "n2"}, "lease"),
        ({"heartbeat": 0.0}, "running"),
        ({"reports": False}, "running"),
    ],
)
def test_what_died_is_a_concern(server: Server, change: dict[str, Any], name: str) -> None:
    status, values = server.measured(**change)
    assert status == 1
    assert values[name] == 0
    assert values["concerns"] == 1


def test_too_many_tcp_clients_are_a_concern(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeBind, "tcp_clients", lambda self: (2500, 3000))
    status, values = server.measured()
    assert (status, values["concerns"], values["tcp_clients_high"]) == (1, 1, 2500)


def test_a_bind_that_says_nothing_is_a_concern(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_self: FakeBind) -> tuple[int, int]:
        raise DebvisorError("rndc did not end")

    monkeypatch.setattr(FakeBind, "tcp_clients", silent)
    assert server.measured()[0] == 1
