# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own DNS wire code against dnspython, in one process, without a lab: what a bulk update and a transfer cost.

Both sides do the same work on the same content: text to a signed UPDATE with a prerequisite for each record, one signed
query, and the messages of a transfer taken apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import dns.message
import dns.name
import dns.rdataclass
import dns.rrset
import dns.tsig
import dns.update
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import (
    names,
    rdata,
    signing,
    wire,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.rrset import Change, RRset
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import Key
from ansible_collections.debvisor.hci.plugins.module_utils._dns.records import packing

from tests.bench.report import Row

ROUNDS = 5
SIZES = (1, 100, 1000)
"""Records in a message. A thousand fill about 50 of the 64 KiB that an update may have."""
ZONE = "example.org."
SECRET = bytes(range(32))
ALGORITHM = "hmac-sha256"


def content(count: int) -> list[tuple[str, str]]:
    return [
        (f"r{number:05d}.bench", f"10.200.{number >> 8}.{number & 255}") for number in range(count)
    ]


def our_update(records: list[tuple[str, str]]) -> bytes:
    zone = names.parse(ZONE)
    changes = [
        Change(
            names.parse(name, zone),
            rdata.A,
            None,
            RRset(300, frozenset((rdata.parse(rdata.A, address, zone),))),
        )
        for name, address in records
    ]
    [batch] = packing.pack(zone, changes, signing.LONGEST_SIGNATURE)
    key = Key("bench", ALGORITHM, Secret(SECRET))
    return signing.Exchange(key).sign(batch.message, int(time.time()))


def peer_update(records: list[tuple[str, str]]) -> bytes:
    key = dns.tsig.Key(dns.name.from_text("bench."), SECRET, ALGORITHM)
    message = dns.update.UpdateMessage(ZONE, keyring={key.name: key}, keyname=key.name)
    for name, address in records:
        message.absent(name, "A")
        message.add(name, 300, "A", address)
    return message.to_wire(max_size=65535)


def our_query(records: list[tuple[str, str]]) -> None:
    zone = names.parse(ZONE)
    key = Key("bench", ALGORITHM, Secret(SECRET))
    for number, (name, _address) in enumerate(records):
        plain = wire.query(number, names.parse(name, zone), rdata.A)
        signing.Exchange(key).sign(plain, int(time.time()))


def peer_query(records: list[tuple[str, str]]) -> None:
    key = dns.tsig.Key(dns.name.from_text("bench."), SECRET, ALGORITHM)
    origin = dns.name.from_text(ZONE)
    for name, _address in records:
        message = dns.message.make_query(dns.name.from_text(name, origin), "A")
        message.use_tsig({key.name: key}, key.name)
        message.to_wire()


def answer(records: list[tuple[str, str]]) -> bytes:
    """Return a message as a server sends many of in a transfer."""
    message = dns.message.make_response(dns.message.make_query(ZONE, "AXFR"))
    message.answer = [
        dns.rrset.from_text(f"{name}.{ZONE}", 300, "IN", "A", address) for name, address in records
    ]
    return message.to_wire(max_size=65535)


def rate(act: Callable[[], object], count: int) -> float:
    """Return records a second; short work is done often enough to be measured."""
    times = max(1, 1000 // count)
    started = time.perf_counter()
    for _again in range(times):
        act()
    return count * times / (time.perf_counter() - started)


def turns(
    what: str, count: int, ours: Callable[[], object], peer: Callable[[], object], unit: str
) -> Row:
    """Let both take turns; the first turn of each warms up and does not count."""
    runs: list[float] = []
    peer_runs: list[float] = []
    for _round in range(ROUNDS + 1):
        runs.append(rate(ours, count))
        peer_runs.append(rate(peer, count))
    return Row(what, unit, runs[1:], "dnspython", peer_runs[1:])


def measure() -> Iterator[list[Row]]:
    """Yield the rows of one part after another."""
    for count in SIZES:
        records = content(count)
        whole = answer(records)
        named = f"{count:,} record{'' if count == 1 else 's'}"
        yield [
            turns(
                f"a signed update of {named}, from text",
                count,
                lambda records=records: our_update(records),  # type: ignore[misc]
                lambda records=records: peer_update(records),  # type: ignore[misc]
                "records/s",
            ),
            turns(
                f"a message of a transfer with {named}, taken apart",
                count,
                lambda whole=whole: wire.read(whole),  # type: ignore[misc]
                lambda whole=whole: dns.message.from_wire(whole),  # type: ignore[misc]
                "records/s",
            ),
        ]
    records = content(100)
    yield [
        turns(
            "signed queries",
            100,
            lambda: our_query(records),
            lambda: peer_query(records),
            "queries/s",
        )
    ]
