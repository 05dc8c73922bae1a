# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talk to one DNS server: queries, transfers and updates, signed where there is a key, each failure with its own error.

Bytes travel through a transport that comes in; :mod:`_ports.dns_server` has the real one.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ..._core.errors import DebvisorError, Refused, TimedOut, Unreachable
from ..._core.ports import Clock
from ..._core.waiting import SystemClock
from . import incremental, names, rdata, wire
from .errors import (
    BadKey,
    MalformedAnswer,
    NotAuthoritative,
    denied,
)
from .rrset import Key as SetKey
from .rrset import RRset
from .signing import Exchange
from .tsig import Key

IN_FLIGHT = 200
"""Queries sent ahead of their answers on one connection; few enough that they fit in the buffers on both sides."""

UPDATES_IN_FLIGHT = 4
"""Updates sent ahead of their answers, so that the server does not wait for us."""


class Stream(Protocol):
    """A connection that carries whole messages."""

    def send(self, *messages: bytes) -> None: ...

    def receive(self, timeout: float | None = None) -> bytes: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """The way to one server. Its text is how messages name the server."""

    def resolve(self) -> None: ...

    def datagram(self, message: bytes, timeout: float | None = None) -> bytes: ...

    def stream(self) -> Stream: ...


Asked = ParamSpec("Asked")
Result = TypeVar("Result")


def _with_another_key(
    asking: Callable[Concatenate[Client, Asked], Result],
) -> Callable[Concatenate[Client, Asked], Result]:
    """Ask again with another valid key, where there is one, when the server does not know the first.

    Nothing was done with a request whose key is not known (RFC 8945 section 5.2.1), so asking again is safe.
    """

    @functools.wraps(asking)
    def ask(self: Client, /, *args: Asked.args, **options: Asked.kwargs) -> Result:
        while True:
            try:
                return asking(self, *args, **options)
            except BadKey as denial:
                if not self._reject(denial.details["key"]):
                    raise

    return ask


class Client:
    """One server. Keeps one TCP connection; a broken one is replaced at the next call, never within a call."""

    def __init__(
        self,
        transport: Transport,
        key: Callable[[], Key | None] = lambda: None,
        clock: Clock | None = None,
        reject: Callable[[str], bool] = lambda name: False,
    ) -> None:
        """Sign with what ``key`` gives at each use.

        :param reject: gets the name of a key that the server does not know; True where ``key`` will give another.
        """
        self._transport = transport
        self._key = key
        self._reject = reject
        self._clock = clock or SystemClock()
        self._open: Stream | None = None

    def __str__(self) -> str:
        return str(self._transport)

    def close(self) -> None:
        """Drop the connection, if there is one."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def resolve(self) -> None:
        """Make sure that the server's name, where it has one, leads to an address.

        :raises Unreachable: where it does not.
        """
        self._transport.resolve()

    # --- queries

    @_with_another_key
    def ask(
        self,
        name: bytes,
        rdtype: int,
        *,
        flags: int = 0,
        rdclass: int = wire.IN,
        dnssec: bool = False,
        timeout: float | None = None,
    ) -> wire.Message:
        """Ask one question by datagram, and by stream where the answer does not fit. NXDOMAIN is an answer.

        :raises DebvisorError: of the kind that fits the failure.
        """
        key = self._key()
        plain = wire.query(
            _message_id(), name, rdtype, flags=flags, rdclass=rdclass, edns=True, dnssec=dnssec
        )
        request, exchange = self._signed(plain, key)
        answer = self._read(self._transport.datagram(request, timeout))
        if answer.flags & wire.TC:
            request, exchange = self._signed(plain, key)
            answer = self._over_stream(request)
        self._check(answer, exchange, asked=(name, rdtype, rdclass))
        return answer

    @_with_another_key
    def ask_many(self, questions: Sequence[tuple[bytes, int]]) -> list[wire.Message]:
        """Ask many questions over the stream, many in flight; return the answers in the questions' order.

        :raises DebvisorError: of the kind that fits the first failure.
        """
        answers: list[wire.Message] = []
        key = self._key()
        try:
            stream = self._stream()
            for start in range(0, len(questions), IN_FLIGHT):
                answers += self._ask_window(stream, questions[start : start + IN_FLIGHT], key)
        except BaseException:
            self.close()
            raise
        return answers

    def _ask_window(
        self, stream: Stream, questions: Sequence[tuple[bytes, int]], key: Key | None
    ) -> list[wire.Message]:
        base = secrets.randbits(16)
        requests = []
        waiting: dict[int, tuple[int, Exchange | None]] = {}
        for number, (name, rdtype) in enumerate(questions):
            message_id = (base + number) & 0xFFFF
            plain = wire.query(message_id, name, rdtype)
            request, exchange = self._signed(plain, key)
            requests.append(request)
            waiting[message_id] = (number, exchange)
        stream.send(*requests)
        found: list[wire.Message | None] = [None] * len(questions)
        while waiting:
            answer = self._read(stream.receive())
            if answer.message_id not in waiting:
                raise MalformedAnswer(f"{self} answered a question that was not asked")
            number, exchange = waiting.pop(answer.message_id)
            self._check(answer, exchange, asked=(*questions[number], wire.IN))
            found[number] = answer
        return [answer for answer in found if answer is not None]

    def soa(self, zone: bytes, timeout: float | None = None) -> wire.Soa:
        """Return the SOA record of a zone that this server holds.

        :raises NotAuthoritative: where it does not hold it.
        """
        answer = self.ask(zone, rdata.SOA, timeout=timeout)
        found = [
            record for record in answer.answers if (record.name, record.rdtype) == (zone, rdata.SOA)
        ]
        if not answer.authoritative or len(found) != 1:
            raise self._not_authoritative(zone, answer)
        try:
            return wire.read_soa(found[0].data)
        except wire.Malformed as cause:
            raise MalformedAnswer(f"{self} sent a malformed SOA record", why=str(cause)) from cause

    def _not_authoritative(self, zone: bytes, answer: wire.Message) -> NotAuthoritative:
        why = "its answer is not authoritative"
        if answer.authoritative:
            apexes = [record.name for record in answer.authority if record.rdtype == rdata.SOA]
            why = (
                f"it answers from the zone {names.render(apexes[0])}"
                if apexes
                else "it has no SOA there"
            )
        return NotAuthoritative(
            f"{self} does not hold the zone {names.render(zone)}",
            why=why,
            hint="Check the zone's name, and that the address is the one that takes updates",
        )

    # --- transfer

    @_with_another_key
    def transfer(self, zone: bytes) -> tuple[int, dict[SetKey, RRset]]:
        """Return the zone's serial and all its record sets, without the SOA, by AXFR.

        :raises RequestRefused: where the key may not transfer.
        """
        found: dict[SetKey, tuple[int, list[bytes]]] = {}
        known = found.get
        serial: int | None = None
        ended = False

        def take(records: Sequence[wire.Record]) -> bool:
            nonlocal serial, ended
            for name, rdtype, _rdclass, ttl, data in records:
                if ended:
                    raise wire.Malformed("more after the end of its transfer")
                if rdtype == rdata.SOA:
                    ended = serial is not None
                    serial = wire.read_soa(data).serial
                elif serial is None:
                    raise wire.Malformed("it began without the SOA record")
                elif entry := known((name, rdtype)):
                    entry[1].append(data)
                else:
                    found[name, rdtype] = (ttl, [data])
            return ended

        self._read_transfer(wire.query(_message_id(), zone, wire.AXFR), take)
        return serial or 0, {key: RRset(ttl, frozenset(data)) for key, (ttl, data) in found.items()}

    @_with_another_key
    def changes(
        self,
        zone: bytes,
        since: int,
        *,
        most: int = 1_000_000,
        largest: int = 1 << 28,
        patience: float = 600.0,
    ) -> incremental.News:
        """Return what the server has since a serial, by IXFR.

        :param most: records that are read at most.
        :param largest: bytes that are read at most.
        :param patience: seconds for all of it.
        :raises RequestRefused: where the key may not transfer.
        """
        reader = incremental.Reader(since, most)

        def take(records: Sequence[wire.Record]) -> bool:
            reader.take(records)
            return reader.ended

        query = incremental.query(_message_id(), zone, since)
        self._read_transfer(query, take, largest, patience)
        return reader.news()

    def _read_transfer(
        self,
        query: bytes,
        take: Callable[[Sequence[wire.Record]], bool],
        largest: float = float("inf"),
        patience: float = float("inf"),
    ) -> None:
        """Hand on the records of an answer of many messages, until ``take`` has the last."""
        request, exchange = self._signed(query, self._key())
        deadline = self._clock.monotonic() + patience
        try:
            stream = self._stream()
            stream.send(request)
            ended = False
            while not ended:
                answer = self._read(stream.receive())
                self._check(answer, exchange)
                if answer.rcode or not answer.answers:
                    raise denied(answer, str(self))
                largest -= len(answer.wire)
                if largest < 0 or self._clock.monotonic() > deadline:
                    raise TimedOut(f"{self} sent more than was asked for, or too slowly")
                ended = take(answer.answers)
            if exchange is not None:
                exchange.finish(str(self))
        except wire.Malformed as cause:
            self.close()
            raise MalformedAnswer(f"{self} sent a malformed transfer", why=str(cause)) from cause
        except BaseException:
            self.close()
            raise

    # --- update

    def update(
        self, *messages: bytes, meanwhile: Callable[[], object] | None = None
    ) -> list[DebvisorError | None]:
        """Send UPDATE messages over the stream, several in flight; return what became of each, None for made.

        Where the outcome is ``TimedOut`` or ``Unreachable``, it is not known whether that update was made. Any other
        error means that it was not.

        :param meanwhile: something to do once while the server works.
        """
        outcomes = self._update(messages, meanwhile)
        conflicting = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, BadKey)]
        denial = outcomes[conflicting[0]] if conflicting else None
        if denial is not None and self._reject(denial.details["key"]):
            again = self.update(*[messages[number] for number in conflicting])
            for number, outcome in zip(conflicting, again, strict=True):
                outcomes[number] = outcome
        return outcomes

    def _update(
        self, messages: Sequence[bytes], meanwhile: Callable[[], object] | None
    ) -> list[DebvisorError | None]:
        outcomes: dict[int, DebvisorError | None] = {}
        waiting: dict[int, tuple[int, Exchange | None]] = {}
        key = self._key()
        base = _message_id()
        try:
            stream = self._stream()
            for number, message in enumerate(messages):
                if len(waiting) == UPDATES_IN_FLIGHT:
                    if meanwhile is not None:
                        meanwhile()
                        meanwhile = None
                    self._collect(stream, waiting, outcomes)
                message_id = (base + number) & 0xFFFF
                request, exchange = self._signed(wire.with_message_id(message, message_id), key)
                if len(request) > wire.LONGEST_MESSAGE:
                    raise ValueError(f"an update of {len(request)} bytes does not fit in a message")
                waiting[message_id] = (number, exchange)
                stream.send(request)
            while waiting:
                self._collect(stream, waiting, outcomes)
        except (TimedOut, Unreachable) as failure:
            self.close()
            for number in range(len(messages)):
                outcomes.setdefault(number, failure)
        except BaseException:
            self.close()
            raise
        return [outcomes[number] for number in range(len(messages))]

    def _collect(
        self,
        stream: Stream,
        waiting: dict[int, tuple[int, Exchange | None]],
        outcomes: dict[int, DebvisorError | None],
    ) -> None:
        answer = self._read(stream.receive())
        if answer.message_id not in waiting:
            raise MalformedAnswer(f"{self} answered an update that was not sent")
        number, exchange = waiting[answer.message_id]
        try:
            self._check(answer, exchange, wire.UPDATE)
            outcomes[number] = denied(answer, str(self)) if answer.rcode else None
        except Refused as denial:
            outcomes[number] = denial
        del waiting[answer.message_id]

    # --- in common

    def _stream(self) -> Stream:
        if self._open is None:
            self._open = self._transport.stream()
        return self._open

    def _over_stream(self, request: bytes) -> wire.Message:
        try:
            stream = self._stream()
            stream.send(request)
            answer = self._read(stream.receive())
            if answer.wire[:2] != request[:2]:
                raise MalformedAnswer(f"{self} answered a question that was not asked")
        except BaseException:
            self.close()
            raise
        return answer

    def _signed(self, plain: bytes, key: Key | None) -> tuple[bytes, Exchange | None]:
        if key is None:
            return plain, None
        exchange = Exchange(key)
        return exchange.sign(plain, int(self._clock.wall())), exchange

    def _read(self, answer: bytes) -> wire.Message:
        try:
            return wire.read(answer)
        except wire.Malformed as cause:
            raise MalformedAnswer(f"{self} sent a malformed answer", why=str(cause)) from cause

    def _check(
        self,
        answer: wire.Message,
        exchange: Exchange | None,
        opcode: int = wire.QUERY,
        asked: tuple[bytes, int, int] | None = None,
    ) -> None:
        if exchange is not None:
            exchange.check(answer, int(self._clock.wall()), str(self))
        elif answer.tsig is not None:
            raise MalformedAnswer(f"{self} signed the answer to an unsigned question")
        if not answer.flags & wire.QR or answer.flags >> 11 & 15 != opcode:
            raise MalformedAnswer(f"{self} sent something that is not an answer to the request")
        if asked is None:
            return
        if answer.rcode not in (wire.NOERROR, wire.NXDOMAIN):
            raise denied(answer, str(self), asked[0])
        if answer.questions != [asked]:
            raise MalformedAnswer(f"{self} answered another question than it was asked")


def _message_id() -> int:
    return secrets.randbits(16)
