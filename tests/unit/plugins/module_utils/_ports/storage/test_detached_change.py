# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that outlive their runs, with real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    CannotRecord,
    TimedOut,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.command import ProgramFailed
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import detached_change
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.detached_change import (
    DetachedChange,
)


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "lock_dir", lambda: tmp_path)


def begin(pool: DetachedChange, words: tuple[str, ...]) -> int:
    """Begin a change in a process of its own, and return its id."""
    child = os.fork()
    if child == 0:
        pool.run(words)
        os._exit(0)
    return child


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_looks_next_waits_for_the_change_of_a_run_that_was_killed(tmp_path: Path) -> None:
    pool, begun, done = DetachedChange("lvm-hv"), tmp_path / "begun", tmp_path / "done"
    script = f"touch {begun}; sleep 1; echo said to nobody; touch {done}"
    child = begin(pool, ("sh", "-c", script))
    wait_for(begun)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not done.exists()
    pool.settle()
    assert done.exists()


def test_a_change_that_hangs_is_waited_for_no_longer_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detached_change, "PATIENCE", 0.1)
    pool, begun, end = DetachedChange("lvm-hv"), tmp_path / "begun", tmp_path / "end"
    script = f"touch {begun}; while [ ! -e {end} ]; do sleep 0.05; done"
    child = begin(pool, ("sh", "-c", script))
    try:
        wait_for(begun)
        with pytest.raises(TimedOut, match="debvisor-lvm-hv"):
            pool.settle()
        DetachedChange("lvm-other").settle()
    finally:
        end.touch()
        os.waitpid(child, 0)
    pool.settle()


def test_the_program_has_neither_the_lock_nor_our_input(tmp_path: Path) -> None:
    out = tmp_path / "out"
    DetachedChange("tank/guests").run(("sh", "-c", f"cat > {out}; ls -l /proc/self/fd >> {out}"))
    assert "debvisor-" not in out.read_text()


def test_failures_are_told() -> None:
    with pytest.raises(ProgramFailed, match="no room") as failed:
        DetachedChange("lvm-hv").run(("sh", "-c", "echo no room >&2; exit 5"))
    assert failed.value.status == 5
    with pytest.raises(ProgramFailed, match="not found"):
        DetachedChange("lvm-hv").run(("/no/such/program",))


def test_without_a_lock_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(settings, "lock_dir", lambda: tmp_path / "file")
    with pytest.raises(CannotRecord, match="file"):
        DetachedChange("lvm-hv").run(("touch", str(tmp_path / "done")))
    assert not (tmp_path / "done").exists()
