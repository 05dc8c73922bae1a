# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""debvisor-metrics: which collectors run, when, and what becomes of the others where one fails."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.metrics import single
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.command import (
    KILL_TIMEOUT,
    Ended,
    attempt,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs import metrics
from ansible_collections.debvisor.hci.plugins.module_utils._programs.collected import Collected

from tests.checkout import ROOT
from tests.fakes.collecting import CollectingHost


class World:
    """A host with the collectors a, b and c; their metric is how often they ran."""

    def __init__(self, base: Path) -> None:
        self.host, self.base, self.own = CollectingHost(base), base, base / "own.prom"
        self.runs = dict.fromkeys("abc", 0)
        for name in self.runs:
            self.host.add(name, output=self.output(name))

    def output(self, name: str) -> Path:
        return self.base / f"{name}.prom"

    def collector(self, name: str) -> Any:
        def collect(about: Mapping[str, Any]) -> Collected:
            self.runs[name] += 1
            if "fault" in about:
                raise ZeroDivisionError(about["fault"])
            family = single(f"{name}_runs", "counter", "Runs.", self.runs[name])
            return Collected([family], about.get("concerns", []))

        return collect

    def attempt(self, words: Sequence[str], *, timeout: float) -> Ended:
        """Be the process of one collector."""
        assert words[0] == metrics.PROGRAM
        printed, complained = StringIO(), StringIO()
        with redirect_stdout(printed), redirect_stderr(complained):
            status = metrics.main([*words[1:]])
        return Ended(status, printed.getvalue().encode(), complained.getvalue().encode())

    def run(self, *options: str) -> int:
        return metrics.main(
            ["--folder", str(self.host.folder), "--output", str(self.own), *options]
        )

    def working(self) -> list[str]:
        return [line for line in self.own.read_text().splitlines() if line[0] != "#"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    known = {name: world.collector(name) for name in world.runs}
    monkeypatch.setattr(metrics, "COLLECTORS", known)
    monkeypatch.setattr(metrics.command, "attempt", world.attempt)
    return world


def test_each_collector_has_its_file(world: World) -> None:
    assert world.run() == 0
    assert world.output("b").read_text().endswith("\nb_runs 1\n")
    assert world.output("b").stat().st_mode & 0o777 == 0o644
    assert world.working() == [
        f'debvisor_metrics_collector_ok{{collector="{name}"}} 1' for name in "abc"
    ]


def test_one_that_fails_is_a_metric_and_stops_no_other(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run() == 0
    world.host.add("a", output=world.output("a"), fault="why")
    assert world.run() == 2
    assert world.runs == {"a": 2, "b": 2, "c": 2}
    assert capsys.readouterr().err == "debvisor-metrics: a: ZeroDivisionError: why\n"
    assert world.output("a").read_text().endswith("a_runs 1\n"), "its last metrics stay"
    assert [line[-1] for line in world.working()] == ["0", "1", "1"]


@pytest.mark.parametrize("content", ["torn {", "[]", "{}"])
def test_a_file_that_means_nothing_is_a_failure(world: World, content: str) -> None:
    (world.host.folder / "a.json").write_text(content)
    assert world.run() == 2
    assert world.runs == {"a": 0, "b": 1, "c": 1}


def test_an_unknown_collector_is_a_failure(world: World) -> None:
    world.host.add("d")
    assert world.run() == 2


def test_a_name_that_is_none_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        world.run("a", "typo")
    assert ended.value.code == 2
    assert "unknown: typo; there are a, b, c" in capsys.readouterr().err
    assert world.runs == {"a": 0, "b": 0, "c": 0}


def test_a_collector_that_this_host_does_not_have_is_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.host.folder / "b.json").unlink()
    assert world.run("b") == 0
    assert "debvisor-metrics: b: this host has no such collector" in capsys.readouterr().err


def program(base: Path, *lines: str) -> str:
    path = base / "program"
    path.write_text("\n".join(["#!/bin/sh", 'for name in "$@"; do :; done', *lines]))
    path.chmod(0o755)
    return str(path)


def test_one_that_hangs_or_dies_keeps_no_other_from_its_metrics(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metrics.command, "attempt", attempt)
    monkeypatch.setattr(metrics, "LONGEST", 0.5)
    monkeypatch.setattr(
        metrics,
        "PROGRAM",
        program(
            world.base,
            'echo "did $name" >&2',
            "[ $name != a ] || exec sleep 60",
            "[ $name != b ] || kill -9 $$",
        ),
    )
    assert world.run() == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("debvisor-metrics: a: ")
    assert "did not end: waited 0.5 s" in lines[0]
    assert lines[1:] == ["did b", "debvisor-metrics: b: ended with status -9", "did c"]
    assert [line[-1] for line in world.working()] == ["0", "0", "1"]


def test_all_of_them_hanging_is_noted_before_the_unit_is_stopped() -> None:
    unit = ROOT / "roles/node/templates/debvisor-metrics.service.j2"
    [minutes] = re.findall(r"^TimeoutStartSec=(\d+)min$", unit.read_text(), re.MULTILINE)
    assert len(metrics.COLLECTORS) * (metrics.LONGEST + KILL_TIMEOUT) < int(minutes) * 60


def test_a_concern_is_told_and_the_metrics_are_written(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.host.add("b", output=world.output("b"), concerns=["a key is old"])
    assert world.run() == 1
    assert capsys.readouterr().err == "debvisor-metrics: b: a key is old\n"
    assert world.output("b").exists()
    assert [line[-1] for line in world.working()] == ["1", "1", "1"]


def test_one_that_costs_much_runs_when_it_is_due(world: World) -> None:
    world.host.add("a", output=world.output("a"), every=300)
    for _minute in range(2):
        assert world.run() == 0
    assert world.runs == {"a": 1, "b": 2, "c": 2}
    ago = time.time() - 290
    os.utime(world.output("a"), (ago, ago))
    assert world.run() == 0
    assert world.runs["a"] == 2
    assert world.run("a") == 0, "by name, it runs at once"
    assert world.runs == {"a": 3, "b": 3, "c": 3}


def test_metrics_of_the_future_are_due(world: World) -> None:
    world.host.add("a", output=world.output("a"), every=300)
    assert world.run() == 0
    ahead = time.time() + 3600
    os.utime(world.output("a"), (ahead, ahead))
    assert world.run() == 0
    assert world.runs["a"] == 2


def test_the_metrics_can_be_read_without_writing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run("--print", "c") == 0
    assert capsys.readouterr().out.strip().endswith("c_runs 1")
    assert not world.output("c").exists()
    assert not world.own.exists()
    assert world.run("--print") == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line[:1] not in ("#", "")] == [
        "a_runs 1",
        "b_runs 1",
        "c_runs 2",
    ]


def test_what_comes_first_does_not_where_metrics_are_printed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(metrics, "FIRST", {"c": lambda: done.append("c")})
    assert world.run("--print", "c") == 0
    assert done == []
    assert world.run("c") == 0
    assert done == ["c"]


def test_a_host_without_collectors_is_well(tmp_path: Path) -> None:
    assert metrics.main(["--folder", str(tmp_path / "none"), "--output", str(tmp_path / "o")]) == 0


def test_what_cannot_be_written_is_a_failure(world: World) -> None:
    assert world.run("--output", str(world.base / "none" / "own.prom")) == 2
