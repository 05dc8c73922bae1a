# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record data: text to wire form and back, for every record type.

Inside, record data is its wire form without compression and with embedded names in lower case, so that equal data are
equal bytes. The text is the zone file's: what :func:`render` gives, :func:`parse` reads back.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from . import fields, names
from .fields import DataProblem, Kind, Reading, shortened
from .location import LOCATION
from .service_parameters import PARAMETERS

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DNAME, DS = 1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43
RRSIG, NSEC, DNSKEY, NSEC3, NSEC3PARAM, CDS, CDNSKEY = 46, 47, 48, 50, 51, 59, 60

_REGISTRY = """
1 A address:ipv4
2 NS server:name
3 MD host:name
4 MF host:name
5 CNAME target:name
6 SOA primary:name mailbox:name serial:u32 refresh:u32 retry:u32 expire:u32 minimum:u32
7 MB host:name
8 MG mailbox:name
9 MR mailbox:name
10 NULL
11 WKS
12 PTR target:name
13 HINFO cpu:string system:string
14 MINFO mailbox:name errors:name
15 MX preference:u16 exchange:name
16 TXT text
17 RP mailbox:name text:name
18 AFSDB subtype:u16 host:name
19 X25 address:string
20 ISDN
21 RT preference:u16 host:name
22 NSAP
23 NSAP-PTR target:name
24 SIG
25 KEY
26 PX preference:u16 map822:name mapx400:name
27 GPOS longitude:string latitude:string altitude:string
28 AAAA address:ipv6
29 LOC location:location
30 NXT
31 EID
32 NIMLOC
33 SRV priority:u16 weight:u16 port:u16 target:name
34 ATMA
35 NAPTR order:u16 preference:u16 flags:string services:string regexp:string replacement:name
36 KX preference:u16 exchanger:name
37 CERT type:certificate key-tag:u16 algorithm:algorithm certificate:base64
38 A6
39 DNAME target:name
40 SINK
42 APL
43 DS key-tag:u16 algorithm:algorithm digest-type:u8 digest:key-digest
44 SSHFP algorithm:u8 fingerprint-type:u8 fingerprint:fingerprint
45 IPSECKEY
46 RRSIG
47 NSEC
48 DNSKEY flags:u16 protocol:u8 algorithm:algorithm key:base64
49 DHCID data:base64
50 NSEC3
51 NSEC3PARAM
52 TLSA usage:u8 selector:u8 matching-type:u8 data:match
53 SMIMEA usage:u8 selector:u8 matching-type:u8 data:match
55 HIP
56 NINFO text
57 RKEY
58 TALINK previous:name next:name
59 CDS key-tag:u16 algorithm:algorithm digest-type:u8 digest:key-digest
60 CDNSKEY flags:u16 protocol:u8 algorithm:algorithm key:base64
61 OPENPGPKEY key:base64
62 CSYNC
63 ZONEMD serial:u32 scheme:u8 hash:u8 digest:zone-digest
64 SVCB priority:u16 target:name parameters:parameters
65 HTTPS priority:u16 target:name parameters:parameters
66 DSYNC
67 HHIT data:base64
68 BRID data:base64
99 SPF text
100 UINFO
101 UID
102 GID
103 UNSPEC
104 NID preference:u16 node:locator
105 L32 preference:u16 locator:ipv4
106 L64 preference:u16 locator:locator
107 LP preference:u16 target:name
108 EUI48 address:eui48
109 EUI64 address:eui64
256 URI priority:u16 weight:u16 target:octets
257 CAA flags:u8 tag:tag value:octets
258 AVC text
259 DOA
260 AMTRELAY
261 RESINFO text
262 WALLET text
263 CLA text
264 IPN number:u64
32768 TA key-tag:u16 algorithm:algorithm digest-type:u8 digest:key-digest
32769 DLV key-tag:u16 algorithm:algorithm digest-type:u8 digest:key-digest
"""
"""The IANA registry: number, name, and the fields of what zones hold. A type without fields is written in the generic
form of RFC 3597, as unknown ones are. A type that is ``text`` is one value as a whole."""

_IN_MESSAGES = {
    "OPT": 41, "NXNAME": 128, "TKEY": 249, "TSIG": 250, "IXFR": 251, "AXFR": 252,
    "MAILB": 253, "MAILA": 254, "ANY": 255, "*": 255,
}  # fmt: skip
_NEVER_IN_ZONES = frozenset({0, 3, 4, 41, *range(128, 256), 65535})
"""RFC 6895 keeps 128 to 255 for questions and messages. MD and MF are obsolete, and servers pass them over."""

_ALGORITHMS = {
    "RSAMD5": 1, "DH": 2, "DSA": 3, "RSASHA1": 5, "NSEC3DSA": 6, "NSEC3RSASHA1": 7, "DSA-NSEC3-SHA1": 6,
    "RSASHA1-NSEC3-SHA1": 7, "RSASHA256": 8, "RSASHA512": 10, "ECCGOST": 12, "ECC-GOST": 12,
    "ECDSAP256SHA256": 13, "ECDSAP384SHA384": 14, "ED25519": 15, "ED448": 16, "INDIRECT": 252,
    "PRIVATEDNS": 253, "PRIVATEOID": 254,
}  # fmt: skip
_CERTIFICATES = {
    "PKIX": 1, "SPKI": 2, "PGP": 3, "IPKIX": 4, "ISPKI": 5, "IPGP": 6, "ACPKIX": 7, "IACPKIX": 8,
    "URI": 253, "OID": 254,
}  # fmt: skip
_KINDS = {
    "u8": fields.number(1),
    "u16": fields.number(2),
    "u32": fields.number(4),
    "u64": fields.number(8),
    "algorithm": fields.number(1, _ALGORITHMS),
    "certificate": fields.number(2, _CERTIFICATES),
    "ipv4": fields.IPV4,
    "ipv6": fields.IPV6,
    "eui48": fields.groups(6, 2, "-"),
    "eui64": fields.groups(8, 2, "-"),
    "locator": fields.groups(4, 4, ":"),
    "name": fields.NAME,
    "string": fields.STRING,
    "octets": fields.OCTETS,
    "tag": fields.TAG,
    "base64": fields.BASE64,
    "key-digest": fields.digest({1: 20, 2: 32, 3: 32, 4: 48}),
    "fingerprint": fields.digest({1: 20, 2: 32}),
    "match": fields.digest({1: 32, 2: 64}),
    "zone-digest": fields.digest({1: 48, 2: 64}),
    "location": LOCATION,
    "parameters": PARAMETERS,
}


class _Type(NamedTuple):
    """A record type. ``text``: its value is one as a whole. Without that and fields, only the generic form is known."""

    name: str
    number: int
    text: bool
    fields: Sequence[tuple[str, Kind]]


def _read_registry() -> list[_Type]:
    found = []
    for line in _REGISTRY.strip().splitlines():
        number, name, *rest = line.split(" ")
        text = rest == ["text"]
        pairs = [] if text else [each.split(":") for each in rest]
        row = [(label, _KINDS[kind]) for label, kind in pairs]
        found.append(_Type(name, int(number), text, row))
    return found


_TYPES = _read_registry()
TYPES = {each.name: each.number for each in _TYPES}
"""The types of records, by name."""
_TYPE_NAMES = {each.number: each.name for each in _TYPES}

BESIDE_CNAME = frozenset({CNAME, RRSIG, NSEC, NSEC3})
"""What a name that has a CNAME may have: the CNAME, and what the signer adds."""
SINGLE = frozenset({CNAME, DNAME})
"""Types of which a name has one record."""
HOST_AT = {NS: 0, MX: 2, SRV: 6}
"""Where the data of a type have the name of a host that needs an address."""


class Layout(NamedTuple):
    """Where data have names: after so many bytes and so many character strings. ``more``: something follows them."""

    before: int
    strings: int
    names: int
    more: bool


def _layout(row: Sequence[tuple[str, Kind]]) -> Layout:
    kinds = [kind for _label, kind in row]
    first = kinds.index(fields.NAME)
    count = kinds.count(fields.NAME)
    return Layout(
        sum(kind.size for kind in kinds[:first]),
        kinds[:first].count(fields.STRING),
        count,
        len(kinds) > first + count,
    )


LAYOUTS = {
    each.number: _layout(each.fields)
    for each in _TYPES
    if fields.NAME in dict(each.fields).values()
}
"""Of the types whose data have names."""


def type_text(number: int) -> str:
    """Return the name of a type."""
    return _TYPE_NAMES.get(number) or f"TYPE{number}"


def type_number(text: str) -> int:
    """Return the number of a type that a zone may hold, by its name or as ``TYPE65280``.

    :raises DataProblem: saying what is wrong.
    """
    name = text.upper()
    number = TYPES.get(name, _IN_MESSAGES.get(name))
    if number is None and re.fullmatch("TYPE[0-9]{1,5}", name):
        number = int(name[4:])
    if number is None or number > 65535:
        raise DataProblem(
            f"{shortened(text)} is no record type: name one of the IANA registry, or write TYPE and its number"
        )
    if number in _NEVER_IN_ZONES:
        raise DataProblem(f"{shortened(text)} is a type that no zone holds")
    return number


def parse(rdtype: int, text: str, zone: bytes) -> bytes:
    """Turn the text of a value into record data.

    :raises DataProblem: saying what is wrong.
    """
    try:
        if text.startswith("\\#") and rdtype not in AS_TEXT:
            return _parse_generic(rdtype, text)
        if (parser := _PARSERS.get(rdtype)) is None:
            raise DataProblem(
                f"{shortened(text)} is not the generic form, which is the one for this type:"
                r" \# LENGTH HEXADECIMAL"
            )
        return parser(text, zone)
    except names.NameProblem as cause:
        raise DataProblem(f"{shortened(text)}: the name {cause}") from cause


def _parse_generic(rdtype: int, text: str) -> bytes:
    r"""Read ``\# 4 0A000001`` (RFC 3597). Where the fields of the type are known, they have to be in it."""
    mark, length, *words = [*fields.split(text), ""]
    try:
        data = bytes.fromhex("".join(words))
    except ValueError:
        raise DataProblem(f"{shortened(text)} is not bytes in hexadecimal") from None
    fields.check_length(len(data))
    if mark != "\\#" or length != str(len(data)):
        raise DataProblem(f"{shortened(text)} has {len(data)} bytes, and says {shortened(length)}")
    return parse(rdtype, render(rdtype, data), names.ROOT) if rdtype in _PARSERS else data


def _parse_fields(row: Sequence[tuple[str, Kind]], text: str, zone: bytes) -> bytes:
    reading = Reading(fields.split(text), zone)
    if len(reading.words) >= sum(not kind.optional for _label, kind in row):
        for label, kind in row:
            reading.label = label
            reading.data += kind.read(reading)
        if not reading.words:
            fields.check_length(len(reading.data))
            return reading.data
    form = " ".join([label for label, _kind in row])
    raise DataProblem(f"{shortened(text)} is not: {form}" if text else f"is empty, and not: {form}")


def render(rdtype: int, data: bytes) -> str:
    """Return the text of record data.

    :raises DataProblem: where the bytes are not data of that type.
    """
    renderer = _RENDERERS.get(rdtype)
    if renderer is None:
        return f"\\# {len(data)} {data.hex()}".rstrip()
    try:
        return renderer(data)
    except (IndexError, ValueError, struct.error) as cause:
        raise DataProblem(f"is not wire data of type {type_text(rdtype)}: {cause}") from cause


def _render_fields(row: Sequence[tuple[str, Kind]], data: bytes) -> str:
    words = []
    position = 0
    for _label, kind in row:
        word, position = kind.write(data, position)
        words.append(word)
    if position != len(data):
        raise ValueError("bytes after its end")
    return " ".join(words).rstrip()


def _render_a(data: bytes) -> str:
    one, two, three, four = data
    return f"{one}.{two}.{three}.{four}"


AS_TEXT = frozenset(each.number for each in _TYPES if each.text)
_PARSERS: dict[int, Callable[[str, bytes], bytes]] = {
    **{each.number: partial(_parse_fields, each.fields) for each in _TYPES if each.fields},
    **dict.fromkeys(AS_TEXT, fields.read_text),
    A: fields.ipv4,
    AAAA: fields.ipv6,
}
_RENDERERS: dict[int, Callable[[bytes], str]] = {
    **{each.number: partial(_render_fields, each.fields) for each in _TYPES if each.fields},
    **dict.fromkeys(AS_TEXT, fields.write_text),
    A: _render_a,
}
