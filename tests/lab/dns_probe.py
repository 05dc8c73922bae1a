# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask a DNS server for a zone's serial, with nothing but the standard library."""

from __future__ import annotations

import secrets
import socket
import struct

TYPE_SOA = 6
CLASS_IN = 1
HEADER_BYTES = 12
SOA_NUMBERS = struct.Struct("!5I")  # serial, refresh, retry, expire, minimum: the end of the record


def soa_serial(server: str, zone: str, timeout: float = 1.0) -> int | None:
    """The serial that this server has for the zone, or None where it does not answer with one."""
    query_id = secrets.randbits(16)
    query = struct.pack("!6H", query_id, 0, 1, 0, 0, 0) + _encoded(zone)
    query += struct.pack("!2H", TYPE_SOA, CLASS_IN)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as channel:
        channel.settimeout(timeout)
        try:
            channel.connect((server, 53))
            channel.send(query)
            answer = channel.recv(4096)
        except OSError:
            return None
    try:
        return _serial_in(answer, query_id)
    except (struct.error, IndexError):
        return None


def _serial_in(answer: bytes, query_id: int) -> int | None:
    seen_id, _flags, questions, answers = struct.unpack_from("!4H", answer)
    if seen_id != query_id:
        return None
    position = HEADER_BYTES
    for _dummy in range(questions):
        position = _after_name(answer, position) + 4
    for _dummy in range(answers):
        position = _after_name(answer, position)
        kind, _class, _ttl, length = struct.unpack_from("!HHIH", answer, position)
        position += 10 + length
        if kind == TYPE_SOA:
            serial = SOA_NUMBERS.unpack_from(answer, position - SOA_NUMBERS.size)[0]
            return int(serial)
    return None


def _encoded(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _after_name(message: bytes, position: int) -> int:
    while (length := message[position]) != 0:
        if length >= 0xC0:  # a pointer to an earlier name ends this one
            return position + 2
        position += 1 + length
    return position + 1
