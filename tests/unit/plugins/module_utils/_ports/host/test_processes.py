# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes, and later ones with the same number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.processes import Processes

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen]:
    with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_we_are_alive() -> None:
    processes = Processes()
    pid, started = processes.own()
    assert pid == os.getpid()
    assert started > 0
    assert processes.alive(pid, started)
    assert len(processes.boot()) == 36


def test_a_process_with_an_odd_name_is_read_all_the_same() -> None:
    code = "open('/proc/self/comm', 'w').write('a) Z (b'); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        assert Processes().started(process.pid)
        process.kill()


def test_another_process_of_the_same_number_is_another(sleeper: subprocess.Popen) -> None:
    processes = Processes()
    started = processes.started(sleeper.pid)
    assert processes.alive(sleeper.pid, started)
    assert not processes.alive(sleeper.pid, started + 1)
    assert not processes.end(sleeper.pid, started + 1)
    assert sleeper.poll() is None, "a process that is not the one was signalled"
    assert processes.end(sleeper.pid, started)
    assert sleeper.wait(20) == -signal.SIGTERM


def test_a_dead_process_is_gone_even_before_its_parent_looks(sleeper: subprocess.Popen) -> None:
    processes = Processes()
    started = processes.started(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
    assert not processes.alive(sleeper.pid, started)
    assert not processes.end(sleeper.pid, started)
    sleeper.wait()
    assert not processes.alive(sleeper.pid, started)
    assert not processes.end(sleeper.pid, started)
