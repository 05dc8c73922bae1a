# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines for people who wait."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.callback import volume_progress
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job import Job
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.stages import Progress

MIB = 1 << 20


def told(**facts: Any) -> dict[str, Any]:
    return Job("j1", volume_name="vm1", **facts).public()


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (told(), "vm1: queued"),
        (
            told(waiting_for="its turn: 2 jobs ahead, 2 at once"),
            "vm1: waits for its turn: 2 jobs ahead, 2 at once",
        ),
        (
            told(status="running", progress=Progress("checking_cache", 3)),
            "vm1: 3 %, checking cache",
        ),
        (
            told(
                status="running",
                progress=Progress("downloading", 21, 40, 40 * MIB, 100 * MIB, 5 * MIB // 2, 84),
            ),
            "vm1: 21 %, downloading 40 of 100 MiB, 2.5 MiB/s, 1:24 left",
        ),
        (told(status="completed"), "vm1: completed"),
    ],
)
def test_a_line_says_how_far_it_is(job: dict[str, Any], line: str) -> None:
    assert volume_progress.line(job) == line


class Result:
    """A result as Ansible hands it to callbacks."""

    def __init__(self, *jobs: dict[str, Any], action: str = "debvisor.hci.volume_job_info") -> None:
        self._task, self._host = self, self
        self._result = {"jobs": list(jobs)}
        self.resolved_action = action

    def get_name(self) -> str:
        return "node1"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> tuple[volume_progress.CallbackModule, list[str]]:
    lines: list[str] = []
    callback = volume_progress.CallbackModule()
    monkeypatch.setattr(callback._display, "display", lines.append)
    return callback, lines


def test_only_what_changed_is_shown(
    shown: tuple[volume_progress.CallbackModule, list[str]],
) -> None:
    callback, lines = shown
    running = told(status="running", progress=Progress("converting", 60))
    callback.v2_runner_retry(Result())
    callback.v2_runner_retry(Result(running))
    callback.v2_runner_retry(Result(running))
    callback.v2_runner_on_ok(Result(told(status="completed")))
    assert lines == ["[node1] vm1: 60 %, converting", "[node1] vm1: completed"]


def test_other_tasks_are_left_alone(
    shown: tuple[volume_progress.CallbackModule, list[str]],
) -> None:
    callback, lines = shown
    callback.v2_runner_on_ok(Result({"jobs": "something else"}, action="ansible.builtin.debug"))
    assert lines == []
