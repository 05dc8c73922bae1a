# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: text to wire and back, with every rule of the module's documentation."""

from __future__ import annotations

import dns.name
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names
from hypothesis import given
from hypothesis import strategies as st

ZONE = names.parse("example.org.")

label = st.binary(min_size=1, max_size=63)
wire_names = (
    st.lists(label, max_size=6)
    .map(lambda labels: b"".join(bytes([len(part)]) + part.lower() for part in labels) + b"\0")
    .filter(lambda name: len(name) <= 255)
)


@given(wire_names)
def test_what_is_rendered_reads_back(name: bytes) -> None:
    assert names.parse(names.render(name)) == name


@given(wire_names)
def test_dnspython_reads_our_text_as_the_same_name(name: bytes) -> None:
    assert dns.name.from_text(names.render(name)).to_wire() == name


@given(st.text(max_size=300))
def test_any_text_is_a_name_or_a_problem(text: str) -> None:
    try:
        name = names.parse(text, ZONE)
    except names.NameProblem:
        return
    assert len(name) <= 255
    assert dns.name.from_wire(name, 0)[1] == len(name)


@given(st.text(alphabet="ab.-*_@\\1é", max_size=20))
def test_the_fast_way_agrees_with_the_thorough_one(text: str) -> None:
    fast = names.parse_below(text, ZONE)
    if fast is not None:
        assert fast == names.parse(text, ZONE)
        assert names.is_below(fast, ZONE)


@pytest.mark.parametrize(
    "text", ["example.org", "www.example.org", "org", "a.org", "x.example.org."]
)
def test_the_fast_way_knows_the_zone_itself(text: str) -> None:
    for _attempt in range(2):  # the second time from what was kept
        assert names.parse_below(text, ZONE) in (None, names.parse(text, ZONE))


@pytest.mark.parametrize(
    ("text", "absolute"),
    [
        ("@", "example.org."),
        ("www", "www.example.org."),
        ("a.b", "a.b.example.org."),
        ("WWW.Example.ORG", "www.example.org."),
        ("example.org", "example.org."),
        ("notexample.org", "notexample.org.example.org."),
        ("www.example.net.", "www.example.net."),
        ("*", "*.example.org."),
        ("_sip._tcp", "_sip._tcp.example.org."),
        ("bücher", "xn--bcher-kva.example.org."),
        ("BÜCHER", "xn--bcher-kva.example.org."),
        ("日本語.example.org.", "xn--wgv71a119e.example.org."),
        (r"a\.b", r"a\.b.example.org."),
        (r"a\032b", r"a\032b.example.org."),
        (".", "."),
    ],
)
def test_names_that_are_good(text: str, absolute: str) -> None:
    assert names.render(names.parse(text, ZONE)) == absolute


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a" * 64, "64 bytes; 63"),
        (".".join(["a" * 60] * 5), "bytes long as a whole"),
        ("a b", r"U\+0020"),
        ("a\0b", r"U\+0000"),
        ("a\nb", r"U\+000A"),
        ("a\u200db", "IDNA 2003 and 2008"),
        ("straße", "xn--"),
        ("a\\", "escapes nothing"),
        ("a\\25", "escapes nothing"),
        ("a\\256", "ends at 255"),
        ("a;b", "must be escaped"),
        ("ü" * 60, "IDNA 2003"),
        ("\ud800", "IDNA 2003"),
    ],
)
def test_names_that_are_not(text: str, why: str) -> None:
    with pytest.raises(names.NameProblem, match=why):
        names.parse(text, ZONE)


def test_a_name_is_below_a_zone_by_whole_labels_only() -> None:
    assert names.is_below(ZONE, ZONE)
    assert names.is_below(names.parse("a", ZONE), ZONE)
    assert not names.is_below(names.parse("badexample.org."), ZONE)
    assert not names.is_below(names.parse("x\\007example.org.".replace("\\007", "\\007")), ZONE)


@pytest.mark.parametrize(
    ("address", "reverse"),
    [
        ("192.0.2.10", "10.2.0.192.in-addr.arpa."),
        ("2001:db8::1", "1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa."),
    ],
)
def test_reverse_names(address: str, reverse: str) -> None:
    assert names.render(names.reverse(address)) == reverse
