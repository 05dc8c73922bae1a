# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's file, and the metrics against the rules of their text format."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.metrics import text
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys import keyring
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.keyring import Keyring
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.rotation_report import (
    SPEC,
    RotationReport,
    families,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.dns_server import FakeClock
from tests.fakes.files import files_case
from tests.fakes.operation_contract import Case, OperationContract
from tests.fakes.tsig import counts, outcome


class World:
    def __init__(self, base: Path) -> None:
        (base / "log").mkdir(exist_ok=True)
        self.path = base / "log" / "tsig-rotation.json"
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def params(self, **more: Any) -> dict[str, Any]:
        return filled(SPEC, {"path": str(self.path), **outcome(**more)})

    def run(self, **more: Any) -> Outcome:
        return execute(RotationReport(Files(), FakeClock()), self.params(**more), self.records)


def case(base: Path) -> Case:
    world = World(base)
    return files_case(
        lambda wire: RotationReport(wire("files", Files()), FakeClock()),
        world.params(),
        world.path.parent,
        repeats=False,
    )


def case_of_another(base: Path) -> Case:
    made = case(base)
    World(base).run(mode="abort")
    return made


class TestContract(OperationContract):
    operation = RotationReport
    cases = (case, case_of_another)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_it_is_written_each_time_and_nothing_is_left_beside_it(world: World) -> None:
    first = world.run()
    assert first.failure is None
    assert (first.plan.facts["complete"], first.plan.facts["losses"]) == (True, 0)
    assert world.path.stat().st_mode & 0o777 == 0o640
    world.run(mode="now")
    written = json.loads(world.path.read_text())
    assert (written["mode"], written["complete"]) == ("now", True)
    assert written["ended"] > 1_700_000_000
    assert [path.name for path in world.path.parent.iterdir()] == ["tsig-rotation.json"]


@pytest.mark.parametrize(
    "more",
    [
        {"waiting": {"g1.x": "why"}},
        {"missing": ["n9"]},
        {"canaries": {"a": {"updates": counts(9, 1), "transfers": counts(0)}}},
        {"canaries": {"a": {"updates": counts(9), "transfers": counts(0, 2)}}},
    ],
)
def test_what_waits_is_missing_or_was_lost_is_not_complete(
    world: World, more: dict[str, Any]
) -> None:
    assert world.run(**more).plan.facts["complete"] is False
    assert json.loads(world.path.read_text())["complete"] is False


NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
LABELS = r'\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"\}'
SAMPLE = re.compile(rf"({NAME})({LABELS})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|NaN|[+-]Inf)")


def read(written: str) -> dict[str, list[str]]:
    """Read the text format by its rules: HELP, TYPE, then the family's samples, each once; a newline at the end."""
    assert written.endswith("\n")
    assert "\n\n" not in written
    found: dict[str, list[str]] = {}
    lines = written.removesuffix("\n").split("\n")
    while lines:
        told = re.fullmatch(rf"# HELP ({NAME}) ([^\\]+)", lines.pop(0))
        assert told
        name = told.group(1)
        assert name not in found
        assert lines.pop(0) == f"# TYPE {name} gauge"
        found[name] = []
        while lines and not lines[0].startswith("#"):
            sample = SAMPLE.fullmatch(lines.pop(0))
            assert sample
            assert sample.group(1) == name
            series = sample.group(2) or ""
            assert series not in found[name]
            found[name].append(series)
    return found


NAMES = st.from_regex(keyring.CLASS_NAME, fullmatch=True)


@given(st.sets(NAMES, max_size=4), st.integers(0, 2**40), st.sampled_from([{}, {"success": 7}]))
def test_metrics_obey_the_text_format_whatever_the_classes(
    names: set[str], now: int, last: dict[str, int]
) -> None:
    classes = {
        name: keyring.founded(name, "hmac-sha256", lambda size: b"s" * size, 1000) for name in names
    }
    former = replace(keyring.founded("former", "hmac-sha256", bytes, 1000), used=False)
    found = read(text(families(Keyring({"former": former} | classes), last, now)))
    assert len(found) == 4
    labels = [f'{{class="{name}"}}' for name in sorted(names)]
    assert found["debvisor_tsig_key_age_seconds"] == labels
    assert found["debvisor_tsig_key_generations"] == labels


def test_the_rules_can_be_broken() -> None:
    good = text(families(Keyring(), {}, 0))
    read(good)
    for bad in (good[:-1], good + good, good.replace("gauge", "gage"), good.replace(" 0\n", "\n")):
        with pytest.raises(AssertionError):
            read(bad)
