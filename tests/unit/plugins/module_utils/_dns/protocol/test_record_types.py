# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every record type of the registry: text, wire form and back, with dnspython as the oracle."""

from __future__ import annotations

import base64
import re

import dns.message
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import (
    fields,
    names,
    rdata,
    wire,
)
from hypothesis import given
from hypothesis import strategies as st

ZONE = names.parse("example.org.")


def numbers(size: int) -> st.SearchStrategy[str]:
    return st.integers(0, 256**size - 1).map(str)


def line(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(" ".join)


def hexadecimal(size: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=size, max_size=size).map(bytes.hex)


def digests(**lengths: int) -> st.SearchStrategy[str]:
    """Return a number and a digest that is as long as the number says."""
    return st.sampled_from(sorted(lengths)).flatmap(
        lambda number: hexadecimal(lengths[number]).map(lambda data: f"{number[1:]} {data}")
    )


u8, u16, u32 = numbers(1), numbers(2), numbers(4)
host = st.lists(st.text("abcxyz019-_", min_size=1, max_size=9), min_size=1, max_size=3).map(
    lambda labels: f"{'.'.join(labels)}."
)
word = st.binary(max_size=60).map(fields.quote)
b64 = st.binary(min_size=1, max_size=60).map(lambda data: base64.b64encode(data).decode())
v4 = st.ip_addresses(v=4).map(str)
v6 = st.ip_addresses(v=6).map(str)
delegation = line(u16, u8, digests(t1=20, t2=32, t4=48))
match = line(u8, u8, digests(t0=7, t1=32, t2=64))
groups = st.lists(st.integers(0, 65535), min_size=4, max_size=4).map(
    lambda parts: ":".join(f"{part:04x}" for part in parts)
)
text = st.lists(word, min_size=1, max_size=3).map(" ".join)
metres = st.integers(0, 9).flatmap(
    lambda digit: st.integers(0, 7).map(lambda power: f"{digit * 10**power}m")
)
location = st.tuples(
    st.integers(0, 89), st.integers(0, 59), st.integers(0, 59_999), st.sampled_from("NS"),
    st.integers(0, 179), st.integers(0, 59), st.integers(0, 59_999), st.sampled_from("EW"),
    st.integers(-100_000, 42_849_672), metres, metres, metres,
).map(
    lambda it: (
        f"{it[0]} {it[1]} {it[2] / 1000:.3f} {it[3]} {it[4]} {it[5]} {it[6] / 1000:.3f} {it[7]}"
        f" {it[8]}m {it[9]} {it[10]} {it[11]}"
    )
)  # fmt: skip
alpn = st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=3).map(
    lambda items: fields.quote(b",".join(re.sub(rb"([\\,])", rb"\\\1", item) for item in items))
)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "alpn": alpn,
        "port": u16,
        "ipv4hint": st.lists(v4, min_size=1, max_size=3).map(",".join),
        "ipv6hint": st.lists(v6, min_size=1, max_size=3).map(",".join),
        "ech": st.binary(min_size=4, max_size=40).map(
            lambda data: base64.b64encode(len(data).to_bytes(2, "big") + data).decode()
        ),
        "dohpath": st.just('"/dns-query{?dns}"'),
        "key65333": word,
    },
).map(lambda given: " ".join(f"{key}={value}" for key, value in given.items()))
service = st.one_of(
    line(st.just("0"), host),
    line(st.integers(1, 65535).map(str), host, parameters).map(str.strip),
)

TEXTS = {
    "A": v4,
    "NS": host,
    "CNAME": host,
    "PTR": host,
    "HINFO": line(word, word),
    "MX": line(u16, host),
    "TXT": text,
    "RP": line(host, host),
    "AFSDB": line(u16, host),
    "X25": word,
    "RT": line(u16, host),
    "NSAP-PTR": host,
    "PX": line(u16, host, host),
    "AAAA": v6,
    "LOC": location,
    "SRV": line(u16, u16, u16, host),
    "NAPTR": line(u16, u16, word, word, word, host),
    "KX": line(u16, host),
    "CERT": line(st.sampled_from(["PKIX", "3", "65280"]), u16, st.sampled_from(["RSASHA256", "0"]), b64),
    "DNAME": host,
    "DS": delegation,
    "SSHFP": line(u8, digests(t1=20, t2=32)),
    "DHCID": b64,
    "TLSA": match,
    "SMIMEA": match,
    "NINFO": text,
    "CDNSKEY": line(u16, u8, u8, b64),
    "DNSKEY": line(u16, u8, u8, b64),
    "CDS": delegation,
    "OPENPGPKEY": b64,
    "ZONEMD": line(u32, st.just("1"), digests(t1=48, t2=64)),
    "SVCB": service,
    "HTTPS": service,
    "HHIT": b64,
    "BRID": b64,
    "SPF": text,
    "NID": line(u16, groups),
    "L32": line(u16, v4),
    "L64": line(u16, groups),
    "LP": line(u16, host),
    "EUI48": st.binary(min_size=6, max_size=6).map(lambda data: data.hex("-")),
    "EUI64": st.binary(min_size=8, max_size=8).map(lambda data: data.hex("-")),
    "URI": line(u16, u16, st.binary(min_size=1, max_size=60).map(fields.quote)),
    "CAA": line(u8, st.sampled_from(["issue", "issuewild", "iodef"]), word),
    "AVC": text,
    "RESINFO": text,
    "WALLET": text,
    "DLV": delegation,
}  # fmt: skip
GENERIC = {
    "MD", "MF", "NULL", "WKS", "SOA", "MB", "MG", "MR", "MINFO", "ISDN", "NSAP", "SIG", "KEY", "GPOS", "NXT", "EID",
    "NIMLOC", "ATMA", "A6", "SINK", "APL", "IPSECKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "HIP",
    "RKEY", "TALINK", "CSYNC", "DSYNC", "UINFO", "UID", "GID", "UNSPEC", "DOA", "AMTRELAY", "CLA",
    "IPN", "TA",
}  # fmt: skip
"""Types that no oracle reads, that the servers keep, or whose only form is the generic one."""


NOT_IN_ZONES = {0, 3, 4, 41, *range(128, 256), 65535}


def test_the_whole_registry_is_known_and_tried() -> None:
    assert set(TEXTS) | GENERIC == set(rdata.TYPES)
    assert not set(TEXTS) & GENERIC
    for each in dns.rdatatype.RdataType:
        name = each.name.replace("_", "-")
        if each in NOT_IN_ZONES:
            with pytest.raises(fields.DataProblem):
                rdata.type_number(name)
        else:
            assert rdata.type_number(name) == each == rdata.TYPES[name]


@given(st.sampled_from(sorted(TEXTS)).flatmap(lambda kind: st.tuples(st.just(kind), TEXTS[kind])))
def test_text_goes_to_wire_form_and_back_as_dnspython_has_it(item: tuple[str, str]) -> None:
    kind, written = item
    number = rdata.TYPES[kind]
    data = rdata.parse(number, written, ZONE)
    oracle = dns.rdata.from_text("IN", kind, written, relativize=False)
    assert data == oracle.to_wire()
    shown = rdata.render(number, data)
    assert rdata.parse(number, shown, names.ROOT) == data, "our own text"
    assert rdata.parse(number, oracle.to_text(), names.ROOT) == data, "another one's text"
    assert dns.rdata.from_text("IN", kind, shown, relativize=False).to_wire() == data
    if number not in rdata.AS_TEXT:
        assert rdata.parse(number, f"\\# {len(data)} {data.hex()}", ZONE) == data


@given(st.sampled_from(sorted(TEXTS)).flatmap(lambda kind: st.tuples(st.just(kind), TEXTS[kind])))
def test_names_in_messages_are_read_in_lower_case_and_whole(item: tuple[str, str]) -> None:
    kind, written = item
    oracle = dns.rdata.from_text("IN", kind, written, relativize=False)
    message = dns.message.make_response(dns.message.make_query("b.example.org.", kind))
    message.answer.append(dns.rrset.from_rdata("b.example.org.", 5, oracle))
    [record] = wire.read(message.to_wire()).answers
    assert record.data == rdata.parse(rdata.TYPES[kind], written, ZONE)


@pytest.mark.parametrize(
    ("kind", "upper"),
    [
        ("NAPTR", '1 2 "U" "SIP+D2U" "" _Sip._UDP.Example.org.'),
        ("HTTPS", "1 Web.Example.org. alpn=h2"),
        ("DNAME", "Elsewhere.Example.org."),
        ("RP", "Some.Body.example.org. Text.example.org."),
    ],
)
def test_capital_letters_make_no_difference_in_names_and_one_elsewhere(
    kind: str, upper: str
) -> None:
    number = rdata.TYPES[kind]
    raw = dns.rdata.from_text("IN", kind, upper, relativize=False).to_wire()
    assert wire.canonical(number, raw) == rdata.parse(number, upper, ZONE) != raw


@given(st.integers(0, 65535), st.binary(max_size=40))
def test_any_type_has_the_generic_form(number: int, data: bytes) -> None:
    if number in NOT_IN_ZONES:
        with pytest.raises(fields.DataProblem, match="no zone holds"):
            rdata.type_number(f"TYPE{number}")
        return
    assert rdata.type_number(f"TYPE{number}") == number
    assert rdata.type_number(rdata.type_text(number)) == number
    written = rdata.render(65280, data)
    assert rdata.parse(65280, written, ZONE) == data


def test_the_generic_form_is_for_known_types_too_and_has_to_be_theirs() -> None:
    assert rdata.parse(rdata.A, r"\# 4 0A00 0001", ZONE) == bytes([10, 0, 0, 1])
    assert rdata.parse(65280, r"\# 4 0A000001", ZONE) == bytes([10, 0, 0, 1])
    assert rdata.parse(65280, r"\# 0", ZONE) == b""
    assert rdata.parse(rdata.MX, r"\# 7 000A 03 414141 00", ZONE) == b"\0\x0a\3aaa\0"
    assert rdata.parse(rdata.TXT, r"\# 1 00", ZONE) == b"\x07\\# 1 00", "text is text"


@pytest.mark.parametrize(
    ("kind", "written", "why"),
    [
        ("TYPE65280", "abc", "generic form"),
        ("IPSECKEY", "10 1 2 192.0.2.38 AQNRU3mG7TVTO2Bk", "generic form"),
        ("TYPE65280", r"\# 3 0A000001", "has 4 bytes, and says '3'"),
        ("TYPE65280", r"\# 4 0A00000", "hexadecimal"),
        ("TYPE65280", r"\# x 0A", "has 1 bytes"),
        ("TYPE65280", r"\#", "has 0 bytes"),
        ("A", r"\# 3 0A0000", "not wire data of type A"),
        ("MX", r"\# 2 000A", "not wire data of type MX"),
        ("MX", "10 192.0.2.1", "'192.0.2.1' is an address, and the exchange is a name"),
        ("MX", "10 192.0.2.1.", "is an address"),
        ("MX", "10 2001:db8::1", "is an address"),
        ("CNAME", "192.0.2.1", "the target is a name"),
        ("SRV", "0 0 1 192.0.2.1", "the target is a name"),
        ("DS", "1 13 2 abcd", "32 bytes"),
        ("DS", "1 UNKNOWN 2 " + "ab" * 32, "algorithm 'UNKNOWN'"),
        ("DS", "65536 13 2 " + "ab" * 32, "key-tag '65536' is not a number from 0 to 65535"),
        ("NAPTR", '1 2 "U" "E2U" ""', "is not: order preference flags services regexp replacement"),
        ("NAPTR", '1 2 "U" "E2U" "" . more', "is not: order"),
        ("NAPTR", '1 2 "U" "' + "x" * 256 + '" "" .', "services of 256 bytes"),
        ("NAPTR", '1 2 "U" "E2U "" .', "does not end"),
        ("URI", '1 2 "a"b', "quote in its middle"),
        ("LOC", "52 N 4 E", "is not: degrees"),
        ("LOC", "52 22 23.000 N 4 53 E", "is not: degrees"),
        ("LOC", "91 N 4 E 0m", "more than 90"),
        ("LOC", "52 60 N 4 E 0m", "60 of a part"),
        ("LOC", "52 N 4 E high", "not metres"),
        ("LOC", "52 N 4 E -100001m", "altitude"),
        ("LOC", "52 N 4 E 0m 90000001m", "90000000m"),
        ("SVCB", "1 . port=h2", "port 'h2'"),
        ("SVCB", "1 . port", "without a value"),
        ("SVCB", "1 . no-default-alpn=x alpn=h2", "with a value"),
        ("SVCB", "1 . no-default-alpn", "without alpn"),
        ("SVCB", "1 . alpn=h2 alpn=h3", "alpn twice"),
        ("SVCB", "1 . alpn=h2,,h3", "list of names"),
        ("SVCB", "1 . mandatory=alpn", "not among"),
        ("SVCB", "1 . mandatory=mandatory", "not among"),
        ("SVCB", "1 . mandatory=port,port port=1", "twice as mandatory"),
        ("SVCB", "1 . colour=red", "is no parameter"),
        ("SVCB", "1 . key65535=red", "is no parameter"),
        ("SVCB", "1 . ipv4hint=2001:db8::1", "not an IPv4"),
        ("SVCB", "1 . ech=?", "not base64"),
        ("SVCB", "1 . ech=AAAAAAAA", "no ECHConfigList"),
        ("SVCB", "0 . alpn=h2", "an alias"),
        ("SVCB", "1 . key9=" + "x" * 70_000, "bytes as a record"),
        ("OPENPGPKEY", "?", "not base64"),
        ("CERT", "PKIY 1 2 AAAA", "type 'PKIY'"),
        ("EUI48", "00-00-5e-00-53", "6 groups"),
        ("NID", "10 0014:4fff:ff20", "4 groups"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(kind: str, written: str, why: str) -> None:
    with pytest.raises(fields.DataProblem, match=re.escape(why)):
        rdata.parse(rdata.type_number(kind), written, ZONE)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("ANY", "no zone holds"),
        ("*", "no zone holds"),
        ("OPT", "no zone holds"),
        ("TSIG", "no zone holds"),
        ("AXFR", "no zone holds"),
        ("TYPE252", "no zone holds"),
        ("TYPE0", "no zone holds"),
        ("MD", "no zone holds"),
        ("TYPE65536", "no record type"),
        ("TYPE", "no record type"),
        ("AAAAA", "no record type"),
    ],
)
def test_types_that_are_none(kind: str, why: str) -> None:
    with pytest.raises(fields.DataProblem, match=why):
        rdata.type_number(kind)


def test_types_are_named_as_people_name_them() -> None:
    assert rdata.type_number("https") == rdata.type_number("TYPE65") == 65
    assert rdata.type_text(65) == "HTTPS"
    assert rdata.type_text(65280) == "TYPE65280"
