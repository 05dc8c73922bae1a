# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check of lists finds, where, and what the lists come to."""

from __future__ import annotations

import ipaddress

from ansible_collections.debvisor.hci.plugins.module_utils._firewall import lists
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.list_check import (
    DUPLICATE,
    FAULT,
    HOST_BITS,
    OVERLAP,
    Report,
    Source,
    check,
)
from hypothesis import given
from hypothesis import strategies as st


def blocks(content: bytes) -> list[bytes]:
    return [content[start : start + 65536] for start in range(0, len(content), 65536)]


def checked(block: dict[str, str], allow: dict[str, str] | None = None) -> Report:
    sides = [
        [Source(name, lists.read(blocks(content.encode()))) for name, content in side.items()]
        for side in (block, allow or {})
    ]
    return check(*sides)


def found(report: Report, kind: str) -> list[str]:
    return [str(finding) for finding in report.findings if finding.kind == kind]


def test_nothing_is_found_in_what_is_fine() -> None:
    report = checked({"a": "192.0.2.0/24\n", "b": "2001:db8::/32\n"}, {"c": "198.51.100.1\n"})
    assert report.findings == ()
    assert not report.fails(strict=True)
    four, six = report.totals["v4"], report.totals["v6"]
    assert (four.networks, four.addresses, four.percent) == (1, 256, 25600 / 2**32)
    assert (six.networks, six.lengths) == (1, {32: 1})


def test_everything_odd_has_its_line() -> None:
    report = checked(
        {
            "one": "192.0.2.1\nwrong\n10.0.0.1/8\n192.0.2.1\n2001:db8::1\n",
            "two": "192.0.2.2\n192.0.2.1\n999.1.1.1\n2001:db8::1\n",
        },
        {"allow": "203.0.113.1\n10.1.0.0/16\n2001:db8::/32\n203.0.113.1\n"},
    )
    assert [finding.partition(": ")[0] for finding in found(report, FAULT)] == ["one:2", "two:3"]
    assert found(report, HOST_BITS) == [
        "one:3: 10.0.0.1/8 has bits beyond its prefix; taken as 10.0.0.0/8"
    ]
    assert found(report, DUPLICATE) == [
        "one:4: 192.0.2.1 is in one:1 already",
        "two:2: 192.0.2.1 is in one:1 already",
        "two:4: 2001:db8::1 is in one:5 already",
        "allow:4: 203.0.113.1 is in allow:1 already",
    ]
    assert found(report, OVERLAP) == [
        "allow:2: 10.1.0.0/16 is allowed, and one:3 blocks 10.0.0.0/8; it stays allowed",
        "allow:3: 2001:db8::/32 is allowed, and one:5 blocks 2001:db8::1; it stays allowed",
    ]
    assert report.fails(strict=False)


def test_notices_fail_only_where_that_is_asked_for() -> None:
    report = checked({"a": "192.0.2.1\n192.0.2.1\n"})
    assert not report.fails(strict=False)
    assert report.fails(strict=True)


def test_what_is_all_wrong_is_not_read_to_its_end() -> None:
    report = checked({"a": "x\n" * 200_000})
    last = report.findings[-1]
    assert last.line < 200_000
    assert "the last line that was read" in last.what


networks_ = st.builds(
    lambda base, length: ipaddress.IPv4Network((base, length), strict=False),
    st.integers(0xC0000200, 0xC00002FF),
    st.integers(24, 32),
)


@given(st.lists(networks_), st.lists(networks_))
def test_the_total_is_what_the_addresses_come_to(
    block: list[ipaddress.IPv4Network], allow: list[ipaddress.IPv4Network]
) -> None:
    left = {address for each in block for address in each}
    left -= {address for each in allow for address in each}
    total = checked({"b": "\n".join(map(str, block))}, {"a": "\n".join(map(str, allow))}).totals[
        "v4"
    ]
    fewest = list(ipaddress.collapse_addresses(left))
    assert total.addresses == len(left)
    assert total.networks == len(fewest)
    assert sum(total.lengths.values()) == len(fewest)
