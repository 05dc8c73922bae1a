# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dns-role says to the server behind the VIP: signed updates and transfers, by dnspython."""

from __future__ import annotations

import base64
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._core.errors import Conflict, DebvisorError, Refused, Unreachable
from .._core.secret import Secret

try:
    import dns.exception
    import dns.message
    import dns.name
    import dns.query
    import dns.rcode
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype
    import dns.rrset
    import dns.tsig
    import dns.tsigkeyring
    import dns.update
    import dns.xfr
    import dns.zone

    MISSING: ImportError | None = None
except ImportError as absent:  # the caller is told at the first use
    MISSING = absent


class Plain(NamedTuple):
    """One record as text: name absolute and in lower case, data canonical."""

    name: str
    kind: str
    ttl: int
    data: str


class Exact(NamedTuple):
    """An RRset to be there exactly (or, without data, not at all), and what to make of it."""

    name: str
    kind: str
    ttl: int
    before: frozenset[str]
    after: frozenset[str]


@dataclass(frozen=True, slots=True)
class Signer:
    """A TSIG key."""

    name: str
    algorithm: str
    secret: Secret

    def keyring(self) -> Any:
        if MISSING is not None:
            raise DebvisorError("python3-dnspython is missing", hint="Install it") from MISSING
        secret = base64.b64encode(self.secret.reveal()).decode()
        return dns.tsigkeyring.from_text({self.name: (self.algorithm, secret)})


@dataclass(frozen=True, slots=True)
class Server:
    """One server, as its clients see it."""

    address: str
    port: int = 53

    def texts(self, name: str, timeout: float) -> tuple[str, ...]:
        """Return the strings of a TXT set, one for each record; empty where there is none.

        :raises Unreachable: where no usable answer came.
        """
        question = dns.message.make_query(name, "TXT", flags=0)
        answer = self._exchange(question, timeout)
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise Unreachable(
                f"{self.address} does not tell {name}", why=dns.rcode.to_text(answer.rcode())
            )
        return tuple(
            b"".join(record.strings).decode("ascii", "replace")
            for rrset in answer.answer
            if rrset.rdtype == dns.rdatatype.TXT
            for record in rrset
        )

    def take_over(
        self,
        zone: str,
        signer: Signer,
        *,
        serial: int,
        owner: str,
        add: str,
        drop: Collection[str],
        timeout: float,
    ) -> int:
        """Raise the serial of ``zone`` and note the epoch, in one message. Harmless when sent twice.

        :returns: the serial that was raised.
        :raises Conflict: where the server itself, which may be signing, was quicker: try again.
        :raises Refused: where the server says no.
        :raises Unreachable: where it says nothing.
        """
        answer = self._exchange(dns.message.make_query(zone, "SOA", flags=0), timeout)
        soa = next((rrset[0] for rrset in answer.answer if rrset.rdtype == dns.rdatatype.SOA), None)
        if soa is None:
            raise Unreachable(
                f"{self.address} does not serve {zone}", why=dns.rcode.to_text(answer.rcode())
            )
        message = dns.update.UpdateMessage(
            zone, keyring=signer.keyring(), keyalgorithm=signer.algorithm
        )
        message.present(_absolute(zone), soa)
        for text in drop:
            message.delete(_absolute(owner), "TXT", f'"{text}"')
        message.add(_absolute(owner), 60, "TXT", f'"{add}"')
        message.add(_absolute(zone), answer.answer[0].ttl, soa.replace(serial=serial))
        self._update(message, timeout)
        return int(soa.serial)

    def replace(self, zone: str, signer: Signer, change: Exact, timeout: float) -> None:
        """Replace one RRset where it still is as it was before.

        :raises Conflict: where it is not.
        :raises Refused: where the server says no.
        :raises Unreachable: where it says nothing.
        """
        message = dns.update.UpdateMessage(
            zone, keyring=signer.keyring(), keyalgorithm=signer.algorithm
        )
        name = _absolute(change.name)
        if change.before:
            # One call for each record: value-dependent prerequisites of RFC 2136 section 2.4.2.
            for data in sorted(change.before):
                message.present(name, change.kind, data)
            message.delete(name, change.kind)
        else:
            message.absent(name, change.kind)
        for data in sorted(change.after):
            message.add(name, change.ttl, change.kind, data)
        self._update(message, timeout)

    def transfer(self, zone: str, signer: Signer, timeout: float) -> tuple[Plain, ...]:
        """Return the whole zone.

        :raises Unreachable: where it does not come.
        """
        content = dns.zone.Zone(_absolute(zone), relativize=False)
        question, _serial = dns.xfr.make_query(
            content,
            keyring=signer.keyring(),
            keyname=dns.name.from_text(signer.name),
            keyalgorithm=signer.algorithm,
        )
        try:
            dns.query.inbound_xfr(
                self.address, content, question, port=self.port, timeout=timeout, lifetime=timeout
            )
        except (OSError, dns.exception.DNSException) as cause:
            raise Unreachable(
                f"{self.address} does not transfer {zone}", why=_why(cause)
            ) from cause
        return tuple(
            Plain(
                name.to_text().lower(), dns.rdatatype.to_text(record.rdtype), ttl, record.to_text()
            )
            for name, ttl, record in content.iterate_rdatas()
        )

    def _update(self, message: Any, timeout: float) -> None:
        code = self._exchange(message, timeout).rcode()
        if code == dns.rcode.NOERROR:
            return
        said = dns.rcode.to_text(code)
        if code in (dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.NXRRSET):
            raise Conflict(f"{self.address} holds something else by now", why=said)
        raise Refused(f"{self.address} refused the update", why=said)

    def _exchange(self, message: Any, timeout: float) -> Any:
        """Send over UDP, then over TCP where the answer did not fit."""
        try:
            answer, _by_tcp = dns.query.udp_with_fallback(
                message, self.address, timeout=timeout, port=self.port
            )
        except (OSError, dns.exception.DNSException) as cause:
            raise Unreachable(f"{self.address} does not answer", why=_why(cause)) from cause
        return answer


def canonical(name: str, kind: str, ttl: int, data: str) -> Plain:
    """Return a record with its data in the one form in which everybody here compares it."""
    try:
        parsed = dns.rdata.from_text(dns.rdataclass.IN, kind, data).to_text()
    except dns.exception.DNSException:
        parsed = data
    return Plain(name.lower(), kind, ttl, parsed)


def _absolute(name: str) -> Any:
    return dns.name.from_text(name)


def _why(cause: BaseException) -> str:
    return str(cause) or type(cause).__name__


def now() -> str:
    """The present time in UTC, for records."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
