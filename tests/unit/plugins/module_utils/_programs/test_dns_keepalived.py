# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keepalived that hangs is ended; one that was started, or stood still with its machine, is not."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import service_manager
from ansible_collections.debvisor.hci.plugins.module_utils._programs import dns_keepalived
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_keepalived import (
    SILENT_FOR,
    STOPPED_FOR,
    KeepalivedWatch,
)

STEP = 0.25


class Machine:
    """A process that stands for keepalived, and the clock."""

    def __init__(self, folder: Path) -> None:
        self.now = 100.0
        self.process = subprocess.Popen(["sleep", "60"])
        self.checked = folder / "checked"
        self.watch = KeepalivedWatch(self.checked)

    def check(self) -> None:
        self.checked.touch()
        os.utime(self.checked, (self.now, self.now))

    def passes(self, seconds: float, *, checks: bool) -> None:
        for _look in range(int(seconds / STEP)):
            self.now += STEP
            if checks:
                self.check()
            self.watch.look()

    def lives(self) -> bool:
        return self.process.poll() is None


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path)
    monkeypatch.setattr(dns_keepalived.time, "monotonic", lambda: made.now)
    monkeypatch.setattr(
        dns_keepalived.service_manager,
        "processes",
        lambda service: [made.process.pid] if made.lives() else [],
    )
    yield made
    made.process.kill()
    made.process.wait()


def test_one_that_runs_its_checks_is_left_alone(machine: Machine) -> None:
    machine.passes(60, checks=True)
    assert machine.lives()


def test_one_that_runs_no_checks_is_killed(machine: Machine) -> None:
    machine.passes(SILENT_FOR, checks=False)
    assert machine.lives(), "it was started just now"
    machine.passes(1, checks=False)
    assert machine.process.wait(10) == -signal.SIGKILL


def test_one_that_is_stopped_is_killed_soon(machine: Machine) -> None:
    machine.passes(5, checks=True)
    machine.process.send_signal(signal.SIGSTOP)
    os.waitpid(machine.process.pid, os.WUNTRACED)
    assert service_manager.is_stopped(machine.process.pid)
    machine.passes(STOPPED_FOR + 2 * STEP, checks=False)
    assert machine.process.wait(10) == -signal.SIGKILL


def test_one_that_stood_still_with_its_machine_is_left_alone(machine: Machine) -> None:
    machine.passes(5, checks=True)
    machine.now += 600
    machine.passes(1, checks=False)
    assert machine.lives()


def test_no_process_is_stopped_that_is_not_there() -> None:
    assert not service_manager.is_stopped(0)
    assert service_manager.processes("no-such.service") == []
