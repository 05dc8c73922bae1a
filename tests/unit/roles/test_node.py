# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timer of metrics has a program to run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT

PROGRAM = "/usr/libexec/debvisor/debvisor-metrics"
METRICS = (ROOT / "roles/node/tasks/metrics.yml").read_text("utf-8")


def tasks_before_a_write(text: str) -> list[dict[str, Any]]:
    harmless = {"ansible.builtin.stat", "ansible.builtin.assert"}
    found: list[dict[str, Any]] = []
    for task in yaml.safe_load(text):
        if not harmless & {*task}:
            break
        found.append(task)
    return found


@pytest.mark.parametrize(
    ("installed", "options", "code"), [(False, [], 2), (True, [], 0), (False, ["--check"], 0)]
)
def test_there_is_no_timer_without_its_program(
    tmp_path: Path, installed: bool, options: list[str], code: int
) -> None:
    program = tmp_path / "debvisor-metrics"
    if installed:
        program.touch()
    assert PROGRAM in METRICS
    tasks = tasks_before_a_write(METRICS.replace(PROGRAM, str(program)))
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    words = [ansible, "--inventory=localhost,", "--connection=local", *options]
    done = subprocess.run(
        [*words, str(tmp_path / "play.yml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("the tag install first" in done.stdout + done.stderr) == bool(code)
