# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole operation against a server in memory: normal, check, diff, every failure, undo, killed runs."""

from __future__ import annotations

import base64
from functools import partial
from pathlib import Path
from typing import Any

import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    InvalidInput,
    TimedOut,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.limits import TooManyChanges
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.connections import (
    Connections,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.errors import (
    BadKey,
    BadSignature,
    NotAuthoritative,
    RequestRefused,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.records.record_sets_operation import (
    SPEC,
    RecordSets,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.records.zone_reader import (
    CannotRead,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.dns_server import LOST, FakeClock, FakeServer
from tests.fakes.operation_contract import Case, OperationContract, Wire, unwired

ZONE = "example.org."
SECRET = bytes(range(32))
KEY = b'key "k" { algorithm hmac-sha256; secret "%s"; };' % base64.b64encode(SECRET)


class World:
    def __init__(self, base: Path) -> None:
        self.server = FakeServer(keys={"k.": SECRET})
        self.server.load(ZONE, "old A 192.0.2.9\nold TXT text\nalias CNAME old")
        self.server.load("2.0.192.in-addr.arpa.", "9 PTR old.example.org.")
        self.others: dict[str, FakeServer] = {}
        self.key = KEY
        self.clock = FakeClock()
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def reach(self, address: str, port: int, timeout: float) -> FakeServer:
        if address in self.others:
            return self.others[address]
        return self.server.reach(address, port, timeout)

    def operation(self, wire: Wire = unwired) -> RecordSets:
        def answer(message: bytes) -> list[bytes]:
            name = "update" if message[2] >> 3 & 15 == dns.opcode.UPDATE else "ask"
            answered: list[bytes] = wire(name, partial(FakeServer.answer, self.server))(message)
            return answered

        self.server.answer = answer  # type: ignore[method-assign]
        connections = Connections(self.reach, lambda path: self.key, self.clock)
        return RecordSets(connections, self.clock, None, Files().exposed)

    def params(self, *records: dict[str, Any], **options: Any) -> dict[str, Any]:
        return filled(
            SPEC,
            {
                "zone": "example.org",
                "server": self.server.address,
                "key_file": "/k",
                "timeout": 1.0,
                "retry_for": 0.0,
                "ttl": 600,
                "wait_timeout": 1.0,
                "records": list(records),
                **options,
            },
        )

    def run(self, *records: dict[str, Any], check: bool = False, **options: Any) -> Outcome:
        params = self.params(*records, **options)
        return execute(self.operation(), params, self.records, check=check)

    def done(self, *records: dict[str, Any], **options: Any) -> Outcome:
        outcome = self.run(*records, **options)
        if outcome.failure:
            raise outcome.failure
        return outcome

    @property
    def content(self) -> dict[str, list[str]]:
        return self.server.content(ZONE)

    @property
    def journals(self) -> list[Path]:
        return list(self.records.journal.folder.glob("*"))


BEFORE = {
    "alias CNAME 300": ["old.example.org."],
    "old A 300": ["192.0.2.9"],
    "old TXT 300": ['"text"'],
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def a(name: str, *addresses: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "A", "value": list(addresses), **more}


def case(base: Path) -> Case:
    world = World(base)
    removed = {"name": "alias", "type": "CNAME", "state": "absent"}
    return Case(
        world.operation,
        world.params(a("new", "192.0.2.1"), a("old", "192.0.2.10"), removed, ptr=True),
        lambda: {zone: world.server.content(zone) for zone in (ZONE, "2.0.192.in-addr.arpa.")},
        reads=("ask",),
        secrets=[SECRET],
    )


class TestContract(OperationContract):
    operation = RecordSets
    cases = (case,)


def test_it_adds_changes_and_removes_in_one_message_and_then_is_quiet(world: World) -> None:
    wanted = (
        a("new", "192.0.2.1", "192.0.2.2"),
        a("old", "192.0.2.10"),
        {"name": "old", "type": "TXT", "state": "absent"},
    )
    outcome = world.done(*wanted)
    assert world.content == {
        "alias CNAME 300": ["old.example.org."],
        "new A 600": ["192.0.2.1", "192.0.2.2"],
        "old A 600": ["192.0.2.10"],
    }
    assert world.server.updates == 1
    facts = outcome.plan.facts
    assert (facts["added"], facts["modified"], facts["removed"], facts["messages"]) == (1, 1, 1, 1)
    assert outcome.facts["serials"] == {ZONE: 2}
    again = world.done(*wanted)
    assert (again.changed, world.server.updates) == (False, 1)


def test_before_after_and_diff_show_each_record_set(world: World) -> None:
    plan = world.done(a("old", "192.0.2.10"), a("new", "192.0.2.1")).plan
    assert plan.before == {"old.example.org. A": {"ttl": 300, "value": ["192.0.2.9"]}}
    assert plan.after["new.example.org. A"] == {"ttl": 600, "value": ["192.0.2.1"]}
    [changed, added] = plan.differences
    assert (changed.name, changed.before, changed.after) == (
        "old.example.org. A",
        "300 192.0.2.9\n",
        "600 192.0.2.10\n",
    )
    assert added.before == ""


def test_every_type_goes_in_and_is_then_found_unchanged(world: World) -> None:
    values = {
        "A": "192.0.2.1",
        "AAAA": "2001:DB8::1",
        "CAA": '0 issue "ca.example.net"',
        "MX": "10 NS1",
        "NS": "ns9.example.net.",
        "PTR": "host.example.net.",
        "SRV": "0 5 5060 sip.example.net.",
        "SSHFP": "4 2 " + "Ab" * 32,
        "TLSA": "3 1 1 " + "cd" * 32,
        "TXT": "ü" * 400,
        "DNAME": "elsewhere.example.net.",
        "NAPTR": '100 10 "U" "E2U+sip" "!^.*$!sip:info@example.org!" .',
        "LOC": "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
        "HTTPS": '1 . alpn="h2,h3" port=8443',
        "SVCB": "0 Svc.example.net.",
        "URI": '10 1 "https://example.net/"',
        "CERT": "PKIX 1 RSASHA256 AQID",
        "OPENPGPKEY": "AQID",
        "SMIMEA": "3 1 1 " + "cd" * 32,
        "type65280": r"\# 4 0A000001",
        "IPSECKEY": r"\# 6 0A0002 414141",
    }
    wanted = [{"name": f"t{kind}", "type": kind, "value": value} for kind, value in values.items()]
    wanted.append({"name": "tNS", "type": "DS", "value": "1 13 2 " + "ab" * 32})
    wanted.append({"name": "bücher", "type": "CNAME", "value": "www.example.net."})
    assert world.done(*wanted).plan.facts["added"] == len(wanted)
    assert world.content["ttype65280 TYPE65280 600"] == [r"\# 4 0a000001"]
    assert world.content["xn--bcher-kva CNAME 600"] == ["www.example.net."]
    assert world.done(*wanted).changed is False


def test_values_beside_those_of_others(world: World) -> None:
    world.done(a("old", "192.0.2.10", exact=False))
    assert world.content["old A 600"] == ["192.0.2.10", "192.0.2.9"]
    world.done(a("old", "192.0.2.9", state="absent"))
    assert world.content["old A 600"] == ["192.0.2.10"]
    world.done(a("old", "192.0.2.10", state="absent"))
    assert not any(key.startswith("old A") for key in world.content)


def test_a_cname_takes_the_place_of_other_data_and_back(world: World) -> None:
    world.done(
        {"name": "old", "type": "CNAME", "value": "ns1"},
        {"name": "old", "type": "A", "state": "absent"},
        {"name": "old", "type": "TXT", "state": "absent"},
    )
    assert world.content["old CNAME 600"] == ["ns1.example.org."]
    world.done(a("old", "192.0.2.1"), {"name": "old", "type": "CNAME", "state": "absent"})
    assert world.content["old A 600"] == ["192.0.2.1"]


@pytest.mark.parametrize("transfer", [True, False])
def test_a_cname_beside_other_data_of_the_server_is_found_before_anything_is_sent(
    world: World, transfer: bool
) -> None:
    world.server.may_transfer = transfer
    outcome = world.run(a("alias", "192.0.2.1"), {"name": "old", "type": "CNAME", "value": "ns1"})
    assert isinstance(outcome.failure, InvalidInput)
    assert [problem.where for problem in outcome.failure.problems] == ["records[0]", "records[1]"]
    assert world.server.updates == 0


def test_many_are_read_by_transfer_and_by_questions_where_that_is_refused(world: World) -> None:
    wanted = [a(f"n{number}", f"10.0.{number >> 8}.{number & 255}") for number in range(400)]
    world.done(*wanted)
    assert not any(
        question.startswith("n399") and "TXT" in question for question in world.server.asked[:2]
    )
    asked = len(world.server.asked)
    world.server.may_transfer = False
    assert world.done(*wanted).changed is False
    assert len(world.server.asked) - asked >= 400


def test_a_wildcard_does_not_pass_for_a_record(world: World) -> None:
    world.server.put(ZONE, "*.example.org.", 600, "A", "192.0.2.7")
    assert world.done(a("new", "192.0.2.7")).plan.facts["added"] == 1
    assert world.content["new A 600"] == ["192.0.2.7"]
    assert world.done(a("new", state="absent", value=None)).changed
    world.server.may_transfer = False
    assert isinstance(world.run(a("new", "192.0.2.7")).failure, CannotRead)


# --- conflicts, refusals, lost answers


def test_what_somebody_else_changed_meanwhile_is_a_conflict_and_not_overwritten(
    world: World,
) -> None:
    def meanwhile() -> None:
        world.server.put(ZONE, "old.example.org.", 300, "A", "192.0.2.77")

    world.server.moods = [meanwhile]
    outcome = world.run(a("old", "192.0.2.10"), a("new", "192.0.2.1"))
    assert isinstance(outcome.failure, Conflict)
    assert outcome.failure.details["conflicts"] == ["old.example.org. A"]
    assert world.content == {**BEFORE, "old A 300": ["192.0.2.77"]}
    assert (outcome.changed, outcome.rolled_back, outcome.rollback_errors) == (False, True, [])


def test_a_name_taken_meanwhile_is_a_conflict(world: World) -> None:
    world.server.moods = [lambda: world.server.put(ZONE, "new.example.org.", 1, "A", "192.0.2.66")]
    outcome = world.run(a("new", "192.0.2.1"))
    assert outcome.failure.details["conflicts"] == ["new.example.org. A"]
    assert world.content["new A 1"] == ["192.0.2.66"]


def break_connection() -> None:
    raise ConnectionError


@pytest.mark.parametrize("mood", [lambda: LOST, break_connection])
def test_a_lost_answer_is_looked_into_and_nothing_is_made_twice(world: World, mood: Any) -> None:
    world.server.moods = [mood]
    outcome = world.done(a("new", "192.0.2.1"), retry_for=5.0)
    assert outcome.changed
    assert world.content["new A 600"] == ["192.0.2.1"]
    assert world.server.serial(ZONE) == 2


def test_a_lost_answer_to_a_change_of_ttl_alone_is_looked_into_too(world: World) -> None:
    world.server.moods = [break_connection]
    world.done(a("old", "192.0.2.9", ttl=60), retry_for=5.0)
    assert world.content["old A 60"] == ["192.0.2.9"]


def test_a_server_that_is_being_promoted_refuses_for_a_moment(world: World) -> None:
    world.server.moods = [lambda: dns.rcode.REFUSED, lambda: dns.rcode.NOTAUTH]
    world.done(a("new", "192.0.2.1"), retry_for=5.0)
    assert world.content["new A 600"] == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("rcode", "kind"),
    [(dns.rcode.REFUSED, RequestRefused), (dns.rcode.NOTAUTH, NotAuthoritative)],
)
def test_a_refusal_that_lasts_has_its_own_error(world: World, rcode: int, kind: type) -> None:
    world.server.moods = [lambda: rcode] * 100
    outcome = world.run(a("new", "192.0.2.1"), retry_for=2.0)
    assert type(outcome.failure).__name__ == kind.__name__
    assert world.content == BEFORE
    assert world.journals == []


def test_a_wrong_key_has_its_own_error(world: World) -> None:
    world.key = KEY.replace(b'"k"', b'"other"')
    assert isinstance(world.run(a("new", "192.0.2.1"), retry_for=5.0).failure, BadKey)
    world.key = KEY.replace(base64.b64encode(SECRET), base64.b64encode(bytes(32)))
    assert isinstance(world.run(a("new", "192.0.2.1"), retry_for=5.0).failure, BadSignature)
    assert world.clock.now == 0, "neither goes away by waiting"


def test_a_key_file_that_everybody_may_read_is_warned_of(world: World, tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_bytes(KEY)
    for mode, count in ((0o644, 1), (0o640, 0)):
        path.chmod(mode)
        for check in (True, False):
            found = world.run(a("new", "192.0.2.1"), key_file=str(path), check=check).warnings
            assert len(found) == count
            assert all(str(path) in warning for warning in found)


def test_a_zone_that_the_server_does_not_hold_has_its_own_error(world: World) -> None:
    outcome = world.run(a("new", "192.0.2.1"), zone="sub.example.org")
    assert isinstance(outcome.failure, NotAuthoritative)
    assert "answers from the zone example.org." in str(outcome.failure)


@pytest.mark.parametrize("count", [1, 400])
def test_a_zone_that_the_server_does_not_know_is_said_to_be_that(world: World, count: int) -> None:
    wanted = [a(f"n{number}", "192.0.2.1") for number in range(count)]
    outcome = world.run(*wanted, zone="unknown.test")
    assert isinstance(outcome.failure, RequestRefused)
    assert outcome.failure.what == "192.0.2.53 does not answer for unknown.test. (REFUSED)"
    assert "holds no zone that this name is in" in outcome.failure.why
    assert "Check the zone's name" in outcome.failure.hint


def test_an_update_that_the_server_ignores_is_found_and_undone(world: World) -> None:
    def meanwhile() -> None:
        world.server.put(ZONE, "new.example.org.", 1, "CNAME", "else.example.org.")

    world.server.moods = [meanwhile]
    outcome = world.run(a("new", "192.0.2.1"), a("other", "192.0.2.2"))
    assert isinstance(outcome.failure, VerificationFailed)
    assert "other A 600" not in world.content


# --- several servers


def follower(world: World, address: str, *, lags: bool = False) -> FakeServer:
    other = FakeServer(address)
    other.zones = {} if lags else world.server.zones
    if lags:
        other.load(ZONE)
    other.reach = lambda *place: other  # type: ignore[method-assign]
    world.others[address] = other
    return other


def test_it_waits_for_all_servers_and_puts_the_old_data_back_where_one_lags(world: World) -> None:
    follower(world, "192.0.2.1")
    follower(world, "192.0.2.2", lags=True)
    follower(world, "192.0.2.3")
    servers = ["192.0.2.1", "192.0.2.2"]
    outcome = world.run(a("old", "192.0.2.10"), servers=servers)
    assert isinstance(outcome.failure, TimedOut)
    assert "192.0.2.2 example.org. is at serial 1, not yet at 2" in str(outcome.failure)
    assert world.content == BEFORE
    assert (outcome.rolled_back, outcome.changed) == (True, False)
    outcome = world.run(
        a("old", "192.0.2.10"), servers=[*servers, "192.0.2.3"], wait_for="majority"
    )
    assert outcome.failure is None
    assert [entry["in_sync"] for entry in outcome.facts["servers"]] == [True, False, True]


def test_a_second_run_says_where_a_server_still_lags(world: World) -> None:
    world.done(a("new", "192.0.2.1"))
    follower(world, "192.0.2.2", lags=True)
    outcome = world.run(a("new", "192.0.2.1"), servers=["192.0.2.2"])
    assert isinstance(outcome.failure, TimedOut)
    assert outcome.changed is False


# --- pruning, pointers, TTL


def test_pruning_keeps_to_its_scope(world: World) -> None:
    for owner in ("a.lab", "b.lab", "c"):
        world.server.put(ZONE, f"{owner}.example.org.", 300, "A", "192.0.2.3")
    world.server.put(ZONE, "b.lab.example.org.", 300, "TXT", '"kept"')
    world.server.put(ZONE, "_writer.example.org.", 0, "TXT", '"v=1"')
    world.server.put(ZONE, "child.lab.example.org.", 300, "NS", "ns.child.lab.example.org.")
    world.server.put(ZONE, "ns.child.lab.example.org.", 300, "A", "192.0.2.4")
    prune = {"below": "lab", "types": ["A"], "allow_empty": False}
    world.done(a("a.lab", "192.0.2.3", ttl=300), prune=prune)
    assert "b.lab A 300" not in world.content
    assert {"a.lab A 300", "c A 300", "b.lab TXT 300", "ns.child.lab A 300"} <= set(world.content)
    world.done(
        a("a.lab", "192.0.2.3"), prune={"below": "@", "types": ["TXT"], "allow_empty": False}
    )
    assert "_writer TXT 0" in world.content
    assert "old TXT 300" not in world.content


def full_zone(world: World, count: int) -> None:
    world.server.load(ZONE, "\n".join(f"h{number} A 192.0.2.{number}" for number in range(count)))


def moved(count: int) -> list[dict[str, Any]]:
    return [a(f"h{number}", f"198.51.100.{number}", ttl=300) for number in range(count)]


def test_no_more_than_a_share_of_a_zone_changes_unless_the_number_is_given(world: World) -> None:
    full_zone(world, 19)  # and the address of the server
    world.done(*moved(6))
    before = world.content
    outcome = world.run(*moved(13), a("new", "192.0.2.99"))
    assert isinstance(outcome.failure, TooManyChanges)
    assert "would change 7 of 20 record sets of example.org." in str(outcome.failure)
    assert "max_share=35" in outcome.failure.hint
    assert world.content == before
    assert isinstance(world.run(*moved(13), check=True).failure, TooManyChanges)
    world.done(*moved(13), max_share=35)
    world.done(*[a(f"new{number}", "192.0.2.98") for number in range(50)], max_share=0)


def test_pruning_is_limited_to_a_share_of_the_zone(world: World) -> None:
    full_zone(world, 19)
    prune = {"below": "@", "types": ["A"]}
    outcome = world.run(a("h1", "192.0.2.1", ttl=300), prune=prune)
    assert "would change 18 of 20 record sets" in str(outcome.failure)
    assert world.done(a("h1", "192.0.2.1", ttl=300), prune=prune, max_share=90).changed


def test_a_small_zone_may_change_whole(world: World) -> None:
    full_zone(world, 8)
    assert world.done(*moved(8)).plan.facts["modified"] == 8


def test_all_of_a_zone_may_change_where_the_number_says_so(world: World) -> None:
    full_zone(world, 9)
    servers = {"name": "@", "type": "NS", "value": "h1.example.org.", "ttl": 300, "exact": True}
    everything = [*moved(9), a("ns1", "192.0.2.2", ttl=300), servers]
    assert world.done(*everything, max_share=100).plan.facts["modified"] == 11


def test_a_zone_that_cannot_be_counted_takes_no_large_change(world: World) -> None:
    full_zone(world, 100)
    assert world.done(*moved(20)).changed  # the zone is counted by a transfer
    world.server.may_transfer = False
    before = world.content
    outcome = world.run(*moved(30))
    assert isinstance(outcome.failure, TooManyChanges)
    assert "would change 10 record sets of example.org." in outcome.failure.what
    assert "may not transfer" in outcome.failure.why
    assert "max_share=100" in outcome.failure.hint
    assert world.content == before
    assert world.done(*moved(28)).plan.facts["modified"] == 8  # of 28 that are known, and more
    assert world.done(*moved(50), max_share=100).plan.facts["modified"] == 22


def reverse_of(count: int, target: str) -> str:
    return "\n".join(f"{number} PTR {target}{number}.example.org." for number in range(count))


@pytest.mark.parametrize("may_transfer", [True, False])
def test_reverse_zones_are_guarded_too(world: World, may_transfer: bool) -> None:
    reverse = "2.0.192.in-addr.arpa."
    world.server.load(reverse, reverse_of(18, "old"))
    world.server.may_transfer = may_transfer
    before = world.server.content(reverse)
    wanted = [a(f"new{number}", f"192.0.2.{number}") for number in range(12)]
    outcome = world.run(*wanted, ptr=True)
    assert isinstance(outcome.failure, TooManyChanges)
    assert "would change 12 " in outcome.failure.what
    assert reverse in outcome.failure.what
    assert (world.content, world.server.content(reverse)) == (BEFORE, before)
    assert world.done(*wanted, ptr=True, max_share=100).changed


def test_a_reverse_zone_is_counted_where_its_share_matters(world: World) -> None:
    reverse = "2.0.192.in-addr.arpa."
    world.server.load(reverse, reverse_of(100, "old"))
    wanted = [a(f"new{number}", f"192.0.2.{number}") for number in range(12)]
    assert world.done(*wanted, ptr=True).plan.facts["modified"] == 12


def test_pruning_leaves_the_addresses_of_the_zone_s_own_servers(world: World) -> None:
    world.server.put(ZONE, "ns2.example.org.", 300, "AAAA", "2001:db8::2")
    prune = {"below": "@", "types": ["A", "AAAA"], "allow_empty": True}
    servers = {"name": "@", "type": "NS", "value": "ns2.example.org."}
    world.done({**servers, "exact": False}, prune=prune)
    held = world.server.zones[dns.name.from_text(ZONE)]
    kept = {str(owner) for owner, kind in held if dns.rdatatype.to_text(kind) in ("A", "AAAA")}
    assert kept == {"ns1.example.org.", "ns2.example.org."}
    world.done({**servers, "exact": True}, prune=prune)
    assert (dns.name.from_text("ns1.example.org."), dns.rdatatype.A) not in held


# --- what a zone cannot be without, and hosts that need an address


def own(*servers: str, **more: Any) -> dict[str, Any]:
    return {"name": "@", "type": "NS", "value": list(servers), **more}


def problems(outcome: Outcome) -> list[str]:
    assert isinstance(outcome.failure, InvalidInput)
    return [str(problem) for problem in outcome.failure.problems]


def test_the_zone_s_own_servers_are_replaced_only_where_the_entry_says_so(world: World) -> None:
    [problem] = problems(world.run(own("ns9.example.net.")))
    assert problem.startswith("records[0].exact: is missing: these are the zone's own name servers")
    world.done(own("ns9.example.net.", exact=False))
    held = world.server.zones[dns.name.from_text(ZONE)][dns.name.from_text(ZONE), dns.rdatatype.NS]
    assert sorted(map(str, held)) == ["ns1.example.org.", "ns9.example.net."]
    world.done(own("ns9.example.net.", exact=True), a("ns1", value=None, state="absent"))
    held = world.server.zones[dns.name.from_text(ZONE)][dns.name.from_text(ZONE), dns.rdatatype.NS]
    assert list(map(str, held)) == ["ns9.example.net."]


@pytest.mark.parametrize("transfer", [True, False])
def test_a_zone_keeps_a_server_and_its_servers_an_address(world: World, transfer: bool) -> None:
    world.server.may_transfer = transfer
    assert problems(world.run(own(value=None, state="absent"))) == [
        "records[0].state: the zone's own NS record set cannot be removed"
    ]
    assert problems(world.run(own("ns1", state="absent"))) == [
        "records[0]: the zone would have no NS: name another one first"
    ]
    for gone in (a("ns1", value=None, state="absent"), a("ns1", "192.0.2.1", state="absent")):
        [problem] = problems(world.run(a("ok", "192.0.2.1"), gone))
        assert problem.startswith("records[1]: ns1.example.org. is a name server of this zone")
    assert problems(world.run(own("ns1", "ns2", exact=True))) == [
        "records[0].value: ns2.example.org. has no address (A or AAAA) in this zone:"
        " give it one in this task, or name a host that has one"
    ]
    world.done(
        a("ns1", value=None, state="absent"), {"name": "ns1", "type": "AAAA", "value": "::1"}
    )
    world.done(own("ns1", "ns2", exact=True), a("ns2", "192.0.2.2"))
    assert world.server.updates == 2


@pytest.mark.parametrize("transfer", [True, False])
def test_an_mx_without_an_address_is_found_before_the_server_refuses_it(
    world: World, transfer: bool
) -> None:
    world.server.may_transfer = transfer
    mx = {"name": "@", "type": "MX", "value": ["10 mail", "20 mx.example.net.", "30 old"]}
    [problem] = problems(world.run(mx))
    assert problem.startswith("records[0].value: mail.example.org. has no address (A or AAAA)")
    assert world.server.updates == 0
    world.done(mx, a("mail", "192.0.2.1"))
    world.done({**mx, "value": "10 alias"})
    world.done({**mx, "value": "0 ."})


def test_an_srv_without_an_address_is_warned_of(world: World) -> None:
    srv = {"name": "_sip._udp", "type": "SRV", "value": "0 0 5060 sip"}
    [warning] = world.done(srv).warnings
    assert warning.startswith("records[0].value: sip.example.org. has no address (A or AAAA)")
    assert world.done(srv, a("sip", "192.0.2.1")).warnings == []
    assert world.done(srv).warnings == []


def test_a_ds_stands_beside_a_delegation_only(world: World) -> None:
    ds = {"name": "vm", "type": "DS", "value": "1 13 2 " + "ab" * 32}
    [problem] = problems(world.run(ds))
    assert problem.startswith("records[0].name: vm.example.org. is not delegated")
    ns = {"name": "vm", "type": "NS", "value": "ns1"}
    world.done(ds, ns)
    assert world.done(ds).changed is False
    [problem] = problems(world.run({**ds, "name": "@"}))
    assert "stands in its parent zone" in problem


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("SOA", "a type that the servers keep themselves"),
        ("DNSKEY", "a type that the servers keep themselves"),
        ("RRSIG", "a type that the servers keep themselves"),
        ("TYPE65534", "a type that the servers keep themselves"),
        ("ANY", "a type that no zone holds"),
        ("AXFR", "a type that no zone holds"),
        ("AAAAA", "is no record type"),
    ],
)
def test_types_that_are_not_for_users_are_told_apart(world: World, kind: str, why: str) -> None:
    [one, other] = problems(
        world.run(
            {"name": "x", "type": kind, "value": r"\# 1 00"}, prune={"below": "@", "types": [kind]}
        )
    )
    assert (one, other) == (
        f"records[0].type: {one.partition(': ')[2]}",
        f"prune.types: {one.partition(': ')[2]}",
    )
    assert why in one


def test_names_of_the_servers_and_wildcards_take_no_type_that_would_not_work(world: World) -> None:
    found = problems(
        world.run(
            {"name": "_writer", "type": "SPF", "value": "mine"},
            {"name": "*.x", "type": "NS", "value": "ns1"},
            {"name": "*.x", "type": "DNAME", "value": "ns1"},
            {"name": "x", "type": "DNAME", "value": ["ns1", "old"]},
        )
    )
    assert [problem.partition(": ")[0] for problem in found] == [
        "records[0].name",
        "records[1].type",
        "records[2].type",
        "records[3].value",
    ]


def test_data_of_any_type_beside_a_cname_are_found_by_one_question(world: World) -> None:
    world.server.may_transfer = False
    world.server.put(ZONE, "odd.example.org.", 300, "TYPE65280", r"\# 1 00")
    [problem] = problems(world.run({"name": "odd", "type": "CNAME", "value": "ns1"}))
    assert "odd.example.org. holds TYPE65280 on the server" in problem
    assert [each for each in world.server.asked if each.startswith("odd")] == [
        "odd.example.org. ANY",
        "odd.example.org. CNAME",
    ]


def test_pruning_needs_a_transfer_and_a_list(world: World) -> None:
    prune = {"below": "@", "types": ["A"], "allow_empty": False}
    assert isinstance(world.run(prune=prune).failure, InvalidInput)
    world.server.may_transfer = False
    outcome = world.run(a("x", "192.0.2.1"), prune=prune)
    assert isinstance(outcome.failure, CannotRead)


@pytest.mark.parametrize("transfer", [True, False])
def test_what_lies_below_a_zone_that_the_server_holds_too_is_refused(
    world: World, transfer: bool
) -> None:
    world.server.load("vm.example.org.")
    world.server.may_transfer = transfer
    outcome = world.run(a("ok", "192.0.2.1"), a("x.vm", "192.0.2.2"), a("y.z.vm", "192.0.2.2"))
    assert isinstance(outcome.failure, InvalidInput)
    assert [str(problem) for problem in outcome.failure.problems] == [
        f"records[{number}].name: {name}.example.org. lies below vm.example.org., which is delegated:"
        " name that zone instead"
        for number, name in ((1, "x.vm"), (2, "y.z.vm"))
    ]
    assert world.server.updates == 0


def test_what_lies_at_or_below_a_delegation_of_the_same_call_is_refused(world: World) -> None:
    outcome = world.run(
        {"name": "vm", "type": "NS", "value": ["ns.vm.example.org."]},
        a("ns.vm", "192.0.2.1"),
        a("x.vm", "192.0.2.1"),
        a("vm", "192.0.2.1"),
        a("y.vm", state="absent", value=None),
    )
    assert [problem.where for problem in outcome.failure.problems] == [
        "records[2].name",
        "records[3].name",
    ]


def test_undo_reads_the_zone_itself_where_a_child_answers_for_it(world: World) -> None:
    world.server.moods = [lambda: world.server.load("vm.example.org.")]
    outcome = world.run(a("x.vm", "192.0.2.1"))
    assert isinstance(outcome.failure, VerificationFailed)
    assert (outcome.rolled_back, world.content) == (True, BEFORE)
    world.server.put(ZONE, "x.vm.example.org.", 300, "A", "192.0.2.1")
    world.done(a("x.vm", state="absent", value=None))
    assert world.content == BEFORE
    assert world.done(a("x.vm", state="absent", value=None)).changed is False


def test_pointers_follow_their_addresses(world: World) -> None:
    reverse = "2.0.192.in-addr.arpa."
    world.done(a("old", "192.0.2.10"), a("new", "192.0.2.11"), ptr=True)
    assert world.server.content(reverse) == {
        "10 PTR 600": ["old.example.org."],
        "11 PTR 600": ["new.example.org."],
    }
    world.done(a("new", state="absent", value=None), ptr=True)
    assert world.server.content(reverse) == {"10 PTR 600": ["old.example.org."]}


def test_the_pointers_of_pruned_addresses_go_too_where_the_task_minds_pointers(
    world: World,
) -> None:
    reverse = "2.0.192.in-addr.arpa."
    world.server.put(ZONE, "far.example.org.", 300, "A", "203.0.113.1")
    world.server.put(reverse, f"8.{reverse}", 300, "PTR", "other.example.org.")
    world.server.put(ZONE, "shared.example.org.", 300, "A", "192.0.2.8")
    prune = {"below": "@", "types": ["A", "TXT"], "allow_empty": False}
    wanted = (a("new", "192.0.2.10"),)
    assert world.done(*wanted, prune=prune, ptr=True).plan.facts["removed"] == 5
    assert world.server.content(reverse) == {
        "10 PTR 600": ["new.example.org."],
        "8 PTR 300": ["other.example.org."],
    }
    assert world.done(*wanted, prune=prune, ptr=True).changed is False


def test_an_address_without_a_reverse_zone_is_named_by_its_position(world: World) -> None:
    outcome = world.run(a("x", "192.0.2.1"), a("y", "203.0.113.1"), ptr=True)
    assert [problem.where for problem in outcome.failure.problems] == ["records[1].ptr"]
    assert world.server.updates == 0


def test_ttls_are_lowered_only_where_data_will_change(world: World) -> None:
    wanted = (
        a("old", "192.0.2.10"),
        a("new", "192.0.2.1"),
        {"name": "old", "type": "TXT", "value": "text"},
    )
    outcome = world.done(*wanted, lower_ttl=60)
    assert world.content == {
        "alias CNAME 300": ["old.example.org."],
        "old A 60": ["192.0.2.9"],
        "old TXT 300": ['"text"'],
    }
    assert outcome.plan.facts["caches_hold"] == 300
    assert world.done(*wanted, lower_ttl=60).changed is False
    world.done(*wanted)
    assert world.content["old A 600"] == ["192.0.2.10"]


# --- undo, and what a killed run leaves


def test_where_the_reverse_zone_refuses_the_forward_zone_is_put_back(world: World) -> None:
    world.server.moods = [lambda: None, lambda: dns.rcode.REFUSED]
    outcome = world.run(a("old", "192.0.2.10"), a("new", "192.0.2.11"), ptr=True)
    assert isinstance(outcome.failure, RequestRefused)
    assert world.content == BEFORE
    assert [step["target"] for step in outcome.done] == [ZONE]
    assert outcome.rolled_back


def test_undo_leaves_what_somebody_else_changed_since_and_says_so(world: World) -> None:
    def meanwhile() -> Any:
        world.server.put(ZONE, "new.example.org.", 5, "A", "192.0.2.200")
        return dns.rcode.REFUSED

    world.server.moods = [lambda: None, meanwhile]
    outcome = world.run(a("old", "192.0.2.10"), a("new", "192.0.2.11"), ptr=True)
    assert outcome.rolled_back
    assert world.content == {**BEFORE, "new A 5": ["192.0.2.200"]}
    assert any("Others changed new.example.org. A since" in text for text in outcome.warnings)


# --- many, and bad ones


def test_thousands_of_new_record_sets_take_a_handful_of_messages(world: World) -> None:
    wanted = [
        a(f"host{number:05d}", f"10.1.{number >> 8}.{number & 255}") for number in range(3_000)
    ]
    outcome = world.done(*wanted)
    assert outcome.plan.facts["added"] == 3_000
    assert world.server.updates == outcome.plan.facts["messages"] <= 3
    assert world.done(*wanted).changed is False


def test_all_that_is_wrong_is_reported_at_once_by_position(world: World) -> None:
    outcome = world.run(
        a("ok", "192.0.2.1"),
        a("bad..name", "192.0.2.1"),
        a("x", "192.0.2.256"),
        a("y", "192.0.2.1", ttl=-1),
        a("z", "192.0.2.1", "nonsense"),
        {"name": "t", "type": "TXT", "value": "a\0b"},
        {"name": "u", "type": "NSEC", "value": "x"},
        a("ok", "192.0.2.2"),
        a("elsewhere.example.net.", "192.0.2.1"),
        {"name": "c", "type": "CNAME", "value": "www.example.net"},
        {"name": "empty", "type": "A", "value": []},
        {"type": "A", "value": "192.0.2.1"},
        {"name": "t2", "type": "TXT", "value": "x" * 70_000},
        a("x" * 64, "192.0.2.1"),
        a("s", "192.0.2.1", state="gone"),
        {"name": "_writer", "type": "TXT", "value": "mine"},
        servers=["ok", "bad:port"],
    )
    assert isinstance(outcome.failure, InvalidInput)
    assert [problem.where for problem in outcome.failure.problems] == [
        "records[1].name",
        "records[2].value",
        "records[3].ttl",
        "records[4].value[1]",
        "records[5].value",
        "records[6].type",
        "records[7]",
        "records[8].name",
        "records[9].value",
        "records[10].value",
        "records[11].name",
        "records[12].value",
        "records[13].name",
        "records[14].state",
        "records[15].name",
        "servers[1]",
    ]
    assert "is also records[0]" in str(outcome.failure.problems[6])
    assert world.server.asked == []


def test_what_is_no_address_of_a_server_is_reported_at_once(world: World) -> None:
    outcome = world.run(
        a("x", "192.0.2.1"),
        server="10.77.0.999",
        servers=["bad host", "ns1.example.net:54", "[2001:db8::1]:53", "-x", "::g", "fe80::1%eth0"],
    )
    assert [problem.where for problem in outcome.failure.problems] == [
        "server",
        "servers[0]",
        "servers[3]",
        "servers[4]",
    ]
    assert world.server.asked == []


def test_servers_given_twice_count_once(world: World) -> None:
    follower(world, "192.0.2.54")
    outcome = world.done(a("x", "192.0.2.1"), servers=["192.0.2.54", "192.0.2.54:53"])
    assert len(outcome.facts["servers"]) == 1


def test_a_server_whose_name_leads_nowhere_is_refused_before_any_change(world: World) -> None:
    follower(world, "ns2.invalid")
    outcome = world.run(a("x", "192.0.2.1"), servers=["ns2.invalid"])
    assert isinstance(outcome.failure, InvalidInput)
    assert world.server.updates == 0


def test_a_record_set_too_large_for_a_message_is_named_by_its_position(world: World) -> None:
    huge = [f"{number:04d}" + "x" * 40_000 for number in range(2)]
    outcome = world.run(a("ok", "192.0.2.1"), {"name": "huge", "type": "TXT", "value": huge})
    assert [problem.where for problem in outcome.failure.problems] == ["records[1]"]


def test_no_records_and_no_pruning_is_no_change(world: World) -> None:
    assert world.done().changed is False
