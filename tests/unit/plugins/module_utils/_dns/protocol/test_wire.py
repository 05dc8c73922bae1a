# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our reader and writer of messages against dnspython's."""

from __future__ import annotations

import contextlib
import json

import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, rdata, wire
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.rrset import (
    Change,
    RRset,
    packed,
    unpacked,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.records import packing
from hypothesis import given, settings
from hypothesis import strategies as st

labels = st.text("abcXYZ-_0", min_size=1, max_size=12)
owners = st.lists(labels, min_size=1, max_size=4).map(".".join)
values = {
    "A": st.ip_addresses(v=4).map(str),
    "AAAA": st.ip_addresses(v=6).map(str),
    "MX": st.tuples(st.integers(0, 65535), owners).map(
        lambda both: f"{both[0]} {both[1]}.example.org."
    ),
    "SRV": owners.map(lambda owner: f"1 2 3 {owner}."),
    "CNAME": owners.map(lambda owner: f"{owner}.example.org."),
    "TXT": st.binary(max_size=255).map(
        lambda data: rdata.render(rdata.TXT, bytes([len(data)]) + data)
    ),
}
sets = st.one_of(
    [
        st.tuples(
            owners,
            st.just(kind),
            st.integers(0, 2**31 - 1),
            st.lists(value, min_size=1, max_size=4),
        )
        for kind, value in values.items()
    ]
)


@given(st.lists(sets, max_size=12), st.integers(0, 65535))
def test_we_read_what_dnspython_writes(wanted: list, identity: int) -> None:
    message = dns.message.make_response(dns.message.make_query("example.org.", "SOA", id=identity))
    for owner, kind, ttl, data in wanted:
        message.answer.append(dns.rrset.from_text(f"{owner}.example.org.", ttl, "IN", kind, *data))
    found = wire.read(message.to_wire(max_size=65535))
    expected = [
        (
            item.name.canonicalize().to_wire(),
            int(item.rdtype),
            1,
            item.ttl,
            data.to_wire() if item.rdtype == dns.rdatatype.TXT else data.to_digestable(),
        )
        for item in message.answer
        for data in item
    ]
    assert sorted(map(tuple, found.answers)) == sorted(expected)
    assert (found.message_id, found.questions) == (
        identity,
        [(names.parse("example.org."), rdata.SOA, 1)],
    )


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    with contextlib.suppress(wire.Malformed):
        wire.read(data)


@given(st.lists(sets, min_size=1, max_size=4), st.data())
def test_a_damaged_message_is_read_or_malformed(wanted: list, data: st.DataObject) -> None:
    message = dns.message.make_response(dns.message.make_query("example.org.", "SOA"))
    for owner, kind, ttl, items in wanted:
        message.answer.append(dns.rrset.from_text(f"{owner}.example.org.", ttl, "IN", kind, *items))
    damaged = bytearray(message.to_wire(max_size=65535))
    for _attempt in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(wire.Malformed):
        wire.read(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.parametrize("tail", [b"\xc0\x0c", b"\xc0\x0d\x00", b"\xc0\xff", b"\x41a", b"\x80"])
def test_compression_that_points_nowhere_is_malformed(tail: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.read(wire.HEADER.pack(1, 0x8000, 1, 0, 0, 0) + tail + b"\0\1\0\1")


ZONE = names.parse("example.org.")


def rrset(kind: int, ttl: int, *texts: str) -> RRset:
    return RRset(ttl, frozenset(rdata.parse(kind, text, ZONE) for text in texts))


@given(st.lists(sets, min_size=1, max_size=12, unique_by=lambda item: (item[0].lower(), item[1])))
def test_dnspython_reads_our_updates_and_every_change_is_in_one(wanted: list) -> None:
    changes = [
        Change(
            names.parse(owner, ZONE), rdata.TYPES[kind], None, rrset(rdata.TYPES[kind], ttl, *data)
        )
        for owner, kind, ttl, data in wanted
    ]
    changes = list({change[:2]: change for change in changes}.values())
    packed = packing.pack(ZONE, changes, reserve=400)
    assert sum(len(batch.changes) for batch in packed) == len(changes)
    added = {}
    for batch in packed:
        assert len(batch.message) <= 65535 - 400
        message = dns.message.from_wire(batch.message)
        for item in message.update:
            if item.deleting is None:
                key = (item.name.canonicalize().to_wire(), int(item.rdtype))
                added[key] = (item.ttl, added.get(key, (0, 0))[1] + len(item))
    assert added == {
        (change.name, change.rdtype): (change.after.ttl, len(change.after.data))
        for change in changes
    }


def test_messages_are_full_and_names_stay_together() -> None:
    changes = [
        Change(names.parse(f"n{number}", ZONE), kind, None, rrset(kind, 1, text))
        for number in range(3000)
        for kind, text in ((rdata.A, "192.0.2.1"), (rdata.TXT, "x" * 100))
    ]
    packed = packing.pack(ZONE, changes, reserve=400)
    sizes = [len(batch.message) for batch in packed]
    assert all(size > 64_500 for size in sizes[:-1])
    homes = {}
    for number, batch in enumerate(packed):
        for change in batch.changes:
            assert homes.setdefault(change.name, number) == number


def test_what_cannot_fit_is_named() -> None:
    change = Change(
        names.parse("big", ZONE),
        rdata.TXT,
        None,
        rrset(rdata.TXT, 1, *(f"{n}" + "x" * 40000 for n in "ab")),
    )
    with pytest.raises(packing.TooLarge) as caught:
        packing.pack(ZONE, [change])
    assert caught.value.change is change


@given(st.lists(sets, max_size=4))
def test_journalled_record_sets_read_back(items: list[tuple]) -> None:
    changes = []
    for owner, kind, ttl, data in items:
        number = rdata.TYPES[kind]
        found = rrset(number, ttl, *data)
        for before, after in ((found, None), (None, found), (found, found._replace(ttl=1))):
            changes.append(Change(names.parse(owner, ZONE), number, before, after))
    assert unpacked(json.loads(json.dumps(packed(changes)))) == changes
