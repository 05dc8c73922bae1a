# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask many servers for SOA records at once, over UDP, within one budget.

Little of the standard library alone, because dns-check starts every second (dataclasses would take longer to load
than all that is asked here).

The sockets are connected: a port without a listener then answers at once (ECONNREFUSED from ICMP, see udp(7)).
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

_HEADER = struct.Struct("!6H")
_SOA, _IN = 6, 1
_QR, _AA = 0x8000, 0x0400
NOERROR = 0

Check: TypeAlias = Callable[[bytes], bool]
Sign: TypeAlias = Callable[[str, bytes], tuple[bytes, Check]]


class Question(NamedTuple):
    """A zone's SOA, asked of the server at ``address``."""

    address: str
    zone: str
    port: int = 53


class Answer(NamedTuple):
    """What came back. ``serial`` is None where the answer holds no SOA of the zone."""

    rcode: int
    authoritative: bool
    serial: int | None

    @property
    def served(self) -> bool:
        """Return whether the server answers for the zone with authority."""
        return self.rcode == NOERROR and self.authoritative and self.serial is not None


def encode(zone: str, message_id: int) -> bytes:
    """Return a query for the SOA of ``zone`` (RFC 1035 section 4.1), without recursion."""
    labels = [label.encode("ascii") for label in zone.rstrip(".").split(".") if label]
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return _HEADER.pack(message_id, 0, 1, 0, 0, 0) + name + struct.pack("!HH", _SOA, _IN)


def decode(query: bytes, answer: bytes) -> Answer | None:
    """Read the answer to ``query``; None where it is something else."""
    try:
        message_id, flags, questions, answers, _authority, _additional = _HEADER.unpack_from(answer)
        if message_id != int.from_bytes(query[:2], "big") or not flags & _QR:
            return None
        end = len(query)
        if questions != 1 or answer[12:end].lower() != query[12:].lower():
            return None
        serial = _serial(answer, end, answers)
    except (struct.error, IndexError):
        return None
    return Answer(flags & 15, bool(flags & _AA), serial)


def _serial(wire: bytes, position: int, count: int) -> int | None:
    for _answer in range(count):
        position = _after_name(wire, position)
        rdtype, rdclass, _ttl, length = struct.unpack_from("!HHIH", wire, position)
        position += 10
        if (rdtype, rdclass) == (_SOA, _IN):
            after = _after_name(wire, _after_name(wire, position))
            return int(struct.unpack_from("!5I", wire, after)[0])
        position += length
    return None


def _after_name(wire: bytes, position: int) -> int:
    while count := wire[position]:
        if count >= 192:
            return position + 2
        position += count + 1
    return position + 1


def unsigned(_address: str, query: bytes) -> tuple[bytes, Check]:
    """Leave a query as it is, and believe what answers it."""
    return query, lambda answer: True


def ask(
    questions: Iterable[Question], budget: float, sign: Sign = unsigned
) -> dict[Question, Answer | None]:
    """Ask everything at once; return when all is answered or ``budget`` seconds are over. None: no answer.

    :param sign: makes of each query to an address what is sent, and a check of its answer. What fails it is no answer.
    """
    found: dict[Question, Answer | None] = {}
    deadline = time.monotonic() + budget
    with selectors.DefaultSelector() as selector:
        for question in questions:
            found[question] = None
            _send(selector, question, sign)
        try:
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    break
                for key, _events in ready:
                    _receive(selector, key, found)
        finally:
            for key in list(selector.get_map().values()):
                selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]
    return found


def _send(selector: selectors.BaseSelector, question: Question, sign: Sign) -> None:
    family = socket.AF_INET6 if ":" in question.address else socket.AF_INET
    query = encode(question.zone, int.from_bytes(os.urandom(2), "big"))
    signed, proves = sign(question.address, query)
    try:
        link = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError:
        return
    try:
        link.connect((question.address, question.port))
        link.send(signed)
    except OSError:
        link.close()
        return
    selector.register(link, selectors.EVENT_READ, (question, query, proves))


def _receive(
    selector: selectors.BaseSelector,
    key: selectors.SelectorKey,
    found: dict[Question, Answer | None],
) -> None:
    question, query, proves = key.data
    link: socket.socket = key.fileobj  # type: ignore[assignment]
    try:
        received = link.recv(4096)
        answer = decode(query, received) if proves(received) else None
    except OSError:
        answer = None
    else:
        if answer is None:
            return  # something else came by; go on waiting
    found[question] = answer
    selector.unregister(link)
    link.close()


def serials(answers: Mapping[Question, Answer | None]) -> dict[str, dict[str, int]]:
    """Return address to zone to serial, of the servers that answered at all."""
    found: dict[str, dict[str, int]] = {}
    for question, answer in answers.items():
        if answer is None:
            continue
        zones = found.setdefault(question.address, {})
        if answer.served and answer.serial is not None:
            zones[question.zone] = answer.serial
    return found
