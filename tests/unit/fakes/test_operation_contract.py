# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract's tests find what breaks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import Receipt
from ansible_collections.debvisor.hci.plugins.module_utils._core.resource import (
    Managed,
    Resource,
    State,
)

from tests.fakes.operation_contract import Case, OperationContract
from tests.fakes.switchboard import Killed


class Shelf:
    def __init__(self) -> None:
        self.held: dict[str, State] = {}

    def get(self, key: str) -> State | None:
        return self.held.get(key)

    def put(self, key: str, state: State) -> None:
        self.held[key] = state

    def drop(self, key: str) -> None:
        self.held.pop(key, None)


class Good(Resource):
    name = "good"

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def parse(self, params: Mapping[str, Any]) -> Mapping[str, State | None]:
        return {"a": {"size": 1, "key": "s3cret"}}

    def read(self, key: str) -> State | None:
        return self.shelf.get(key)

    def write(self, key: str, before: State | None, after: State | None) -> None:
        if after is None:
            self.shelf.drop(key)
        else:
            self.shelf.put(key, after)


class WritesInReading(Good):
    def read(self, key: str) -> State | None:
        self.shelf.drop("else")
        return super().read(key)


class NeverDone(Good):
    def write(self, key: str, before: State | None, after: State | None) -> None:
        super().write(key, before, after and {**after, "size": 2})


class CannotRemove(Good):
    def write(self, key: str, before: State | None, after: State | None) -> None:
        if after is not None:
            super().write(key, before, after)


class Forgetful(Managed):
    def undo(self, receipt: Receipt) -> str | None:
        return None


def contract(operation: Callable[[Any], Managed], **about: Any) -> Callable[..., None]:
    """Return what runs one of the contract's tests on an operation."""

    def new() -> Case:
        shelf = Shelf()
        made = Case(
            lambda wire: operation(wire("shelf", shelf)), {}, lambda: dict(shelf.held), **about
        )
        folder.append(Path(f"{folder[0]}/{len(folder)}"))
        folder[-1].mkdir(parents=True)
        return made.settle_in(folder[-1] / "records")

    folder: list[Path] = []

    def run(test: str, base: Path, *more: Any) -> None:
        folder[:] = [base]
        getattr(OperationContract(), test)(new, *more)

    return run


CHECK, SECOND = "test_check_mode_writes_nothing", "test_a_second_run_is_unchanged"
SECRETS, FAULTS = (
    "test_receipts_and_results_hold_no_secret",
    "test_each_call_that_fails_is_rolled_back",
)
ROWS: list[tuple[str, Callable[[Any], Managed], dict[str, Any]]] = [
    (CHECK, lambda shelf: Managed(WritesInReading(shelf)), {"reads": ["shelf.get"]}),
    (CHECK, lambda shelf: Managed(Good(shelf)), {}),
    (SECOND, lambda shelf: Managed(NeverDone(shelf)), {}),
    (SECOND, lambda shelf: Managed(Good(shelf)), {"wanted": lambda: False}),
    (SECRETS, lambda shelf: Managed(Good(shelf)), {"secrets": [b"s3cret"]}),
    (SECRETS, lambda shelf: Managed(Good(shelf)), {"drawn": lambda: [b"s3cret"]}),
    (FAULTS, lambda shelf: Managed(CannotRemove(shelf)), {}),
    (FAULTS, lambda shelf: Forgetful(Good(shelf)), {}),
    (FAULTS, lambda shelf: Forgetful(Good(shelf)), {"restores": False, "wanted": lambda: False}),
]


@pytest.mark.parametrize(("test", "operation", "about"), ROWS)
@pytest.mark.parametrize("kind", [Refused, Killed])
def test_what_breaks_it_is_found(
    test: str, operation: Any, about: dict[str, Any], kind: type[BaseException], tmp_path: Path
) -> None:
    more = (kind, True) if test == FAULTS else ()
    with pytest.raises(AssertionError):
        contract(operation, **about)(test, tmp_path, *more)


@pytest.mark.parametrize("test", [CHECK, SECOND, SECRETS, FAULTS])
def test_what_keeps_it_passes(test: str, tmp_path: Path) -> None:
    good = contract(lambda shelf: Managed(Good(shelf)), reads=["shelf.get"], secrets=[b"another"])
    good(test, tmp_path, *((Killed, True) if test == FAULTS else ()))
