# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNSSEC validation of what servers answer, where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..protocol import names, rdata, wire
from ..protocol.client import Client
from ..protocol.errors import DnssecBogus, ServerFailed
from ..protocol.rrset import Key, RRset

SAMPLE = 10
"""Changed record sets whose signatures are checked on each server, beside the zone's SOA."""


class Validator(Protocol):
    """Checks the signatures in an answer; raises ValueError with the reason."""

    def check(self, zone: str, keys: bytes, answer: bytes) -> None: ...


def prove(
    client: Client, validator: Validator, zone: bytes, sample: Mapping[Key, RRset | None]
) -> None:
    """Make sure that the server's answers validate.

    A validating resolver says so itself, by the AD bit, or by SERVFAIL that goes away when checking is disabled. The
    answers of an authoritative server are validated here against the zone's own keys. The chain from the parent's DS to
    these keys is a resolver's to check.

    :raises DnssecBogus: where one does not.
    """
    keys = _ask(client, zone, rdata.DNSKEY)
    present = [key for key, rrset in sample.items() if rrset is not None][:SAMPLE]
    for name, rdtype in [(zone, rdata.SOA), *present]:
        answer = _ask(client, name, rdtype)
        if answer.flags & wire.AD:
            continue
        try:
            validator.check(names.render(zone), keys.wire, answer.wire)
        except ValueError as cause:
            raise _bogus(client, name, rdtype, str(cause)) from cause


def _ask(client: Client, name: bytes, rdtype: int) -> wire.Message:
    flags = wire.RD | wire.AD
    try:
        return client.ask(name, rdtype, flags=flags, dnssec=True)
    except ServerFailed as failure:
        try:
            client.ask(name, rdtype, flags=flags | wire.CD, dnssec=True)
        except ServerFailed:
            raise failure from None
        raise _bogus(
            client, name, rdtype, "the resolver refuses it unless checking is disabled"
        ) from failure


def _bogus(client: Client, name: bytes, rdtype: int, why: str) -> DnssecBogus:
    return DnssecBogus(
        f"the answer of {client} for {names.render(name)} {rdata.type_text(rdtype)} does not validate (DNSSEC bogus)",
        why=why,
        hint="Check that the zone is signed, that its signatures have not expired, and this machine's clock",
        details={"server": str(client), "name": names.render(name)},
    )
