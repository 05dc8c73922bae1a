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
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress, repeat
from operator import and_, not_
from socket import inet_pton

from . import networks
from .networks import FAMILIES, V4, V6, Family

MOST_FAULTS = 10_000
"""Reading ends soon after so many: what has more is no list, and to tell of each line of it takes gigabytes."""
LONGEST_LINE = 4096
"""Bytes of a line. Nothing that is a list has longer ones, and a file without line ends must not fill the memory."""
_BOM = "\xef\xbb\xbf"  # UTF-8's, read byte by byte
_LENGTHS = {
    family: {str(length): length for length in range(family.bits + 1)} for family in FAMILIES
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that is wrong, or, as a notice, one that is right but perhaps not meant so."""

    line: int
    what: str


@dataclass(slots=True)
class Column:
    """What a source lists of one family: hosts as addresses, sections as keys (:mod:`networks`), and their lines."""

    family: Family
    hosts: list[int] = field(default_factory=list)
    host_lines: array[int] = field(default_factory=lambda: array("I"))
    sections: list[int] = field(default_factory=list)
    section_lines: array[int] = field(default_factory=lambda: array("I"))

    def add_hosts(self, addresses: Iterable[int], lines: Iterable[int]) -> None:
        """Add single addresses."""
        self.hosts += addresses
        self.host_lines.extend(lines)

    def add_sections(self, keys: Iterable[int], lines: Iterable[int]) -> None:
        """Add networks of more than one address."""
        self.sections += keys
        self.section_lines.extend(lines)

    def add(self, key: int, line: int) -> None:
        """Add one network of either kind."""
        address, length = networks.split_key(key)
        if length == self.family.bits:
            self.add_hosts((address,), (line,))
        else:
            self.add_sections((key,), (line,))

    @property
    def keys(self) -> list[int]:
        """Everything as keys: hosts, then sections."""
        return [networks.key(each, self.family.bits) for each in self.hosts] + self.sections

    @property
    def lines(self) -> array[int]:
        """The lines of ``keys``."""
        return self.host_lines + self.section_lines

    def __len__(self) -> int:
        return len(self.hosts) + len(self.sections)


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
    if len(lines) != text.count("\n") or any(map(text.__contains__, "#; \t")):
        lines, numbers = _stripped(text, first)  # words are not lines here
    try:
        if "-" in text:
            raise _Unusual
        if ":" not in text:
            taken = [(V4, _bulk(V4, lines, numbers))]
        else:
            later = [":" in line for line in lines]
            former = list(map(not_, later))
            taken = [
                (V4, _bulk(V4, list(compress(lines, former)), list(compress(numbers, former)))),
                (V6, _bulk(V6, list(compress(lines, later)), list(compress(numbers, later)))),
            ]
    except (_Unusual, OSError, ValueError, KeyError):
        _one_by_one(reading, lines, numbers)
    else:
        for family, parts in taken:
            hosts, sections = parts
            reading.columns[family].add_hosts(*hosts)
            reading.columns[family].add_sections(*sections)


def _stripped(text: str, first: int) -> tuple[list[str], Sequence[int]]:
    """Return what is left of a block's lines without comments and blanks, and their numbers."""
    lines = text.split("\n")
    for sign in "#;":
        if sign in text:
            lines = [line.partition(sign)[0] for line in lines]
    lines = [line.strip() for line in lines]
    numbers = compress(range(first, first + len(lines)), lines)
    return list(compress(lines, lines)), list(numbers)


class _Unusual(Exception):
    """A block has something that only a walk line by line can handle or tell apart."""


Lined = tuple[Sequence[int], Iterable[int]]


def _bulk(family: Family, lines: list[str], numbers: Sequence[int]) -> tuple[Lined, Lined]:
    """Return hosts and sections, with their line numbers, of lines that are all plain ones of one family.

    :raises Exception: of several kinds, where one is anything else.
    """
    sliced = ["/" in line for line in lines]
    plain = list(map(not_, sliced))
    hosts = _numbers(family, list(compress(lines, plain)))
    parts = "/".join(compress(lines, sliced)).split("/") if any(sliced) else []
    if len(parts) != 2 * sum(sliced):
        raise _Unusual  # a line with more than one slash
    lengths = list(map(_LENGTHS[family].__getitem__, parts[1::2]))
    bases = _numbers(family, parts[::2])
    if family.bits in lengths or any(map(and_, bases, map(family.spans.__getitem__, lengths))):
        raise _Unusual  # a host in a network's clothes; or host bits, of which there is to be a notice
    if family is V6 and any(each >> 32 == 0xFFFF for each in (*hosts, *bases)):
        raise _Unusual
    sections = [number << 8 | length for number, length in zip(bases, lengths)]  # noqa: B905
    return (hosts, compress(numbers, plain)), (sections, compress(numbers, sliced))


def _numbers(family: Family, addresses: list[str]) -> Sequence[int]:
    packed = b"".join(map(inet_pton, repeat(family.number), addresses))
    if family is V4:
        return struct.unpack(f">{len(packed) // 4}I", packed)
    halves = struct.unpack(f">{len(packed) // 8}Q", packed)
    return [high << 64 | low for high, low in zip(halves[::2], halves[1::2], strict=True)]


def _one_by_one(reading: Reading, lines: list[str], numbers: Sequence[int]) -> None:
    for line, number in zip(lines, numbers, strict=True):
        try:
            family, keys, notice = _line(line)
        except ValueError as wrong:
            reading.faults.append(Fault(number, str(wrong)))
            continue
        for key in keys:
            reading.columns[family].add(key, number)
        if notice:
            reading.notices.append(Fault(number, notice))


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
    _refuse_mapped(family, number)
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
    _refuse_mapped(family, first)
    if last < first:
        raise ValueError(f"{_shown(line)} is a range that ends before it begins")
    return family, list(networks.covering(family, first, last)), ""


def _address(written: str) -> int:
    try:
        return networks.address(written)
    except ValueError:
        raise ValueError(f"{_shown(written)} is not an address") from None


def _refuse_mapped(family: Family, number: int) -> None:
    if family is V6 and number >> 32 == 0xFFFF:
        plain = networks.address_text(V4, number & 0xFFFFFFFF)
        raise ValueError(f"is an IPv4-mapped address, which no packet carries; write {plain}")


def _shown(written: str) -> str:
    """Quote what a file holds, short and without control characters."""
    return repr(written if len(written) <= 60 else written[:57] + "...")
