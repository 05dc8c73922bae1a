# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of SVCB and HTTPS records (RFC 9460): ``alpn="h2,h3" port=8443``."""

from __future__ import annotations

import base64
import ipaddress
import re
import struct
from collections.abc import Callable
from typing import NamedTuple

from .fields import (
    DataProblem,
    Kind,
    Reading,
    check_length,
    cut,
    from_base64,
    integer,
    ipv4,
    ipv6,
    octets,
    quote,
    shortened,
    strings,
)

_NAMES = (
    "mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp",
)  # fmt: skip
MANDATORY, ALPN, NO_DEFAULT_ALPN, PORT, IPV4HINT, ECH, IPV6HINT, DOHPATH, OHTTP = range(9)
_NUMBERS = {name: number for number, name in enumerate(_NAMES)}
_HEAD = struct.Struct("!HH")
_ALIAS = b"\0\0"
"""The priority of a record that only points elsewhere."""
_SIGN = re.compile(rb"\\?.", re.DOTALL)
"""A byte of a list, with the escape before it."""


class _Value(NamedTuple):
    """How a parameter's value goes between the bytes of its word and those of the record."""

    read: Callable[[bytes], bytes]
    write: Callable[[bytes], bytes]


def _key(text: str) -> int:
    number = _NUMBERS.get(text)
    if number is None and re.fullmatch("key(0|[1-9][0-9]{0,4})", text):
        number = int(text[3:])
    if number is None or number >= 65535:
        raise DataProblem(
            f"{shortened(text)} is no parameter; there are {', '.join(_NAMES)}, and keyN for others"
        )
    return number


def _key_text(number: int) -> str:
    return _NAMES[number] if number < len(_NAMES) else f"key{number}"


def _read(reading: Reading) -> bytes:
    if reading.words and reading.data.startswith(_ALIAS):
        raise DataProblem("has parameters beside the priority 0, which makes it an alias without")
    found: dict[int, bytes] = {}
    for word in reading.take_all():
        name, _sign, text = word.partition("=")
        key, given = _key(name), octets(text)
        if key in found:
            raise DataProblem(f"has {name} twice")
        if key < len(_NAMES) and bool(given) == (key not in _VALUES):
            raise DataProblem(
                f"has {name} {'with' if given else 'without'} a value,"
                f" and it takes {'none' if given else 'one'}"
            )
        found[key] = _VALUES.get(key, _AS_IT_IS).read(given)
    _check(found)
    check_length(sum(map(len, found.values())))
    return b"".join([_HEAD.pack(key, len(value)) + value for key, value in sorted(found.items())])


def _check(found: dict[int, bytes]) -> None:
    """Refuse parameters that contradict each other: a client would pass the whole record over."""
    needed = _chunks(found[MANDATORY], 2) if MANDATORY in found else []
    for key in [int.from_bytes(each, "big") for each in needed]:
        if key not in found or key == MANDATORY:
            raise DataProblem(f"has {_key_text(key)} as mandatory, which is not among its others")
    if len(set(needed)) < len(needed):
        raise DataProblem("has a parameter twice as mandatory")
    if NO_DEFAULT_ALPN in found and ALPN not in found:
        raise DataProblem("has no-default-alpn without alpn")


def _write(data: bytes, at: int) -> tuple[str, int]:
    words = []
    last = -1
    while at < len(data):
        key, length = _HEAD.unpack_from(data, at)
        value = cut(data, at + _HEAD.size, length)
        if key <= last or (key < len(_NAMES) and bool(value) == (key not in _VALUES)):
            raise ValueError("parameters out of order, or without their value")
        shown = _VALUES.get(key, _AS_IT_IS).write(value)
        words.append(f"{_key_text(key)}={quote(shown)}" if shown else _key_text(key))
        last, at = key, at + _HEAD.size + length
    return " ".join(words), at


def _chunks(value: bytes, size: int) -> list[bytes]:
    return [cut(value, at, size) for at in range(0, len(value), size)]


def _plain(given: bytes) -> str:
    return given.decode("ascii", "replace")


def _read_keys(given: bytes) -> bytes:
    keys = sorted(_key(part) for part in _plain(given).split(","))
    return b"".join([key.to_bytes(2, "big") for key in keys])


def _write_keys(value: bytes) -> bytes:
    keys = [_key_text(int.from_bytes(each, "big")) for each in _chunks(value, 2)]
    return ",".join(keys).encode()


def _read_alpn(given: bytes) -> bytes:
    r"""Read a list; ``\,`` is a comma inside an item."""
    items = [b""]
    for sign in _SIGN.findall(given):
        if sign == b",":
            items.append(b"")
        else:
            items[-1] += sign[-1:]
    if not all(0 < len(item) <= 255 for item in items):
        raise DataProblem("has an alpn that is no list of names of 1 to 255 bytes")
    return b"".join([bytes([len(item)]) + item for item in items])


def _write_alpn(value: bytes) -> bytes:
    return b",".join([re.sub(rb"([\\,])", rb"\\\1", item) for item in strings(value)])


def _read_port(given: bytes) -> bytes:
    return integer(_plain(given), "port", 65535).to_bytes(2, "big")


def _write_port(value: bytes) -> bytes:
    if len(value) != 2:
        raise ValueError("a port that is not of two bytes")
    return str(int.from_bytes(value, "big")).encode()


def _read_ech(given: bytes) -> bytes:
    data = from_base64(_plain(given), "ech")
    if len(data) < 6 or int.from_bytes(data[:2], "big") != len(data) - 2:
        raise DataProblem("has an ech that is no ECHConfigList: its length is not what it says")
    return data


def _addresses(read: Callable[[str], bytes], size: int) -> _Value:
    return _Value(
        lambda given: b"".join([read(part) for part in _plain(given).split(",")]),
        lambda value: ",".join(
            [str(ipaddress.ip_address(each)) for each in _chunks(value, size)]
        ).encode(),
    )


_AS_IT_IS = _Value(lambda given: given, lambda value: value)
_VALUES = {
    MANDATORY: _Value(_read_keys, _write_keys),
    ALPN: _Value(_read_alpn, _write_alpn),
    PORT: _Value(_read_port, _write_port),
    IPV4HINT: _addresses(ipv4, 4),
    ECH: _Value(_read_ech, base64.b64encode),
    IPV6HINT: _addresses(ipv6, 16),
    DOHPATH: _AS_IT_IS,
}
"""The parameters that have a value; those of the names above that are not here have none."""
PARAMETERS = Kind(_read, _write, optional=True)
