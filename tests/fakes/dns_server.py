# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An authoritative DNS server in memory. It holds state, obeys the rules of RFC 2136, and can refuse every write.

It reads and writes messages with dnspython, so that our own reader and writer are held against an independent one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
import dns.zone
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import TimedOut, Unreachable
from dns.rdataclass import ANY, NONE
from dns.rdatatype import AXFR, CNAME, NS, SOA

LOST = object()
"""A mood: make the update, then lose the answer."""

Key = tuple[dns.name.Name, dns.rdatatype.RdataType]


class WriteRefused(AssertionError):
    """Somebody sent an update to a fake that is only to be read."""


def name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)


class FakeServer:
    """One server with some zones. ``moods`` are called in turn, one an update, and may raise or answer an rcode."""

    def __init__(self, address: str = "192.0.2.53", keys: dict[str, bytes] | None = None) -> None:
        self.address = address
        self.keyring = {
            name(key): dns.tsig.Key(name(key), secret, "hmac-sha256")
            for key, secret in (keys or {}).items()
        }
        self.zones: dict[dns.name.Name, dict[Key, dns.rrset.RRset]] = {}
        self.hostname = address
        self.read_only = False
        self.may_transfer = True
        self.updates = 0
        self.asked: list[str] = []
        self.moods: list[Callable[[], Any]] = []

    # --- the world as a test sees it

    def load(self, zone: str, text: str = "") -> None:
        head = "$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n"
        loaded = dns.zone.from_text(head + text + "\n", origin=zone, relativize=False)
        self.zones[name(zone)] = {
            (owner, found.rdtype): dns.rrset.from_rdata_list(owner, found.ttl, found)
            for owner, found in loaded.iterate_rdatasets()
        }

    def content(self, zone: str) -> dict[str, list[str]]:
        """Return the zone without SOA, NS and ns1, as text."""
        apex = name(zone)
        return {
            f"{owner.relativize(apex)} {dns.rdatatype.to_text(kind)} {found.ttl}": sorted(
                item.to_text() for item in found
            )
            for (owner, kind), found in sorted(self.zones[apex].items())
            if kind not in (SOA, NS) and owner != name(f"ns1.{zone}")
        }

    def put(self, zone: str, owner: str, ttl: int, kind: str, *values: str) -> None:
        """Be the somebody else who changes the zone meanwhile."""
        found = dns.rrset.from_text(name(owner), ttl, "IN", kind, *values)
        self.zones[name(zone)][found.name, found.rdtype] = found

    def serial(self, zone: str) -> int:
        return self.zones[name(zone)][name(zone), SOA][0].serial

    # --- the transport

    def reach(self, address: str, port: int, timeout: float) -> FakeServer:
        assert (address, port) == (self.address, 53)
        return self

    def __str__(self) -> str:
        return self.address

    def resolve(self) -> None:
        if self.address.endswith(".invalid"):
            raise Unreachable(f"{self.address!r} leads nowhere")

    def datagram(self, message: bytes, timeout: float | None = None) -> bytes:
        return self.answer(message)[0]

    def stream(self) -> FakeStream:
        return FakeStream(self)

    # --- the server

    def answer(self, wire: bytes) -> list[bytes]:
        try:
            request = dns.message.from_wire(wire, keyring=self.keyring or None)
        except dns.message.UnknownTSIGKey:
            return [self._tsig_error(wire, dns.rcode.BADKEY)]
        except dns.tsig.BadSignature:
            return [self._tsig_error(wire, dns.rcode.BADSIG)]
        if self.keyring and request.opcode() == dns.opcode.UPDATE and not request.had_tsig:
            return [self._reply(request, dns.rcode.REFUSED).to_wire()]
        if request.opcode() == dns.opcode.UPDATE:
            return [self._reply(request, self._update(request)).to_wire()]
        question = request.question[0]
        if question.rdtype == AXFR:
            return self._transfer(request)
        self.asked.append(f"{question.name} {dns.rdatatype.to_text(question.rdtype)}")
        return [self._lookup(request).to_wire()]

    def _tsig_error(self, wire: bytes, error: int) -> bytes:
        request = dns.message.from_wire(wire, keyring=False, ignore_trailing=True)
        reply = self._reply(request, dns.rcode.NOTAUTH)
        reply.tsig = None
        body = bytearray(reply.to_wire())
        mark = request.tsig
        data = mark[0].algorithm.to_wire() + bytes(6) + b"\x01\x2c\0\0" + body[:2]
        data += int(error).to_bytes(2, "big") + b"\0\0"
        body[10:12] = (len(reply.additional) + (reply.edns >= 0) + 1).to_bytes(2, "big")
        record = mark.name.to_wire() + b"\0\xfa\0\xff\0\0\0\0" + len(data).to_bytes(2, "big")
        return bytes(body + record + data)

    def _reply(self, request: dns.message.Message, rcode: int = 0) -> dns.message.Message:
        if request.opcode() == dns.opcode.UPDATE:
            reply = dns.message.Message(request.id)
            reply.flags = dns.flags.QR
            reply.set_opcode(dns.opcode.UPDATE)
            if request.had_tsig and request.keyring:
                reply.use_tsig(
                    request.keyring, request.keyname, 300, None, 0, b"", request.keyalgorithm
                )
                reply.request_mac = request.mac
        else:
            reply = dns.message.make_response(request)
        reply.set_rcode(rcode)
        return reply

    def _zone_of(self, owner: dns.name.Name) -> dns.name.Name | None:
        homes = [apex for apex in self.zones if owner.is_subdomain(apex)]
        return max(homes, key=len, default=None)

    def _lookup(self, request: dns.message.Message) -> dns.message.Message:
        question = request.question[0]
        if question.rdclass == dns.rdataclass.CH:
            reply = self._reply(request)
            reply.answer.append(dns.rrset.from_text(question.name, 0, "CH", "TXT", self.hostname))
            return reply
        apex = self._zone_of(question.name)
        if apex is None:
            return self._reply(request, dns.rcode.REFUSED)
        held = self.zones[apex]
        reply = self._reply(request)
        reply.flags |= dns.flags.AA
        owner = question.name
        exists = any(
            other == owner and question.rdtype in (kind, dns.rdatatype.ANY) for other, kind in held
        )
        if not exists and not any(other.is_subdomain(owner) for other, _kind in held):
            star = next(
                (
                    star
                    for parent in _parents(owner, apex)
                    for star in [dns.name.Name((b"*", *parent.labels))]
                    if any(other == star for other, _kind in held)
                ),
                None,
            )
            if star is None:
                reply.set_rcode(dns.rcode.NXDOMAIN)
                reply.authority.append(held[apex, SOA])
                return reply
            owner = star
        kinds = [question.rdtype, CNAME]
        if question.rdtype == dns.rdatatype.ANY:
            kinds = [kind for other, kind in held if other == owner]
        for kind in kinds:
            if found := held.get((owner, kind)):
                copied = dns.rrset.from_rdata_list(question.name, found.ttl, found)
                reply.answer.append(copied)
                if question.rdtype != dns.rdatatype.ANY:
                    break
        if not reply.answer:
            reply.authority.append(held[apex, SOA])
        return reply

    def _transfer(self, request: dns.message.Message) -> list[bytes]:
        apex = request.question[0].name
        if apex not in self.zones:
            return [self._reply(request, dns.rcode.NOTAUTH).to_wire()]
        if not self.may_transfer:
            return [self._reply(request, dns.rcode.REFUSED).to_wire()]
        held = self.zones[apex]
        soa = held[apex, SOA]
        end = dns.rrset.from_rdata_list(apex, soa.ttl, soa)
        sets = [soa, *(found for key, found in held.items() if key != (apex, SOA)), end]
        wires: list[bytes] = []
        context = None
        for start in range(0, len(sets), 500):
            reply = self._reply(request)
            reply.flags |= dns.flags.AA
            reply.answer = sets[start : start + 500]
            wires.append(reply.to_wire(max_size=65535, multi=True, tsig_ctx=context))
            context = reply.tsig_ctx
        return wires

    def _update(self, request: Any) -> int:
        if self.read_only:
            raise WriteRefused("an update was sent")
        self.updates += 1
        mood = self.moods.pop(0)() if self.moods else None
        if mood is not None and mood is not LOST:
            return mood
        apex = request.zone[0].name
        if apex not in self.zones:
            return dns.rcode.NOTAUTH
        held = self.zones[apex]
        if (unmet := self._unmet(held, request.prerequisite)) is not None:
            return unmet
        self._change(apex, held, request.update)
        soa = held[apex, SOA]
        raised = soa[0].replace(serial=soa[0].serial + 1)
        held[apex, SOA] = dns.rrset.from_rdata(apex, soa.ttl, raised)
        if mood is LOST:
            raise ConnectionError("made, and the answer is lost")
        return dns.rcode.NOERROR

    def _unmet(self, held: dict[Key, Any], prerequisites: list[Any]) -> int | None:
        wanted: dict[Key, set[Any]] = {}
        for item in prerequisites:
            key = (item.name, item.rdtype)
            klass = item.deleting if item.deleting is not None else item.rdclass
            if klass == NONE and item.rdtype == dns.rdatatype.ANY:
                if any(owner == item.name for owner, _kind in held):
                    return dns.rcode.YXDOMAIN
            elif klass == NONE:
                if key in held:
                    return dns.rcode.YXRRSET
            elif klass == ANY:
                if key not in held:
                    return dns.rcode.NXRRSET
            else:
                wanted.setdefault(key, set()).update(item)
        for key, data in wanted.items():
            if set(held.get(key, ())) != data:
                return dns.rcode.NXRRSET
        return None

    def _change(self, apex: dns.name.Name, held: dict[Key, Any], updates: list[Any]) -> None:
        for item in updates:
            key = (item.name, item.rdtype)
            if item.deleting == ANY:
                if key not in ((apex, SOA), (apex, NS)):
                    held.pop(key, None)
            elif item.deleting == NONE:
                left = [data for data in held.get(key, ()) if data not in item]
                if left:
                    held[key] = dns.rrset.from_rdata_list(item.name, held[key].ttl, left)
                elif key != (apex, NS):
                    held.pop(key, None)
            else:
                kinds = {kind for owner, kind in held if owner == item.name}
                beside = kinds - {CNAME} if item.rdtype == CNAME else kinds & {CNAME}
                if beside:
                    continue  # ignored without a word, as RFC 2136 section 3.4.2.2 has it
                old = [] if item.rdtype == CNAME else list(held.get(key, ()))
                held[key] = dns.rrset.from_rdata_list(item.name, item.ttl, {*old, *item})


class FakeStream:
    """A connection to the fake."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.pending: list[bytes] = []
        self.broken = False

    def send(self, *messages: bytes) -> None:
        for message in messages:
            try:
                self.pending += self.server.answer(message)
            except ConnectionError:
                self.broken = True

    def receive(self, timeout: float | None = None) -> bytes:
        if self.pending:
            return self.pending.pop(0)
        if self.broken:
            raise Unreachable("the connection broke")
        raise TimedOut("no answer came")

    def close(self) -> None:
        self.pending.clear()


def _parents(owner: dns.name.Name, apex: dns.name.Name) -> list[dns.name.Name]:
    found = []
    while owner != apex:
        owner = owner.parent()
        found.append(owner)
    return found


class FakeClock:
    """Time that passes only when somebody sleeps; the wall clock is right."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)

    def wall(self) -> float:
        return time.time()
