# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bans: in the book and in the kernel, with a reason, until their time is over; never of what is protected."""

from __future__ import annotations

import json
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
from ansible_collections.debvisor.hci.plugins.module_utils._core.limits import TooManyChanges
from ansible_collections.debvisor.hci.plugins.module_utils._core.ports import ReadsFiles
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import bans
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.ban_operation import (
    SPEC,
    NftBan,
)
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.blocklist_state import (
    BlocklistState,
)
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.store import (
    KeptList,
    Store,
    encode,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.files import content_of
from tests.fakes.nft_sets import FakeNft, FakeTable
from tests.fakes.operation_contract import Build, Case, OperationContract, Wire, named, unwired
from tests.fakes.place import Place, Time
from tests.fakes.switchboard import calls

TABLE = bans.TABLE


class World:
    def __init__(self, base: Path) -> None:
        self.book = base / "state" / "bans.json"
        self.nft = FakeNft(base / "kernel")
        self.place = Place()
        self.time = Time()
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def params(self, *networks: str, **options: Any) -> dict[str, Any]:
        return filled(SPEC, {"networks": list(networks), "reason": "test", **options})

    def operation(self, wire: Wire = unwired) -> NftBan:
        nft, files = wire("nft", self.nft), wire("files", Files())
        return NftBan(nft, files, self.place, self.time, self.looking, "root here")

    def run(self, *networks: str, **options: Any) -> Outcome:
        return execute(self.operation(), self.params(*networks, **options), self.records)

    @property
    def looking(self) -> BlocklistState:
        return BlocklistState(
            Files(), self.time, str(self.book.parent / "blocklist"), str(self.book)
        )

    def lift(self, *networks: str) -> Outcome:
        return self.run(*networks, state="absent")

    @property
    def elements(self) -> dict[str, dict[str, str]]:
        return {name: held for name, held in self.nft.tables[TABLE].sets.items() if held}

    def why(self, address: str) -> dict[str, Any]:
        return self.looking.why({"addresses": [address]})["addresses"][0]


def case(title: str, there: bool, **options: Any) -> Build:
    def build(base: Path) -> Case:
        world = World(base)
        if there:
            world.run("203.0.113.7")

        def state() -> dict[str, Any]:
            return {"tables": world.nft.tables, **content_of(world.book.parent)}

        params = world.params("203.0.113.7" if "state" in options else "203.0.113.8", **options)
        reads = {"nft.table", *calls("files", ReadsFiles)}
        return Case(world.operation, params, state, reads)

    return named(title, build)


class TestContract(OperationContract):
    operation = NftBan
    cases = (case("first", False), case("another", True), case("lifted", True, state="absent"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_ban_is_in_the_kernel_with_its_time_and_in_the_book_with_its_reason(world: World) -> None:
    outcome = world.run(
        "203.0.113.7", "203.0.113.128/25", "2001:DB8:bad::/48", ttl="2h", source="alert 7"
    )
    assert (outcome.failure, outcome.changed) == (None, True)
    assert world.elements == {
        "v4_32": {"203.0.113.7": "timeout 7200s"},
        "v4_25": {"203.0.113.128": "timeout 7200s"},
        "v6_48": {"2001:db8:bad::": "timeout 7200s"},
    }
    assert world.why("203.0.113.200")["by"] == [
        {
            "kind": "ban",
            "network": "203.0.113.128/25",
            "since": 1_800_000_000,
            "until": 1_800_007_200,
            "reason": "test",
            "requester": "root here",
            "source": "alert 7",
        }
    ]


def test_it_comes_before_connection_tracking_and_spares_loopback(world: World) -> None:
    world.run("203.0.113.7")
    assert "priority raw;" in world.nft.loads[0]
    assert world.nft.tables[TABLE].chains["prerouting"] == [
        "iif lo accept",
        "ip saddr @v4_32 counter name bans_v4 drop",
    ]


def test_a_second_run_changes_nothing_and_renew_begins_anew(world: World) -> None:
    world.run("203.0.113.7")
    world.time.now += 600
    assert world.run("203.0.113.7").changed is False
    assert world.run("203.0.113.7", renew=True).changed
    assert world.elements == {"v4_32": {"203.0.113.7": "timeout 3600s"}}
    assert world.why("203.0.113.7")["by"][0]["since"] == 1_800_000_600


def test_one_more_ban_is_a_transaction_of_one_element(world: World) -> None:
    world.run(*(f"203.0.113.{number}" for number in range(100)))
    world.run("198.51.100.1")
    assert world.nft.loads[1] == (
        f"add element inet {TABLE} v4_32 {{ 198.51.100.1 timeout 3600s }}\n"
    )


def test_a_ban_for_ever_has_no_time(world: World) -> None:
    world.run("203.0.113.7", ttl="forever")
    assert world.elements == {"v4_32": {"203.0.113.7": ""}}
    world.time.now += 10**9
    assert world.why("203.0.113.7")["by"][0]["until"] is None


def test_a_ban_is_lifted_exactly(world: World) -> None:
    world.run("203.0.113.0/24", "203.0.113.7")
    assert world.lift("203.0.113.7").changed
    assert world.elements == {"v4_24": {"203.0.113.0": "timeout 3600s"}}
    assert "v4_32" not in world.nft.tables[TABLE].sets
    assert world.lift("203.0.113.7").changed is False
    assert world.why("203.0.113.7")["blocked"]
    assert world.lift("203.0.113.0/24").changed
    assert world.why("203.0.113.7")["blocked"] is False


def test_lifting_needs_no_reason(world: World) -> None:
    world.run("203.0.113.7")
    assert world.run("203.0.113.7", state="absent", reason=None).failure is None


def test_what_has_ended_leaves_the_book_and_may_be_banned_again(world: World) -> None:
    world.run("203.0.113.7", ttl="60")
    world.time.now += 61
    tables = world.nft.tables
    tables[TABLE].sets["v4_32"].clear()  # as the kernel does
    world.nft.tables = tables
    assert world.why("203.0.113.7")["blocked"] is False
    assert world.run("203.0.113.7").changed
    assert world.elements == {"v4_32": {"203.0.113.7": "timeout 3600s"}}


def test_after_a_reboot_a_ban_has_the_time_that_is_left(world: World) -> None:
    world.run("203.0.113.7", "203.0.113.8", ttl="1h")
    world.run("203.0.113.9", ttl="60")
    world.nft.tables = {}
    world.time.now += 600
    book = bans.active(bans.decode(world.book.read_bytes(), "book"), int(world.time.now))
    world.nft.load(bans.whole(book, int(world.time.now), {}))
    assert world.elements == {
        "v4_32": {"203.0.113.7": "timeout 3000s", "203.0.113.8": "timeout 3000s"}
    }
    assert world.run("203.0.113.7").changed is False


@pytest.mark.parametrize(
    ("network", "whom"),
    [
        ("192.0.2.10", "an address of this machine"),
        ("192.0.2.0/28", "a gateway"),
        ("2001:db8::/64", "a gateway"),
        ("198.51.100.200", "where the connection"),
        ("127.0.0.1", "loopback"),
        ("fe80::/64", "link-local"),
        ("192.0.2.53", "named as protected"),
    ],
)
def test_what_is_protected_is_refused(world: World, network: str, whom: str) -> None:
    outcome = world.run("203.0.113.7", network, protected=["192.0.2.53"])
    assert isinstance(outcome.failure, InvalidInput)
    assert whom in str(outcome.failure)
    assert "networks[1]" in str(outcome.failure)
    assert world.nft.tables == {}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"ttl": "soon"}, "not a time"),
        ({"ttl": "0"}, "not a time"),
        ({"ttl": "99999d"}, "not a time"),
        ({"ttl": "9" * 30}, "not a time"),
        ({"reason": None}, "reason"),
        ({"reason": "  "}, "reason"),
        ({"protected": ["x"]}, "protected[0]"),
    ],
)
def test_wrong_options_are_named(world: World, options: dict[str, Any], reason: str) -> None:
    assert reason in str(world.run("203.0.113.7", **options).failure)


@pytest.mark.parametrize(
    "network", ["", "x", "203.0.113.7/33", "203.0.113.7/24", "0.0.0.0/0", "10.0.0.0/7", "2000::/3"]
)
def test_wrong_networks_are_named(world: World, network: str) -> None:
    outcome = world.run(network)
    assert isinstance(outcome.failure, InvalidInput)
    assert outcome.failure.problems[0].where == "networks[0]"


@pytest.mark.parametrize(
    ("ttl", "length"),
    [
        ("90", 90),
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("7d", 604800),
        ("1w", 604800),
        ("forever", 0),
    ],
)
def test_times_as_people_write_them(ttl: str, length: int) -> None:
    assert bans.seconds(ttl) == length


def test_a_table_of_somebody_else_is_left_alone(world: World) -> None:
    world.nft.tables = {TABLE: FakeTable(comment="theirs")}
    assert isinstance(world.run("203.0.113.7").failure, Conflict)
    assert world.nft.tables == {TABLE: FakeTable(comment="theirs")}


def test_what_somebody_did_to_the_table_is_mended(world: World) -> None:
    world.run("203.0.113.7", "203.0.113.8")
    tables = world.nft.tables
    tables[TABLE].counters["bans_v4"] = (5, 500)
    del tables[TABLE].sets["v4_32"]["203.0.113.7"]
    world.nft.tables = tables
    assert world.run("203.0.113.8").changed
    assert set(world.elements["v4_32"]) == {"203.0.113.7", "203.0.113.8"}
    assert world.nft.tables[TABLE].counters["bans_v4"] == (5, 500)
    world.nft.tables = {}
    assert world.run().changed, "the book alone tells what is wanted"
    assert set(world.elements["v4_32"]) == {"203.0.113.7", "203.0.113.8"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '{"format": 2, "bans": []}',
        '{"format": 1, "bans": [{}]}',
        '{"format": 1, "bans": [{"network": "203.0.113.7", "since": 1, "until": "x"}]}',
        '{"format": 1, "bans": [{"network": 5, "since": 1, "until": 2}]}',
    ],
)
def test_a_torn_book_is_refused_with_what_to_do(world: World, content: str) -> None:
    world.book.parent.mkdir()
    world.book.write_text(content)
    outcome = world.run("203.0.113.7")
    assert "Fix it, or remove it" in str(outcome.failure)
    assert world.nft.tables == {}


def test_the_audit_line_says_who_is_banned_and_why(world: World) -> None:
    world.run("203.0.113.7", requester="alice")
    line = json.loads(world.records.audit.path.read_text())
    assert line["after"]["203.0.113.7"]["reason"] == "test"
    assert line["after"]["203.0.113.7"]["requester"] == "alice"


def test_a_long_ban_is_written_in_days(world: World) -> None:
    assert world.run("203.0.113.7", ttl="3650d").failure is None
    assert world.elements == {"v4_32": {"203.0.113.7": "timeout 3650d0s"}}


def test_an_element_that_is_none_of_ours_is_mended_and_not_stumbled_over(world: World) -> None:
    world.run("203.0.113.0/24")
    tables = world.nft.tables
    tables[TABLE].sets["v4_24"]["198.51.100.9"] = ""
    tables[TABLE].sets["theirs"] = {"x": ""}
    world.nft.tables = tables
    assert world.run("203.0.113.7").failure is None
    assert set(world.elements) == {"v4_24", "v4_32"}


def test_a_rule_that_lets_through_is_mended(world: World) -> None:
    world.run("203.0.113.7")
    tables = world.nft.tables
    tables[TABLE].chains["prerouting"][1] = "ip saddr @v4_32 accept"
    world.nft.tables = tables
    assert world.run("203.0.113.7").changed
    assert world.nft.tables[TABLE].chains["prerouting"][1].endswith("drop")


def test_a_mapped_address_is_named_with_the_one_to_write(world: World) -> None:
    outcome = world.run("::ffff:203.0.113.7")
    assert "write 203.0.113.7" in str(outcome.failure)
    world.run("203.0.113.7")
    assert world.why("::ffff:203.0.113.7")["blocked"]


def test_who_changed_the_lists_last_cannot_be_banned_by_a_timer(world: World) -> None:
    kept = KeptList("protected", "allow", [{"client": "198.51.100.200", "networks": {}}])
    world.book.parent.mkdir()
    (world.book.parent / "blocklist").write_bytes(b"".join(encode(Store([kept]))))
    world.place.somebody = None
    assert "198.51.100.200" in str(world.run("198.51.100.0/24").failure)


def test_a_ban_that_does_not_reach_bridged_guests_says_so(world: World) -> None:
    world.place.bridges = {"br1", "br0"}
    for _again in range(2):
        [warning] = world.run("203.0.113.9").warnings[-1:]
        assert "guests on br0, br1 can still be reached" in warning
    assert world.lift("203.0.113.9").warnings == []


def test_what_is_not_quite_as_asked_is_told(world: World) -> None:
    world.run("203.0.113.0/24", ttl="10m")
    assert "stays banned as a part of 203.0.113.0/24" in world.lift("203.0.113.9").warnings[0]
    outcome = world.run("203.0.113.0/24", ttl="7d")
    assert (outcome.changed, len(outcome.warnings)) == (False, 1)
    assert "renew" in outcome.warnings[0]


def test_many_wide_networks_are_refused_unless_allowed_by_number(world: World) -> None:
    wide = [f"{number}.0.0.0/8" for number in (11, 12, 13)]
    outcome = world.run(*wide)
    assert isinstance(outcome.failure, TooManyChanges)
    assert (outcome.changed, world.nft.tables) == (False, {})
    assert "IPv4 addresses" in str(outcome.failure)
    assert "max_share=2" in outcome.failure.hint
    assert world.run(*wide[:2]).failure is None, "0.8 % of all addresses"
    assert world.run(*wide, max_share=2).failure is None
    assert world.lift(*wide).failure is None


@pytest.mark.parametrize("share", [-1, 100.1])
def test_a_share_that_is_none_is_refused(world: World, share: float) -> None:
    outcome = world.run("203.0.113.7", max_share=share)
    assert isinstance(outcome.failure, InvalidInput)
    assert [each.where for each in outcome.failure.problems] == ["max_share"]
