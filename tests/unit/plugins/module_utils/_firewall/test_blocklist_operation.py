# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists in, sets out: whole at first, then by their differences; and nothing half-done, whatever happens."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    InvalidInput,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.ports import ReadsFiles
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import blocklist
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.blocklist_operation import (
    NftBlocklist,
)
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.blocklist_options import SPEC
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.blocklist_state import (
    BlocklistState,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import (
    FileProblem,
    Files,
)

from tests.fakes.files import content_of
from tests.fakes.nft_sets import FakeNft, FakeTable
from tests.fakes.operation_contract import Build, Case, OperationContract, Wire, named, unwired
from tests.fakes.place import GATEWAYS, HERE, Place, Time
from tests.fakes.switchboard import calls

TABLE = blocklist.TABLE


class World:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.store = base / "state" / "blocklist"
        self.nft = FakeNft(base / "kernel")
        self.place = Place()
        self.time = Time()
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def file(self, name: str, content: str | bytes) -> str:
        path = self.base / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def params(self, *lists: dict[str, Any], **options: Any) -> dict[str, Any]:
        return filled(SPEC, {"lists": list(lists), **options})

    def operation(self, wire: Wire = unwired) -> NftBlocklist:
        nft, files = wire("nft", self.nft), wire("files", Files())
        return NftBlocklist(nft, files, self.place, self.time, str(self.store))

    def run(self, *lists: dict[str, Any], check: bool = False, **options: Any) -> Outcome:
        params = self.params(*lists, **options)
        return execute(self.operation(), params, self.records, check=check)

    def drop(self, *entries: str, **options: Any) -> Outcome:
        """Run with one block list."""
        return self.run({"name": "drop", "entries": list(entries)}, **options)

    @property
    def sets(self) -> dict[str, set[str]]:
        """The elements of every set that is not about what is protected."""
        found = self.nft.elements(TABLE)
        return {name: held for name, held in found.items() if not name.startswith("protected_")}

    @property
    def looking(self) -> BlocklistState:
        return BlocklistState(Files(), self.time, str(self.store), str(self.base / "bans.json"))

    def why(self, address: str) -> dict[str, Any]:
        return self.looking.why({"addresses": [address]})["addresses"][0]


def case(title: str, there: bool, **options: Any) -> Build:
    def build(base: Path) -> Case:
        world = World(base)
        if there:
            world.drop("203.0.113.1")

        def state() -> dict[str, Any]:
            return {"tables": world.nft.tables, **content_of(world.store.parent)}

        params = world.params({"name": "drop", "entries": ["203.0.113.2"]}, **options)
        reads = {"nft.table", *calls("files", ReadsFiles)}
        return Case(world.operation, params, state, reads)

    return named(title, build)


class TestContract(OperationContract):
    operation = NftBlocklist
    cases = (case("first", False), case("other", True), case("gone", True, state="absent"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def problems(outcome: Outcome) -> list[str]:
    assert isinstance(outcome.failure, InvalidInput)
    return [str(problem) for problem in outcome.failure.problems]


def test_a_list_becomes_one_set_a_family_and_prefix_length(world: World) -> None:
    outcome = world.drop("203.0.113.0/24", "203.0.113.7", "198.51.100.1", "2001:db8:bad::/48")
    assert (outcome.failure, outcome.changed) == (None, True)
    assert world.sets == {
        "drop_v4_24": {"203.0.113.0"},
        "drop_v4_32": {"198.51.100.1"},
        "drop_v6_48": {"2001:db8:bad::"},
    }
    rules = world.nft.tables[TABLE].chains["prerouting"]
    assert rules[:2] == ["iif lo accept", "ct state established,related accept"]
    assert rules[-3:] == [
        "ip saddr @drop_v4_32 counter name drop_v4 drop",
        "ip saddr & 255.255.255.0 @drop_v4_24 counter name drop_v4 drop",
        "ip6 saddr & ffff:ffff:ffff:: @drop_v6_48 counter name drop_v6 drop",
    ]


def test_a_change_is_one_transaction_with_nothing_but_the_difference(world: World) -> None:
    world.drop(*(f"203.0.{number}.7" for number in range(200)))
    world.drop(*(f"203.0.{number}.7" for number in range(1, 200)), "198.51.100.1")
    script = world.nft.loads[1].splitlines()
    assert script[:2] == [
        f"destroy element inet {TABLE} drop_v4_32 {{203.0.0.7}}",
        f"add element inet {TABLE} drop_v4_32 {{198.51.100.1}}",
    ]
    assert [line.split()[:2] for line in script[2:]] == [["delete", "chain"], ["add", "chain"]]
    assert len(world.sets["drop_v4_32"]) == 200


def test_the_diff_tells_what_comes_and_goes(world: World) -> None:
    world.drop("203.0.113.0/24", "198.51.100.1")
    [difference] = world.drop("203.0.113.0/25", "198.51.100.1").plan.differences
    assert difference.name == "list drop"
    assert (difference.before, difference.after) == ("203.0.113.0/24\n", "203.0.113.0/25\n")


def test_a_long_diff_is_counted(world: World) -> None:
    outcome = world.drop(*(f"203.0.{number}.7" for number in range(200)))
    shown = next(each for each in outcome.plan.differences if each.name == "list drop").after
    assert len(shown.splitlines()) == 51
    assert shown.endswith("... and 150 more\n")


def test_an_allow_list_takes_networks_out_and_comes_first(world: World) -> None:
    world.run(
        {"name": "drop", "entries": ["203.0.113.0/24"]},
        {"name": "office", "action": "allow", "entries": ["203.0.113.128/25", "203.0.113.4"]},
    )
    assert world.sets == {
        "drop_v4_26": {"203.0.113.64"},
        "drop_v4_27": {"203.0.113.32"},
        "drop_v4_28": {"203.0.113.16"},
        "drop_v4_29": {"203.0.113.8"},
        "drop_v4_30": {"203.0.113.0"},
        "drop_v4_31": {"203.0.113.6"},
        "drop_v4_32": {"203.0.113.5"},
        "office_v4_25": {"203.0.113.128"},
        "office_v4_32": {"203.0.113.4"},
    }
    rules = world.nft.tables[TABLE].chains["prerouting"]
    first_drop = next(place for place, rule in enumerate(rules) if rule.endswith("drop"))
    assert all(rule.endswith("accept") for rule in rules[:first_drop])


def test_a_change_of_the_allow_list_alone_reaches_the_block_lists(world: World) -> None:
    drop = {"name": "drop", "files": [world.file("drop", "203.0.113.0/24\n")]}
    world.run(drop, {"name": "office", "action": "allow", "entries": ["203.0.113.0/25"]})
    outcome = world.run(
        drop, {"name": "office", "action": "allow", "entries": ["203.0.113.128/25"]}
    )
    assert outcome.changed
    assert world.sets == {"drop_v4_25": {"203.0.113.0"}, "office_v4_25": {"203.0.113.128"}}


@pytest.mark.parametrize(
    "entries", [[], ["# nothing"], ["2001:db8:bad::/48"], ["203.0.113.1"]], ids=str
)
def test_lists_shrink_and_grow_from_anything_to_anything(world: World, entries: list[str]) -> None:
    for first in (["203.0.113.0/24", "2001:db8:bad::1"], []):
        assert world.drop(*first).failure is None
        assert world.drop(*entries).failure is None
        assert world.sets == {
            name: {entry.partition("/")[0]}
            for entry, name in {
                "2001:db8:bad::/48": "drop_v6_48",
                "203.0.113.1": "drop_v4_32",
            }.items()
            if entry in entries
        }
    assert set(world.nft.tables[TABLE].counters) == {name.rpartition("_")[0] for name in world.sets}


def test_what_is_protected_stays_and_is_told_with_its_line(world: World) -> None:
    path = world.file("wide", "# wide\n192.0.0.0/16 # ours is in it\n198.51.100.200\n")
    outcome = world.run({"name": "wide", "files": [path]}, protected=["192.0.2.53"])
    held = {
        f"{address}/{name.rpartition('_')[2]}"
        for name, some in world.sets.items()
        for address in some
    }
    assert "198.51.100.200/32" not in held
    for address in (*HERE, *GATEWAYS, "192.0.2.53", "198.51.100.200"):
        assert world.why(address)["blocked"] is False, address
    assert world.why("192.0.2.54")["blocked"]
    met = {(each["protected"], each["line"]) for each in outcome.plan.facts["protected_met"]}
    assert met == {("192.0.2.10", 2), ("192.0.2.1", 2), ("192.0.2.53", 2), ("198.51.100.200", 3)}
    assert any(f"{path}:3" in warning for warning in outcome.warnings)


def test_a_list_that_does_not_reach_bridged_guests_says_so_when_it_grows(world: World) -> None:
    world.place.bridges = {"br0"}
    [warning] = world.drop("203.0.113.0/24").warnings
    assert "guests on br0 can still be reached" in warning
    assert world.drop("203.0.113.0/24").warnings == []


def test_who_came_last_stays_protected_when_a_timer_runs(world: World) -> None:
    world.drop("198.51.100.0/24")
    world.place.somebody = None
    assert world.drop("198.51.100.0/24").changed is False
    assert world.why("198.51.100.200")["blocked"] is False


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (["0.0.0.0/0"], "covers"),
        (["::/0"], "covers"),
        (["0.0.0.0/1", "128.0.0.0/1"], "covers"),
        (["2000::/4"], "covers 50.0 % of all IPv6"),
        (["11.0.0.0/8", "nonsense"], "lists[0].entries[1]: 'nonsense' is not an address"),
        (["203.0.113.1\n203.0.113.2"], "more than one line"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(
    world: World, entries: list[str], reason: str
) -> None:
    world.drop("203.0.113.0/24")
    before = world.nft.tables, world.store.read_bytes()
    outcome = world.drop(*entries)
    assert reason in problems(outcome)[0]
    assert (world.nft.tables, world.store.read_bytes()) == before


def test_what_covers_too_much_is_named_with_its_line(world: World) -> None:
    path = world.file("all", "203.0.113.1\n0.0.0.0/0 # oops\n")
    [problem] = problems(world.run({"name": "all", "files": [path]}))
    assert f"0.0.0.0/0 ({path}:2)" in problem
    assert world.run({"name": "all", "files": [path]}, max_share=100).failure is None


def test_every_wrong_line_of_every_file_is_told(world: World) -> None:
    first = world.file("first", "203.0.113.1\nx\n203.0.113.2\ny\n")
    second = world.file("second", b"\xff\xfe1\x00\n203.0.113.1\r\n")
    told = problems(world.run({"name": "a", "files": [first, second]}))
    assert [each.partition(": ")[0] for each in told] == [f"{first}:2", f"{first}:4", f"{second}:1"]


def test_nonsense_in_the_middle_of_a_million_is_found_with_its_line(world: World) -> None:
    lines = [
        f"{number >> 16 | 64}.{number >> 8 & 255}.{number & 255}.9" for number in range(1_000_000)
    ]
    lines[500_000] = "nonsense"
    path = world.file("million", "\n".join(lines))
    [problem] = problems(world.run({"name": "million", "files": [path]}))
    assert problem == f"{path}:500001: 'nonsense' is not an address"
    assert world.nft.loads == []


def test_host_bits_are_told_and_refused_where_asked(world: World) -> None:
    outcome = world.drop("203.0.113.7/24")
    assert outcome.plan.facts["notices"] == [
        "lists[0].entries[0]: 203.0.113.7/24 has bits beyond its prefix; taken as 203.0.113.0/24"
    ]
    assert "taken as 203.0.113.0/24" in problems(world.drop("203.0.113.7/24", strict=True))[0]


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        ([{"name": "protected"}], "is taken"),
        ([{"name": "bans"}], "is taken"),
        ([{"name": "Drop"}], "is not a letter"),
        ([{"name": "a" * 40}], "is not a letter"),
        ([{"name": "a"}, {"name": "a"}], "is there twice"),
        ([{"name": "a", "files": ["relative"]}], "absolute"),
        ([{"name": "a", "files": ["/x", "/x"]}], "is there twice"),
    ],
)
def test_wrong_options_are_named(world: World, lists: list[dict[str, Any]], reason: str) -> None:
    assert reason in problems(world.run(*lists))[0]


def test_a_missing_file_is_named(world: World) -> None:
    outcome = world.run({"name": "a", "files": [str(world.base / "gone")]})
    assert isinstance(outcome.failure, FileProblem)
    assert "gone" in str(outcome.failure)


def test_a_table_of_somebody_else_is_left_alone(world: World) -> None:
    world.nft.tables = {TABLE: FakeTable(comment="theirs")}
    for outcome in (world.drop("203.0.113.1"), world.drop(state="absent")):
        assert isinstance(outcome.failure, Conflict)
    assert world.nft.tables == {TABLE: FakeTable(comment="theirs")}


def test_a_table_that_went_is_made_anew(world: World) -> None:
    world.drop("203.0.113.1")
    world.nft.tables = {}
    assert world.drop("203.0.113.1", check=True).changed
    assert world.drop("203.0.113.1").changed
    assert world.sets == {"drop_v4_32": {"203.0.113.1"}}


def test_rules_that_somebody_changed_are_mended_and_counts_are_kept(world: World) -> None:
    world.drop("203.0.113.1")
    tables = world.nft.tables
    tables[TABLE].chains["prerouting"].insert(0, "accept")
    tables[TABLE].counters["drop_v4"] = (7, 700)
    world.nft.tables = tables
    assert world.drop("203.0.113.1").changed
    assert "accept" not in world.nft.tables[TABLE].chains["prerouting"]
    assert world.nft.tables[TABLE].counters == {"drop_v4": (7, 700)}


def test_rebuild_loads_what_seems_to_be_there(world: World) -> None:
    world.drop("203.0.113.1")
    tables = world.nft.tables
    tables[TABLE].sets["drop_v4_32"].clear()
    world.nft.tables = tables
    assert world.drop("203.0.113.1").changed is False
    assert world.drop("203.0.113.1", rebuild=True).changed
    assert world.sets == {"drop_v4_32": {"203.0.113.1"}}


def test_absent_takes_everything_away_once(world: World) -> None:
    world.drop("203.0.113.1")
    assert world.drop(state="absent").changed
    assert world.nft.tables == {}
    assert not world.store.exists()
    assert world.drop(state="absent").changed is False


def test_two_runs_at_once_come_one_after_the_other(world: World) -> None:
    outcomes: list[Outcome] = []
    runs = [
        threading.Thread(target=lambda entry=entry: outcomes.append(world.drop(entry)))
        for entry in ("203.0.113.1", "203.0.113.2")
    ]
    for each in runs:
        each.start()
    for each in runs:
        each.join(30)
    assert [outcome.failure for outcome in outcomes] == [None, None]
    [held] = world.sets.values()
    assert len(held) == 1
    assert world.drop(*held).changed is False


def test_since_when_a_network_is_blocked_is_remembered(world: World) -> None:
    world.drop("203.0.113.0/24", "198.51.100.1")
    world.time.now += 1000
    world.drop("203.0.113.0/24", "198.51.100.2")
    assert world.why("203.0.113.9")["by"][0]["since"] == 1_800_000_000
    assert world.why("198.51.100.2")["by"][0]["since"] == 1_800_001_000
    assert world.why("198.51.100.1")["blocked"] is False


def test_why_names_every_line(world: World) -> None:
    first = world.file("first", "#\n203.0.113.0/24\n")
    second = world.file("second", "203.0.113.9\n203.0.112.0/23\n")
    world.run({"name": "drop", "files": [first, second]})
    [found] = world.why("203.0.113.9")["by"]
    assert {(each["network"], each["source"], each["line"]) for each in found["entries"]} == {
        ("203.0.113.0/24", first, 2),
        ("203.0.113.9", second, 1),
        ("203.0.112.0/23", second, 2),
    }
    assert found["network"] == "203.0.112.0/23"


def test_a_torn_store_is_refused_with_what_to_do(world: World) -> None:
    world.drop("203.0.113.1")
    whole = world.store.read_bytes()
    for torn in (b"", whole[:20], whole[:-16], b"x" + whole[1:]):
        world.store.write_bytes(torn)
        assert "made anew" in str(world.drop("203.0.113.1").failure)
    world.store.unlink()
    assert world.drop("203.0.113.1").failure is None


def test_lists_come_and_go_by_name(world: World) -> None:
    world.run({"name": "a", "entries": ["203.0.113.1"]}, {"name": "b", "entries": ["203.0.113.2"]})
    world.run({"name": "b", "entries": ["203.0.113.2"]}, {"name": "c", "entries": ["2001:db8:c::"]})
    assert world.sets == {"b_v4_32": {"203.0.113.2"}, "c_v6_128": {"2001:db8:c::"}}
    assert set(world.nft.tables[TABLE].counters) == {"b_v4", "c_v6"}


def test_a_torn_store_does_not_stand_in_the_way_of_its_removal(world: World) -> None:
    world.drop("203.0.113.1")
    world.store.write_bytes(b"torn")
    assert world.drop("203.0.113.2", rebuild=True).failure is None
    assert world.sets == {"drop_v4_32": {"203.0.113.2"}}
    world.store.write_bytes(b"torn")
    assert world.drop(state="absent").failure is None
    assert not world.store.exists()


def test_a_file_that_changes_while_it_is_read_is_not_taken(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = iter([b"203.0.113.1\n", b"203.0.113.2\n"])
    monkeypatch.setattr(Files, "blocks", lambda self, path: iter([next(contents)]))
    outcome = world.run({"name": "a", "files": ["/x"]})
    assert isinstance(outcome.failure, Conflict)
    assert "changed while it was read" in str(outcome.failure)


def test_a_virtual_address_that_comes_and_goes_changes_nothing(world: World) -> None:
    world.run(protected=["192.0.2.10"])
    world.place.own = {"2001:db8::10"}
    assert world.run(protected=["192.0.2.10"]).changed is False
