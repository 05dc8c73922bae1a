# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The baseline as data and as text."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Problem
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import ruleset

SERVICES = [
    {"name": "ssh", "ports": ["22/tcp"], "protocols": []},
    {"name": "dns", "ports": ["53/tcp", "53/udp"], "protocols": []},
    {"name": "ceph", "ports": ["6800-7568/tcp", "3300/tcp"], "protocols": []},
    {"name": "vrrp", "ports": [], "protocols": ["vrrp"]},
    {"name": "tunnels", "ports": ["500/udp"], "protocols": ["esp", "47"]},
]


def opening(service: str, **limits: Any) -> dict[str, Any]:
    anything = {key: ["any"] for key in ("sources", "destinations", "interfaces")}
    return {"service": service, **anything, **limits}


def parsed(*openings: dict[str, Any], services: Any = None) -> tuple[ruleset.Opening, ...]:
    problems: list[Problem] = []
    found = ruleset.parse({"services": services or SERVICES, "openings": openings}, problems)
    assert problems == []
    return found


def rules(*openings: dict[str, Any]) -> list[str]:
    return [
        rule.replace("counter accept comment ", "-> ")
        for each in parsed(*openings)
        for rule in each.rules()
    ]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (opening("ssh"), ['tcp dport 22 -> "ssh"']),
        (opening("dns"), ['tcp dport 53 -> "dns"', 'udp dport 53 -> "dns"']),
        (opening("ceph"), ['tcp dport { 3300, 6800-7568 } -> "ceph"']),
        (
            opening("tunnels"),
            ['udp dport 500 -> "tunnels"', 'meta l4proto { 47, 50 } -> "tunnels"'],
        ),
        (
            opening("vrrp", sources=["192.0.2.11", "192.0.2.12"]),
            ['ip saddr 192.0.2.11-192.0.2.12 meta l4proto 112 -> "vrrp"'],
        ),
        (
            opening("ssh", sources=["192.0.2.0/24", "2001:db8::/64"]),
            [
                'ip saddr 192.0.2.0/24 tcp dport 22 -> "ssh"',
                'ip6 saddr 2001:db8::/64 tcp dport 22 -> "ssh"',
            ],
        ),
        (
            opening("ssh", destinations=["192.0.2.53", "2001:db8::53"], sources=["192.0.2.0/24"]),
            ['ip saddr 192.0.2.0/24 ip daddr 192.0.2.53 tcp dport 22 -> "ssh"'],
        ),
        (
            opening("ssh", interfaces=["virbr0", "eth0", "eth0"]),
            ['iifname { "eth0", "virbr0" } tcp dport 22 -> "ssh"'],
        ),
        (
            opening("ssh", sources=["192.0.2.0/24", "192.0.2.7", "192.0.3.0/24"]),
            ['ip saddr 192.0.2.0/23 tcp dport 22 -> "ssh"'],
        ),
        (
            opening("ssh", sources=["0.0.0.0/0"]),
            ['ip saddr 0.0.0.0/0 tcp dport 22 -> "ssh"'],
        ),
        (
            opening("ssh", sources=["10.0.0.1", "2001:db8::4", "10.0.0.4/30", "2001:db8::5"]),
            [
                'ip saddr { 10.0.0.1, 10.0.0.4/30 } tcp dport 22 -> "ssh"',
                'ip6 saddr 2001:db8::4/127 tcp dport 22 -> "ssh"',
            ],
        ),
        (opening("ssh", sources=[]), []),
        (opening("ssh", destinations=[]), []),
        (opening("ssh", interfaces=[]), []),
        (opening("ssh", sources=["192.0.2.1"], destinations=["2001:db8::1"]), []),
    ],
)
def test_an_opening_as_rules(given: dict[str, Any], wanted: list[str]) -> None:
    assert rules(given) == wanted


def test_the_script_makes_one_table_whatever_was_there_and_drops_the_rest() -> None:
    lines = ruleset.script(parsed(opening("ssh"), opening("ssh")))
    assert lines[:3] == (
        "table inet debvisor_filter",
        "delete table inet debvisor_filter",
        "table inet debvisor_filter {",
    )
    assert not any("flush" in line or "forward" in line for line in lines)
    assert [line for line in lines if "policy" in line] == [
        "\t\ttype filter hook input priority filter; policy drop;"
    ]
    assert sum('"ssh"' in line for line in lines) == 1, "one rule is enough"
    assert lines[-3] == "\t\tcounter drop"


def test_guests_find_the_router_that_their_hypervisor_is() -> None:
    [rule] = [line.strip() for line in ruleset.script([]) if "nd-router-solicit" in line]
    assert rule.startswith("ip6 hoplimit 255 icmpv6 type {")
    assert rule.endswith("} accept")


@pytest.mark.parametrize(
    ("listing", "ours"),
    [
        ('table inet debvisor_filter {\n\tcomment "debvisor.hci: x"\n}\n', True),
        ('table inet debvisor_filter {\n\tcomment "mine"\n}\n', False),
        ('table inet debvisor_filter {\n\tchain x {\n\t\tcomment "debvisor.hci"\n\t}\n}\n', False),
        ("table inet debvisor_filter {\n}\n", False),
        ("", False),
    ],
)
def test_a_table_of_ours_is_known_by_its_comment(listing: str, ours: bool) -> None:
    assert ruleset.is_ours(listing) is ours


@pytest.mark.parametrize(
    ("given", "client", "port", "admitted"),
    [
        (opening("ssh"), "192.0.2.1", 22, True),
        (opening("ssh"), "192.0.2.1", 2222, False),
        (opening("ceph"), "192.0.2.1", 7000, True),
        (opening("dns"), "192.0.2.1", 22, False),
        (opening("vrrp"), "192.0.2.1", 22, False),
        (opening("ssh", sources=["192.0.2.0/24"]), "192.0.2.1", 22, True),
        (opening("ssh", sources=["192.0.2.0/24"]), "192.0.3.1", 22, False),
        (opening("ssh", sources=["192.0.2.0/24"]), "2001:db8::1", 22, False),
        (opening("ssh", sources=["2001:db8::/32"]), "2001:db8::1", 22, True),
        (opening("ssh", sources=[]), "192.0.2.1", 22, False),
        (opening("ssh", interfaces=[]), "192.0.2.1", 22, False),
        (opening("ssh", destinations=[]), "192.0.2.1", 22, False),
        (opening("ssh", interfaces=["eth0"]), "192.0.2.1", 22, True),
    ],
)
def test_who_is_admitted(given: dict[str, Any], client: str, port: int, admitted: bool) -> None:
    assert parsed(given)[0].admits(client, port) is admitted


@pytest.mark.parametrize(
    ("services", "openings", "where"),
    [
        ([{"name": "Web", "ports": ["80/tcp"], "protocols": []}], [], "services[0].name"),
        ([{"name": 'x" accept', "ports": ["80/tcp"], "protocols": []}], [], "services[0].name"),
        ([{"name": "web", "ports": [], "protocols": []}], [], "services[0]"),
        ([{"name": "web", "ports": ["80"], "protocols": []}], [], "services[0].ports[0]"),
        ([{"name": "web", "ports": ["80/sctp"], "protocols": []}], [], "services[0].ports[0]"),
        ([{"name": "web", "ports": ["0/tcp"], "protocols": []}], [], "services[0].ports[0]"),
        ([{"name": "web", "ports": ["65536/tcp"], "protocols": []}], [], "services[0].ports[0]"),
        ([{"name": "web", "ports": ["90-80/tcp"], "protocols": []}], [], "services[0].ports[0]"),
        ([{"name": "web", "ports": [], "protocols": ["tpc"]}], [], "services[0].protocols[0]"),
        ([{"name": "web", "ports": [], "protocols": ["256"]}], [], "services[0].protocols[0]"),
        ([SERVICES[0], SERVICES[1], SERVICES[0]], [], "services[2].name"),
        ([{**SERVICES[3], "ports": None}], [], "services[0].ports"),
        ([{**SERVICES[0], "protocols": None}], [], "services[0].protocols"),
        (SERVICES, [opening("ssh", sources=None)], "openings[0].sources"),
        (SERVICES, [opening("ssh", destinations=None)], "openings[0].destinations"),
        (SERVICES, [opening("ssh", interfaces=None)], "openings[0].interfaces"),
        (SERVICES, [opening("http")], "openings[0].service"),
        (SERVICES, [opening("ssh", sources=["192.0.2.1/24"])], "openings[0].sources[0]"),
        (SERVICES, [opening("ssh", sources=["any", "::/0"])], "openings[0].sources[0]"),
        (SERVICES, [opening("ssh", destinations=["node1"])], "openings[0].destinations[0]"),
        (SERVICES, [opening("ssh", interfaces=['eth0" accept'])], "openings[0].interfaces[0]"),
        (SERVICES, [opening("ssh", interfaces=["a" * 16])], "openings[0].interfaces[0]"),
    ],
)
def test_what_is_wrong_is_named(services: Any, openings: Any, where: str) -> None:
    problems: list[Problem] = []
    ruleset.parse({"services": services, "openings": openings}, problems)
    assert [problem.where for problem in problems] == [where]


def test_ports_that_overlap_or_touch_are_one_range_as_the_kernel_has_it() -> None:
    services = [{"name": "x", "ports": ["9-12/tcp", "1-9/tcp", "13/tcp", "5/udp"], "protocols": []}]
    [given] = parsed(opening("x"), services=services)
    assert [rule.partition(" counter")[0] for rule in given.rules()] == [
        "tcp dport 1-13",
        "udp dport 5",
    ]
