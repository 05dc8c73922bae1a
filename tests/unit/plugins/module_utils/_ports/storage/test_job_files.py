# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of jobs on a disk."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    CannotRecord,
    TimedOut,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import job_files
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.job_files import JobFiles


@pytest.fixture
def files(tmp_path: Path) -> JobFiles:
    return JobFiles(tmp_path / "jobs", tmp_path / "counters.json", tmp_path / "lock" / "jobs")


def test_there_is_nothing_at_first(files: JobFiles, tmp_path: Path) -> None:
    assert (files.ids(), files.read("a"), files.cancel_request("a"), files.counters()) == (
        [],
        None,
        None,
        None,
    )
    files.remove("a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("durable", [True, False])
def test_a_record_is_replaced_as_a_whole(files: JobFiles, tmp_path: Path, durable: bool) -> None:
    files.write("a.b", {"n": 1}, durable=durable)
    with (tmp_path / "jobs" / "a.b.json").open() as old:
        files.write("a.b", {"n": 2}, durable=durable)
        assert '"n": 1' in old.read(), "a reader that has the old one open keeps it whole"
    assert (files.read("a.b"), files.ids()) == ({"n": 2}, ["a.b"])
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["a.b.json"]


@pytest.mark.parametrize("durable", [True, False])
def test_records_are_not_for_everybody(files: JobFiles, tmp_path: Path, durable: bool) -> None:
    files.write("a", {}, durable=durable)
    assert stat.S_IMODE((tmp_path / "jobs").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "jobs" / "a.json").stat().st_mode) == 0o640


def test_a_request_stands_beside_the_record_and_goes_with_it(files: JobFiles) -> None:
    files.write("a", {})
    files.request_cancel("a", "root at node9")
    assert (files.cancel_request("a"), files.ids()) == ("root at node9", ["a"])
    files.forget_cancel("a")
    assert files.cancel_request("a") is None
    files.request_cancel("a", "root")
    files.remove("a")
    assert (files.cancel_request("a"), files.ids()) == (None, [])


def test_a_damaged_record_is_no_json(files: JobFiles, tmp_path: Path) -> None:
    files.write("a", {})
    (tmp_path / "jobs" / "a.json").write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        files.read("a")


def test_a_record_that_cannot_be_written_is_named(files: JobFiles, tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("a file where the folder should be")
    for durable in (True, False):
        with pytest.raises(CannotRecord, match=r"jobs/a\.json"):
            files.write("a", {}, durable=durable)


def _count(base: Path, times: int) -> None:
    files = JobFiles(base / "jobs", base / "counters.json", base / "lock" / "jobs")
    for _time in range(times):
        with files.exclusive():
            files.write_counters({"n": (files.counters() or {"n": 0})["n"] + 1})


def test_many_that_count_at_once_lose_nothing(files: JobFiles, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    counting = [context.Process(target=_count, args=(tmp_path, 20)) for _child in range(4)]
    for child in counting:
        child.start()
    for child in counting:
        child.join()
    assert files.counters() == {"n": 80}


def test_the_lock_is_waited_for_a_bounded_time(
    files: JobFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_files, "LOCK_TIMEOUT", 0.05)
    with files.exclusive(), pytest.raises(TimedOut, match="records of jobs"):
        files.exclusive().__enter__()
    with files.exclusive():
        pass
