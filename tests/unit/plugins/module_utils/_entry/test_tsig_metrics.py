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
from ansible_collections.debvisor.hci.plugins.module_utils._dns import keyring
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keyring import Keyring
from ansible_collections.debvisor.hci.plugins.module_utils._entry import tsig_metrics

DAY = 86400


class World:
    def __init__(self, folder: Path) -> None:
        self.keyring = folder / "keyring.json"
        self.state = folder / "state.json"
        self.output = folder / "tsig.prom"
        self.age(1)

    def age(self, days: float) -> None:
        created = int(time.time() - days * DAY)
        of = keyring.founded("x", "hmac-sha256", lambda size: b"s" * size, created)
        self.keyring.write_text(json.dumps(Keyring({"x": of}).dump()))

    def run(self, *options: str) -> int:
        places = ["--keyring", str(self.keyring), "--state", str(self.state)]
        return tsig_metrics.main([*places, "--output", str(self.output), *options])

    def value(self, name: str) -> float:
        [line] = [
            line
            for line in self.output.read_text().splitlines()
            if line.startswith(f"debvisor_tsig_{name}")
        ]
        return float(line.split()[-1])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(settings, "audit_file", lambda: tmp_path / "audit.jsonl")
    return World(tmp_path)


def test_ages_and_a_rotation_that_was_completed(world: World) -> None:
    assert world.run() == 0
    assert world.value("rotation_last_success_timestamp_seconds") == 0
    assert world.value("key_age_seconds") == pytest.approx(DAY, abs=5)
    assert world.run("--completed") == 0
    assert world.value("rotation_last_success_timestamp_seconds") == pytest.approx(
        time.time(), abs=5
    )


def test_an_overdue_key_is_loud(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.age(40)
    assert world.run("--max-age-days", "35") == 1
    assert "older than 35 days: x" in capsys.readouterr().err
    assert world.run("--max-age-days", "50") == 0


def test_a_failed_run_is_loud_until_one_succeeds(world: World, tmp_path: Path) -> None:
    assert world.run("--completed") == 0
    done = world.value("rotation_last_success_timestamp_seconds")
    assert world.run("--service-result", "exit-code") == 3
    assert world.value("rotation_last_run_failed") == 1
    assert world.value("rotation_last_success_timestamp_seconds") == done
    assert world.run() == 3, "an hour later it is still loud"
    [line] = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["result"] == "failed"
    assert world.run("--service-result", "success") == 0
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


def test_a_place_that_cannot_be_written_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run("--output", str(world.keyring / "none" / "tsig.prom")) == 2
    assert "tsig-metrics: " in capsys.readouterr().err


def test_without_a_place_for_metrics_it_only_judges(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--keyring", str(world.keyring), "--state", str(world.state)]
    assert tsig_metrics.main(places) == 0
    assert capsys.readouterr().out == "1 classes of keys\n"
    world.age(2)
    assert tsig_metrics.main([*places, "--max-age-days", "1"]) == 1
    assert not world.output.exists()


def test_a_failed_run_comes_before_an_overdue_key(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.age(40)
    assert world.run("--service-result", "timeout", "--max-age-days", "35") == 3
    told = capsys.readouterr().err
    assert "older than 35 days" in told
    assert "the last rotation failed" in told


def test_the_metrics_are_for_everybody_and_hold_no_secret(world: World) -> None:
    world.run()
    assert world.output.stat().st_mode & 0o777 == 0o644
    assert "ssss" not in world.output.read_text()
    assert "c3Nzc3" not in world.output.read_text()
    assert "c3Nzc3" in world.keyring.read_text()
