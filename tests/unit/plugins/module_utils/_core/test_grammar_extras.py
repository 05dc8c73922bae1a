# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What large and connected operations need of the executor: lazy results, notes of undo, a last word, reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit, public
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import Records, execute
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import inform
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import Action, Plain
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret

from tests.fakes.drawers import FillDrawers, fail_at
from tests.fakes.module import result_of


class Noted(FillDrawers):
    """Undoes with a note, and counts how often it was closed."""

    closed = 0

    def undo(self, receipt: Mapping[str, Any]) -> str | None:
        super().undo(receipt)
        return f"left a scratch on {receipt['drawer']}"

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(Journal(tmp_path / "journal"), Audit(tmp_path / "audit"), tmp_path / "lock")


@pytest.mark.parametrize("check", [True, False])
def test_an_operation_is_closed_once_whatever_happens(
    tmp_path: Path, records: Records, check: bool
) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for hook in (lambda stage, name: None, fail_at("apply", "a", OSError("x"))):
        operation = Noted(folder, hook)
        execute(operation, {"drawers": {"a": "1"}}, records, check=check)
        assert operation.closed == 1
    operation = Noted(folder)
    execute(operation, {"drawers": {"a": 1}}, records, check=check)
    assert operation.closed == 1


def test_what_undo_left_becomes_a_warning(tmp_path: Path, records: Records) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    operation = Noted(folder, fail_at("verify", "", OSError("x")))
    outcome = execute(operation, {"drawers": {"a": "1", "b": "2"}}, records)
    assert outcome.warnings == ["left a scratch on b", "left a scratch on a"]
    assert outcome.rolled_back


def test_a_plain_mapping_is_made_when_somebody_looks_and_once() -> None:
    made = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"a": {"ttl": 1}}

    plain = Plain(make)
    assert made == []
    assert public({"before": plain}) == {"before": {"a": {"ttl": 1}}}
    assert (plain["a"], len(plain), list(plain), plain == {"a": {"ttl": 1}}) == (
        {"ttl": 1},
        1,
        ["a"],
        True,
    )
    assert json.loads(plain.text()) == plain.content
    assert plain.text() is plain.text()
    assert made == [1]


def test_the_journal_is_whole_json_after_each_step(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    transaction = journal.open("1", "op", "scope")
    for number in range(3):
        transaction.begin(Action("do", f"t{number}"), {"n": [number, None, "ü\n"]})
        transaction.applied()
        steps = json.loads(transaction.path.read_bytes())["steps"]
        assert [step["receipt"]["n"][0] for step in steps] == list(range(number + 1))
    transaction.undone()
    [found] = journal.unfinished("op", "scope")
    assert [step["target"] for step in found.steps] == ["t0", "t1"]
    found.undone()
    [again] = journal.unfinished("op", "scope")
    assert [step["receipt"] for step in again.steps] == [{"n": [0, None, "ü\n"]}]


def test_a_module_that_reads_tells_what_it_found_without_secrets() -> None:
    told = result_of(lambda module: inform(lambda params: {"key": Secret("hush")}, module))
    assert (told["changed"], told["key"]) == (False, Secret("hush").fingerprint)


def test_a_module_that_cannot_read_says_why() -> None:
    def look(params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise Refused("no", why="closed", hint="Come back", details={"n": 1})

    told = result_of(lambda module: inform(look, module))
    assert (told["failed"], told["msg"], told["n"]) == (True, "no: closed. Come back", 1)
