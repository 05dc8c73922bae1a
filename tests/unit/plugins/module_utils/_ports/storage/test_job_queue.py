# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's queue: real files, real processes, and some that die."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    CannotRecord,
    InvalidInput,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.job_queue import JobQueue

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


def queue(folder: Path) -> JobQueue:
    return JobQueue(folder, folder.parent / "volumes.json")


def _stand(folder: Path, wire: Connection) -> None:
    line = queue(folder)
    while not line.join():
        time.sleep(0.001)
    wire.send(line.ahead())
    wire.recv()
    line.leave()
    wire.send("left")
    wire.recv()


class Waiter:
    """A process that stands in the queue until it is told to leave, or is killed."""

    def __init__(self, folder: Path) -> None:
        self.wire, far = FORK.Pipe()
        self.process = FORK.Process(target=_stand, args=(folder, far), daemon=True)
        self.process.start()
        self.ahead = self.wire.recv()

    def leave(self) -> None:
        self.wire.send("leave")
        self.wire.recv()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


@pytest.fixture
def waiters(folder: Path) -> Iterator[list[Waiter]]:
    there = [Waiter(folder) for _number in range(3)]
    yield there
    for waiter in there:
        waiter.process.kill()
        waiter.process.join()


def test_places_are_given_in_the_order_of_coming(folder: Path, waiters: list[Waiter]) -> None:
    assert [waiter.ahead for waiter in waiters] == [0, 1, 2]
    line = queue(folder)
    assert line.join()
    assert line.ahead() == 3
    waiters[1].leave()
    assert line.ahead() == 2
    late = Waiter(folder)
    assert late.ahead == 3, "who comes later stands behind"
    assert line.ahead() == 2
    late.kill()


def test_a_ticket_dies_with_its_holder(folder: Path, waiters: list[Waiter]) -> None:
    line = queue(folder)
    line.join()
    waiters[0].kill()
    assert line.ahead() == 2
    assert len([name for name in os.listdir(folder) if name.isdecimal()]) == 3
    waiters[2].kill()
    waiters[1].kill()
    assert line.ahead() == 0


def test_a_process_that_is_stopped_keeps_its_place(folder: Path, waiters: list[Waiter]) -> None:
    os.kill(waiters[0].process.pid, signal.SIGSTOP)
    line = queue(folder)
    line.join()
    assert line.ahead() == 3
    os.kill(waiters[0].process.pid, signal.SIGCONT)


def test_a_ticket_that_was_given_back_is_the_last_again(folder: Path) -> None:
    first, second = queue(folder), queue(folder)
    first.join()
    second.join()
    assert (first.ahead(), second.ahead()) == (0, 1)
    first.leave()
    first.leave()
    assert second.ahead() == 0
    first.join()
    assert (first.ahead(), second.ahead()) == (1, 0)


def test_one_ticket_a_job(folder: Path) -> None:
    line = queue(folder)
    assert (line.join(), line.join()) == (True, True)
    assert len([name for name in os.listdir(folder) if name.isdecimal()]) == 1
    line.leave()
    with pytest.raises(ValueError, match="without a ticket"):
        line.ahead()


def _work(folder: Path, log: Path, number: int) -> None:
    """Work when it is our turn; two at once. Every third dies in that."""
    line = queue(folder)
    while not (line.join() and line.ahead() < 2):
        time.sleep(0.001)
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, b"+")
    time.sleep(0.01)
    os.write(handle, b"-")
    if number % 3 == 0:
        os._exit(9)
    line.leave()


def test_never_more_than_so_many_work_at_once(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    working = [FORK.Process(target=_work, args=(folder, log, number)) for number in range(12)]
    for process in working:
        process.start()
    for process in working:
        process.join()
    text = log.read_text()
    at_once = [text[:end].count("+") - text[:end].count("-") for end in range(len(text))]
    assert text.count("+") == 12, "nobody is left out"
    assert max(at_once) <= 2


def test_how_many_work_at_once_is_the_hosts_to_say(folder: Path, tmp_path: Path) -> None:
    line = queue(folder)
    assert line.width() == 2
    (tmp_path / "volumes.json").write_text(json.dumps({"jobs_at_once": 5, "other": 1}))
    assert line.width() == 5
    (tmp_path / "volumes.json").write_text("{}")
    assert line.width() == 2


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"jobs_at_once": 0}',
        '{"jobs_at_once": "2"}',
        '{"jobs_at_once": true}',
    ],
)
def test_a_wrong_number_is_not_guessed_around(folder: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "volumes.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"volumes\.json"):
        queue(folder).width()


def test_a_queue_that_cannot_be_is_named(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    with pytest.raises(CannotRecord, match="queue"):
        queue(folder).join()
