# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Generations of keys on a real BIND: accepted, switched, fallen back from, refused, and seen in its notes."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys import canary
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.canary import Tally
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.key_probe import (
    KeyProbe,
    NotAccepted,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.key_use import KeyUse
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.tsig_keys_operation import (
    SPEC,
    TsigKeys,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.client import Client
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.errors import BadKey
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.key_source import KeySource
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns import bind as bind_port
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.bind import Bind
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_server import DnsServer
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.logs import Logs
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.bind.conftest import (
    ADDRESS,
    OPTIONS,
    ZONE,
    ZONE_TEXT,
    Named,
    free_port,
    key_text,
    program,
)
from tests.fakes.tsig import (
    BOTH,
    ONE,
    SWITCHED,
    TWO,
    OwnFiles,
    Plain,
    secret,
)

LOGGING = """
logging {{
  channel debvisor_keys {{
    file "{folder}/keys.log" versions 2 size 20m; severity info; print-time iso8601-utc; print-category yes;
  }};
  category default {{ null; }};
  category update {{ debvisor_keys; }}; category xfer-out {{ debvisor_keys; }}; category notify {{ debvisor_keys; }};
}};
"""

VIEW = """
view "vip" {{
  include "{keys}/bind-update.conf";
  zone "{zone}" {{
    type primary; file "{zone}zone"; allow-transfer {{ debvisor-transfer; debvisor-readers; }};
    update-policy {{ grant *.node zonesub ANY; }};
  }};
}};
"""


class NameServer(Bind):
    """The server of the test, through the real rndc and named-checkconf."""

    def is_ours(self) -> bool:
        return self.link.exists()

    def reconfigure(self, timeout: float = 3.0) -> None:
        folder = self.link.parent
        port = (folder / "rndc.port").read_text()
        words = [program("rndc"), "-s", ADDRESS, "-p", port, "-k", str(folder / "rndc.key")]
        subprocess.run([*words, "reconfig"], check=True, timeout=timeout, capture_output=True)


class World:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.keys = base / "keys"
        self.keys.mkdir()
        self.named = Named(base / "named", free_port(), "")
        self.bind = NameServer(self.named.folder / "ours", base)
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")
        self.done(ONE)
        self._start()

    def _start(self) -> None:
        folder = self.named.folder
        options = OPTIONS.partition("controls")[0].replace(
            '{{ key "transfer"; key "all"; }}', "{{ debvisor-transfer; }}"
        )
        port = free_port()
        (folder / "rndc.port").write_text(str(port))
        (folder / "rndc.key").write_text(key_text("rndc"))
        (folder / f"{ZONE}zone").write_text(ZONE_TEXT)
        text = f'include "{self.keys}/bind-transfer.conf";\ninclude "{folder}/rndc.key";\n'
        text += f'controls {{ inet {ADDRESS} port {port} allow {{ {ADDRESS}; }} keys {{ "rndc"; }}; }};\n'
        text += options.format(folder=folder, address=ADDRESS, port=self.named.port)
        text += LOGGING.format(folder=folder)
        text += VIEW.format(keys=self.keys, zone=ZONE)
        self.named.configuration.write_text(text)
        self.named.start()
        self.bind.link.write_text("")

    def reach(self, address: str, port: int, timeout: float) -> DnsServer:
        return DnsServer(address, self.named.port, timeout)

    def run(self, sealed: str) -> Outcome:
        params = filled(
            SPEC,
            {
                "private_key": "/key",
                "sealed": sealed,
                "folder": str(self.keys),
                "peers": {"192.0.2.12": "xfer"},
            },
        )
        operation = TsigKeys(OwnFiles(), Plain(), self.bind, self.reach, SystemClock())
        return execute(operation, params, self.records)

    def done(self, sealed: str) -> Outcome:
        outcome = self.run(sealed)
        if outcome.failure:
            raise outcome.failure
        return outcome

    def client(self, of_class: str, folder: Path | None = None) -> tuple[Client, KeySource]:
        files = Files()
        path = (folder or self.keys) / f"{of_class}.key"
        keys = KeySource(str(path), files.read, files.listing)
        return Client(self.reach(ADDRESS, 53, 3.0), keys, reject=keys.reject), keys

    def use(self, *keys: str) -> Any:
        params = {"keys": keys, "quiet_for": 60, "log": str(self.named.folder / "keys.log")}
        return KeyUse(Logs(), SystemClock()).look({**params, "kept_versions": 2})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(bind_port, "CHECKCONF", program("named-checkconf"))
    found = World(tmp_path)
    yield found
    found.named.stop()


def test_a_rotation_loses_no_update_and_no_transfer(world: World) -> None:
    stop = threading.Event()
    tallies = {"node": Tally(), "xfer": Tally()}
    zone = names.parse(ZONE)
    fallbacks: list[str] = []

    def work(of_class: str) -> None:
        client, keys = world.client(of_class)

        def act() -> None:
            if of_class == "xfer":
                client.transfer(zone)
            else:
                canary.write(client, zone, b"\x07_canary", f"{tallies[of_class].made}")

        while not stop.is_set():
            canary.attempt(act, tallies[of_class], 3.0, SystemClock())
            stop.wait(0.005)
        fallbacks.extend(keys.fallbacks)
        client.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in tallies]
    for thread in threads:
        thread.start()
    try:
        both = world.done(BOTH)
        assert both.facts["proved"] == ["g1.node", "g1.xfer", "g2.node", "g2.xfer"]
        world.done(SWITCHED)
        stop.wait(0.2)
        gone = world.done(TWO)
        assert gone.facts["refused"] == ["g1.node", "g1.xfer"]
        stop.wait(0.2)
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    for tally in tallies.values():
        assert (tally.failed, tally.errors) == (0, [])
        assert tally.made > 5
    assert fallbacks == []
    assert not world.done(TWO).changed
    used = world.use("g1.node", "g2.node", "g1.xfer", "g2.xfer")
    assert {key: use["client"] for key, use in used["used"].items()} == dict.fromkeys(
        ("g1.node", "g2.node", "g1.xfer", "g2.xfer"), ADDRESS
    )
    assert not used["quiet"]
    assert world.use("g3.node")["quiet"]


def test_a_client_falls_back_where_the_server_does_not_know_its_key(world: World) -> None:
    world.done(TWO)
    zone = names.parse(ZONE)
    behind = world.keys / "behind"
    behind.mkdir()
    for number in (1, 2):
        (behind / f"node.g{number}.key").write_text(
            key_text(f"g{number}.node", secret(f"node{number}"))
        )
    (behind / "node.key").symlink_to("node.g1.key")
    client, keys = world.client("node", behind)
    serial = client.soa(zone).serial
    canary.write(client, zone, b"\x07_canary", "made")
    assert client.soa(zone).serial == serial + 1
    assert len(keys.fallbacks) == 1
    assert "g1.node; g2.node" in keys.fallbacks[0]
    (behind / "node.g2.key").unlink()
    alone, _keys = world.client("node", behind)
    with pytest.raises(BadKey):
        canary.write(alone, zone, b"\x07_canary", "not made")
    alone.close()
    assert Client(world.reach(ADDRESS, 53, 3.0)).soa(zone).serial == serial + 1
    client.close()


def test_a_probe_proves_and_moves_no_serial(world: World) -> None:
    for of_class in ("node", "xfer"):  # this host has heard of the keys, and the server has not
        text = key_text(f"g2.{of_class}", secret(f"{of_class}2"))
        (world.keys / f"{of_class}.g2.key").write_text(text)
    plain = Client(world.reach(ADDRESS, 53, 3.0))
    serial = plain.soa(names.parse(ZONE)).serial
    params = {
        "keys": ["g2.node", "g2.xfer"],
        "folder": str(world.keys),
        "zone": ZONE,
        "server": ADDRESS,
        "peers": {ADDRESS: "xfer"},
        "port": 53,
        "timeout": 3.0,
        "retry_for": 0.0,
    }
    probe = KeyProbe(Files(), world.reach, SystemClock())
    with pytest.raises(NotAccepted, match="2 probes failed") as refusal:
        probe.look(params)
    assert str(refusal.value).count("BADKEY") == 2
    world.done(BOTH)
    assert probe.look(params) == {"taken": {"g2.node": [ADDRESS], "g2.xfer": [ADDRESS]}}
    assert plain.soa(names.parse(ZONE)).serial == serial


def test_a_number_that_comes_again_with_another_secret_is_replaced(world: World) -> None:
    document = json.loads(ONE)
    for name, entry in document["classes"].items():
        entry["keys"]["1"]["secret"] = secret(f"another {name}")
    assert world.done(json.dumps(document)).facts["proved"] == ["g1.node", "g1.xfer"]
    client, _keys = world.client("node")
    canary.write(client, names.parse(ZONE), b"\x07_canary", "made")
    client.close()
