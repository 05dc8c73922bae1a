# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The validator as CI calls it: its exit codes and its one JSON document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._programs.blocklist_check import main

from tests.checkout import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good").write_text("192.0.2.0/25\n2001:db8::/32\n")
    (tmp_path / "twice").write_text("192.0.2.1\n192.0.2.1\n")
    (tmp_path / "bad").write_bytes(b"192.0.2.1\n\xff\xfe\n192.0.2.1\0\n")
    (tmp_path / "allow").write_text("192.0.2.64\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["good"], 0),
        (["good", "--strict"], 0),
        (["twice"], 0),
        (["twice", "--strict"], 1),
        (["good", "--allow=allow"], 0),
        (["good", "--allow=allow", "--strict"], 1),
        (["good", "bad"], 1),
        (["good", "--allow=bad"], 1),
        (["good", "none"], 2),
        (["good", "--allow=none"], 2),
        (["."], 2),
    ],
)
def test_exit_codes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    monkeypatch.chdir(folder)
    assert main(words) == code
    assert main([*words, "--json"]) == code


def test_no_list_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "FILE" in capsys.readouterr().err


def test_lines_for_people(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    main(["good", "bad", "--allow=allow"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("bad:2: ")
    assert lines[1].startswith("bad:3: holds a NUL byte")
    assert lines[2].startswith("allow:1: 192.0.2.64 is allowed, and good:1 blocks 192.0.2.0/25")
    assert lines[3].startswith("v4: 7 networks, 127 addresses, 2.96e-06 % of all: 1 of /26, ")
    assert lines[4].startswith("v6: 1 networks, ")


def test_one_json_document_from_a_mere_checkout(folder: Path) -> None:
    """As CI runs it: another Python, without site packages, from the repository's root."""
    program = [
        sys.executable,
        "-S",
        "-m",
        "plugins.module_utils._programs.blocklist_check",
        "--json",
    ]
    done = subprocess.run(
        [*program, f"{folder}/good", f"{folder}/bad", f"--allow={folder}/allow"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert report["entries"] == {
        f"{folder}/good": 2,
        f"{folder}/bad": 1,
        f"{folder}/allow": 1,
    }
    assert [(each["line"], each["kind"]) for each in report["findings"]] == [
        (2, "fault"),
        (3, "fault"),
        (1, "overlap"),
    ]
    assert report["effective"]["v4"]["addresses"] == 127
