# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How BIND's programs are called for a key, and what becomes of its files."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns import dnssec_keygen
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dnssec_keygen import (
    DnssecKeygen,
)

NAME = "Ka.example.+013+00001"


class Programs:
    """dnssec-keygen and dnssec-settime."""

    def __init__(self, fails: str = "", name: str = NAME) -> None:
        self.called: list[str] = []
        self.fails = fails
        self.name = name

    def __call__(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        self.called.append(words[0])
        if words[0] == self.fails:
            raise DebvisorError(f"{words[0]} failed")
        for suffix in ("key", "state", "private") if words[0] == "dnssec-keygen" else ():
            Path(words[words.index("-K") + 1], f"{self.name}.{suffix}").write_text(suffix)
        return subprocess.CompletedProcess(words, 0, f"{self.name}\n", "")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs()
    monkeypatch.setattr(dnssec_keygen.command, "run", found)
    monkeypatch.setattr(dnssec_keygen.shutil, "chown", lambda path, user, group: None)
    return found


def test_a_key_is_made(tmp_path: Path, programs: Programs) -> None:
    keygen, folder = DnssecKeygen(), str(tmp_path)
    assert keygen.keys(folder, "a.example") == []
    keygen.create(folder, "a.example")
    assert programs.called == ["dnssec-keygen", "dnssec-settime"]
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        f"{NAME}.{suffix}": 0o600 for suffix in ("key", "state", "private")
    }
    assert keygen.keys(folder, "a.example") == [NAME]
    assert keygen.keys(folder, "example") == []


def test_what_a_run_that_was_killed_left_is_removed(tmp_path: Path, programs: Programs) -> None:
    left = tmp_path / ".new.killed"
    left.mkdir()
    (left / f"{NAME}.private").write_text("secret")
    DnssecKeygen().create(str(tmp_path), "a.example")
    assert not left.exists()


@pytest.mark.parametrize("fails", ["dnssec-keygen", "dnssec-settime"])
def test_nothing_is_left_of_a_key_that_could_not_be_made(
    tmp_path: Path, programs: Programs, fails: str
) -> None:
    programs.fails = fails
    with pytest.raises(DebvisorError):
        DnssecKeygen().create(str(tmp_path), "a.example")
    assert list(tmp_path.iterdir()) == []


def killed_at(step: int, folder: str) -> bool:
    """Create a key in a process of its own that dies before its nth writing step; False where it came to its end."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
    steps = itertools.count()

    def die(event: str, details: tuple[Any, ...]) -> None:
        writes = event in {"os.mkdir", "os.rename", "os.chmod", "os.remove", "os.rmdir"} or (
            event == "open" and details[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if writes and next(steps) == step:
            os._exit(9)

    sys.addaudithook(die)
    DnssecKeygen().create(folder, "a.example")
    os._exit(0)


def test_a_run_that_is_killed_leaves_no_part_of_a_key(tmp_path: Path, programs: Programs) -> None:
    keygen, other = DnssecKeygen(), "Ka.example.+013+00002"
    for step in itertools.count():
        folder = tmp_path / str(step)
        folder.mkdir()
        programs.name = NAME
        was_killed = killed_at(step, str(folder))
        programs.name = other
        if not keygen.keys(str(folder), "a.example"):
            keygen.create(str(folder), "a.example")
        (name,) = keygen.keys(str(folder), "a.example")
        assert sorted(path.name for path in folder.iterdir()) == [
            f"{name}.{suffix}" for suffix in ("key", "private", "state")
        ], f"killed before step {step}"
        if not was_killed:
            assert step > 8, "there are steps to be killed at"
            assert name == NAME
            return


def test_a_key_of_another_zone_is_left_alone(tmp_path: Path, programs: Programs) -> None:
    for name in ("Kb.example.+013+00001.key", "Ka.example.+013+00003.txt"):
        (tmp_path / name).write_text("")
    DnssecKeygen().create(str(tmp_path), "a.example")
    assert len(list(tmp_path.iterdir())) == 5
