# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``dns_record_sets`` against real BIND servers."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import TimedOut, Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import Outcome
from ansible_collections.debvisor.hci.plugins.module_utils._core.limits import TooManyChanges
from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.connections import (
    Connections,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.errors import (
    BadKey,
    BadSignature,
    BadTime,
    DnssecBogus,
    NotAuthoritative,
    RequestRefused,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.records.zone_info import ZoneInfo
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_server import DnsServer
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.bind.conftest import ADDRESS, ZONE, Named, Run, key_text, program


def dig(server: Named, *question: str) -> list[str]:
    done = subprocess.run(
        [program("dig"), f"@{server.address}", "-p", str(server.port), "+short", *question],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return sorted(done.stdout.splitlines())


def error_type(outcome: Outcome) -> str:
    return type(outcome.failure).__name__


def str_of(server: Named) -> str:
    return f"{server.address}:{server.port}"


def a(name: str, *addresses: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "A", "value": list(addresses), **more}


VALUES = {
    "A": ["192.0.2.1", "192.0.2.2"],
    "AAAA": ["2001:db8::1"],
    "CAA": ['0 issue "ca.example.net"'],
    "MX": ["10 mail.example.net.", "20 ns1"],
    "PTR": ["host.example.net."],
    "SRV": ["0 5 5060 sip.example.net."],
    "SSHFP": ["4 2 " + "ab" * 32],
    "TLSA": ["3 1 1 " + "cd" * 32],
    "TXT": ["x" * 700, '"one" "two\\000"'],
    "NAPTR": [
        '100 10 "U" "E2U+sip" "!^.*$!sip:info@example.org!" .',
        '1 1 "" "" "" Sip.example.net.',
    ],
    "LOC": ["52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"],
    "HTTPS": ['1 . alpn="h2,h3" ipv4hint=192.0.2.1', "0 Web.example.net."],
    "SVCB": ['2 Svc.example.net. port=8443 key65333="a b"'],
    "DNAME": ["elsewhere.example.net."],
    "URI": ['10 1 "https://example.net/"'],
    "CERT": ["PKIX 1 RSASHA256 AQID"],
    "OPENPGPKEY": ["AQID"],
    "SMIMEA": ["3 1 1 " + "cd" * 32],
    "TYPE65280": [r"\# 4 0A000001", r"\# 0"],
    "APL": [r"\# 6 0001 18 02 0A01"],
}


@pytest.mark.parametrize("key", ["all", "update"], ids=["by transfer", "by questions"])
def test_every_type_goes_in_is_found_unchanged_and_goes_out(
    run: Run, primary: Named, key: str
) -> None:
    wanted = [{"name": f"t-{kind}", "type": kind, "value": value} for kind, value in VALUES.items()]
    wanted += [
        {"name": "bücher", "type": "CNAME", "value": "www.example.net."},
        {"name": "child", "type": "NS", "value": "ns.example.net."},
        {"name": "*.wild", "type": "A", "value": "192.0.2.9"},
        {"name": r"odd\.\032name", "type": "TXT", "value": "odd"},
        {"name": "@", "type": "NS", "value": ["ns1", "ns2.example.net."], "exact": True},
    ]
    outcome = run(*wanted)
    assert outcome.failure is None
    assert dig(primary, "t-MX.example.test", "MX") == [
        "10 mail.example.net.",
        "20 ns1.example.test.",
    ]
    assert dig(primary, "t-HTTPS.example.test", "HTTPS") == [
        "0 web.example.net.",
        '1 . alpn="h2,h3" ipv4hint=192.0.2.1',
    ]
    assert dig(primary, "xn--bcher-kva.example.test", "CNAME") == ["www.example.net."]
    assert dig(primary, ZONE, "NS") == ["ns1.example.test.", "ns2.example.net."]
    without_cut = (
        [item for item in wanted if item["name"] != "child"] if key == "update" else wanted
    )
    again = run(*without_cut, key=key)
    assert (again.failure, again.changed) == (None, False)
    gone = [{**item, "state": "absent", "value": None} for item in wanted if item["name"] != "@"]
    assert run(*gone, max_share=100).failure is None
    assert dig(primary, "t-MX.example.test", "MX") == []


def test_a_conflict_with_nsupdate(run: Run, primary: Named, tmp_path: Path) -> None:
    run(a("x", "192.0.2.1"))
    script = f"server {primary.address} {primary.port}\nzone {ZONE}\nupdate add x.{ZONE} 60 A 192.0.2.99\nsend\n"

    class Meanwhile(SystemClock):
        """Changes the zone at the last moment: when the update is about to be signed."""

        calls = 0

        def wall(self) -> float:
            self.calls += 1
            if self.calls == 7:  # the SOA, two questions and their answers, then the update
                command = [program("nsupdate"), "-k", str(tmp_path / "all.key")]
                subprocess.run(command, input=script, text=True, check=True, timeout=30)
            return super().wall()

    clock = Meanwhile()
    outcome = run(a("x", "192.0.2.2"), clock=clock)
    assert outcome.failure is not None
    assert getattr(outcome.failure, "details", {}).get("conflicts") == ["x.example.test. A"]
    assert dig(primary, "x.example.test", "A") == ["192.0.2.1", "192.0.2.99"]


def test_what_the_server_refuses_without_a_reason_is_found_before(
    run: Run, primary: Named, tmp_path: Path
) -> None:
    script = f"server {primary.address} {primary.port}\nzone {ZONE}\nupdate {{}}\nsend\n"
    for wanted, update in (
        ({"name": "@", "type": "MX", "value": "10 mail"}, f"add {ZONE} 60 MX 10 mail.{ZONE}"),
        ({"name": "ns1", "type": "A", "state": "absent"}, f"delete ns1.{ZONE} A"),
        (
            {"name": "@", "type": "NS", "value": "ns9", "exact": False},
            f"add {ZONE} 60 NS ns9.{ZONE}",
        ),
    ):
        done = subprocess.run(
            [program("nsupdate"), "-k", str(tmp_path / "all.key")],
            input=script.format(update),
            text=True,
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert "update failed: REFUSED" in done.stderr
        outcome = run(wanted)
        assert error_type(outcome) == "InvalidInput"
        assert "address" in str(outcome.failure)


def test_a_ds_goes_to_its_delegation(run: Run, primary: Named) -> None:
    """BIND drops a DS without a delegation, and says nothing."""
    ds = {"name": "far", "type": "DS", "value": "1 13 2 " + "AB" * 32}
    assert error_type(run(ds)) == "InvalidInput"
    assert run(ds, {"name": "far", "type": "NS", "value": "ns.example.net."}).failure is None
    assert dig(primary, "far.example.test", "DS") == ["1 13 2 " + "AB" * 28 + " " + "AB" * 4]
    assert run(ds, key="update").changed is False


class Skewed(SystemClock):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wall(self) -> float:
        return super().wall() + self.seconds


def test_each_failure_has_its_own_error(run: Run, primary: Named, tmp_path: Path) -> None:
    wanted = a("x", "192.0.2.1")
    (tmp_path / "wrong.key").write_text(key_text("all", "A" * 43 + "="))
    for failure, options in (
        (BadKey, {"key": "unknown"}),
        (BadSignature, {"key": "wrong"}),
        (BadTime, {"clock": Skewed(1000)}),
        (RequestRefused, {"key": "reader"}),
        (NotAuthoritative, {"zone": "sub.example.test"}),
        (RequestRefused, {"zone": "example.invalid"}),
        (Unreachable, {"server": "127.0.0.3"}),
        (Unreachable, {"server": "no-such-host.invalid"}),
    ):
        outcome = run(wanted, **options)
        assert error_type(outcome) == failure.__name__, (options, outcome.failure)
        assert outcome.changed is False
    skewed = run(wanted, clock=Skewed(1000)).failure
    assert isinstance(skewed, BadTime)
    assert -1002 <= skewed.details["skew_seconds"] <= -998
    assert dig(primary, "x.example.test", "A") == []


def test_a_server_that_is_silent_ends_in_time(run: Run) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.4", 0))
        started = time.monotonic()
        outcome = run(
            a("x", "192.0.2.1"), server="127.0.0.4", port=deaf.getsockname()[1], timeout=0.4
        )
    assert error_type(outcome) == "TimedOut"
    assert time.monotonic() - started < 3


def test_it_waits_for_the_secondary_and_its_pointers(
    run: Run, primary: Named, secondary: Named
) -> None:
    records = [a(f"h{number}", f"10.0.{number >> 8}.{number & 255}") for number in range(600)]
    outcome = run(*records, ptr=True, servers=[str_of(secondary)], wait_for="all")
    assert outcome.failure is None
    assert [entry["in_sync"] for entry in outcome.facts["servers"]] == [True, True]
    assert dig(secondary, "h599.example.test", "A") == ["10.0.2.87"]
    assert dig(secondary, "-x", "10.0.2.87") == ["h599.example.test."]
    assert run(*records, ptr=True, servers=[str_of(secondary)]).changed is False
    info = ZoneInfo(Connections(DnsServer, Files().read, SystemClock())).look(
        {
            "zones": ["example.test"],
            "server": ADDRESS,
            "port": primary.port,
            "servers": [str_of(secondary), "127.0.0.3"],
            "key_file": None,
            "timeout": 2.0,
        }
    )
    [zone] = info["zones"]
    assert [server["role"] for server in zone["servers"]] == [
        "authoritative",
        "authoritative",
        "unreachable",
    ]
    assert [server["lag"] for server in zone["servers"]] == [0, 0, None]


def test_old_data_come_back_where_a_server_does_not_follow(run: Run, primary: Named) -> None:
    run(a("x", "192.0.2.1"))
    outcome = run(a("x", "192.0.2.2"), a("y", "192.0.2.3"), servers=["127.0.0.3"], wait_timeout=0.3)
    assert isinstance(outcome.failure, TimedOut)
    assert outcome.rolled_back
    assert dig(primary, "x.example.test", "A") == ["192.0.2.1"]
    assert dig(primary, "y.example.test", "A") == []


def test_ten_thousand_in_one_call_and_a_quick_second_one(run: Run) -> None:
    records = [
        a(f"b{number:05d}", f"10.1.{number >> 8}.{number & 255}") for number in range(10_000)
    ]
    outcome = run(*records)
    assert outcome.failure is None
    assert outcome.plan.facts["messages"] <= 8
    assert run(*records).changed is False
    prune = {"below": "@", "types": ["A"], "allow_empty": False}
    pruned = run(a("ns1", "127.0.0.1"), prune=prune, max_share=100)
    assert (pruned.failure, pruned.plan.facts["removed"]) == (None, 10_000)


def test_pruning_with_a_key_that_may_not_transfer_is_refused(run: Run) -> None:
    prune = {"below": "@", "types": ["A"], "allow_empty": False}
    assert "may not transfer" in str(run(a("ns1", "127.0.0.1"), prune=prune, key="update").failure)


@pytest.mark.parametrize("key", ["all", "update"])
def test_what_lies_below_a_delegation_is_refused_and_glue_is_not(
    run: Run, primary: Named, key: str
) -> None:
    delegation = [
        {"name": "far", "type": "NS", "value": "ns.far.example.test."},
        a("ns.far", "192.0.2.1"),
        {"name": "vm", "type": "NS", "value": "ns1.vm.example.test."},
        a("ns1.vm", "127.0.0.1"),
    ]
    assert run(*delegation).failure is None
    assert run(*delegation).changed is False
    assert run(*delegation[:2], key=key).changed is False
    assert run(a("ns.far", "192.0.2.2")).failure is None
    serial = dig(primary, ZONE, "SOA")
    outcome = run(
        a("x.vm", "192.0.2.1"), a("x.far", "192.0.2.1"), a("ns1.vm", "127.0.0.1"), key=key
    )
    assert [problem.where for problem in getattr(outcome.failure, "problems", ())] == [
        "records[0].name",
        "records[1].name",
    ]
    assert dig(primary, ZONE, "SOA") == serial
    assert run(a("x", "192.0.2.1"), zone="vm.example.test").failure is None


def test_a_server_that_restarts_in_between_is_waited_for(run: Run, primary: Named) -> None:
    primary.stop()
    timer = threading.Timer(0.5, primary.start)
    timer.start()
    outcome = run(a("x", "192.0.2.1"), retry_for=15.0)
    timer.join()
    assert outcome.failure is None
    assert dig(primary, "x.example.test", "A") == ["192.0.2.1"]


def test_signed_answers_validate_and_unsigned_ones_are_bogus(run: Run, primary: Named) -> None:
    deadline = time.monotonic() + 20
    while not dig(primary, "signed.test", "DNSKEY") and time.monotonic() < deadline:
        time.sleep(0.2)
    outcome = run(a("x", "192.0.2.1"), zone="signed.test", validate_dnssec=True)
    assert outcome.failure is None, outcome.failure
    outcome = run(a("x", "192.0.2.1"), validate_dnssec=True)
    assert isinstance(outcome.failure, DnssecBogus)
    assert dig(primary, "x.example.test", "A") == []


def test_no_more_than_a_share_of_a_zone_is_changed(run: Run) -> None:
    records = [a(f"h{number}", f"10.1.0.{number}") for number in range(20)]
    run(*records)
    others = [a(f"h{number}", f"10.2.0.{number}") for number in range(20)]
    refusal = run(*others).failure
    assert isinstance(refusal, TooManyChanges)
    assert run(*others, max_share=100).plan.facts["modified"] == 20
