# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""audit-verify and keepalived-lint."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._programs import (
    audit_verify,
    keepalived_lint,
)


def chain(path: Path, lines: int) -> None:
    for number in range(lines):
        Audit(path).append(
            transaction=str(number),
            operation="test",
            scope="test",
            result="changed",
            actions=[],
            before=None,
            after=None,
        )


def test_a_whole_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "audit.jsonl"
    chain(path, 3)
    assert audit_verify.main([str(path)]) == 0
    lines, _word, _head, digest = capsys.readouterr().out.replace(",", "").split()[0:4]
    assert lines == "3"
    assert audit_verify.main([str(path), "--head", digest]) == 0
    assert audit_verify.main([str(path), "--head", "0"]) == 3


def test_a_changed_line_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "audit.jsonl"
    chain(path, 3)
    path.write_bytes(path.read_bytes().replace(b'"transaction": "1"', b'"transaction": "7"'))
    assert audit_verify.main([str(path)]) == 1
    assert f"{path}:3:" in capsys.readouterr().err


def test_a_missing_chain_is_said_so(tmp_path: Path) -> None:
    assert audit_verify.main([str(tmp_path / "none")]) == 2


def test_every_line_of_keepalived_is_a_complaint() -> None:
    assert keepalived_lint.complaints("\n") == []
    line = "(DNS) track script dns_check not found, ignoring..."
    assert keepalived_lint.complaints(f"\n{line}\n") == [line]
