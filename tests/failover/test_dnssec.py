# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A signed zone keeps validating by one and the same key, whoever writes it and however that one came to write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import dns.dnssec
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.update
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import Key

from tests.lab.cluster import PRIMARIES, Cluster, eventually
from tests.lab.dns_client import keyring

ZONE = "signed.debvisor.test"
KEYS = "/var/lib/bind/keys"


@pytest.fixture
def signed(cluster: Cluster) -> Cluster:
    """The cluster, looked at through the zone that is signed."""
    return replace(cluster, zone=ZONE)


def ask(address: str, name: str, kind: str) -> tuple[dns.rrset.RRset, dns.rrset.RRset]:
    """Return an RRset and its signatures."""
    question = dns.message.make_query(name, kind, want_dnssec=True, flags=0)
    answer = dns.query.tcp(question, address, timeout=2.0)
    owner, wanted = dns.name.from_text(name), dns.rdatatype.from_text(kind)
    found = answer.get_rrset(answer.answer, owner, dns.rdataclass.IN, wanted)
    signatures = answer.get_rrset(
        answer.answer, owner, dns.rdataclass.IN, dns.rdatatype.RRSIG, wanted
    )
    assert found is not None, f"{address} has no {name} {kind}"
    assert signatures is not None, f"{address} has no signature of {name} {kind}"
    return found, signatures


def dnskey(address: str) -> dns.rrset.RRset:
    """Return the zone's keys, which sign themselves."""
    found, signatures = ask(address, ZONE, "DNSKEY")
    dns.dnssec.validate(found, signatures, {found.name: found})
    return found


def assert_valid(cluster: Cluster, trusted: dns.rrset.RRset, *names: str) -> None:
    """At the VIP and on each server the SOA and the names' A records validate, by these keys and no others."""
    for address in (cluster.vip, *(str(node.address4) for node in cluster.lab.nodes)):
        assert dnskey(address) == trusted, f"{address} has other keys"
        for name, kind in [(ZONE, "SOA"), *((name, "A") for name in names)]:
            found, signatures = ask(address, name, kind)
            try:
                dns.dnssec.validate(found, signatures, {trusted.name: trusted})
            except dns.exception.DNSException as cause:
                raise AssertionError(f"{address}: {name} {kind}: {cause}") from cause


def add(cluster: Cluster, key: Key, name: str) -> None:
    eventually(
        f"{name} is taken", lambda: cluster.update(cluster.vip, key, name, "192.0.2.7") == "NOERROR"
    )
    eventually("all serials level", cluster.level)


def fresh_name() -> str:
    return f"s{time.time_ns() // 1_000_000 % 10**8}.{ZONE}"


def hand_over(cluster: Cluster, holder: str) -> None:
    cluster.run(holder, "/usr/libexec/debvisor/dns-role handover")


def kill_named(cluster: Cluster, holder: str) -> None:
    cluster.run(holder, "pkill -9 -x named")


@pytest.mark.parametrize("strike", [hand_over, kill_named])
def test_the_next_writer_signs_with_the_same_key(
    signed: Cluster, strike: Callable[[Cluster, str], None]
) -> None:
    key = signed.key("node")
    trusted = dnskey(signed.vip)
    assert len(trusted) == 1
    before, after = fresh_name(), f"x{fresh_name()}"
    add(signed, key, before)
    assert_valid(signed, trusted, before)
    holder = signed.holder()
    strike(signed, holder)
    assert eventually("the other one writes", lambda: signed.holder() == signed.other(holder))
    add(signed, key, after)
    assert_valid(signed, trusted, before, after)
    signed.whole()
    assert_valid(signed, trusted, before, after)


def update_taken_by_one_that_is_cut_off(cluster: Cluster, key: Key) -> tuple[str, str]:
    """Cut the holder off, and have it take an update before it notices; return it, and the name that only it has.

    Now and then it notices before the update comes: then all is made whole, and it is tried again.
    """
    for _attempt in range(5):
        holder, name = cluster.holder(), fresh_name()
        cluster.cut(holder, [node.name for node in cluster.lab.nodes if node.name != holder])
        if cluster.update(cluster.vip, key, name, "192.0.2.7") == "NOERROR":
            return holder, name
        cluster.whole()
    raise AssertionError("none took an update after it was cut off")


def test_updates_that_only_a_former_writer_had_are_signed_when_they_come_back(
    signed: Cluster,
) -> None:
    """BIND's own records stay out of the comparison: nothing of them is replayed, or left to a person."""
    key = signed.key("node")
    trusted = dnskey(signed.vip)
    known = {path for primary in PRIMARIES for path in signed.reports(primary)}
    holder, name = update_taken_by_one_that_is_cut_off(signed, key)
    other = f"x{fresh_name()}"
    eventually("the other primary writes", lambda: signed.writers() == [signed.other(holder)])
    eventually(
        "the other side takes updates",
        lambda: signed.update(signed.vip, key, other, "192.0.2.7") == "NOERROR",
    )
    signed.whole()
    assert_valid(signed, trusted, name, other)
    new = [told for path, told in signed.reports(holder).items() if path not in known]
    told = [change for report in new for change in report["applied"] if ZONE in change["name"]]
    assert [(change["name"], change["type"]) for change in told] == [(f"{name}.", "A")]
    assert not [change for report in new for change in report["conflicts"]]


def test_every_primary_has_the_key_and_nobody_else_may_read_it(signed: Cluster) -> None:
    found = {
        name: signed.run(
            name, f"cd {KEYS} && stat -c '%n %U %a' *.private && grep -h ^PrivateKey: *.private"
        )
        for name in PRIMARIES
    }
    assert len(set(found.values())) == 1
    assert " bind 600\n" in found[PRIMARIES[0]]
    assert signed.run(PRIMARIES[0], f"stat -c '%U %a' {KEYS}") == "bind 700\n"


def test_no_update_touches_the_zone_keys(signed: Cluster) -> None:
    [own] = dnskey(signed.vip)
    apex = dns.name.from_text(ZONE)
    for kind in ("node", "vm", "admin"):
        key = signed.key(kind)
        for change in ("delete", "add"):
            message = dns.update.UpdateMessage(
                ZONE, keyring=keyring(key), keyalgorithm=key.algorithm
            )
            if change == "delete":
                message.delete(apex, own)
            else:
                message.add(apex, 60, own.replace(flags=256))
            answer = dns.query.udp(message, signed.vip, timeout=2.0)
            assert answer.rcode() == dns.rcode.REFUSED, f"{kind} may {change}"
