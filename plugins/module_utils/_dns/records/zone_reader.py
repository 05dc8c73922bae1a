# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find out what a zone holds: by a transfer, or by questions about what matters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..._core.errors import DebvisorError
from ..protocol import names, rdata, wire
from ..protocol.client import Client
from ..protocol.errors import BadKey, NotAuthoritative, RequestRefused
from ..protocol.rrset import Key, RRset
from .pointers import neighbourhood
from .zone_plan import ZoneState

TRANSFER_FROM = 300
"""From this many record sets on a transfer is tried first: about where it beats questions."""


_ADDRESSES = (rdata.A, rdata.AAAA)


class CannotRead(DebvisorError):
    """What a name holds cannot be found out by queries, and a transfer is refused."""


def read_zone(
    client: Client, zone: bytes, keys: Sequence[Key], *, whole: bool = False
) -> ZoneState:
    """Return the present state of ``keys`` in the zone, or of all of it where ``whole``.

    :raises NotAuthoritative: where the server does not hold the zone.
    :raises CannotRead: where it takes a transfer to know, and the key may not.
    """
    refused: DebvisorError | None = None
    if whole or len(keys) >= TRANSFER_FROM:
        try:
            serial, sets = client.transfer(zone)
            return ZoneState(zone, serial, sets)
        except (RequestRefused, NotAuthoritative) as denial:
            refused = denial
    serial = client.soa(zone).serial  # where the server does not hold the zone, this says so best
    if whole:
        raise _cannot(client, zone, "pruning needs to know all of the zone") from refused
    found = _ask(client, zone, keys)
    if isinstance(found, dict):
        return ZoneState(zone, serial, found, complete=False)
    if refused is None:
        try:
            serial, sets = client.transfer(zone)
            return ZoneState(zone, serial, sets)
        except (RequestRefused, NotAuthoritative) as denial:
            refused = denial
    raise _cannot(client, zone, found) from refused


def whole_zone(client: Client, zone: bytes) -> ZoneState | None:
    """Return all that the zone holds, or None where the key may not transfer it."""
    try:
        return ZoneState(zone, *client.transfer(zone))
    except (RequestRefused, NotAuthoritative):
        return None


def _cannot(client: Client, zone: bytes, why: str) -> CannotRead:
    return CannotRead(
        f"what {names.render(zone)} holds cannot be read from {client}",
        why=f"{why}, and the key may not transfer it",
        hint="Let the server transfer the zone to this key (allow-transfer)",
    )


def _ask(client: Client, zone: bytes, keys: Sequence[Key]) -> dict[Key, RRset] | str:
    """Return what queries find, or why they cannot."""
    if cuts := cuts_over(client, zone, (name for name, _rdtype in keys)):
        return f"{names.render(min(cuts))} is delegated, and the server answers for it otherwise"
    wildcards = sorted(
        {wildcard for name, _rdtype in keys for wildcard in _wildcards_over(name, zone)}
    )
    answers = client.ask_many([*keys, *((wildcard, rdata.TXT) for wildcard in wildcards)])
    for wildcard, answer in zip(wildcards, answers[len(keys) :], strict=True):
        if answer.rcode != wire.NXDOMAIN and answer.authoritative:
            return f"the wildcard {names.render(wildcard)} answers for names that do not exist"
    found: dict[Key, RRset] = {}
    for (name, rdtype), answer in zip(keys, answers[: len(keys)], strict=True):
        sets = sets_of(answer, name)
        if not answer.authoritative and not (rdtype == rdata.NS and (name, rdtype) in sets):
            return f"{names.render(name)} lies below a delegation"
        if name != zone and _is_apex(answer, name, rdtype):
            return f"the server holds {names.render(name)} as a zone of its own and answers from it"
        found.update(sets)
    return found


def _is_apex(answer: wire.Message, name: bytes, rdtype: int) -> bool:
    """Return whether the answer comes from a zone of this very name. For a delegation, NS is answered without AA."""
    if not answer.authoritative:
        return False
    if rdtype == rdata.NS and any(record.rdtype == rdata.NS for record in answer.answers):
        return any(record.name == name for record in answer.answers)
    return any(
        record.name == name and record.rdtype in (rdata.SOA, rdata.NS)
        for record in answer.authority
    )


def cuts_over(client: Client, zone: bytes, owners: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    """Find the delegations that ``owners`` lie below: one question for each name that is directly above some of them.

    It finds a child zone that the same server holds, too: that one answers in the place of the zone.

    :returns: for each delegated name the names of its servers.
    """
    above = {
        up: None
        for owner in owners
        if len(owner) > len(zone) and (up := names.parent(owner)) != zone
    }
    if not above:
        return {}
    cuts: dict[bytes, None] = {}
    for name, answer in zip(
        above, client.ask_many([(name, rdata.SOA) for name in above]), strict=True
    ):
        summary = rdata.SOA if answer.authoritative else rdata.NS
        for record in [*answer.answers, *answer.authority]:
            if (
                record.rdtype == summary
                and record.name != zone
                and names.is_below(record.name, zone)
                and names.is_below(name, record.name)
            ):
                cuts[record.name] = None
    answers = client.ask_many([(cut, rdata.NS) for cut in cuts]) if cuts else []
    return {
        cut: {
            record.data
            for record in [*answer.answers, *answer.authority]
            if (record.name, record.rdtype) == (cut, rdata.NS)
        }
        for cut, answer in zip(cuts, answers, strict=True)
    }


def addresses_at(
    client: Client, zone: bytes, hosts: Iterable[bytes]
) -> dict[bytes, frozenset[int]]:
    """Return the types among A, AAAA and CNAME that the server answers for names of the zone, by wildcards, too.

    Left out is what the zone does not answer for, as it is delegated.
    """
    keys = [(host, rdtype) for host in hosts for rdtype in _ADDRESSES]
    found: dict[bytes, frozenset[int]] = {}
    elsewhere = set()
    for (host, _rdtype), answer in zip(keys, client.ask_many(keys) if keys else (), strict=True):
        if not answer.authoritative or any(
            record.rdtype == rdata.SOA and record.name != zone for record in answer.authority
        ):
            elsewhere.add(host)
        types = {record.rdtype for record in answer.answers if record.name == host}
        found[host] = found.get(host, frozenset()) | types
    return {host: types for host, types in found.items() if host not in elsewhere}


def sets_of(answer: wire.Message, name: bytes) -> dict[Key, RRset]:
    """Return the record sets at ``name`` in an answer: the one asked for, the CNAME in its place, or a delegation with
    its glue."""
    data: dict[Key, list[wire.Record]] = {}
    delegation = [record for record in answer.authority if record.rdtype == rdata.NS]
    if delegation and not answer.authoritative:
        delegation += [record for record in answer.additional if record.rdtype in _ADDRESSES]
    for record in answer.answers or delegation:
        if record.name == name and record.rdclass == wire.IN:
            data.setdefault((name, record.rdtype), []).append(record)
    return {
        key: RRset(records[0].ttl, frozenset(record.data for record in records))
        for key, records in data.items()
    }


def _wildcards_over(name: bytes, zone: bytes) -> Iterable[bytes]:
    """Yield the wildcards that could answer in the place of ``name``."""
    above = name
    while len(above) > len(zone):
        above = names.parent(above)
        wildcard = b"\x01*" + above
        if wildcard != name and len(wildcard) <= names.LONGEST_NAME:
            yield wildcard


def reverse_zones(
    client: Client, reverse_names: Iterable[bytes]
) -> tuple[dict[bytes, list[bytes]], list[bytes]]:
    """Find the zone of each reverse name by SOA.

    :returns: for each zone its names; and the names whose zone this server does not hold.
    """
    zones: dict[bytes, list[bytes]] = {}
    without_reverse_zone: list[bytes] = []
    known: dict[bytes, bytes | None] = {}
    for name in reverse_names:
        area = neighbourhood(name)
        if area not in known:
            known[area] = _zone_of(client, name)
        zone = known[area]
        if zone is None:
            without_reverse_zone.append(name)
        else:
            zones.setdefault(zone, []).append(name)
    return zones, without_reverse_zone


def _zone_of(client: Client, name: bytes) -> bytes | None:
    try:
        answer = client.ask(name, rdata.SOA)
    except BadKey:
        raise
    except (RequestRefused, NotAuthoritative):
        return None
    if not answer.authoritative:
        return None
    for record in [*answer.answers, *answer.authority]:
        if record.rdtype == rdata.SOA and names.is_below(name, record.name):
            return record.name
    return None
