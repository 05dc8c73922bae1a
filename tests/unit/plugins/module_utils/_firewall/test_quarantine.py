# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quarantine as rules. That packets obey them is shown on real nodes; here, what the rules are made of."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.quarantine import (
    FAMILIES,
    Flow,
    families,
    metric,
    restoring,
    script,
)
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.ruleset import is_ours

SSH = Flow((ip_network("192.0.2.0/24"), ip_network("2001:db8::/64")), (22,))
COLLECTOR = Flow((ip_network("198.51.100.9"),), (514, 6514), "tcp", outbound=True)
SYSLOG = Flow((ip_network("2001:db8:9::9"),), (514,), "udp", outbound=True)


def chain(text: str, name: str, family: str = "inet") -> list[str]:
    """Return the rules of a chain, its hook first."""
    table = text.split(f"table {family} debvisor_quarantine {{\n")[1].split("\n}\n")[0]
    body = table.split(f"chain {name} {{\n")[1].split("\n\t}")[0]
    return [line.strip() for line in body.splitlines()]


def test_all_that_is_not_named_is_dropped_in_every_direction() -> None:
    text = script([SSH], [])
    for name, hook in (("arriving", "prerouting"), ("passing", "forward"), ("leaving", "output")):
        assert chain(text, name)[0] == f"type filter hook {hook} priority -450; policy drop;"
    assert chain(text, "passing", "bridge")[0].endswith("policy drop;")
    assert chain(text, "passing")[1:] == ["counter"]
    assert chain(text, "passing", "bridge")[1:] == ["counter"]
    accepted = [line for line in chain(text, "arriving") if line.endswith("accept")]
    assert [line for line in accepted if not line.startswith(("ip6 hoplimit", "icmp"))] == [
        "iif lo accept",
        "ip saddr { 192.0.2.0/24 } tcp dport { 22 } accept",
        "ip6 saddr { 2001:db8::/64 } tcp dport { 22 } accept",
    ]


def test_only_the_named_side_may_open_a_connection() -> None:
    text = script([SSH, COLLECTOR], [])
    answers = "tcp flags & (syn | ack) != syn accept"
    assert f"ip daddr {{ 192.0.2.0/24 }} tcp sport {{ 22 }} {answers}" in chain(text, "leaving")
    assert "ip daddr { 198.51.100.9/32 } tcp dport { 514, 6514 } accept" in chain(text, "leaving")
    assert f"ip saddr {{ 198.51.100.9/32 }} tcp sport {{ 514, 6514 }} {answers}" in chain(
        text, "arriving"
    )
    opening = [line for line in text.splitlines() if "dport" in line and "tcp" in line]
    assert not any("flags" in line for line in opening)


def test_udp_goes_both_ways() -> None:
    text = script([SYSLOG], [])
    assert "ip6 daddr { 2001:db8:9::9/128 } udp dport { 514 } accept" in chain(text, "leaving")
    assert "ip6 saddr { 2001:db8:9::9/128 } udp sport { 514 } accept" in chain(text, "arriving")


def test_no_rule_trusts_what_the_kernel_tracked() -> None:
    assert not re.search(r"\bct\b", script([SSH, COLLECTOR, SYSLOG], []))


def test_overlapping_networks_are_one() -> None:
    flow = Flow(
        (ip_network("192.0.2.0/24"), ip_network("192.0.2.7"), ip_network("192.0.3.0/24")), (22, 22)
    )
    assert "ip saddr { 192.0.2.0/23 } tcp dport { 22 } accept" in chain(
        script([flow], []), "arriving"
    )


def test_what_others_take_over_is_claimed_no_more() -> None:
    text = script([SSH], [ip_address("192.0.2.53"), ip_address("2001:db8::53")])
    assert "arp saddr ip { 192.0.2.53 } drop" in chain(text, "leaving", "arp")
    leaving = chain(text, "leaving")
    denial = leaving.index("icmpv6 type nd-neighbor-advert icmpv6 taddr { 2001:db8::53 } drop")
    assert denial < min(
        number for number, line in enumerate(leaving) if "nd-neighbor-solicit" in line
    )
    assert leaving.index("ip6 saddr { 2001:db8::53 } drop") < denial
    assert families(text) == ["inet", "arp", "bridge"]


def test_arp_is_untouched_where_nothing_is_shared() -> None:
    text = script([SSH], [ip_address("2001:db8::53")])
    assert families(text) == ["inet", "bridge"]
    assert "table arp debvisor_quarantine {" not in text


def test_it_replaces_our_tables_alone_and_twice_is_as_good_as_once() -> None:
    for text in (script([SSH], []), restoring({})):
        assert "flush" not in text
        head = text.splitlines()[: 2 * len(FAMILIES)]
        assert head == [
            line
            for family in FAMILIES
            for line in (
                f"table {family} debvisor_quarantine",
                f"delete table {family} debvisor_quarantine",
            )
        ]
    assert restoring({}).splitlines() == head


def test_each_table_says_whose_it_is() -> None:
    text = script([SSH], [ip_address("192.0.2.53")])
    tables = text.split("\ntable ")[-3:]
    assert [is_ours(table) for table in tables] == [True, True, True]


def test_tables_come_back_as_they_were_listed() -> None:
    listed = {"inet": "table inet debvisor_quarantine {\n}\n", "bridge": "table bridge x {\n}\n"}
    assert restoring(listed) == restoring({}) + listed["inet"] + listed["bridge"]


@pytest.mark.parametrize(
    ("reason", "label"), [("plain", "plain"), ('a "b" \\ c', r"a \"b\" \\ c"), ("a\nb", r"a\nb")]
)
def test_the_metric_survives_any_reason(reason: str, label: str) -> None:
    *comments, sample = metric("node3", reason).splitlines()
    assert sample == f'debvisor_quarantined{{host="node3",reason="{label}"}} 1'
    assert [line.split()[:3] for line in comments] == [
        ["#", "HELP", "debvisor_quarantined"],
        ["#", "TYPE", "debvisor_quarantined"],
    ]
