# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real BIND servers on loopback, each in a folder of its own, started and stopped by its process."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
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
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.connections import (
    Connections,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.records.record_sets_operation import (
    SPEC,
    RecordSets,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_server import DnsServer
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dnssec import DnssecValidator
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_settings import Settings

START_TIMEOUT = 20.0
PROGRAM_FOLDERS = "/usr/sbin:/usr/bin:/sbin:/bin"
ADDRESS = "127.0.0.1"
ZONE = "example.test."
CHILD = "vm.example.test."
REVERSE = "10.in-addr.arpa."

ZONE_TEXT = """$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 300
@ NS ns1
ns1 A 127.0.0.1
"""

OPTIONS = """
options {{
  directory "{folder}"; pid-file "{folder}/named.pid"; session-keyfile "{folder}/session.key";
  managed-keys-directory "{folder}"; key-directory "{folder}";
  listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; notify no; minimal-responses no;
  allow-transfer {{ key "transfer"; key "shared"; key "all"; }};
  tcp-clients 100; max-ixfr-ratio unlimited;
}};
controls {{ }};
logging {{ category default {{ null; }}; category update {{ null; }}; category update-security {{ null; }}; }};
"""


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:{PROGRAM_FOLDERS}")
    if not found:
        needs = "`make test-unit` provides Debian's named, bind9-utils and bind9-dnsutils"
        pytest.fail(f"{name} is missing: {needs}", pytrace=False)
    return found


def free_port() -> int:
    """Return a port that is free over UDP and TCP."""
    for _attempt in range(50):
        with socket.socket() as first:
            first.bind((ADDRESS, 0))
            port: int = first.getsockname()[1]
            with (
                contextlib.suppress(OSError),
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
            ):
                other.bind((ADDRESS, port))
                return port
    pytest.fail("no port is free")


def secret_of(name: str) -> str:
    return base64.b64encode(name.encode().ljust(32, b".")).decode()


def key_text(name: str, secret: str | None = None) -> str:
    return f'key "{name}" {{ algorithm hmac-sha256; secret "{secret or secret_of(name)}"; }};\n'


def settings_for(primary: Named, folder: Path, **others: Any) -> Settings:
    """Return what the programs on the node n1 are told, whose server is the primary. Its keys come into the folder."""
    for name in ("all", "transfer", "shared"):
        (folder / f"{name}.key").write_text(key_text(name))
    given: dict[str, Any] = {
        "node": "n1",
        "rank": 0,
        "vips": (primary.address,),
        "zones": (ZONE.rstrip("."),),
        "servers": (),
        "quorum": 1,
        "port": primary.port,
        "link": folder / "named.conf",
        "zone_dir": primary.folder,
        "role_key": folder / "all.key",
        "transfer_key": folder / "transfer.key",
        "loading_file": folder / "dns-loading",
    }
    return Settings(**{**given, **others})


class Named:
    """One named process."""

    address = ADDRESS

    def __init__(self, folder: Path, port: int, configuration: str) -> None:
        folder.mkdir()
        self.folder, self.port = folder, port
        keys = "".join(key_text(name) for name in ("all", "transfer", "shared", "update", "reader"))
        self.configuration = folder / "named.conf"
        options = OPTIONS.format(folder=folder, address=ADDRESS, port=port)
        self.configuration.write_text(keys + options + configuration)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        subprocess.run(
            [program("named-checkconf"), str(self.configuration)], check=True, timeout=30
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program("named"), "-f", "-n", "1", "-c", str(self.configuration)],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                pytest.fail(f"named ended: {(self.folder / 'log').read_text()}")
            try:
                socket.create_connection((self.address, self.port), 0.5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        pytest.fail(f"named did not listen within {START_TIMEOUT} s")

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        self.process = None


@pytest.fixture
def follower_port() -> int:
    return free_port()


@pytest.fixture
def primary(tmp_path: Path, follower_port: int) -> Iterator[Named]:
    policy = "update-policy { grant all zonesub ANY; grant update zonesub ANY; };"
    zones = ""
    for zone in (ZONE, REVERSE, "signed.test."):
        extra = "dnssec-policy default; inline-signing yes;" if zone == "signed.test." else ""
        allow = f"also-notify {{ {ADDRESS} port {follower_port}; }}; notify explicit;"
        zones += f'zone "{zone}" {{ type primary; file "{zone}zone"; {policy} {extra} {allow} }};\n'
    zones += f'zone "{CHILD}" {{ type primary; file "{CHILD}zone"; {policy} }};\n'
    named = Named(tmp_path / "primary", free_port(), zones)
    for zone in (ZONE, REVERSE, "signed.test.", CHILD):
        (named.folder / f"{zone}zone").write_text(ZONE_TEXT)
    named.start()
    yield named
    named.stop()


@pytest.fixture
def secondary(tmp_path: Path, follower_port: int, primary: Named) -> Iterator[Named]:
    source = f'primaries {{ {ADDRESS} port {primary.port} key "transfer"; }};'
    zones = "".join(
        f'zone "{zone}" {{ type secondary; file "{zone}copy"; {source}'
        f" allow-notify {{ {ADDRESS}; }}; }};\n"
        for zone in (ZONE, REVERSE)
    )
    named = Named(tmp_path / "secondary", follower_port, zones)
    named.start()
    yield named
    named.stop()


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, primary: Named) -> Run:
    """Run the operation behind dns_record_sets against the primary."""
    for name in ("all", "transfer", "update", "reader", "unknown"):
        (tmp_path / f"{name}.key").write_text(key_text(name))
    records = Records(Journal(tmp_path / "journal"), Audit(tmp_path / "audit"), tmp_path / "lock")

    def runner(
        *wanted: dict[str, Any],
        key: str = "all",
        check: bool = False,
        clock: Any = None,
        **options: Any,
    ) -> Outcome:
        connections = Connections(DnsServer, Files().read, clock or SystemClock())
        operation = RecordSets(connections, clock or SystemClock(), DnssecValidator())
        params = filled(
            SPEC,
            {
                "zone": ZONE,
                "server": primary.address,
                "port": primary.port,
                "key_file": str(tmp_path / f"{key}.key"),
                "timeout": 5.0,
                "retry_for": 0.0,
                "ttl": 300,
                "wait_timeout": 15.0,
                "records": list(wanted),
                **options,
            },
        )
        return execute(operation, params, records, check=check)

    return runner
