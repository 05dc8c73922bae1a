# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic of networks, held against `ipaddress` and `netaddr`."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

import netaddr
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import networks
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.networks import (
    FAMILIES,
    V4,
    V6,
    Family,
)
from hypothesis import given
from hypothesis import strategies as st

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


@st.composite
def crowded(draw: st.DrawFn, family: Family) -> list[Network]:
    """Networks close to each other, so that they nest, touch and repeat."""
    base = draw(st.sampled_from([0, 1 << (family.bits - 1), (1 << family.bits) - 256]))
    made = []
    for _dummy in range(draw(st.integers(0, 12))):
        length = draw(st.integers(family.bits - 8, family.bits))
        address = base + draw(st.integers(0, 255))
        made.append(ipaddress.ip_network((address, family.bits)).supernet(new_prefix=length))
        if family is V6:
            made[-1] = ipaddress.IPv6Network((address, family.bits)).supernet(new_prefix=length)
    return made


def keys(some: list[Network]) -> list[int]:
    return [networks.key(int(each.network_address), each.prefixlen) for each in some]


def flat(family: Family, some: list[Network]) -> list[int]:
    return networks.ungroup(networks.aggregate(family, keys(some)))


def texts(family: Family, some: list[int]) -> list[str]:
    return [str(ipaddress.ip_network(networks.text(family, each))) for each in some]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@given(data=st.data())
def test_aggregate_is_what_ipaddress_and_netaddr_say(family: Family, data: st.DataObject) -> None:
    some = data.draw(crowded(family))
    found = texts(family, flat(family, some))
    assert found == [str(each) for each in ipaddress.collapse_addresses(some)]
    assert found == [str(each) for each in netaddr.cidr_merge([str(each) for each in some])]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@given(data=st.data())
def test_subtract_is_what_sets_of_addresses_say(family: Family, data: st.DataObject) -> None:
    some, holes = data.draw(crowded(family)), data.draw(crowded(family))
    apart = networks.without_nested(family, sorted(keys(some)))
    left = networks.subtract(family, apart, flat(family, holes))
    merged = networks.ungroup(networks.join_halves(family, networks.group(family, left)))
    assert left == sorted(left)
    assert networks.without_nested(family, left) == left
    wanted = netaddr.IPSet([str(each) for each in some]) - netaddr.IPSet(
        [str(each) for each in holes]
    )
    assert texts(family, merged) == [str(each) for each in wanted.iter_cidrs()]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@given(data=st.data())
def test_effective_is_what_sets_of_addresses_say(family: Family, data: st.DataObject) -> None:
    some, holes = data.draw(crowded(family)), data.draw(crowded(family))
    found = networks.effective(family, keys(some), flat(family, holes))
    wanted = netaddr.IPSet([str(each) for each in some]) - netaddr.IPSet(
        [str(each) for each in holes]
    )
    assert texts(family, networks.ungroup(found)) == [str(each) for each in wanted.iter_cidrs()]
    assert list(found) == sorted(found)
    assert all(found.values())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@given(data=st.data())
def test_keys_are_sorted_across_pieces(family: Family, data: st.DataObject) -> None:
    top = networks.key((1 << family.bits) - 1, family.bits)
    some = data.draw(st.lists(st.one_of(st.integers(0, top), st.integers(0, 9)), max_size=60))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(networks, "PIECE", data.draw(st.integers(1, 20)))
        assert networks.in_order(family, [top, 0, *some]) == sorted([top, 0, *some])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@given(data=st.data())
def test_covering_is_what_ipaddress_says(family: Family, data: st.DataObject) -> None:
    top = (1 << family.bits) - 1
    first = data.draw(st.one_of(st.integers(0, top), st.integers(0, 300)))
    last = min(top, first + data.draw(st.one_of(st.integers(0, 300), st.integers(0, top))))
    kind = ipaddress.IPv4Address if family is V4 else ipaddress.IPv6Address
    wanted = ipaddress.summarize_address_range(kind(first), kind(last))
    assert texts(family, list(networks.covering(family, first, last))) == [
        str(each) for each in wanted
    ]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@given(data=st.data())
def test_finds_any_overlap(family: Family, data: st.DataObject) -> None:
    some = data.draw(crowded(family))
    wanted = data.draw(crowded(family).filter(bool))[0]
    found = networks.finds(family, flat(family, some), keys([wanted])[0])
    assert (found is not None) is any(wanted.overlaps(each) for each in some)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@given(data=st.data())
def test_size_counts_each_address_once(family: Family, data: st.DataObject) -> None:
    some = data.draw(crowded(family))
    wanted = sum(each.num_addresses for each in ipaddress.collapse_addresses(some))
    assert networks.size(networks.aggregate(family, keys(some)), family) == wanted


def test_the_whole_space_and_its_ends() -> None:
    for family in FAMILIES:
        everything = networks.key(0, 0)
        top = networks.key((1 << family.bits) - 1, family.bits)
        assert list(networks.covering(family, 0, (1 << family.bits) - 1)) == [everything]
        assert networks.subtract(family, [everything], [everything]) == []
        left = networks.subtract(family, [everything], [networks.key(0, family.bits), top])
        assert len(left) == 2 * (family.bits - 1)
        halves = [networks.key(0, 1), networks.key(1 << (family.bits - 1), 1)]
        assert networks.aggregate(family, halves) == {0: [0]}


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::/0", "::/0"),
    ],
)
def test_text_is_canonical(written: str, canonical: str) -> None:
    family, network = networks.parse(written)
    assert networks.text(family, network) == canonical


@pytest.mark.parametrize(
    "written",
    [
        "",
        "1.2.3",
        "010.0.0.1",
        "1.2.3.4/33",
        "1.2.3.4/",
        "1.2.3.4/-1",
        "10.0.0.1/8",
        "::1/129",
        "fe80::1%eth0",
        "a",
    ],
)
def test_what_is_no_network_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        networks.parse(written)


def test_a_family_is_told_by_its_colon() -> None:
    assert networks.family_of("::1") is V6
    assert networks.family_of("127.0.0.1") is V4
