# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic of networks, for a million of them.

A network is one integer, its *key*: the address shifted left by 8, or-ed with the prefix length. Keys sort by address,
and at one address the wider network comes first, so a network stands before everything inside it. CIDR networks
are nested or apart and never overlap in part, which is what makes one sorted walk enough for every question here.
Whole lists go through list comprehensions and C functions; nothing makes an object a network.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

LENGTH_BITS = 8
ByLength = dict[int, list[int]]
"""For each prefix length in use, the sorted addresses of its networks: what becomes one set of the packet filter."""
LENGTH = (1 << LENGTH_BITS) - 1
PIECE = 1 << 14
"""Numbers that are sorted at once: half a megabyte of objects."""
_TOP_OF_FLOAT = (0x43, 0x30)
"""Sign, exponent and the first bits of the fraction of 2**52 and what is a little more (IEEE 754)."""


@dataclass(frozen=True, slots=True)
class Family:
    """What differs between IPv4 and IPv6. ``name`` is how sets and counters call it, ``field`` how nft(8) does."""

    name: str
    bits: int
    number: int
    field: str
    title: str
    type: str

    spans: tuple[int, ...]
    """For each prefix length, the last address of a network less its first."""

    @property
    def bytes(self) -> int:
        """Bytes of an address."""
        return self.bits // 8


def _spans(bits: int) -> tuple[int, ...]:
    return tuple((1 << (bits - length)) - 1 for length in range(bits + 1))


V4 = Family("v4", 32, AF_INET, "ip", "IPv4", "ipv4_addr", _spans(32))
V6 = Family("v6", 128, AF_INET6, "ip6", "IPv6", "ipv6_addr", _spans(128))
FAMILIES = (V4, V6)


def family_of(text: str) -> Family:
    """Return the family that an address is written in."""
    return V6 if ":" in text else V4


def key(address: int, length: int) -> int:
    """Return the key of a network."""
    return address << LENGTH_BITS | length


def split_key(network: int) -> tuple[int, int]:
    """Return address and prefix length."""
    return network >> LENGTH_BITS, network & LENGTH


def address(text: str) -> int:
    """Return an address as a number.

    :raises ValueError: where it is none. Short and octal forms are none (inet_pton(3)).
    """
    try:
        return int.from_bytes(inet_pton(family_of(text).number, text), "big")
    except OSError as wrong:
        raise ValueError(f"{text!r} is not an address") from wrong


def mapped(family: Family, number: int) -> bool:
    """Return whether an address is an IPv4 one in IPv6's clothes (RFC 4291 section 2.5.5.2), as programs log them."""
    return family is V6 and number >> 32 == 0xFFFF


def unmapped(written: str) -> str:
    """Return the IPv4 address that an IPv4-mapped one stands for, and any other as it is."""
    number = address(written)
    return address_text(V4, number & 0xFFFFFFFF) if mapped(family_of(written), number) else written


def address_text(family: Family, number: int) -> str:
    """Return an address as text."""
    return inet_ntop(family.number, number.to_bytes(family.bytes, "big"))


def text(family: Family, network: int) -> str:
    """Return a network as text; one host comes without its prefix length."""
    number, length = split_key(network)
    written = address_text(family, number)
    return written if length == family.bits else f"{written}/{length}"


def parse(written: str) -> tuple[Family, int]:
    """Return the family and the key of an address or network.

    :raises ValueError: saying what is wrong; host bits are, too.
    """
    base, slash, length_text = written.partition("/")
    family = family_of(base)
    number = address(base)
    length = family.bits
    if mapped(family, number):
        raise ValueError(
            f"{written} is an IPv4-mapped address, which no packet carries; write {unmapped(base)}"
        )
    if slash:
        if not (length_text.isascii() and length_text.isdigit() and int(length_text) <= length):
            raise ValueError(f"/{length_text} is not a prefix length from 0 to {family.bits}")
        length = int(length_text)
    if number & family.spans[length]:
        whole = text(family, key(number & ~family.spans[length], length))
        raise ValueError(f"{written} has bits beyond its prefix; the network is {whole}")
    return family, key(number, length)


def covering(family: Family, first: int, last: int) -> Iterator[int]:
    """Yield the fewest networks that make up the addresses from ``first`` to ``last``, in order."""
    while first <= last:
        aligned = (first & -first).bit_length() - 1 if first else family.bits
        size = min(aligned, (last - first + 1).bit_length() - 1)
        yield key(first, family.bits - size)
        first += 1 << size


def in_order(family: Family, numbers: Iterable[int]) -> list[int]:
    """Sort keys or addresses.

    What comes back for IPv4 are new integers, which lie in memory in their order: to walk over them later takes half
    the time.
    """
    if family is V6:
        return sorted(numbers)
    return _as_words(_sorted_floats(_as_floats(array("Q", numbers)))).tolist()


def _as_floats(words: array[int]) -> array[float]:
    """Return numbers below 2**52 as floats, which sort twice as fast as integers.

    The number n becomes 2**52 + n. A float of that size has the number itself in its lower bits, and above them
    always the same two bytes: to write these is enough.
    """
    _set_top(words, *_TOP_OF_FLOAT)
    return array("d", words.tobytes())


def _as_words(floats: array[float]) -> array[int]:
    """Undo :func:`_as_floats`."""
    words = array("Q", floats.tobytes())
    _set_top(words, 0, 0)
    return words


def _set_top(words: array[int], highest: int, second: int) -> None:
    little = sys.byteorder == "little"
    with memoryview(words).cast("B") as octets:
        octets[7 if little else 0 :: 8] = bytes([highest]) * len(words)
        octets[6 if little else 1 :: 8] = bytes([second]) * len(words)


def _sorted_floats(floats: array[float]) -> array[float]:
    """Sort in pieces that fit the processor's cache, as most of the time of a long sort is waiting for memory.

    First the input, piece by piece; then each stretch of the result is merged from what every piece has of it.
    """
    pieces = [
        array("d", sorted(floats[start : start + PIECE])) for start in range(0, len(floats), PIECE)
    ]
    pivots = sorted(floats[PIECE::PIECE])
    cuts = [[0, *(bisect_left(piece, each) for each in pivots), len(piece)] for piece in pieces]
    merged = array("d")
    for stretch in range(len(pivots) + 1):
        parts = [
            piece[cut[stretch] : cut[stretch + 1]] for piece, cut in zip(pieces, cuts, strict=True)
        ]
        merged.extend(array("d", sorted(chain.from_iterable(parts))))
    return merged


def places_in_order(family: Family, keys: Sequence[int]) -> list[int]:
    """Return where the keys stand, in their order; equal ones keep theirs."""
    compared: Sequence[float] = list(map(float, keys)) if family is V4 else keys
    return sorted(range(len(keys)), key=compared.__getitem__)


def without_nested(family: Family, networks: Iterable[int]) -> list[int]:
    """Drop from sorted keys what lies in another one, duplicates included."""
    # The key of a network's last address: to add this to its own key is quicker than to take the key apart.
    last = [
        (span << LENGTH_BITS) + family.bits - length for length, span in enumerate(family.spans)
    ]
    reached = -1
    kept = []
    for each in networks:
        if (end := each + last[each & LENGTH]) > reached:
            reached = end
            kept.append(each)
    return kept


def aggregate(family: Family, networks: Iterable[int]) -> ByLength:
    """Return the fewest networks for the addresses of ``networks``, in any order, with duplicates or nested ones."""
    return effective(family, networks, ())


def effective(family: Family, networks: Iterable[int], holes: Sequence[int]) -> ByLength:
    """Return the fewest networks for the addresses of ``networks`` that are not in ``holes``.

    :param networks: keys, in any order, with duplicates and nested ones.
    :param holes: keys, sorted, none of them nested.
    """
    apart = without_nested(family, in_order(family, networks))
    return join_halves(family, group(family, subtract(family, apart, holes)))


def join_halves(family: Family, by_length: ByLength) -> ByLength:
    """Join two halves of a network to the whole, again and again, where none is nested in another."""
    joined = dict(by_length)
    for length in range(family.bits, 0, -1):
        half = 1 << (family.bits - length)
        present = joined.get(length, [])
        wholes = [low for low, high in pairwise(present) if low ^ high == half]
        if wholes:
            joined[length] = _without_pairs(present, wholes)
            joined[length - 1] = sorted(joined.get(length - 1, []) + wholes)
    return {length: addresses for length, addresses in sorted(joined.items()) if addresses}


def _without_pairs(present: Sequence[int], firsts: Iterable[int]) -> list[int]:
    left: list[int] = []
    done = 0
    for first in firsts:
        place = bisect_left(present, first, done)
        left += present[done:place]
        done = place + 2
    left += present[done:]
    return left


def group(family: Family, networks: Iterable[int]) -> ByLength:
    """Sort networks into their prefix lengths; within each they keep their order."""
    by_length: list[list[int]] = [[] for length in range(family.bits + 1)]
    for each in networks:
        by_length[each & LENGTH].append(each >> LENGTH_BITS)
    return {length: found for length, found in enumerate(by_length) if found}


def ungroup(by_length: ByLength) -> list[int]:
    """Return sorted keys: what :func:`group` took apart."""
    return sorted(
        chain.from_iterable(
            [each << LENGTH_BITS | length for each in addresses]
            for length, addresses in by_length.items()
        )
    )


def subtract(family: Family, networks: Sequence[int], holes: Sequence[int]) -> list[int]:
    """Return ``networks`` without the addresses of ``holes``; both sorted and nothing in them nested, as is the result.

    A network around a hole is split into what is left of it.
    """
    spans = family.spans
    left: list[int] = []
    done = 0  # networks before this one are dealt with
    position = 0
    while position < len(holes):
        hole = holes[position]
        start, length = split_key(hole)
        first = bisect_left(networks, hole, done)
        if first > done:
            around, around_length = split_key(networks[first - 1])
            end = around + spans[around_length]
            if end >= start:
                left += networks[done : first - 1]
                after = bisect_right(holes, key(end, family.bits), position)
                left += _split(family, around, end, holes[position:after])
                done, position = first, after
                continue
        left += networks[done:first]
        done = bisect_right(networks, key(start + spans[length], family.bits), first)
        position += 1
    left += networks[done:]
    return left


def _split(family: Family, first: int, last: int, holes: Sequence[int]) -> Iterator[int]:
    for hole in holes:
        start, length = split_key(hole)
        yield from covering(family, first, start - 1)
        first = start + family.spans[length] + 1
    yield from covering(family, first, last)


def size(by_length: ByLength, family: Family) -> int:
    """Return how many addresses there are in networks of which none is nested."""
    return sum(len(found) << (family.bits - length) for length, found in by_length.items())


def finds(family: Family, networks: Sequence[int], wanted: int) -> int | None:
    """Return the network among sorted, not nested ones that has any address in common with ``wanted``."""
    start, length = split_key(wanted)
    place = bisect_right(networks, wanted)
    if (
        place
        and (networks[place - 1] >> LENGTH_BITS) + family.spans[networks[place - 1] & LENGTH]
        >= start
    ):
        return networks[place - 1]
    if place < len(networks) and networks[place] >> LENGTH_BITS <= start + family.spans[length]:
        return networks[place]
    return None
