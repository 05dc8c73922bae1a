# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record data: text to wire form and back, for the record types that we manage.

Inside, record data is its wire form without compression and with embedded names in lower case, so that equal data are
equal bytes. The text is the zone file's: what :func:`render` gives, :func:`parse` reads back.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Callable

from . import names

LONGEST_STRING = 255
LONGEST_DATA = 65535

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DNAME, DS, SSHFP, TLSA, CAA = (
    1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 44, 52, 257,
)  # fmt: skip
RRSIG, NSEC, DNSKEY, NSEC3, NSEC3PARAM, CDS, CDNSKEY, ZONEMD = 46, 47, 48, 50, 51, 59, 60, 63

TYPES = {
    "A": A,
    "AAAA": AAAA,
    "CAA": CAA,
    "CNAME": CNAME,
    "MX": MX,
    "NS": NS,
    "PTR": PTR,
    "SRV": SRV,
    "SSHFP": SSHFP,
    "TLSA": TLSA,
    "TXT": TXT,
}
TYPE_NAMES = {number: name for name, number in TYPES.items()}

BESIDE_CNAME = frozenset({CNAME, RRSIG, NSEC, NSEC3})
"""What a name that has a CNAME may have: the CNAME, and what the signer adds."""


class DataProblem(ValueError):
    """A text is not data of its type; the message says why, as the end of a sentence."""


def type_text(number: int) -> str:
    """Return the name of a type."""
    return TYPE_NAMES.get(number) or {SOA: "SOA", DNAME: "DNAME"}.get(number) or f"TYPE{number}"


def parse(kind: int, text: str, zone: bytes) -> bytes:
    """Turn the text of a value into record data.

    :raises DataProblem: saying what is wrong.
    """
    try:
        return _PARSERS[kind](text, zone)
    except names.NameProblem as cause:
        raise DataProblem(f"{shortened(text)}: the name {cause}") from cause


def render(kind: int, data: bytes) -> str:
    """Return the text of record data.

    :raises DataProblem: where the bytes are not data of that type.
    """
    try:
        return _RENDERERS[kind](data)
    except (IndexError, ValueError, struct.error) as cause:
        raise DataProblem(f"is not wire data of type {type_text(kind)}: {cause}") from cause


def shortened(text: str) -> str:
    """Return text for a message: printable ASCII, and not too long."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return ascii(shown)


# --- addresses


_OCTETS = {str(number): number for number in range(256)}


def parse_a(text: str, zone: bytes) -> bytes:
    """Turn an IPv4 address into record data."""
    try:
        one, two, three, four = text.split(".")
        return bytes((_OCTETS[one], _OCTETS[two], _OCTETS[three], _OCTETS[four]))
    except (KeyError, ValueError):
        raise DataProblem(f"{shortened(text)} is not an IPv4 address") from None


def parse_aaaa(text: str, zone: bytes) -> bytes:
    """Turn an IPv6 address into record data."""
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise DataProblem(f"{shortened(text)} is not an IPv6 address") from None
    if address.scope_id is not None:
        raise DataProblem(f"{shortened(text)} names an interface, which DNS cannot hold")
    return address.packed


def _render_a(data: bytes) -> str:
    one, two, three, four = data
    return f"{one}.{two}.{three}.{four}"


def _render_aaaa(data: bytes) -> str:
    return str(ipaddress.IPv6Address(data))


# --- names


def _target(text: str, zone: bytes) -> bytes:
    """Read a name inside record data, where the missing final dot is everybody's mistake once."""
    name = names.parse(text, zone)
    if (
        "." in text
        and not text.endswith(".")
        and "\\" not in text
        and names.parse(text + ".", zone) != name
    ):
        raise DataProblem(
            f"{shortened(text)} could be relative to the zone or absolute;"
            f" write {shortened(text + '.')} or {shortened(names.render(name))}"
        )
    return name


def _parse_target(text: str, zone: bytes) -> bytes:
    return _target(text, zone)


def _render_target(data: bytes) -> str:
    return _render_name(data, 0)


def _render_name(data: bytes, start: int) -> str:
    position = start
    while count := data[position]:
        if count > names.LONGEST_LABEL:
            raise ValueError("a compressed or malformed name")
        position += count + 1
    if position + 1 != len(data):
        raise ValueError("bytes after the name")
    return names.render(data[start:])


def _number(text: str, what: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most):
        raise DataProblem(f"{what} {shortened(text)} is not a number from 0 to {most}")
    return int(text)


def _fields(text: str, *what: str) -> list[str]:
    _check_text(text)
    fields = text.split()
    if len(fields) != len(what):
        raise DataProblem(f"{shortened(text)} is not: {' '.join(what)}")
    return fields


def _parse_mx(text: str, zone: bytes) -> bytes:
    preference, exchange = _fields(text, "preference", "exchange")
    return struct.pack("!H", _number(preference, "preference", 65535)) + _target(exchange, zone)


def _render_mx(data: bytes) -> str:
    return f"{int.from_bytes(data[:2], 'big')} {_render_name(data, 2)}"


def _parse_srv(text: str, zone: bytes) -> bytes:
    *numbers, target = _fields(text, "priority", "weight", "port", "target")
    what = ("priority", "weight", "port")
    values = [_number(number, name, 65535) for number, name in zip(numbers, what, strict=True)]
    return struct.pack("!HHH", *values) + _target(target, zone)


def _render_srv(data: bytes) -> str:
    priority, weight, port = struct.unpack_from("!HHH", data)
    return f"{priority} {weight} {port} {_render_name(data, 6)}"


# --- character strings

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\([0-9]{3}|.)", re.DOTALL)


def _unescape(body: str) -> bytes:
    out = bytearray()
    position = 0
    for match in _ESCAPE.finditer(body):
        out += body[position : match.start()].encode()
        escape = match.group(1)
        if len(escape) == 3:
            if int(escape) > 255:
                raise DataProblem(f"has the escape \\{escape}, and a byte ends at 255")
            out.append(int(escape))
        elif escape.isdigit():
            raise DataProblem(f"has the escape \\{escape}, which needs three digits")
        else:
            out += escape.encode()
        position = match.end()
    return bytes(out + body[position:].encode())


def _strings(text: str) -> list[bytes]:
    """Split quoted character strings."""
    found = []
    position = 0
    while position < len(text):
        match = _QUOTED.match(text, position)
        if not match:
            raise DataProblem(f'{shortened(text)} starts with " and is not a row of quoted strings')
        found.append(_unescape(match.group(1)))
        position = match.end()
        while position < len(text) and text[position] == " ":
            position += 1
    return found


def _check_text(text: str) -> None:
    if match := _CONTROL.search(text):
        code = ord(match.group())
        raise DataProblem(
            f"has the control character U+{code:04X} at {match.start()};"
            f" where it is meant, quote the value and write \\{code:03d}"
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as cause:
            raise DataProblem("has half a surrogate pair, which is no character") from cause


def _parse_txt(text: str, zone: bytes) -> bytes:
    if not text:
        raise DataProblem('is empty; write "" in quotes for an empty string')
    _check_text(text)
    if text[0] == '"':
        parts = _strings(text)
        for part in parts:
            if len(part) > LONGEST_STRING and len(parts) > 1:
                raise DataProblem(
                    f"has a quoted string of {len(part)} bytes; {LONGEST_STRING} is the most"
                )
    else:
        parts = [text.encode()]
    if len(parts) == 1 and len(parts[0]) > LONGEST_STRING:
        whole = parts[0]
        parts = [
            whole[start : start + LONGEST_STRING] for start in range(0, len(whole), LONGEST_STRING)
        ]
    data = b"".join([bytes([len(part)]) + part for part in parts])
    if len(data) > LONGEST_DATA:
        raise DataProblem(f"is {len(data)} bytes as a record; {LONGEST_DATA} is the most")
    return data


_SAFE_STRING = re.compile(rb"[ !#-\[\]-~]*")


def _quote(part: bytes) -> str:
    if _SAFE_STRING.fullmatch(part):
        return f'"{part.decode()}"'
    inside = "".join(
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 32 <= byte < 127 else f"\\{byte:03d}"
        for byte in part
    )
    return f'"{inside}"'


def strings(data: bytes) -> list[bytes]:
    """Take the data of a TXT record apart.

    :raises ValueError: where it is not that.
    """
    parts = []
    position = 0
    while position < len(data):
        end = position + 1 + data[position]
        if end > len(data):
            raise ValueError("a string longer than its record")
        parts.append(data[position + 1 : end])
        position = end
    if not parts:
        raise ValueError("no string at all")
    return parts


def _render_txt(data: bytes) -> str:
    return " ".join([_quote(part) for part in strings(data)])


_CAA = re.compile(r'(\S+) +(\S+) +(".*"|\S+)', re.DOTALL)


def _parse_caa(text: str, zone: bytes) -> bytes:
    _check_text(text)
    match = _CAA.fullmatch(text)
    if not match:
        raise DataProblem(f"{shortened(text)} is not: flags tag value")
    flags, tag, value = match.groups()
    if not re.fullmatch("[A-Za-z0-9]{1,15}", tag):
        raise DataProblem(f"tag {shortened(tag)} is not 1 to 15 letters and digits")
    strings = _strings(value) if value[0] == '"' else [value.encode()]
    if len(strings) != 1:
        raise DataProblem(f"{shortened(text)} has more than one value")
    number = _number(flags, "flags", 255)
    return bytes([number, len(tag)]) + tag.lower().encode() + strings[0]


def _render_caa(data: bytes) -> str:
    end = 2 + data[1]
    if end > len(data):
        raise ValueError("a tag longer than its record")
    return f"{data[0]} {data[2:end].decode('ascii')} {_quote(data[end:])}"


# --- fingerprints


def _hex(text: str, lengths: tuple[int, ...]) -> bytes:
    try:
        data = bytes.fromhex(text) if text.isascii() else b""
    except ValueError:
        data = b""
    if not data or (lengths and len(data) not in lengths):
        size = f"{' or '.join(map(str, lengths))} bytes" if lengths else "bytes"
        raise DataProblem(f"{shortened(text)} is not {size} in hexadecimal")
    return data


_SSHFP_LENGTH = {1: (20,), 2: (32,)}
_TLSA_LENGTH = {1: (32,), 2: (64,)}


def _parse_sshfp(text: str, zone: bytes) -> bytes:
    _check_text(text)
    fields = text.split(None, 2)
    if len(fields) != 3:
        raise DataProblem(f"{shortened(text)} is not: algorithm type fingerprint")
    algorithm = _number(fields[0], "algorithm", 255)
    kind = _number(fields[1], "fingerprint type", 255)
    return bytes([algorithm, kind]) + _hex(fields[2].replace(" ", ""), _SSHFP_LENGTH.get(kind, ()))


def _render_sshfp(data: bytes) -> str:
    return f"{data[0]} {data[1]} {data[2:].hex()}"


def _parse_tlsa(text: str, zone: bytes) -> bytes:
    _check_text(text)
    fields = text.split(None, 3)
    if len(fields) != 4:
        raise DataProblem(f"{shortened(text)} is not: usage selector matching-type data")
    what = ("usage", "selector", "matching type")
    numbers = [_number(field, name, 255) for field, name in zip(fields[:3], what, strict=True)]
    return bytes(numbers) + _hex(fields[3].replace(" ", ""), _TLSA_LENGTH.get(numbers[2], ()))


def _render_tlsa(data: bytes) -> str:
    return f"{data[0]} {data[1]} {data[2]} {data[3:].hex()}"


_PARSERS: dict[int, Callable[[str, bytes], bytes]] = {
    A: parse_a,
    AAAA: parse_aaaa,
    CAA: _parse_caa,
    CNAME: _parse_target,
    MX: _parse_mx,
    NS: _parse_target,
    PTR: _parse_target,
    SRV: _parse_srv,
    SSHFP: _parse_sshfp,
    TLSA: _parse_tlsa,
    TXT: _parse_txt,
}
_RENDERERS: dict[int, Callable[[bytes], str]] = {
    A: _render_a,
    AAAA: _render_aaaa,
    CAA: _render_caa,
    CNAME: _render_target,
    MX: _render_mx,
    NS: _render_target,
    PTR: _render_target,
    SRV: _render_srv,
    SSHFP: _render_sshfp,
    TLSA: _render_tlsa,
    TXT: _render_txt,
}
