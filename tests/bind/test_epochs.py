# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Epochs on a real server: how one begins, and what becomes of updates that only a former writer has."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    DebvisorError,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import (
    names,
    rdata,
    tsig,
    wire,
    zone_file,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.client import Client
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.errors import BadKey
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer import epoch, takeover
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.epoch import Epoch
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns import bind as tools
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_server import DnsServer
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_mend import Mender
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_settings import Settings

from tests.bind.conftest import ZONE, Named, key_text, program, settings_for

APEX = names.parse(ZONE)
FIRST, SECOND = Epoch(1, 1, "n1", "t1"), Epoch(2, 65537, "n2", "t2")
LEAPT = 65537


@pytest.fixture(autouse=True)
def bind_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take BIND's tools from where this machine has them."""
    beside = Path(program("named")).parents[1] / "bin" / "named-journalprint"
    monkeypatch.setattr(tools, "COMPILEZONE", program("named-compilezone"))
    monkeypatch.setattr(tools, "JOURNALPRINT", str(beside))


@pytest.fixture
def client(primary: Named) -> Iterator[Client]:
    key = tsig.parse(key_text("all").encode(), "all")
    with closing(Client(DnsServer(primary.address, primary.port, 5.0), lambda: key)) as found:
        yield found


@pytest.fixture
def config(primary: Named, tmp_path: Path) -> Settings:
    """What the programs on the node are told."""
    return settings_for(primary, tmp_path)


def test_an_epoch_begins_with_a_leap(client: Client) -> None:
    assert takeover.history(client, APEX) == frozenset()
    assert takeover.take_over(client, APEX, LEAPT, [FIRST]) == 1
    assert client.soa(APEX).serial == LEAPT
    assert takeover.history(client, APEX) == {FIRST}


def test_twice_is_harmless(client: Client) -> None:
    for raised in (1, LEAPT):
        assert takeover.take_over(client, APEX, LEAPT, [FIRST]) == raised
    assert client.soa(APEX).serial == LEAPT
    assert takeover.history(client, APEX) == {FIRST}


def test_the_records_of_before_become_one(client: Client) -> None:
    """Sixteen records, in any order, did not fit into a datagram."""
    old = [
        Epoch(number, number, "node1.example.test", "2026-01-01T00:00:00Z") for number in range(16)
    ]
    texts = [("_writer", "TXT", f'"v=1 {one.text()}"') for one in old]
    add(client, *texts)
    assert takeover.history(client, APEX) == frozenset(old)
    new = Epoch(16, LEAPT, "node2.example.test", "2026-02-01T00:00:00Z")
    takeover.take_over(client, APEX, LEAPT, [*takeover.history(client, APEX), new])
    answer = client.ask(epoch.owner(APEX), rdata.TXT)
    [record] = answer.answers
    assert len(answer.wire) <= wire.LONGEST_DATAGRAM
    shown = rdata.render(rdata.TXT, record.data)
    assert shown.startswith(f'"{new.text()}" "{old[15].text()}" "{old[14].text()}"')
    kept = takeover.history(client, APEX)
    assert new in kept
    assert kept < {*old, new}


def test_a_server_that_was_quicker_is_a_conflict(client: Client) -> None:
    [seen] = client.ask(APEX, rdata.SOA).answers
    takeover.take_over(client, APEX, LEAPT, [FIRST])
    [failure] = client.update(takeover.message(seen, 3 * LEAPT, [FIRST, SECOND]))
    assert isinstance(failure, Conflict)
    assert takeover.history(client, APEX) == {FIRST}


def test_a_zone_that_is_not_there_is_not_taken_over(client: Client) -> None:
    with pytest.raises(DebvisorError):
        takeover.take_over(client, names.parse("other.test."), LEAPT, [FIRST])


def test_a_key_is_read_at_each_use(config: Settings) -> None:
    config.role_key.write_text(key_text("unknown"))
    with config.vip(5.0, config.role_key) as server:
        with pytest.raises(BadKey):
            takeover.history(server, APEX)
        config.role_key.write_text(key_text("all"))
        assert takeover.history(server, APEX) == frozenset()
        config.role_key.unlink()
        with pytest.raises(DebvisorError, match="cannot be read"):
            takeover.history(server, APEX)
    with config.vip(5.0) as server:
        assert takeover.history(server, APEX) == frozenset(), "it needs no key"


TEXTS = [
    ("A", "192.0.2.1"),
    ("CNAME", "Target.example.org."),
    ("MX", "10 MAIL.example.org."),
    ("TXT", '"a b" "\\"quoted\\"" "\\007;"'),
    ("NAPTR", '1 2 "U" "E2U+sip" "!^.*$!sip:info@example.org!" .'),
    ("DS", "1 8 2 00112233445566778899AABBCCDDEEFF00112233445566778899AABB CCDDEEFF"),
    ("DNAME", "elsewhere.example.org."),
    ("LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"),
    ("HTTPS", '1 . alpn="h2"'),
    ("TYPE65280", "\\# 3 010203"),
]


@pytest.mark.parametrize(("kind", "text"), TEXTS)
def test_a_record_goes_to_wire_form_and_back(kind: str, text: str) -> None:
    [(number, data)] = zone_file.to_wire([(kind, text)], tools.to_raw)
    other = dns.rdata.from_text(dns.rdataclass.IN, kind, text)
    assert number == other.rdtype
    assert data == (other.to_digestable() if number in (5, 15) else other.to_wire())
    [again] = zone_file.to_text([(number, data)], tools.to_full)
    assert zone_file.to_wire([again], tools.to_raw) == [(number, data)]


def test_many_records_keep_their_order() -> None:
    texts = [("A", f"192.0.{number // 256}.{number % 256}") for number in range(300)] + TEXTS
    found = zone_file.to_wire(texts, tools.to_raw)
    assert [zone_file.to_wire([text], tools.to_raw)[0] for text in TEXTS] == found[300:]
    assert zone_file.to_text(found, tools.to_full)[:300] == texts[:300]


@pytest.mark.parametrize("raw", [b"", b"\0\0\0\1", bytes(12), bytes([0, 0, 0, 2]) + bytes(9)])
def test_what_is_no_raw_zone_is_said_so(raw: bytes) -> None:
    with pytest.raises(wire.Malformed):
        zone_file.read_raw(raw)


def add(client: Client, *records: tuple[str, str, str]) -> None:
    """Add records, as any client would."""
    found = zone_file.to_wire([(kind, text) for _name, kind, text in records], tools.to_raw)
    message = wire.update(
        APEX,
        [],
        [
            wire.record(names.parse(name, APEX), kind, wire.IN, 60, data)
            for (name, _kind, _text), (kind, data) in zip(records, found, strict=True)
        ],
    )
    assert client.update(message) == [None]


def told(changes: Sequence[dict[str, Any]]) -> list[tuple[str, str, list[str]]]:
    return [(change["name"], change["type"], change["ours"]) for change in changes]


def test_updates_that_only_a_former_writer_has_are_replayed_or_told(
    primary: Named,
    client: Client,
    config: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "SYSTEM_STATE_DIR", tmp_path / "state")
    monkeypatch.setattr(settings, "audit_file", lambda: tmp_path / "audit.jsonl")
    logged: list[str] = []
    bind = tools.Bind(config.link, config.zone_dir)
    mender = Mender(config, bind, threading.Lock(), threading.Event(), logged.append)
    files = [primary.folder / "example.test.zone", primary.folder / "example.test.zone.jnl"]
    takeover.take_over(client, APEX, LEAPT, [FIRST])
    primary.stop()
    common = {file: file.read_bytes() for file in files}

    primary.start()
    client.close()
    add(
        client,
        ("shared", "A", "192.0.2.1"),
        ("odd\\126na\\.me", "TXT", '"x"'),
        ("phone", *TEXTS[4]),
        ("both", "A", "192.0.2.2"),
        ("same", "A", "192.0.2.3"),
    )
    primary.stop()
    former = config.former / "20260101T000000.000"
    former.mkdir(parents=True)
    for file, content in common.items():
        shutil.copy(file, former)
        file.write_bytes(content)

    primary.start()
    client.close()
    journal = former / "example.test.zone.jnl"
    assert mender.compare(journal) is False, "nobody has taken over yet"
    serial = client.soa(APEX).serial
    takeover.take_over(client, APEX, epoch.leap(serial, 1), [FIRST, Epoch(2, serial, "n2", "t2")])
    add(client, ("both", "A", "192.0.2.9"), ("same", "A", "192.0.2.3"))
    assert mender.compare(journal) is True

    [path] = config.unshared.glob("*.report.json")
    report = json.loads(path.read_bytes())
    assert report["base_known"]
    assert told(report["applied"]) == [
        ("phone.example.test.", "NAPTR", [TEXTS[4][1]]),
        ("shared.example.test.", "A", ["192.0.2.1"]),
        ("odd\\126na\\.me.example.test.", "TXT", ['"x"']),
    ]
    assert told(report["already"]) == [("same.example.test.", "A", ["192.0.2.3"])]
    [conflict] = report["conflicts"]
    assert conflict["name"] == "both.example.test."
    assert (conflict["base"], conflict["ours"], conflict["theirs"]) == (
        [],
        ["192.0.2.2"],
        ["192.0.2.9"],
    )
    [answer] = client.ask(names.parse("shared", APEX), rdata.A).answers
    assert answer.data == bytes([192, 0, 2, 1])
    script = path.with_name(path.name.replace(".report.json", ".nsupdate")).read_text()
    assert f"update add phone.example.test. 60 NAPTR {TEXTS[4][1]}" in script
    assert mender.compare(journal) is True
    assert len(logged) == 2, "compared again, all is there already"
