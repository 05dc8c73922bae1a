# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an epoch begins on the server: the zone's serial leaps and the epoch is noted, both in one message."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..protocol import names, rdata, wire
from ..protocol.client import Client
from ..protocol.errors import MalformedAnswer, NotAuthoritative
from . import epoch
from .epoch import Epoch

TTL = 60
"""Of the epochs' record."""


def history(client: Client, zone: bytes) -> frozenset[Epoch]:
    """Return the epochs that the server knows."""
    answer = client.ask(epoch.owner(zone), rdata.TXT)
    try:
        return epoch.held(record.data for record in answer.answers if record.rdtype == rdata.TXT)
    except ValueError as cause:
        raise MalformedAnswer(f"{client} sent a malformed TXT record", why=str(cause)) from cause


def take_over(
    client: Client,
    zone: bytes,
    serial: int,
    epochs: Collection[Epoch],
    changes: Sequence[bytes] = (),
) -> int:
    """Raise the serial of ``zone`` and note the epochs, the new one among them. Harmless when done twice.

    :param changes: further ones, made in the same message: all of it happens, or nothing.

    :returns: the serial that was raised.
    :raises Conflict: where the server itself, which may be signing, was quicker: try again.
    :raises DebvisorError: where the server says no, or nothing.
    """
    answer = client.ask(zone, rdata.SOA)
    soa = next((record for record in answer.answers if record.rdtype == rdata.SOA), None)
    if soa is None:
        raise NotAuthoritative(f"{client} does not serve {names.render(zone)}")
    [failure] = client.update(message(soa, serial, epochs, changes))
    if failure is not None:
        raise failure
    return wire.read_soa(soa.data).serial


def go_on(client: Client, zone: bytes, old: Epoch, new: Epoch, changes: Sequence[bytes]) -> None:
    """Make further changes, and note the serial that the epoch now begins at, in one message.

    :raises DebvisorError: where the server says no, or nothing.
    """
    noted = _noted(zone, history(client, zone) - {old} | {new}) if old != new else []
    [failure] = client.update(wire.update(zone, [], [*noted, *changes]))
    if failure is not None:
        raise failure


def message(
    soa: wire.Record, serial: int, epochs: Collection[Epoch], changes: Sequence[bytes] = ()
) -> bytes:
    """Return the update, which holds only while the SOA record is as it was read."""
    return wire.update(
        soa.name,
        [wire.record(soa.name, rdata.SOA, wire.IN, 0, soa.data)],
        [
            *_noted(soa.name, epochs),
            wire.record(soa.name, rdata.SOA, wire.IN, soa.ttl, wire.with_serial(soa.data, serial)),
            *changes,
        ],
    )


def _noted(zone: bytes, epochs: Collection[Epoch]) -> list[bytes]:
    """Return the updates that put one record in the place of what the name holds."""
    owner = epoch.owner(zone)
    return [
        wire.record(owner, rdata.TXT, wire.ANY, 0, b""),
        wire.record(owner, rdata.TXT, wire.IN, TTL, epoch.recorded(epochs)),
    ]
