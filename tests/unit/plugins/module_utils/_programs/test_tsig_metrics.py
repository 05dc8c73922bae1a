# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key ages as metrics, and being loud where a rotation is overdue or failed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys import keyring
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.keyring import Keyring
from ansible_collections.debvisor.hci.plugins.module_utils._programs import tsig_rotation_result

from tests.fakes.collecting import CollectingHost

DAY = 86400


class World:
    def __init__(self, folder: Path) -> None:
        self.keyring = folder / "keyring.json"
        self.state = folder / "state.json"
        self.host = CollectingHost(folder)
        self.output = self.host.output
        self.age(1)

    def age(self, days: float) -> None:
        created = int(time.time() - days * DAY)
        of = keyring.founded("x", "hmac-sha256", lambda size: b"s" * size, created)
        self.keyring.write_text(json.dumps(Keyring({"x": of}).dump()))

    def run(self, **options: float | str) -> int:
        return self.host.collect("tsig", keyring=self.keyring, state=self.state, **options)

    def note(self, *how: str) -> None:
        assert tsig_rotation_result.main(["--state", str(self.state), *how]) == 0

    def value(self, name: str) -> float:
        [found] = [
            value
            for each, value in self.host.values().items()
            if each.startswith(f"debvisor_tsig_{name}")
        ]
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(settings, "audit_file", lambda: tmp_path / "audit.jsonl")
    return World(tmp_path)


def test_ages_and_a_rotation_that_was_completed(world: World) -> None:
    assert world.run() == 0
    assert world.value("rotation_last_success_timestamp_seconds") == 0
    assert world.value("key_age_seconds") == pytest.approx(DAY, abs=5)
    world.note("--completed")
    assert world.run() == 0
    assert world.value("rotation_last_success_timestamp_seconds") == pytest.approx(
        time.time(), abs=5
    )


def test_an_overdue_key_is_loud(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.age(40)
    assert world.run(max_age_days=35) == 1
    assert "older than 35 days: x" in capsys.readouterr().err
    assert world.run(max_age_days=50) == 0


def test_an_age_that_is_no_number_is_named(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run(max_age_days="35") == 2
    told = capsys.readouterr().err
    assert "max_age_days: is not a number: '35'" in told
    assert "InvalidInput" not in told


def test_a_failed_run_is_loud_until_one_succeeds(world: World, tmp_path: Path) -> None:
    world.note("--completed")
    assert world.run() == 0
    done = world.value("rotation_last_success_timestamp_seconds")
    world.note("--service-result", "exit-code")
    assert world.run() == 1
    assert world.value("rotation_last_run_failed") == 1
    assert world.value("rotation_last_success_timestamp_seconds") == done
    assert world.run() == 1, "a minute later it is still loud"
    [line] = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["result"] == "failed"
    world.note("--service-result", "success")
    assert world.run() == 0
    assert world.value("rotation_last_run_failed") == 0


def test_what_cannot_be_read_is_told(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.keyring.write_text("{}")
    assert world.run() == 2
    assert "is not a keyring" in capsys.readouterr().err
    world.keyring.unlink()
    assert world.run() == 2
    world.age(1)
    world.state.write_text("torn {")
    assert world.run() == 2
    assert "state" in capsys.readouterr().err
    world.state.write_text("[]")
    assert world.run() == 2
    assert "state" in capsys.readouterr().err


def test_a_result_that_cannot_be_noted_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--state", str(world.keyring / "none" / "state.json")]
    assert tsig_rotation_result.main([*where, "--completed"]) == 2
    assert "tsig-rotation-result: " in capsys.readouterr().err


def test_a_failed_run_and_an_overdue_key_are_both_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.age(40)
    world.note("--service-result", "timeout")
    assert world.run(max_age_days=35) == 1
    told = capsys.readouterr().err
    assert "older than 35 days" in told
    assert "the last rotation failed" in told


def test_the_metrics_are_for_everybody_and_hold_no_secret(world: World) -> None:
    world.run()
    assert world.output.stat().st_mode & 0o777 == 0o644
    assert "ssss" not in world.output.read_text()
    assert "c3Nzc3" not in world.output.read_text()
    assert "c3Nzc3" in world.keyring.read_text()
