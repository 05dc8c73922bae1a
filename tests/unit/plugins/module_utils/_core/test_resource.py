# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many objects in one plan: what is shown, what is refused, and what undo leaves to others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Problem, Refused
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.limits import TooManyChanges
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import Undo
from ansible_collections.debvisor.hci.plugins.module_utils._core.resource import (
    Managed,
    Resource,
    State,
    parse_each,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret

from tests.fakes.operation_contract import Case, OperationContract

THERE = {"old": {"size": 3, "key": Secret("s3cret")}, "kept": {"size": 2, "key": None}}
ABSENT = {"name": "old", "state": "absent"}


class Shelf:
    """Pools, as a cluster has them: size and key are set by calls of their own."""

    def __init__(self) -> None:
        self.pools: dict[str, dict[str, Any]] = {n: dict(pool) for n, pool in THERE.items()}
        self.full: set[str] = set()
        self.aside: dict[str, Secret] = {}

    def all(self) -> dict[str, dict[str, Any]]:
        return {name: dict(pool) for name, pool in self.pools.items()}

    def one(self, name: str) -> dict[str, Any] | None:
        return self.all().get(name)

    def has_data(self, name: str) -> bool:
        return name in self.full

    def create(self, name: str) -> None:
        self.pools.setdefault(name, {"size": 1, "key": None})

    def set(self, name: str, option: str, value: Any) -> None:
        self.pools[name][option] = value

    def remove(self, name: str) -> None:
        self.pools.pop(name, None)

    def put(self, name: str, key: Secret | None) -> None:
        if key is not None:
            self.aside[name] = key

    def get(self, name: str) -> Secret | None:
        return self.aside.get(name)

    def drop(self, name: str) -> None:
        self.aside.pop(name, None)


READS = ("shelf.all", "shelf.one", "shelf.has_data")


class Pools(Resource):
    name = "pools"
    plural = "pools"
    stepwise = ("size", "key")

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def parse(self, params: Mapping[str, Any]) -> Mapping[str, State | None]:
        def one(entry: Mapping[str, Any], problems: list[Problem]) -> State | None:
            if entry.get("size", 1) < 1:
                problems.append(Problem("size", "is less than 1"))
            if entry.get("state") == "absent":
                return None
            return {name: entry[name] for name in ("size", "key") if name in entry}

        return parse_each("pools", params["pools"], one)

    def read(self, key: str) -> State | None:
        return self._shelf.one(key)

    def read_many(self, keys: Any) -> Mapping[str, State | None]:
        return self._shelf.all()

    def write(self, key: str, before: State | None, after: State | None) -> None:
        if after is None:
            self._shelf.remove(key)
            return
        if before is None:
            self._shelf.create(key)
        for option, value in after.items():
            if (before or {}).get(option) != value:
                self._shelf.set(key, option, value)

    def removal(self, key: str, before: State, wanted: State | None) -> Undo:
        lost = wanted is None and self._shelf.has_data(key)
        return Undo.IRREVERSIBLE if lost else Undo.COMPENSABLE

    def keep(self, key: str, before: State) -> Any:
        self._shelf.put(key, before["key"])
        return key

    def recall(self, key: str, before: State, kept: Any) -> State:
        return {**before, "key": self._shelf.get(kept)}

    def forget(self, key: str, kept: Any) -> None:
        self._shelf.drop(kept)


def case(*pools: Mapping[str, Any]) -> Callable[[Path], Case]:
    def made(base: Path) -> Case:
        shelf = Shelf()
        return Case(
            lambda wire: Managed(Pools(wire("shelf", shelf))),
            {"pools": pools, "max_share": 100},
            shelf.all,
            aside=lambda: shelf.aside,
            reads=READS,
            secrets=[b"s3cret", b"an0ther"],
        )

    made.__name__ = ", ".join(pool["name"] for pool in pools)
    return made


class TestContract(OperationContract):
    operation = Managed
    cases = (
        case({"name": "new", "size": 2}),
        case({"name": "kept", "size": 3, "key": Secret("an0ther")}),
        case(ABSENT),
        case({"name": "new"}, {"name": "kept", "size": 9}, ABSENT, {"name": "b", "size": 4}),
    )


class World:
    def __init__(self, base: Path) -> None:
        self.shelf = Shelf()
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def run(self, *pools: Mapping[str, Any], confirm: list[str] | None = None) -> Outcome:
        params = {"pools": pools, "confirm_removal": confirm, "max_share": 30}
        return execute(Managed(Pools(self.shelf)), params, self.records)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_all_objects_are_one_plan_and_removals_come_last(world: World) -> None:
    world.shelf.full.add("old")
    outcome = world.run(ABSENT, {"name": "kept", "size": 3}, {"name": "new"}, confirm=["old"])
    assert outcome.failure is None
    assert [(a.verb, a.target, a.effect, a.undo.value) for a in outcome.plan.actions] == [
        ("change", "kept", "size: 3", "compensable"),
        ("create", "new", "", "reversible"),
        ("remove", "old", "", "irreversible"),
    ]
    first = outcome.plan.differences[0]
    fingerprint = Secret("s3cret").fingerprint
    assert (first.name, first.before) == ("old", f"size: 3\nkey: {fingerprint}\n")
    assert outcome.plan.after == {"kept": {"size": 3, "key": None}, "new": {}}
    new = next(each for each in outcome.plan.differences if each.name == "new")
    assert (new.before, new.after) == ("", "present\n"), "a creation shows, also without properties"


def test_what_cannot_be_rolled_back_is_named_again(world: World) -> None:
    world.shelf.full.update({"old", "kept"})
    told = str(world.run(ABSENT, {"name": "kept", "state": "absent"}, confirm=["kept"]).failure)
    assert "confirm_removal: does not name old" in told
    assert "kept" not in told
    assert set(world.shelf.pools) == {"old", "kept"}


def test_all_problems_are_reported_with_their_entries(world: World) -> None:
    told = str(
        world.run({"name": "a", "size": 0}, {"name": "b"}, {"name": "b", "size": -1}).failure
    )
    assert "pools[0].size: a: is less than 1; pools[2].size: b: is less than 1" in told
    assert "pools[2].name: b: is there twice" in told


def test_a_large_share_of_all_is_refused(world: World) -> None:
    world.shelf.pools = {f"p{number}": {"size": 3, "key": None} for number in range(20)}
    many = [{"name": f"p{number}", "size": 2} for number in range(7)]
    assert isinstance(world.run(*many).failure, TooManyChanges)
    assert world.run(*many[:6], {"name": "new"}).changed


def failing(world: World, *pools: Mapping[str, Any], meanwhile: Callable[[], None]) -> Outcome:
    """Run, and fail at the last object once the others are changed and something happened."""
    real = world.shelf.create

    def create(name: str) -> None:
        if name == "last":
            meanwhile()
            raise Refused("no room")
        real(name)

    world.shelf.create = create  # type: ignore[method-assign]
    return world.run(*pools, {"name": "last"})


def test_undo_leaves_what_someone_else_changed_since(world: World) -> None:
    def meddle() -> None:
        world.shelf.pools["kept"].update(size=7)

    more = {"name": "kept", "size": 3, "key": Secret("an0ther")}
    outcome = failing(world, more, meanwhile=meddle)
    assert (outcome.rolled_back, world.shelf.pools["kept"]) == (True, {"size": 7, "key": None})
    assert "kept: someone else changed size since, and it stays so" in outcome.warnings


@pytest.mark.parametrize(
    ("meddle", "left", "warning"),
    [
        (lambda shelf: shelf.remove("kept"), {"old"}, "kept was removed by someone else"),
        (
            lambda shelf: shelf.full.add("new"),
            {"old", "kept", "new"},
            "new was created, and is kept",
        ),
    ],
)
def test_undo_loses_no_data(
    world: World, meddle: Callable[[Shelf], None], left: set[str], warning: str
) -> None:
    changes = ({"name": "kept", "size": 3}, {"name": "new"})
    outcome = failing(world, *changes, meanwhile=lambda: meddle(world.shelf))
    assert set(world.shelf.pools) == left
    assert warning in "".join(outcome.warnings)


def test_a_removal_that_lost_data_is_not_called_rolled_back(world: World) -> None:
    world.shelf.full.add("old")
    real = world.shelf.remove

    def remove(name: str) -> None:
        real(name)
        raise Refused("no answer")

    world.shelf.remove = remove  # type: ignore[method-assign]
    outcome = world.run(ABSENT, confirm=["old"])
    assert (outcome.rolled_back, outcome.changed) == (False, True)
    assert "cannot be rolled back" in outcome.rollback_errors[0]


def test_a_secret_that_is_not_kept_is_refused_before_anything_is_done(world: World) -> None:
    class Careless(Pools):
        keep = Resource.keep

    params = {"pools": [{"name": "old", "size": 1}], "max_share": 100}
    outcome = execute(Managed(Careless(world.shelf)), params, world.records)
    assert isinstance(outcome.failure, TypeError)
    assert world.shelf.pools["old"]["size"] == 3
    assert json.dumps(outcome.done) == "[]"
