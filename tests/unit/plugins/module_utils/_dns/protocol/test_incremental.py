# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a transfer since a serial may look like (RFC 1995), and what it may not."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, rdata, wire
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.incremental import (
    Delta,
    News,
    Reader,
    Record,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.rrset import RRset

APEX = names.parse("z.test.")


def soa(serial: int) -> wire.Record:
    data = b"\0\0" + struct.pack("!5I", serial, 1, 1, 1, 1)
    return wire.Record(APEX, rdata.SOA, wire.IN, 60, data)


def a(name: str, last: int) -> wire.Record:
    return wire.Record(names.parse(name, APEX), rdata.A, wire.IN, 60, bytes([192, 0, 2, last]))


def held(record: wire.Record) -> Record:
    return Record((record.name, record.rdtype), record.ttl, record.data)


def read(since: int, *messages: list[wire.Record]) -> News:
    reader = Reader(since, 1000)
    for message in messages:
        reader.take(message)
    return reader.news()


X, Y = a("x", 1), a("y", 2)
DELTAS = [soa(5), soa(3), X, soa(4), Y, soa(4), Y, soa(5), X, soa(5)]


@pytest.mark.parametrize("cut", range(len(DELTAS)))
def test_deltas_come_in_order_however_they_are_cut_into_messages(cut: int) -> None:
    assert read(3, DELTAS[:cut], DELTAS[cut:]) == News(
        5, (Delta(3, 4, (held(X),), (held(Y),)), Delta(4, 5, (held(Y),), (held(X),)))
    )


def test_nothing_newer_is_a_soa_record_alone() -> None:
    assert read(5, [soa(5)]) == News(5)
    assert read(5, [soa(4)]) == News(4), "a server that is behind"


def test_a_whole_zone_comes_where_there_are_no_deltas() -> None:
    assert read(3, [soa(5), X], [Y, soa(5)]) == News(
        5,
        whole={
            (X.name, rdata.A): RRset(60, frozenset([X.data])),
            (Y.name, rdata.A): RRset(60, frozenset([Y.data])),
        },
    )
    assert read(3, [soa(5), soa(5)]) == News(5, whole={})


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([X], "without the SOA"),
        ([soa(5), X, soa(5), X], "follow the end"),
        ([soa(9), soa(3), soa(4), soa(6), soa(9)], "do not follow one another"),
        ([soa(5), soa(3), X], "does not end"),
        ([soa(5), *[X] * 1000], "too many records"),
        ([soa(5), soa(2), soa(5), soa(5)], "do not begin where"),
        ([soa(5), soa(3), soa(2), soa(2), soa(5), soa(5)], "goes back"),
    ],
)
def test_what_is_no_transfer_is_said_so(records: list[wire.Record], says: str) -> None:
    with pytest.raises(wire.Malformed, match=says):
        read(3, records)
