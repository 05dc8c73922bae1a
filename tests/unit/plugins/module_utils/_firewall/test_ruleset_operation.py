# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nft_ruleset: what is loaded, kept for boot, refused and taken back, against a stateful packet filter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.confirming import (
    confirm,
    roll_back_unconfirmed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    InvalidInput,
    Refused,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.ports import ReadsFiles
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.ruleset_operation import (
    NftRuleset,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.firewall.nft import NftFailed
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.files import content_of
from tests.fakes.nft import FakeTables
from tests.fakes.operation_contract import Build, Case, OperationContract, Wire, named, unwired
from tests.fakes.revert_timer import FakeRevertTimer
from tests.fakes.switchboard import calls

TABLE = "inet debvisor_filter"
LIBVIRT = 'table ip libvirt_network {\n\tcomment "libvirt"\n}\n'
ANYTHING = {key: ["any"] for key in ("sources", "destinations", "interfaces")}
PARAMS: dict[str, Any] = {
    "state": "present",
    "services": [
        {"name": "ssh", "ports": ["22/tcp"], "protocols": []},
        {"name": "dns", "ports": ["53/udp"], "protocols": []},
    ],
    "openings": [{"service": "ssh", **ANYTHING}],
    "allow_lockout": False,
    "confirm_within": 60,
}
MORE = {"openings": [*PARAMS["openings"], {"service": "dns", **ANYTHING}]}
NOBODY = {"openings": []}
ABSENT = {"state": "absent"}


class World:
    def __init__(self, base: Path) -> None:
        self.nft = FakeTables()
        self.nft.tables["ip libvirt_network"] = LIBVIRT
        self.folder = base / "firewall"
        self.boot_file = self.folder / "baseline.nft"
        self.revert_timer = FakeRevertTimer(base / "armed")
        self.client: tuple[str, int] | None = ("192.0.2.1", 22)
        self.incoming: set[tuple[str, int]] = set()
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def operation(self, wire: Wire = unwired) -> NftRuleset:
        return NftRuleset(
            wire("nft", self.nft),
            wire("files", Files()),
            lambda: self.client,
            lambda: frozenset(self.incoming),
            str(self.folder),
        )

    def run(self, *, check: bool = False, **options: Any) -> Outcome:
        return execute(
            self.operation(),
            {**PARAMS, **options},
            self.records,
            revert_timer=self.revert_timer,
            check=check,
        )

    def confirm(self, outcome: Outcome) -> Outcome:
        return confirm(self.operation(), outcome.transaction, self.records, self.revert_timer)

    def revert(self, outcome: Outcome) -> Outcome:
        return roll_back_unconfirmed(self.operation(), outcome.transaction, self.records)

    def settled(self, **options: Any) -> None:
        assert self.confirm(self.run(**options)).failure is None

    @property
    def table(self) -> str | None:
        return self.nft.tables.get(TABLE)

    @property
    def at_boot(self) -> str | None:
        """What the unit would load."""
        if not self.boot_file.exists():
            return None
        started = FakeTables()
        started.load(self.boot_file.read_text().splitlines(keepends=True))
        return started.tables[TABLE]


def case(title: str, there: bool, **options: Any) -> Build:
    def build(base: Path) -> Case:
        world = World(base)
        if there:
            world.settled()
        return Case(
            world.operation,
            {**PARAMS, **options},
            lambda: {**world.nft.tables, **content_of(world.folder)},
            {"nft.listing", "nft.rehearsed", *calls("files", ReadsFiles)},
            timer=world.revert_timer,
        )

    return named(title, build)


class TestContract(OperationContract):
    operation = NftRuleset
    cases = (case("first", False), case("other", True, **MORE), case("gone", True, **ABSENT))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_rules_are_in_force_at_once_and_final_when_confirmed(world: World) -> None:
    outcome = world.run()
    assert (outcome.failure, outcome.changed, outcome.plan.before["table"]) == (None, True, None)
    assert '"ssh"' in (world.table or "")
    assert world.at_boot is None, "a reboot would come up with the new rules"
    assert world.confirm(outcome).failure is None
    assert world.at_boot == world.table
    assert world.boot_file.stat().st_mode & 0o777 == 0o600
    assert world.nft.tables["ip libvirt_network"] == LIBVIRT


def test_the_difference_is_that_of_the_rules(world: World) -> None:
    world.settled()
    outcome = world.run(check=True, **MORE)
    [difference] = outcome.plan.differences
    added = set(difference.after.splitlines()) - set(difference.before.splitlines())
    assert added == {'\t\tudp dport 53 counter accept comment "dns"'}


def test_unconfirmed_the_rules_from_before_are_back(world: World) -> None:
    world.settled()
    before = dict(world.nft.tables)
    outcome = world.run(**MORE)
    assert world.nft.tables != before
    assert world.revert(outcome).failure is None
    assert world.nft.tables == before
    assert world.at_boot == world.table
    assert sorted(path.name for path in world.folder.iterdir()) == ["baseline.nft"]


def test_unconfirmed_where_there_was_none_the_table_is_gone(world: World) -> None:
    assert world.revert(world.run()).failure is None
    assert (world.table, world.at_boot) == (None, None)


def test_it_is_removed_and_the_boot_file_once_that_is_confirmed(world: World) -> None:
    world.settled()
    outcome = world.run(**ABSENT)
    assert (outcome.failure, world.table) == (None, None)
    assert world.at_boot is not None
    world.confirm(outcome)
    assert world.at_boot is None
    assert world.run(**ABSENT).changed is False
    assert world.nft.tables["ip libvirt_network"] == LIBVIRT


def test_a_rule_that_was_changed_by_hand_is_mended(world: World) -> None:
    world.settled()
    good = world.nft.tables[TABLE]
    world.nft.tables[TABLE] = good.replace("policy drop", "policy accept")
    outcome = world.run()
    assert outcome.changed
    assert world.nft.tables[TABLE] == good


def test_a_boot_file_that_is_gone_is_written_without_a_proof(world: World) -> None:
    world.settled()
    world.boot_file.unlink()
    outcome = world.run()
    assert (outcome.failure, outcome.changed, outcome.awaiting) == (None, True, None)
    assert world.at_boot == world.table
    assert world.nft.loads == 1


@pytest.mark.parametrize("options", [{}, ABSENT])
def test_a_table_of_somebody_else_is_refused(world: World, options: dict[str, Any]) -> None:
    world.nft.tables[TABLE] = f"table {TABLE} {{\n\tchain input {{\n\t}}\n}}\n"
    outcome = world.run(**options)
    assert isinstance(outcome.failure, Refused)
    assert "belongs to another program" in str(outcome.failure)
    assert (world.nft.loads, world.revert_timer.armed) == (0, [])


@pytest.mark.parametrize("check", [True, False])
def test_rules_that_lock_us_out_are_refused(world: World, check: bool) -> None:
    outcome = world.run(check=check, **NOBODY)
    assert isinstance(outcome.failure, Refused)
    assert "192.0.2.1 come to TCP port 22" in str(outcome.failure)
    assert world.nft.loads == 0


@pytest.mark.parametrize("client", [None, ("UNKNOWN", 65535)])
def test_without_a_session_nobody_can_be_locked_out(world: World, client: Any) -> None:
    world.client = client
    assert world.run(**NOBODY).failure is None


def test_a_lockout_may_be_tried_and_awaits_its_confirmation(world: World) -> None:
    outcome = world.run(allow_lockout=True, **NOBODY)
    assert (outcome.failure, world.revert_timer.armed) == (None, [outcome.transaction])


@pytest.mark.parametrize("check", [True, False])
def test_connections_that_could_not_be_opened_again_are_told(world: World, check: bool) -> None:
    """Ceph's cluster network, say, which the SSH connection that confirms the change proves nothing about."""
    world.incoming = {("192.0.2.9", 22), ("10.10.10.12", 6804), ("10.10.10.2", 6802)}
    [warning] = world.run(check=check).warnings
    assert (
        "let in again once they end: 10.10.10.2 to port 6802, 10.10.10.12 to port 6804." in warning
    )


def test_many_connections_are_told_in_one_line(world: World) -> None:
    world.incoming = {("2001:db8::9", port) for port in range(1000, 1013)}
    [warning] = world.run().warnings
    assert "2001:db8::9 to port 1009, and 3 more." in warning


def test_connections_are_told_only_where_the_rules_change(world: World) -> None:
    world.settled()
    world.incoming = {("10.10.10.12", 6804)}
    assert world.run().warnings == []
    assert world.run(**ABSENT).warnings == []


def test_rules_that_are_in_force_are_not_judged_again(world: World) -> None:
    world.settled(allow_lockout=True, **NOBODY)
    assert world.run(**NOBODY).failure is None


def test_a_kernel_that_refuses_the_rules_is_told_before_anything_is_done(world: World) -> None:
    world.nft.refused = "limit rate"
    for check in (True, False):
        outcome = world.run(check=check)
        assert isinstance(outcome.failure, NftFailed)
        assert (world.table, world.revert_timer.armed) == (None, [])


def test_what_cannot_be_brought_back_is_not_replaced(world: World) -> None:
    world.settled()
    odd = world.nft.tables[TABLE].replace("counter drop", "frobnicate")
    world.nft.tables[TABLE] = odd
    world.nft.refused = "frobnicate"
    outcome = world.run()
    assert isinstance(outcome.failure, Refused)
    assert "that is in force now could not be brought back" in str(outcome.failure)
    assert f"nft delete table {TABLE}" in outcome.failure.hint
    assert (world.table, world.revert_timer.armed) == (odd, [])
    del world.nft.tables[TABLE]
    assert world.run().failure is None


def test_rules_that_somebody_changes_meanwhile_are_rolled_back(world: World) -> None:
    load = world.nft.load

    def load_and_meddle(script: Any) -> None:
        load(script)
        if TABLE in world.nft.tables:
            world.nft.tables[TABLE] += "# meddled with\n"

    world.nft.load = load_and_meddle  # type: ignore[method-assign]
    outcome = world.run()
    assert isinstance(outcome.failure, VerificationFailed)
    assert (world.table, world.revert_timer.armed, outcome.rolled_back) == (None, [], True)


def test_a_disk_that_takes_no_boot_file_leaves_the_old_rules(world: World) -> None:
    world.folder.write_text("a file where the folder should be")
    outcome = world.run()
    assert "firewall cannot be made" in str(outcome.failure)
    assert (world.table, world.revert_timer.armed, outcome.rolled_back) == (None, [], True)


def test_every_problem_is_told_at_once(world: World) -> None:
    outcome = world.run(
        services=[{"name": "ssh", "ports": ["99999/tcp"], "protocols": []}],
        openings=[{"service": "web", **ANYTHING}],
        confirm_within=0,
    )
    assert isinstance(outcome.failure, InvalidInput)
    assert [problem.where for problem in outcome.failure.problems] == [
        "services[0].ports[0]",
        "openings[0].service",
        "confirm_within",
    ]
