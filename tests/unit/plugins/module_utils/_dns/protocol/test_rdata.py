# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record data: text to wire and back, as dnspython has it."""

from __future__ import annotations

import contextlib

import dns.name
import dns.rdata
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import fields, names, rdata
from hypothesis import given
from hypothesis import strategies as st

ZONE = names.parse("example.org.")

GOOD = [
    ("A", "192.0.2.1"),
    ("AAAA", "2001:db8::1"),
    ("AAAA", "::ffff:c000:201"),
    ("CNAME", "www.example.net."),
    ("NS", "ns1.example.net."),
    ("PTR", "host.example.net."),
    ("MX", "10 mail.example.net."),
    ("MX", "0 ."),
    ("SRV", "0 5 5060 sip.example.net."),
    ("TXT", '"one" "two"'),
    ("TXT", r'"a\"b\\c\000\255"'),
    ("TXT", '""'),
    ("CAA", '0 issue "ca.example.net; x=y"'),
    ("CAA", '128 iodef "mailto:a@example.net"'),
    ("SSHFP", "4 2 " + "ab" * 32),
    ("SSHFP", "1 1 " + "ab" * 20),
    ("TLSA", "3 1 1 " + "cd" * 32),
    ("TLSA", "3 1 2 " + "cd" * 64),
    ("TLSA", "3 1 0 " + "cd" * 70),
]


@pytest.mark.parametrize(("kind", "text"), GOOD)
def test_data_are_as_dnspython_has_them_and_read_back(kind: str, text: str) -> None:
    number = rdata.TYPES[kind]
    data = rdata.parse(number, text, ZONE)
    assert data == dns.rdata.from_text("IN", kind, text, relativize=False).to_wire()
    assert rdata.render(number, data) == text
    assert rdata.parse(number, rdata.render(number, data), names.ROOT) == data


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("A", "192.0.2.256", "not an IPv4"),
        ("A", "192.0.2", "not an IPv4"),
        ("A", "192.0.2.01", "not an IPv4"),
        ("A", "192.0.2.1\n", "not an IPv4"),
        ("A", "٣.0.2.1", "not an IPv4"),
        ("AAAA", "2001:db8::g", "not an IPv6"),
        ("AAAA", "fe80::1%eth0", "interface"),
        ("AAAA", "192.0.2.1", "not an IPv6"),
        ("CNAME", "www.example.net", "could be relative"),
        ("CNAME", "", "is empty"),
        ("MX", "mail", "is not: preference exchange"),
        ("MX", "65536 mail", "0 to 65535"),
        ("MX", "-1 mail", "0 to 65535"),
        ("MX", "10\nmail", "control character"),
        ("SRV", "0 5 sip", "priority weight port target"),
        ("TXT", "", "is empty"),
        ("TXT", "a\0b", r"U\+0000 at 1"),
        ("TXT", "a\x7fb", r"U\+007F"),
        ("TXT", '"open', "quoted"),
        ("TXT", r'"\256"', "ends at 255"),
        ("TXT", r'"\25"', "three digits"),
        ("TXT", '"a" "' + "b" * 256 + '"', "255 is the most"),
        ("TXT", "x" * 65536, "65535 is the most"),
        ("TXT", "\ud800", "surrogate"),
        ("CAA", "256 issue x", "0 to 255"),
        ("CAA", "0 is-sue x", "letters and digits"),
        ("CAA", '0 issue "a" "b"', "is not: flags tag value"),
        ("SSHFP", "4 2 abcd", "32 bytes"),
        ("SSHFP", "4 2 xyz", "hexadecimal"),
        ("TLSA", "3 1 1 abcd", "32 bytes"),
        ("TLSA", "3 1 0", "is not: usage"),
    ],
)
def test_data_that_are_not(kind: str, text: str, why: str) -> None:
    with pytest.raises(fields.DataProblem, match=why):
        rdata.parse(rdata.TYPES[kind], text, ZONE)


@given(st.sampled_from(sorted(rdata.TYPES)), st.text(max_size=80))
def test_any_text_is_data_or_a_problem(kind: str, text: str) -> None:
    number = rdata.TYPES[kind]
    try:
        data = rdata.parse(number, text, ZONE)
    except fields.DataProblem:
        return
    assert rdata.parse(number, rdata.render(number, data), names.ROOT) == data


@given(st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=600))
def test_plain_text_is_kept_to_the_byte(text: str) -> None:
    if text.startswith('"'):
        return
    data = rdata.parse(rdata.TXT, text, ZONE)
    found = dns.rdata.from_wire("IN", "TXT", data, 0, len(data))
    assert b"".join(found.strings) == text.encode()
    assert rdata.parse(rdata.TXT, rdata.render(rdata.TXT, data), names.ROOT) == data


@given(st.sampled_from(sorted(rdata.TYPES)), st.binary(max_size=60))
def test_any_bytes_are_rendered_or_a_problem(kind: str, data: bytes) -> None:
    with contextlib.suppress(fields.DataProblem):
        rdata.render(rdata.TYPES[kind], data)


def test_names_in_data_are_relative_to_the_zone_or_say_so() -> None:
    for text in ("mail", "mail.example.org", "MAIL.example.org."):
        assert (
            rdata.render(rdata.MX, rdata.parse(rdata.MX, f"10 {text}", ZONE))
            == "10 mail.example.org."
        )
