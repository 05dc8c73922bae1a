# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of LOC records (RFC 1876): where on earth something is, how large, and how exactly that is known."""

from __future__ import annotations

import re
import struct

from .fields import DataProblem, Kind, Reading, shortened

_FORM = "degrees [minutes [seconds]] N|S degrees [minutes [seconds]] E|W altitude [size [horizontal [vertical]]]"
_DATA = struct.Struct("!BBBBIII")
_EQUATOR = 1 << 31
_DEEPEST = 100_000_00
"""What lies at altitude 0 in the record, in centimetres."""
_LARGEST = 90_000_000_00
_USUAL = (1_00, 10_000_00, 10_00)
"""Size, horizontal and vertical precision where they are not said, in centimetres."""
_SECONDS = re.compile(r"([0-9]{1,2})(?:\.([0-9]{1,3}))?")
_METRES = re.compile(r"(-?)([0-9]{1,8})(?:\.([0-9]{1,2}))?m?")


def _read(reading: Reading) -> bytes:
    words = [word.upper() for word in reading.take_all()]
    latitude = _angle(words, "NS", 90)
    longitude = _angle(words, "EW", 180)
    if not 1 <= len(words) <= 4:
        raise DataProblem(f"is not: {_FORM}")
    altitude, *sizes = [_metres(word.lower()) for word in words]
    if not 0 <= altitude + _DEEPEST < 1 << 32:
        raise DataProblem(f"altitude {words[0]!r} is not from -100000.00m to 42849672.95m")
    for word, size in zip(words[1:], sizes, strict=True):
        if not 0 <= size <= _LARGEST:
            raise DataProblem(f"{word!r} is not from 0m to 90000000m")
    encoded = [_scaled(size) for size in (*sizes, *_USUAL[len(sizes) :])]
    return _DATA.pack(0, *encoded, latitude, longitude, altitude + _DEEPEST)


def _angle(words: list[str], signs: str, most: int) -> int:
    """Take an angle off the words; return it in thousandths of a second, as the record holds it."""
    parts: list[str] = []
    while words and words[0] not in signs and len(parts) < 3:
        parts.append(words.pop(0))
    if not parts or not words or words[0] not in signs:
        raise DataProblem(f"is not: {_FORM}")
    degrees, minutes, seconds = [*parts, "0", "0"][:3]
    exact = _SECONDS.fullmatch(seconds)
    if (
        not re.fullmatch("[0-9]{1,3}", degrees)
        or not re.fullmatch("[0-9]{1,2}", minutes)
        or not exact
    ):
        raise DataProblem(f"{shortened(' '.join(parts))} is not: degrees [minutes [seconds]]")
    whole, part = int(exact[1]), int((exact[2] or "").ljust(3, "0"))
    angle = (int(degrees) * 3600 + int(minutes) * 60 + whole) * 1000 + part
    if int(minutes) > 59 or whole > 59 or angle > most * 3_600_000:
        raise DataProblem(
            f"{shortened(' '.join(parts))} is more than {most} degrees, or 60 of a part"
        )
    return _EQUATOR + (angle if words.pop(0) == signs[0] else -angle)


def _metres(word: str) -> int:
    """Return the centimetres."""
    match = _METRES.fullmatch(word)
    if not match:
        raise DataProblem(f"{shortened(word)} is not metres with two decimals at most")
    value = int(match[2]) * 100 + int((match[3] or "").ljust(2, "0"))
    return -value if match[1] else value


def _scaled(centimetres: int) -> int:
    """Return a length as one digit and a power of ten; other digits are lost, as everywhere."""
    digits = str(centimetres)
    return int(digits[0]) << 4 | (len(digits) - 1 if centimetres else 0)


def _write(data: bytes, at: int) -> tuple[str, int]:
    version, *sizes, latitude, longitude, altitude = _DATA.unpack_from(data, at)
    if version or any(size >> 4 > 9 or size & 15 > 9 for size in sizes):
        raise ValueError("a version other than 0, or a size that is none")
    lengths = [altitude - _DEEPEST, *((size >> 4) * 10 ** (size & 15) for size in sizes)]
    return (
        f"{_angle_text(latitude, 'NS')} {_angle_text(longitude, 'EW')}"
        f" {' '.join(map(_metres_text, lengths))}",
        at + _DATA.size,
    )


def _angle_text(value: int, signs: str) -> str:
    angle = abs(value - _EQUATOR)
    seconds, part = divmod(angle, 1000)
    sign = signs[0] if value >= _EQUATOR else signs[1]
    return f"{seconds // 3600} {seconds // 60 % 60} {seconds % 60}.{part:03d} {sign}"


def _metres_text(centimetres: int) -> str:
    sign = "-" if centimetres < 0 else ""
    return f"{sign}{abs(centimetres) // 100}.{abs(centimetres) % 100:02d}m"


LOCATION = Kind(_read, _write)
