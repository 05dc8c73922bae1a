# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole operation against a server in memory: normal, check, diff, every failure, undo, killed runs."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import dns.name
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
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.errors import (
    BadKey,
    BadSignature,
    NotAuthoritative,
    RequestRefused,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.looking import CannotLook
from ansible_collections.debvisor.hci.plugins.module_utils._dns.record_sets_operation import (
    RecordSets,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.files import Files

from tests.fakes.dns_server import LOST, FakeClock, FakeServer

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

    def run(self, *records: dict[str, Any], check: bool = False, **options: Any) -> Outcome:
        operation = RecordSets(self.reach, lambda path: self.key, self.clock, None, Files().exposed)
        params = {
            "zone": "example.org",
            "server": self.server.address,
            "port": 53,
            "key_file": "/k",
            "timeout": 1.0,
            "retry_for": 0.0,
            "ttl": 600,
            "ptr": False,
            "prune": None,
            "lower_ttl": None,
            "servers": [],
            "wait_for": "all",
            "wait_timeout": 1.0,
            "validate_dnssec": False,
            "records": list(records),
            **options,
        }
        return execute(operation, params, self.records, check=check)

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


def test_check_mode_sends_questions_only_and_foretells_the_run(world: World) -> None:
    world.server.read_only = True
    wanted = (a("new", "192.0.2.1", ptr=True), a("old", "192.0.2.10"))
    foretold = world.done(*wanted, check=True).plan
    assert world.server.updates == 0
    world.server.read_only = False
    assert world.done(*wanted).plan == foretold


def test_every_type_goes_in_and_is_then_found_unchanged(world: World) -> None:
    values = {
        "A": "192.0.2.1",
        "AAAA": "2001:DB8::1",
        "CAA": '0 issue "ca.example.net"',
        "MX": "10 MAIL",
        "NS": "ns9.example.net.",
        "PTR": "host.example.net.",
        "SRV": "0 5 5060 sip.example.net.",
        "SSHFP": "4 2 " + "Ab" * 32,
        "TLSA": "3 1 1 " + "cd" * 32,
        "TXT": "ü" * 400,
    }
    wanted = [{"name": f"t{kind}", "type": kind, "value": value} for kind, value in values.items()]
    wanted.append({"name": "bücher", "type": "CNAME", "value": "www.example.net."})
    assert world.done(*wanted).plan.facts["added"] == 11
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
    assert isinstance(world.run(a("new", "192.0.2.7")).failure, CannotLook)


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


def test_pruning_leaves_the_addresses_of_the_zone_s_own_servers(world: World) -> None:
    world.server.put(ZONE, "ns2.example.org.", 300, "AAAA", "2001:db8::2")
    prune = {"below": "@", "types": ["A", "AAAA"], "allow_empty": True}
    servers = {"name": "@", "type": "NS", "value": "ns2.example.org."}
    world.done({**servers, "exact": False}, prune=prune)
    held = world.server.zones[dns.name.from_text(ZONE)]
    kept = {str(owner) for owner, kind in held if dns.rdatatype.to_text(kind) in ("A", "AAAA")}
    assert kept == {"ns1.example.org.", "ns2.example.org."}
    world.done(servers, prune=prune)
    assert (dns.name.from_text("ns1.example.org."), dns.rdatatype.A) not in held


def test_pruning_needs_a_transfer_and_a_list(world: World) -> None:
    prune = {"below": "@", "types": ["A"], "allow_empty": False}
    assert isinstance(world.run(prune=prune).failure, InvalidInput)
    world.server.may_transfer = False
    outcome = world.run(a("x", "192.0.2.1"), prune=prune)
    assert isinstance(outcome.failure, CannotLook)


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


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("made", [True, False])
def test_killed_at_an_update_the_next_run_unwinds_and_completes(
    world: World, after: int, made: bool
) -> None:
    wanted = (a("old", "192.0.2.10"), a("new", "192.0.2.11"))
    child = os.fork()
    if child == 0:
        world.server.moods = [lambda: None] * after + [lambda: os._exit(137)]
        world.run(*wanted, ptr=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 137
    assert len(world.journals) == 1
    if made:  # the child's memory is gone with it: put what it wrote where the next run looks
        world.server.put(ZONE, "old.example.org.", 600, "A", "192.0.2.10")
        world.server.put(ZONE, "new.example.org.", 600, "A", "192.0.2.11")
    outcome = world.run(*wanted, ptr=True)
    assert outcome.failure is None
    assert len(outcome.unwound) == 1
    assert world.content["old A 600"] == ["192.0.2.10"]
    assert world.journals == []


def test_undo_leaves_what_somebody_else_changed_since_and_says_so(world: World) -> None:
    def meanwhile() -> Any:
        world.server.put(ZONE, "new.example.org.", 5, "A", "192.0.2.200")
        return dns.rcode.REFUSED

    world.server.moods = [lambda: None, meanwhile]
    outcome = world.run(a("old", "192.0.2.10"), a("new", "192.0.2.11"), ptr=True)
    assert outcome.rolled_back
    assert world.content == {**BEFORE, "new A 5": ["192.0.2.200"]}
    assert any(
        "Somebody else changed new.example.org. A since" in text for text in outcome.warnings
    )


def test_no_secret_in_journal_audit_or_result(world: World) -> None:
    secret = base64.b64encode(SECRET).decode()
    seen: list[str] = []

    def look() -> Any:
        seen.extend(path.read_text() for path in world.journals)
        return dns.rcode.REFUSED

    world.server.moods = [look]
    outcome = world.run(a("old", "192.0.2.10"))
    texts = [*seen, world.records.audit.path.read_text(), str(outcome)]
    assert seen
    assert not any(secret in text or str(SECRET) in text for text in texts)


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
