# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of record data, between their words and their bytes. What types are made of which is in :mod:`rdata`."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import names

LONGEST_STRING = 255
LONGEST_DATA = 65535


class DataProblem(ValueError):
    """A text is not data of its type; the message says why, as the end of a sentence."""


def shortened(text: str) -> str:
    """Return text for a message: printable ASCII, and not too long."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return ascii(shown)


@dataclass(slots=True)
class Reading:
    """A value on its way to bytes: the words still to be read, the field that is next, and what there is so far."""

    words: list[str]
    zone: bytes
    label: str = ""
    data: bytes = b""

    def take(self) -> str:
        """Take the next word."""
        return self.words.pop(0)

    def take_all(self) -> list[str]:
        """Take all that is left."""
        words, self.words = self.words, []
        return words


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of field. ``write`` gets data and where the field begins; it returns the text, and where the field ends.

    ``size`` is how many bytes it has, 0 where that differs. ``optional``: it may have no word.
    """

    read: Callable[[Reading], bytes]
    write: Callable[[bytes, int], tuple[str, int]]
    size: int = 0
    optional: bool = False


def cut(data: bytes, at: int, size: int) -> bytes:
    """Return ``size`` bytes.

    :raises ValueError: where there are less.
    """
    if at + size > len(data):
        raise ValueError("it ends in the middle")
    return data[at : at + size]


def check_length(size: int) -> None:
    """Refuse data that no record can hold."""
    if size > LONGEST_DATA:
        raise DataProblem(f"is {size} bytes as a record; {LONGEST_DATA} is the most")


# --- words

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_WORD = re.compile(r'(?:[^ "\\]|\\.|"(?:[^"\\]|\\.)*")+')
_ESCAPE = re.compile(r"\\([0-9]{3}|.)", re.DOTALL)
_SAFE = re.compile(rb"[ !#-\[\]-~]*")


def check_text(text: str) -> None:
    """Refuse what no value can hold as it is."""
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


def split(text: str) -> list[str]:
    """Return the words of a value, quotes and escapes still in them."""
    check_text(text)
    if '"' not in text and "\\" not in text:
        return [word for word in text.split(" ") if word]
    words = []
    position = 0
    while position < len(text):
        if text[position] == " ":
            position += 1
        elif match := _WORD.match(text, position):
            words.append(match.group())
            position = match.end()
        else:
            raise DataProblem(f"{shortened(text)} has a quote or an escape that does not end")
    return words


def octets(word: str) -> bytes:
    """Return the bytes that a word stands for, in quotes or without."""
    quoted = _QUOTED.fullmatch(word)
    if not quoted and '"' in _ESCAPE.sub("", word):
        raise DataProblem(f"{shortened(word)} has a quote in its middle")
    body = quoted.group(1) if quoted else word
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


def quote(part: bytes) -> str:
    """Return the word for bytes, in quotes."""
    if _SAFE.fullmatch(part):
        return f'"{part.decode()}"'
    inside = "".join(
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 32 <= byte < 127 else f"\\{byte:03d}"
        for byte in part
    )
    return f'"{inside}"'


# --- numbers and addresses


def integer(text: str, what: str, most: int) -> int:
    """Read a number from 0 to ``most``."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= most):
        raise DataProblem(f"{what} {shortened(text)} is not a number from 0 to {most}")
    return int(text)


def number(size: int, known: Mapping[str, int] | None = None) -> Kind:
    """Return the kind of a number.

    :param known: words that may stand for one.
    """
    most = 256**size - 1

    def read(reading: Reading) -> bytes:
        word = reading.take()
        value = (known or {}).get(word.upper())
        if value is None:
            value = integer(word, reading.label, most)
        return value.to_bytes(size, "big")

    def write(data: bytes, at: int) -> tuple[str, int]:
        return str(int.from_bytes(cut(data, at, size), "big")), at + size

    return Kind(read, write, size)


_OCTETS = {str(number): number for number in range(256)}


def ipv4(text: str, zone: bytes = names.ROOT) -> bytes:
    """Turn an IPv4 address into record data."""
    try:
        one, two, three, four = text.split(".")
        return bytes((_OCTETS[one], _OCTETS[two], _OCTETS[three], _OCTETS[four]))
    except (KeyError, ValueError):
        raise DataProblem(f"{shortened(text)} is not an IPv4 address") from None


def ipv6(text: str, zone: bytes = names.ROOT) -> bytes:
    """Turn an IPv6 address into record data."""
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise DataProblem(f"{shortened(text)} is not an IPv6 address") from None
    if address.scope_id is not None:
        raise DataProblem(f"{shortened(text)} names an interface, which DNS cannot hold")
    return address.packed


IPV4 = Kind(
    lambda reading: ipv4(reading.take()),
    lambda data, at: (str(ipaddress.IPv4Address(cut(data, at, 4))), at + 4),
    4,
)
IPV6 = Kind(
    lambda reading: ipv6(reading.take()),
    lambda data, at: (str(ipaddress.IPv6Address(cut(data, at, 16))), at + 16),
    16,
)


def groups(count: int, digits: int, sign: str) -> Kind:
    """Return the kind of a number that is written as groups of hexadecimal digits."""
    group = re.compile(f"[0-9A-Fa-f]{{1,{digits}}}")
    size = digits // 2

    def read(reading: Reading) -> bytes:
        word = reading.take()
        parts = word.split(sign)
        if len(parts) != count or not all(map(group.fullmatch, parts)):
            raise DataProblem(
                f"{reading.label} {shortened(word)} is not {count} groups of up to {digits}"
                f" hexadecimal digits with {sign} between them"
            )
        return b"".join([int(part, 16).to_bytes(size, "big") for part in parts])

    def write(data: bytes, at: int) -> tuple[str, int]:
        return cut(data, at, count * size).hex(sign, size), at + count * size

    return Kind(read, write, count * size)


# --- names

_LIKE_AN_ADDRESS = re.compile(r"[0-9.]+|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")


def _read_name(reading: Reading) -> bytes:
    """Read a name inside record data, where the missing final dot is a common mistake."""
    text, zone = reading.take(), reading.zone
    if _LIKE_AN_ADDRESS.fullmatch(text) and names.is_address(text.removesuffix(".")):
        raise DataProblem(
            f"{shortened(text)} is an address, and the {reading.label} is a name:"
            " write the name that has this address"
        )
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


def _write_name(data: bytes, at: int) -> tuple[str, int]:
    end = at
    while count := data[end]:
        if count > names.LONGEST_LABEL:
            raise ValueError("a compressed or malformed name")
        end += count + 1
    if end >= len(data):
        raise ValueError("it ends in the middle")
    return names.render(data[at : end + 1]), end + 1


NAME = Kind(_read_name, _write_name)


# --- character strings


def _read_string(reading: Reading) -> bytes:
    data = octets(reading.take())
    if len(data) > LONGEST_STRING:
        raise DataProblem(
            f"has a {reading.label} of {len(data)} bytes; {LONGEST_STRING} is the most"
        )
    return bytes([len(data)]) + data


def _write_string(data: bytes, at: int) -> tuple[str, int]:
    start = at + 1
    return quote(cut(data, start, data[at])), start + data[at]


STRING = Kind(_read_string, _write_string)
OCTETS = Kind(
    lambda reading: octets(reading.take()), lambda data, at: (quote(data[at:]), len(data))
)
"""Bytes up to the end, in one word."""


def _read_tag(reading: Reading) -> bytes:
    tag = reading.take()
    if not re.fullmatch("[A-Za-z0-9]{1,15}", tag):
        raise DataProblem(f"tag {shortened(tag)} is not 1 to 15 letters and digits")
    return bytes([len(tag)]) + tag.lower().encode()


def _write_tag(data: bytes, at: int) -> tuple[str, int]:
    start = at + 1
    return cut(data, start, data[at]).decode("ascii"), start + data[at]


TAG = Kind(_read_tag, _write_tag)


def read_text(text: str, zone: bytes = names.ROOT) -> bytes:
    """Read the whole value of a type that is text: as it is, or a row of quoted strings."""
    if not text:
        raise DataProblem('is empty; write "" in quotes for an empty string')
    check_text(text)
    parts = _quoted(text) if text[0] == '"' else [text.encode()]
    if len(parts) == 1 and len(parts[0]) > LONGEST_STRING:
        whole = parts[0]
        parts = [
            whole[start : start + LONGEST_STRING] for start in range(0, len(whole), LONGEST_STRING)
        ]
    for part in parts:
        if len(part) > LONGEST_STRING:
            raise DataProblem(
                f"has a quoted string of {len(part)} bytes; {LONGEST_STRING} is the most"
            )
    data = b"".join([bytes([len(part)]) + part for part in parts])
    check_length(len(data))
    return data


def _quoted(text: str) -> list[bytes]:
    found = []
    position = 0
    while position < len(text):
        match = _QUOTED.match(text, position)
        if not match:
            raise DataProblem(f'{shortened(text)} starts with " and is not a row of quoted strings')
        found.append(octets(match.group()))
        position = match.end()
        while position < len(text) and text[position] == " ":
            position += 1
    return found


def strings(data: bytes) -> list[bytes]:
    """Take the data of a TXT record apart.

    :raises ValueError: where it is not that.
    """
    parts = []
    position = 0
    while position < len(data):
        parts.append(cut(data, position + 1, data[position]))
        position += 1 + data[position]
    if not parts:
        raise ValueError("no string at all")
    return parts


def write_text(data: bytes) -> str:
    """Return the text of the data of a type that is text."""
    return " ".join([quote(part) for part in strings(data)])


# --- bytes up to the end


def digest(lengths: Mapping[int, int]) -> Kind:
    """Return the kind of a hash: hexadecimal, up to the end.

    :param lengths: how long it is, by what the byte before it says.
    """

    def read(reading: Reading) -> bytes:
        text = "".join(reading.take_all())
        length = lengths.get(reading.data[-1])
        try:
            data = bytes.fromhex(text) if text.isascii() else b""
        except ValueError:
            data = b""
        if not data or (length and len(data) != length):
            size = f"{length} bytes" if length else "bytes"
            raise DataProblem(f"{shortened(text)} is not {size} in hexadecimal")
        return data

    return Kind(read, lambda data, at: (data[at:].hex(), len(data)))


def _read_base64(reading: Reading) -> bytes:
    text = "".join(reading.take_all())
    return from_base64(text, reading.label)


def from_base64(text: str, what: str) -> bytes:
    """Read bytes in base64, one at least."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise DataProblem(f"{what} {shortened(text)} is not base64")
    return data


BASE64 = Kind(_read_base64, lambda data, at: (base64.b64encode(data[at:]).decode(), len(data)))
