# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of addresses as people and feeds write them.

One address, CIDR network or range (``first-last``) a line, IPv4 or IPv6; ``#`` and ``;`` begin a comment anywhere.

What a comment is made of does not matter, so a file may be in any encoding that has ASCII in it. Lines are worked on a
block at a time with C functions; only a block in which something is wrong or unusual is walked line by line.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, repeat, starmap
from operator import and_
from socket import inet_pton
from typing import TypeAlias

from . import networks
from .networks import FAMILIES, V4, V6, Family

MOST_FAULTS = 10_000
"""Reading ends soon after so many: what has more is no list, and to tell of each line of it takes gigabytes."""
LONGEST_LINE = 4096
"""Bytes of a line. Nothing that is a list has longer ones, and a file without line ends must not fill the memory."""
_NOT_PLAIN = "#; \t\v\f\x1c\x1d\x1e\x1f\x85\xa0"
"""Signs by which a line is not one word. They begin comments, or are blanks to split()."""
_MAPPED = "is an IPv4-mapped address, which no packet carries; write {}"
_BOM = "\xef\xbb\xbf"  # UTF-8's, read byte by byte
_LENGTHS = {
    family: {str(length): length for length in range(family.bits + 1)} for family in FAMILIES
}
_NOT = b"\1" + bytes(255)
"""By which translate() turns a mask around: one byte, 0 or 1, for each line."""
Keys: TypeAlias = "array[int] | list[int]"
Lined = tuple[Sequence[int], bytes]
"""Line numbers, and a mask of those that are meant."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that is wrong, or, as a notice, one that is right but perhaps not meant so."""

    line: int
    what: str


@dataclass(slots=True)
class Column:
    """What a source lists of one family, as keys (:mod:`networks`), and their lines.

    Keys of IPv4 fit the machine's words and are kept so; lines are only reckoned where somebody asks for them.
    """

    family: Family
    keys: Keys = field(init=False)
    _lines: list[Lined] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = array("Q") if self.family is V4 else []

    def add(self, keys: Keys, lines: Lined) -> None:
        """Add networks, and where they are written, in the same order."""
        self.keys.extend(keys)
        self._lines.append(lines)

    @property
    def lines(self) -> array[int]:
        """The lines of ``keys``."""
        return array("I", chain.from_iterable(starmap(compress, self._lines)))

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(slots=True)
class Reading:
    """What a source holds, by family; faults, and notices about host bits."""

    columns: dict[Family, Column] = field(
        default_factory=lambda: {family: Column(family) for family in FAMILIES}
    )
    faults: list[Fault] = field(default_factory=list)
    notices: list[Fault] = field(default_factory=list)
    lines: int = 0
    whole: bool = True
    """False where reading ended early, because so much was wrong."""

    @property
    def count(self) -> int:
        """Networks of both families; a range counts as often as it takes networks."""
        return sum(len(column) for column in self.columns.values())


def read(blocks: Iterable[bytes]) -> Reading:
    """Read a list from its bytes, in pieces of any size. Finds every fault, within reason; raises nothing for any."""
    reading = Reading()
    for number, content in enumerate(_whole_lines(blocks)):
        text = content.decode("latin-1")
        if number == 0:
            text = text.removeprefix(_BOM)
        _take(reading, text)
        reading.lines += text.count("\n")
        if not text.endswith("\n"):
            reading.lines += 1
        if len(reading.faults) > MOST_FAULTS:
            reading.whole = False
            break
    return reading


def _whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut the content at line ends. What is longer than a line may be is cut short, which is a fault later."""
    rest = b""
    for block in blocks:
        whole, end, tail = block.rpartition(b"\n")
        if end:
            yield rest + whole + end
            rest = tail
        else:
            rest += tail
        rest = rest[: LONGEST_LINE + 1]
    if rest:
        yield rest


def _take(reading: Reading, text: str) -> None:
    """Add a block's networks: all at once, or, where anything is unusual in it, line by line."""
    first = reading.lines + 1
    lines = text.split()
    numbers: Sequence[int] = range(first, first + len(lines))
    lone = text.count("\r") != text.count("\r\n")
    if lone or len(lines) != text.count("\n") or any(map(text.__contains__, _NOT_PLAIN)):
        lines, numbers = _stripped(text, first)  # words are not lines here
    if "-" in text:
        lines, numbers = _without_ranges(reading, lines, numbers)
    try:
        if ":" not in text:
            taken = [(V4, _bulk(V4, lines, numbers))]
        else:
            later = bytes([":" in line for line in lines])
            former = later.translate(_NOT)
            taken = [
                (V4, _bulk(V4, *_masked(lines, numbers, former))),
                (V6, _bulk(V6, *_masked(lines, numbers, later))),
            ]
    except (_Unusual, OSError, ValueError, KeyError):
        _one_by_one(reading, lines, numbers)
    else:
        for family, kinds in taken:
            for keys, where in kinds:
                reading.columns[family].add(keys, where)


def _without_ranges(
    reading: Reading, lines: list[str], numbers: Sequence[int]
) -> tuple[list[str], Sequence[int]]:
    """Take the lines with a dash by themselves, and return the others. Dashes are mostly in comments."""
    dashed = bytes(["-" in line for line in lines])
    if 1 not in dashed:
        return lines, numbers
    _one_by_one(reading, *_masked(lines, numbers, dashed))
    return _masked(lines, numbers, dashed.translate(_NOT))


def _masked(
    lines: Sequence[str], numbers: Sequence[int], mask: bytes
) -> tuple[list[str], Sequence[int]]:
    return list(compress(lines, mask)), array("I", compress(numbers, mask))


def _stripped(text: str, first: int) -> tuple[list[str], Sequence[int]]:
    """Return what is left of a block's lines without comments and blanks, and their numbers."""
    lines = text.split("\n")
    for sign in "#;":
        if sign in text:
            lines = [line.partition(sign)[0] for line in lines]
    lines = [line.strip() for line in lines]
    return _masked(lines, range(first, first + len(lines)), bytes(map(bool, lines)))


class _Unusual(Exception):
    """A block has something that only a walk line by line can handle or tell apart."""


def _bulk(
    family: Family, lines: list[str], numbers: Sequence[int]
) -> tuple[tuple[Keys, Lined], tuple[Keys, Lined]]:
    """Return hosts and wider networks, with their line numbers, of lines that are all plain ones of one family.

    :raises Exception: of several kinds, where one is anything else.
    """
    sliced = bytes(["/" in line for line in lines])
    plain = sliced.translate(_NOT)
    hosts = _keys(family, compress(lines, plain), bytes([family.bits]) * plain.count(1))
    parts = "/".join(compress(lines, sliced)).split("/") if 1 in sliced else []
    if len(parts) != 2 * sliced.count(1):
        raise _Unusual  # a line with more than one slash
    lengths = bytes(map(_LENGTHS[family].__getitem__, parts[1::2]))
    sections = _keys(family, parts[::2], lengths)
    beyond = [span << networks.LENGTH_BITS for span in family.spans]
    if family.bits in lengths or any(map(and_, sections, map(beyond.__getitem__, lengths))):
        raise _Unusual  # a host in a network's clothes; or host bits, of which there is to be a notice
    if family is V6 and any(each >> 40 == 0xFFFF for each in chain(hosts, sections)):
        raise _Unusual  # IPv4-mapped
    return (hosts, (numbers, plain)), (sections, (numbers, sliced))


def _keys(family: Family, addresses: Iterable[str], lengths: bytes) -> Keys:
    """Return the keys of as many addresses as there are prefix lengths."""
    packed = map(inet_pton, repeat(family.number), addresses)
    if family is V4 and lengths:
        # A word is three zeros, the address, and the length: the zeros, and a place for the length, stand between.
        words = bytearray(3) + bytes(4).join(packed) + bytes(1)
        words[7::8] = lengths
        keys = array("Q", bytes(words))
        if sys.byteorder == "little":
            keys.byteswap()
        return keys
    halves = struct.unpack(f">{2 * len(lengths)}Q", b"".join(packed))
    return [
        high << 72 | low << 8 | length
        for high, low, length in zip(halves[::2], halves[1::2], lengths, strict=True)
    ]


def _one_by_one(reading: Reading, lines: list[str], numbers: Sequence[int]) -> None:
    found = {family: (Column(family).keys, array("I")) for family in FAMILIES}
    for line, number in zip(lines, numbers, strict=True):
        try:
            family, keys, notice = _line(line)
        except ValueError as wrong:
            reading.faults.append(Fault(number, str(wrong)))
            continue
        found[family][0].extend(keys)
        found[family][1].extend(repeat(number, len(keys)))
        if notice:
            reading.notices.append(Fault(number, notice))
    for family, (taken, where) in found.items():
        reading.columns[family].add(taken, (where, b"\1" * len(where)))


def _line(line: str) -> tuple[Family, list[int], str]:
    """Return what one line holds, and a notice where it may not be meant so.

    :raises ValueError: with what is wrong.
    """
    if len(line) > LONGEST_LINE:
        raise ValueError(f"is longer than {LONGEST_LINE} characters")
    if "\0" in line:
        raise ValueError("holds a NUL byte: the file is binary, or in UTF-16")
    if not (line.isascii() and line.isprintable()):
        raise ValueError(f"{_shown(line)} is not an address: it holds more than ASCII")
    if "-" in line:
        return _range(line)
    base, slash, length_text = line.partition("/")
    family = networks.family_of(base)
    number = _address(base)
    if slash and length_text not in _LENGTHS[family]:
        raise ValueError(
            f"{_shown('/' + length_text)} is not a prefix length from 0 to {family.bits}"
        )
    length = _LENGTHS[family][length_text] if slash else family.bits
    beyond = number & family.spans[length]
    network = networks.key(number - beyond, length)
    if networks.mapped(family, number):
        if length == family.bits:
            raise ValueError(_MAPPED.format(networks.unmapped(base)))
        return (
            family,
            [],
            "is a network of IPv4-mapped addresses, which no packet carries; left out",
        )
    if beyond:
        return (
            family,
            [network],
            f"{line} has bits beyond its prefix; taken as {networks.text(family, network)}",
        )
    return family, [network], ""


def _range(line: str) -> tuple[Family, list[int], str]:
    start, _dash, end = (part.strip() for part in line.partition("-"))
    family = networks.family_of(start)
    if networks.family_of(end) is not family:
        raise ValueError(f"{_shown(line)} is a range from one family to the other")
    first, last = _address(start), _address(end)
    if networks.mapped(family, first):
        raise ValueError(_MAPPED.format(networks.unmapped(start)))
    if last < first:
        raise ValueError(f"{_shown(line)} is a range that ends before it begins")
    return family, list(networks.covering(family, first, last)), ""


def _address(written: str) -> int:
    try:
        return networks.address(written)
    except ValueError:
        raise ValueError(f"{_shown(written)} is not an address") from None


def _shown(written: str) -> str:
    """Quote what a file holds, short and without control characters."""
    return repr(written if len(written) <= 60 else written[:57] + "...")
