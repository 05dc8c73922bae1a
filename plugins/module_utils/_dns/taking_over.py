# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an epoch begins on the server: the zone's serial leaps and the epoch is noted, both in one message."""

from __future__ import annotations

from collections.abc import Collection

from . import epoch, names, rdata, wire
from .client import Client
from .epoch import Epoch
from .errors import MalformedAnswer, NotAuthoritative

TTL = 60
"""Of the epochs' records."""


def history(client: Client, zone: bytes) -> frozenset[Epoch]:
    """Return the epochs that the server knows."""
    answer = client.ask(epoch.owner(zone), rdata.TXT)
    try:
        return epoch.held(record.data for record in answer.answers if record.kind == rdata.TXT)
    except ValueError as cause:
        raise MalformedAnswer(f"{client} sent a malformed TXT record", why=str(cause)) from cause


def take_over(
    client: Client, zone: bytes, serial: int, new: Epoch, obsolete: Collection[Epoch]
) -> int:
    """Raise the serial of ``zone`` and note the epoch. Harmless when done twice.

    :returns: the serial that was raised.
    :raises Conflict: where the server itself, which may be signing, was quicker: try again.
    :raises DebvisorError: where the server says no, or nothing.
    """
    answer = client.ask(zone, rdata.SOA)
    soa = next((record for record in answer.answers if record.kind == rdata.SOA), None)
    if soa is None:
        raise NotAuthoritative(f"{client} does not serve {names.render(zone)}")
    [failure] = client.update(message(soa, serial, new, obsolete))
    if failure is not None:
        raise failure
    return wire.read_soa(soa.data).serial


def message(soa: wire.Record, serial: int, new: Epoch, obsolete: Collection[Epoch]) -> bytes:
    """Return the update, which holds only while the SOA record is as it was read."""
    owner = epoch.owner(soa.name)
    return wire.update(
        soa.name,
        [wire.record(soa.name, rdata.SOA, wire.IN, 0, soa.data)],
        [
            *(wire.record(owner, rdata.TXT, wire.NONE, 0, old.data) for old in sorted(obsolete)),
            wire.record(owner, rdata.TXT, wire.IN, TTL, new.data),
            wire.record(soa.name, rdata.SOA, wire.IN, soa.ttl, wire.with_serial(soa.data, serial)),
        ],
    )
