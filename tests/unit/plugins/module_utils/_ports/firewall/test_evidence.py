# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks that end, are bounded, and tell what is wrong with them; and an archive for root alone."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.firewall.evidence import (
    CannotKeep,
    EvidenceRecorder,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import command

RECORDER = EvidenceRecorder()


def python(source: str, *, timeout: float = 10.0, most: int = 1000) -> tuple[bytes, str]:
    return RECORDER.run((sys.executable, "-c", source), timeout=timeout, most=most)


def test_a_look_brings_what_was_printed_and_complained() -> None:
    assert python("import sys; print(1, flush=True); print(2, file=sys.stderr)") == (b"1\n2\n", "")


def test_what_went_wrong_is_told_and_what_was_seen_is_kept() -> None:
    assert python("print(1); raise SystemExit(3)") == (b"1\n", "exit code 3")
    assert RECORDER.run(("/nowhere/program",), timeout=1, most=10) == (
        b"",
        "No such file or directory",
    )
    assert python("print('x' * 50)", most=10) == (b"x" * 10, "cut off after 10 bytes")


def test_one_that_hangs_is_ended() -> None:
    began = time.monotonic()
    seen = python("import time; print(1, flush=True); time.sleep(60)", timeout=1.0)
    assert seen == (b"1\n", "ended after 1 s")
    assert time.monotonic() - began < 20


def test_one_that_not_even_a_kill_ends_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "KILL_TIMEOUT", 0.1)
    killed: list[subprocess.Popen[bytes]] = []

    def stay(program: subprocess.Popen[bytes]) -> None:
        killed.append(program)

    with monkeypatch.context() as deaf:
        deaf.setattr(subprocess.Popen, "kill", stay)
        seen = python("import time; print(1, flush=True); time.sleep(4)", timeout=1.0)
    assert seen == (b"1\n", "ended after 1 s")
    for program in killed:
        program.kill()
        program.wait(10)


def test_no_place_for_what_is_printed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_folder() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_folder)
    assert python("print(1)") == (b"", "No usable temporary directory found")


def test_files_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\0\xff" * 5)
    assert RECORDER.read(str(tmp_path / "file"), most=10) == (b"\0\xff" * 5, "")
    assert RECORDER.read(str(tmp_path / "file"), most=4) == (b"\0\xff" * 2, "cut off after 4 bytes")
    assert RECORDER.read(str(tmp_path / "none"), most=4) == (b"", "No such file or directory")


def test_the_archive_is_for_root_alone_and_its_hash_is_told(tmp_path: Path) -> None:
    path = tmp_path / "evidence" / "a.tar.gz"
    digest = RECORDER.pack(str(path), [("one", b"1"), ("two", b"")], time=1e9)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    with tarfile.open(path) as archive:
        assert [(member.name, member.mode, member.mtime) for member in archive] == [
            ("one", 0o600, 1e9),
            ("two", 0o600, 1e9),
        ]
        found = archive.extractfile("one")
        assert found is not None
        assert found.read() == b"1"


def test_an_archive_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotKeep, match="cannot be written"):
        RECORDER.pack(str(tmp_path / "file" / "a.tar.gz"), [], time=0)
