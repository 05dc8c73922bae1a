# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nft says, and what we make of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import TimedOut
from ansible_collections.debvisor.hci.plugins.module_utils._ports.firewall import nft
from ansible_collections.debvisor.hci.plugins.module_utils._ports.firewall.nft import (
    Nft,
    NftFailed,
    NoSuchObject,
)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a program that stands in for nft."""
    path = tmp_path / "nft"
    monkeypatch.setattr(nft, "NFT", str(path))
    return path


def program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_a_missing_tool_is_named_with_its_package(tool: Path) -> None:
    with pytest.raises(NftFailed, match="Install the package nftables"):
        Nft().load(["table inet x\n"])


def test_a_tool_that_is_missing_for_a_rehearsal_is_named_alike(
    tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NftFailed) as loading:
        Nft().load(["table inet x\n"])
    unshare = tmp_path / "unshare"
    program(unshare, 'shift && exec "$@"')
    monkeypatch.setattr(nft, "UNSHARE", str(unshare))
    with pytest.raises(NftFailed) as rehearsing:
        Nft().rehearsed(["table inet x\n"], "inet", "x")
    assert str(rehearsing.value) == str(loading.value)


def test_a_script_needs_no_disk(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*args: object, **options: object) -> None:
        raise OSError("No space left on device")

    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, full_disk)
    program(tool, f"cat > {tool}.loaded")
    Nft().load(["table inet x\n", "table inet y\n"])
    assert Path(f"{tool}.loaded").read_text() == "table inet x\ntable inet y\n"


@pytest.mark.parametrize(
    ("said", "reason", "line"),
    [
        ("/dev/stdin:3:1-5: Error: syntax error, unexpected x", "syntax error", 3),
        ("-:12:7-9: Error: Could not process rule: Operation not supported", "lacks a feature", 12),
        ("netlink: Error: cache initialization failed: Operation not permitted", "as root", None),
        ("x: Error: Could not process rule: No buffer space available", "no room", None),
        ("", "exit code 1", None),
    ],
)
def test_a_refusal_says_why_where_and_what_to_do(
    tool: Path, said: str, reason: str, line: int | None
) -> None:
    program(tool, f"cat > /dev/null; echo '{said}' >&2; exit 1")
    with pytest.raises(NftFailed, match=reason) as caught:
        Nft().load(["x\n"])
    assert "nothing of them is in force" in str(caught.value)
    assert caught.value.details.get("line") == line


def test_what_is_no_list_is_refused(tool: Path) -> None:
    program(tool, "echo nonsense")
    with pytest.raises(NftFailed, match="returned invalid output"):
        Nft().table("inet", "x")


def test_every_call_ends(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tool, "exec sleep 30")
    monkeypatch.setattr(nft, "LOOK_TIMEOUT", 0.2)
    with pytest.raises(TimedOut, match="nft did not end"):
        Nft().table("inet", "x")


def test_a_table_that_is_not_there_is_none(tool: Path) -> None:
    program(tool, "echo 'Error: No such file or directory' >&2; exit 1")
    assert Nft().table("inet", "x") is None
    assert Nft().listing("inet", "x") is None
    with pytest.raises(NoSuchObject):
        Nft().load(["delete table inet x\n"])


def test_what_a_table_holds(tool: Path) -> None:
    table = '{"table": {"family": "ip", "name": "x"}}'
    program(tool, f"""echo '{{"nftables": [{{"metainfo": {{}}}}, {table}]}}'""")
    assert Nft().table("ip", "x") == [{"table": {"family": "ip", "name": "x"}}]


def test_a_table_is_listed_as_text(tool: Path) -> None:
    program(tool, """[ "$*" = "--stateless list table inet x" ] && echo 'table inet x {'""")
    assert Nft().listing("inet", "x") == "table inet x {\n"


def test_a_rehearsal_tells_what_would_be_listed(
    tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unshare = tmp_path / "unshare"
    program(unshare, '[ "$1" = --net ] && shift && exec "$@"')
    monkeypatch.setattr(nft, "UNSHARE", str(unshare))
    program(
        tool,
        f"""case "$*" in
  "--file -") cat > {tmp_path}/loaded; grep -q good {tmp_path}/loaded || {{ echo no >&2; exit 1; }} ;;
  "--stateless list table inet x") cat {tmp_path}/loaded ;;
  *) exit 1 ;;
esac""",
    )
    assert Nft().rehearsed(["good\n", "lines\n"], "inet", "x") == "good\nlines\n"
    with pytest.raises(NftFailed, match="nothing of them is in force"):
        Nft().rehearsed(["bad\n"], "inet", "x")
