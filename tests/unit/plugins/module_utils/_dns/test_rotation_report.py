# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's file, and the metrics against the rules of their text format."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.operation import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns import keyring
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keyring import Keyring
from ansible_collections.debvisor.hci.plugins.module_utils._dns.rotation_report import (
    RotationReport,
    metrics,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.files import Files
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.dns_server import FakeClock
from tests.unit.plugins.module_utils._dns.test_canary import counts, outcome
from tests.unit.plugins.module_utils._dns.test_tsig_key_operation import HookedFiles, ReadOnlyFiles


class World:
    def __init__(self, base: Path) -> None:
        (base / "log").mkdir()
        self.path = base / "log" / "tsig-rotation.json"
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")

    def run(self, files: Files | None = None, check: bool = False, **more: Any) -> Outcome:
        operation = RotationReport(files or Files(), FakeClock())
        params = {"path": str(self.path), **outcome(**more)}
        return execute(operation, params, self.records, check=check)


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


def test_check_mode_writes_nothing(world: World) -> None:
    foretold = world.run(ReadOnlyFiles(), check=True)
    assert (foretold.failure, foretold.plan.facts["complete"]) == (None, True)
    assert not world.path.exists()


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("after", [False, True])
def test_a_failure_leaves_the_former_report(world: World, again: bool, after: bool) -> None:
    if again:
        world.run()
    before = world.path.read_bytes() if again else None

    def fail() -> None:
        raise OSError(28, "No space left on device")

    failed = world.run(HookedFiles(fail, "write", after=after), mode="abort")
    assert failed.rolled_back
    assert (world.path.read_bytes() if world.path.exists() else None) == before
    assert len(list(world.path.parent.iterdir())) == again


NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
LABELS = r'\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"\}'
SAMPLE = re.compile(rf"({NAME})({LABELS})? (-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?|NaN|[+-]Inf)")


def families(text: str) -> dict[str, list[str]]:
    """Read the text format by its rules: HELP, TYPE, then the family's samples, each once; a newline at the end."""
    assert text.endswith("\n")
    assert "\n\n" not in text
    found: dict[str, list[str]] = {}
    lines = text.removesuffix("\n").split("\n")
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
    found = families(metrics(Keyring(classes), last, now))
    assert len(found) == 4
    labels = [f'{{class="{name}"}}' for name in sorted(names)]
    assert found["debvisor_tsig_key_age_seconds"] == labels
    assert found["debvisor_tsig_key_generations"] == labels


def test_the_rules_can_be_broken() -> None:
    good = metrics(Keyring(), {}, 0)
    families(good)
    for bad in (good[:-1], good + good, good.replace("gauge", "gage"), good.replace(" 0\n", "\n")):
        with pytest.raises(AssertionError):
            families(bad)
