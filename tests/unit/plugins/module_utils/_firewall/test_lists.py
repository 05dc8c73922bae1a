# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists as people and feeds write them: every fault with its line, and the quick way the same as the slow one."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import lists, networks
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.lists import Reading
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.networks import (
    FAMILIES,
    V4,
    V6,
)
from hypothesis import given
from hypothesis import strategies as st


def found(content: bytes | str, block: int = 1 << 20) -> tuple[dict[int, list[str]], Reading]:
    """Return the networks of each line, and the reading."""
    raw = content.encode() if isinstance(content, str) else content
    reading = lists.read(raw[start : start + block] for start in range(0, len(raw), block))
    by_line: dict[int, list[str]] = {}
    for family in FAMILIES:
        column = reading.columns[family]
        for key, line in zip(column.keys, column.lines, strict=True):
            by_line.setdefault(line, []).append(networks.text(family, key))
    return by_line, reading


def faults(content: bytes | str) -> dict[int, str]:
    return {fault.line: fault.what for fault in found(content)[1].faults}


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_comments_blanks_and_line_ends_of_any_kind(block: int) -> None:
    content = (
        "# head\r\n\r\n192.0.2.1\r\n  198.51.100.0/24\t; SBL1\n2001:db8::/32 # all\n;\n"
        "192.0.2.8 - 192.0.2.11\n2001:DB8::1-2001:db8::2#x\n203.0.113.9"
    )
    by_line, reading = found(content, block)
    assert not reading.faults
    assert reading.lines == 9
    assert by_line == {
        3: ["192.0.2.1"],
        4: ["198.51.100.0/24"],
        5: ["2001:db8::/32"],
        7: ["192.0.2.8/30"],
        8: ["2001:db8::1", "2001:db8::2"],
        9: ["203.0.113.9"],
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "not an address"),
        ("1.2.3", "not an address"),
        ("1.2.3.4.5", "not an address"),
        ("999.1.1.1", "not an address"),
        ("010.1.1.1", "not an address"),
        ("0x7f.1.1.1", "not an address"),
        ("1.2.3.4 5.6.7.8", "not an address"),
        ("1.2.3.4/33", "prefix length"),
        ("1.2.3.4/", "prefix length"),
        ("1.2.3.4/024", "prefix length"),
        ("1.2.3.4/255.255.255.0", "prefix length"),
        ("2001:db8::/129", "prefix length"),
        ("fe80::1%eth0", "not an address"),
        (":", "not an address"),
        ("::ffff:192.0.2.1", "IPv4-mapped"),
        ("192.0.2.9-192.0.2.1", "ends before it begins"),
        ("192.0.2.9-::1", "one family to the other"),
        ("192.0.2.9-", "not an address"),
        ("-", "not an address"),
        ("1.2.3.4\0", "NUL"),
        ("grün", "more than ASCII"),
        ("1.2.3.4\x075", "more than ASCII"),
        ("1.2.3.4\r1.2.3.5", "more than ASCII"),
        ("٣.1.1.1", "more than ASCII"),
        ("1" * 5000, "longer than"),
    ],
)
def test_a_wrong_line_is_named_and_the_rest_is_read(line: str, reason: str) -> None:
    by_line, reading = found(f"192.0.2.1\n{line}\n192.0.2.2\n")
    assert [fault.line for fault in reading.faults] == [2]
    assert reason in reading.faults[0].what
    assert by_line == {1: ["192.0.2.1"], 3: ["192.0.2.2"]}


def test_every_fault_is_found_not_only_the_first() -> None:
    content = "".join(f"192.0.2.{number}\n" for number in range(200)) * 5
    lines = content.splitlines()
    for number in (0, 500, 999):
        lines[number] = "?"
    assert list(faults("\n".join(lines))) == [1, 501, 1000]


def test_host_bits_are_a_notice() -> None:
    by_line, reading = found("10.1.2.3/8\n2001:db8::1/32\n")
    assert by_line == {1: ["10.0.0.0/8"], 2: ["2001:db8::/32"]}
    assert [notice.line for notice in reading.notices] == [1, 2]
    assert "taken as 10.0.0.0/8" in reading.notices[0].what


def test_latin_1_in_a_comment_does_no_harm_and_elsewhere_is_named() -> None:
    assert found("192.0.2.1 # Müller\n".encode("latin-1"))[0] == {1: ["192.0.2.1"]}
    assert "ASCII" in faults("M\xfcller\n".encode("latin-1"))[1]


def test_utf_16_is_named() -> None:
    assert "UTF-16" in faults("192.0.2.1\n192.0.2.2\n".encode("utf-16-le"))[1]


def test_words_are_not_lines_where_blanks_are_odd() -> None:
    for odd in ("\r", "\x0c", "\x0b", "\x1c", "\xa0"):
        by_line, reading = found(f"1.2.3.4{odd}5.6.7.8\n\n".encode("latin-1"))
        assert [fault.line for fault in reading.faults] == [1], repr(odd)
        assert by_line == {}


def test_a_network_of_mapped_addresses_is_left_out_with_a_notice() -> None:
    by_line, reading = found("::ffff:0:0/96\n192.0.2.1\n")
    assert by_line == {2: ["192.0.2.1"]}
    assert "left out" in reading.notices[0].what


def test_dashes_in_comments_and_ranges_among_others() -> None:
    by_line, reading = found("192.0.2.1 # 2026-01-02\n192.0.2.4-192.0.2.5\n2001:db8::/32\n")
    assert not reading.faults
    assert by_line == {1: ["192.0.2.1"], 2: ["192.0.2.4/31"], 3: ["2001:db8::/32"]}


def test_a_byte_order_mark_does_no_harm() -> None:
    assert found(b"\xef\xbb\xbf192.0.2.1\n")[0] == {1: ["192.0.2.1"]}


@pytest.mark.parametrize("content", ["", "\n", "\n\n#\n;\n \t\n"])
def test_nothing_in_it_is_nothing_found(content: str) -> None:
    by_line, reading = found(content)
    assert by_line == {}
    assert not reading.faults
    assert reading.lines == content.count("\n")


def test_a_file_without_line_ends_does_not_fill_the_memory() -> None:
    reading = lists.read(b"1" * 65536 for _dummy in range(200))
    assert [fault.line for fault in reading.faults] == [1]


def test_a_long_comment_is_a_comment() -> None:
    assert found("192.0.2.1 #" + "x" * 9000 + "\n192.0.2.2\n", block=64)[0] == {
        1: ["192.0.2.1"],
        2: ["192.0.2.2"],
    }


addresses = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).filter(lambda each: int(each) >> 32 != 0xFFFF).map(str),
    st.builds(
        lambda address, length: str(ipaddress.ip_interface(f"{address}/{length}").network),
        st.ip_addresses(v=4),
        st.integers(0, 32),
    ),
    st.builds(
        lambda address, length: str(ipaddress.ip_interface(f"{address}/{length}").network),
        st.ip_addresses(v=6).filter(lambda each: int(each) >> 64 != 0),
        st.integers(1, 128),
    ),
    st.sampled_from(["", "# nothing", "  "]),
)


@given(
    lines=st.lists(addresses, max_size=30),
    block=st.integers(1, 200),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_block_at_a_time_finds_what_line_by_line_does(
    lines: list[str], block: int, end: str
) -> None:
    by_line, reading = found(end.join(lines), block)
    wanted = {
        number: [networks.text(*networks.parse(line))]
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith("#")
    }
    assert not reading.faults
    assert by_line == wanted


def test_families_are_kept_apart() -> None:
    reading = found("::\n0.0.0.0\n")[1]
    assert list(reading.columns[V4].keys) == [32]
    assert reading.columns[V6].keys == [128]
    assert reading.count == 2


def test_reading_ends_where_everything_is_wrong() -> None:
    reading = lists.read(itertools.repeat(b"x\n" * 1000))  # without end
    assert reading.lines == len(reading.faults) == 11_000
    assert not reading.whole
