# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain goes on over its files, whoever is killed when, and lookups read from its end."""

from __future__ import annotations

import builtins
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import audit as audit_module
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import (
    Audit,
    rotated,
    verify,
)

KEPT = 3
KILLED = 137


@pytest.fixture
def chain(tmp_path: Path) -> Audit:
    return small(tmp_path / "audit.jsonl")


def small(path: Path) -> Audit:
    return Audit(path, largest=1500, kept=KEPT)


def append(
    audit: Audit, transaction: str, operation: str = "test", result: str = "changed"
) -> None:
    audit.append(
        transaction=transaction,
        operation=operation,
        scope="x",
        result=result,
        actions=[],
        before={"text": "x" * 300},
        after={},
    )


def filled_until(audit: Audit, files: int) -> int:
    """Append until so many files were rotated away, ever; return how many lines there are in all."""
    count = 0
    while not (found := rotated(audit.path)) or int(found[-1].suffix[1:]) < files:
        append(audit, f"t{count}")
        count += 1
    return count


def transactions(audit: Audit) -> list[str]:
    text = b"".join(path.read_bytes() for path in [*rotated(audit.path), audit.path])
    return [json.loads(line)["transaction"] for line in text.splitlines()]


def faults(audit: Audit) -> list[tuple[str, int, str]]:
    return [(each.file.name, each.line, each.what) for each in verify(audit.path, KEPT).broken]


def test_the_chain_goes_on_in_the_next_file(chain: Audit) -> None:
    count = filled_until(chain, 2)
    assert [path.name for path in rotated(chain.path)] == [
        "audit.jsonl.000001",
        "audit.jsonl.000002",
    ]
    verdict = verify(chain.path, KEPT)
    assert (verdict.lines, verdict.broken) == (count, ())
    assert transactions(chain) == [f"t{number}" for number in range(count)]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in chain.path.parent.iterdir())


def test_the_number_of_files_is_bounded(chain: Audit) -> None:
    filled_until(chain, KEPT + 4)
    assert [int(path.suffix[1:]) for path in rotated(chain.path)] == [5, 6, 7]
    assert faults(chain) == []


class Killer:
    """Kills this process before or after the n-th call of the system that a rotation makes."""

    def __init__(self, when: int, after: bool) -> None:
        self.left = when
        self.after = after

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            self.left -= 1
            mine = self.left == 0
            if mine and not self.after:
                os._exit(KILLED)
            result = call(*args, **options)
            if mine:
                os._exit(KILLED)
            return result

        return wrapped


def killed(work: Callable[[], None], when: int, after: bool) -> bool:
    child = os.fork()
    if child == 0:
        killer = Killer(when, after)
        for owner, name in (
            (os, "open"), (os, "rename"), (os, "unlink"), (os, "fsync"),
            (audit_module, "sync_folder"), (audit_module, "_write_all"), (builtins, "open"),
        ):  # fmt: skip
            setattr(owner, name, killer.around(getattr(owner, name)))
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_call_of_a_rotation_nothing_is_lost_or_broken(
    tmp_path: Path, after: bool
) -> None:
    for when in range(1, 20):
        chain = small(tmp_path / f"{when}" / "audit.jsonl")
        filled_until(chain, KEPT)
        while chain.path.stat().st_size < 1500:
            append(chain, "fills")
        before = transactions(chain)
        oldest = len(rotated(chain.path)[0].read_bytes().splitlines())
        died = killed(lambda chain=chain: append(chain, "dies"), when, after)
        assert faults(chain) == [], (when, "as it was left")
        append(chain, "next")
        assert faults(chain) == [], (when, "as it went on")
        there = transactions(chain)
        kept = [*before, "dies", "next"] if "dies" in there else [*before, "next"]
        assert there in (kept, kept[oldest:]), when
        if not died:
            assert when > 5
            return
    pytest.fail("a rotation makes fewer calls than that")


def test_a_torn_line_at_the_end_of_a_file_is_owned_up_to_in_the_next(chain: Audit) -> None:
    filled_until(chain, 1)
    while chain.path.stat().st_size < 1500:
        append(chain, "fills")
    with chain.path.open("ab") as stream:
        stream.write(b'{"torn')
    append(chain, "next")
    assert len(rotated(chain.path)) == 2
    assert faults(chain) == []


@pytest.mark.parametrize("file", [1, 2])
def test_a_change_of_the_last_line_of_a_file_shows_in_the_next(chain: Audit, file: int) -> None:
    filled_until(chain, 2)
    path = rotated(chain.path)[file - 1]
    *lines, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, last.replace(b'"changed"', b'"nothing"')]))
    follows = rotated(chain.path)[1] if file == 1 else chain.path
    assert faults(chain) == [(follows.name, 1, "does not follow from the line before")]


def test_a_missing_file_is_found(chain: Audit) -> None:
    filled_until(chain, 3)
    first, second, _third = rotated(chain.path)
    content = first.read_bytes()
    first.unlink()
    assert "is gone" in faults(chain)[0][2], "older files go only where enough newer ones are kept"
    first.write_bytes(content)
    second.unlink()
    assert [fault[2] for fault in faults(chain)] == [
        "does not follow from the line before",
        "the file before it, number 2, is gone",
    ]


def test_where_it_cannot_be_rotated_the_large_file_goes_on(
    chain: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "rename", refuse)
    for number in range(10):
        append(chain, f"t{number}")
    assert (verify(chain.path).lines, rotated(chain.path), faults(chain)) == (10, [], [])


def test_many_writers_make_one_chain(chain: Audit) -> None:
    children = []
    for writer in range(4):
        if not (child := os.fork()):
            for number in range(12):
                append(Audit(chain.path, largest=1500, kept=99), f"{writer}-{number}")
            os._exit(0)
        children.append(child)
    assert {os.waitpid(child, 0)[1] for child in children} == {0}
    verdict = verify(chain.path, 99)
    assert (verdict.lines, verdict.broken) == (48, ())
    assert len(set(transactions(chain))) == 48


def named(moment: datetime) -> str:
    return f"{int(moment.timestamp() * 1e9):020d}-1"


def test_lookups_cross_files_newest_first(chain: Audit) -> None:
    begun = named(datetime.now(UTC))
    append(chain, begun, "ssh_access", "awaiting confirmation")
    append(chain, begun, "ssh_access", "reverted")
    filled_until(chain, 2)
    assert chain.result_of(begun) == "reverted"
    moment = chain.last("ssh_access", {"reverted"})
    assert moment is not None
    assert time.time() - moment.timestamp() < 600
    assert chain.last("ssh_access", {"failed"}) is None
    assert (chain.result_of("none"), small(chain.path.with_name("no")).result_of("x")) == ("", "")


def test_a_lookup_reads_no_more_than_it_must(chain: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    filled_until(chain, KEPT + 1)
    monkeypatch.setattr(audit_module, "BLOCK", 512)
    read = []
    backwards = audit_module._backwards

    def counted(stream: Any) -> Any:
        for block in backwards(stream):
            read.append(sum(map(len, block)))
            yield block

    monkeypatch.setattr(audit_module, "_backwards", counted)
    append(chain, newest := named(datetime.now(UTC)))
    read.clear()
    assert chain.result_of(newest) == "changed"
    assert sum(read) < 2048
    read.clear()
    later = datetime.now(UTC) + timedelta(days=3)
    assert chain.result_of(named(later)) == ""
    assert sum(read) < 2048, "nothing older than a transaction is read"
    monkeypatch.setattr(audit_module, "LOOKUP_BYTES", 2000)
    read.clear()
    assert chain.last("none", {"changed"}) is None
    assert sum(read) < 2000 + 1024


@pytest.mark.parametrize("rotations", [1, KEPT + 1])
def test_a_rotation_while_the_files_are_listed_is_no_fault(
    chain: Audit, monkeypatch: pytest.MonkeyPatch, rotations: int
) -> None:
    filled_until(chain, KEPT)

    def listed(path: Path) -> list[Path]:
        found = rotated(path)
        monkeypatch.setattr(audit_module, "rotated", rotated)
        filled_until(chain, KEPT + rotations)
        return found

    monkeypatch.setattr(audit_module, "rotated", listed)
    assert faults(chain) == []


def test_a_line_that_is_being_written_is_no_fault(
    chain: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = filled_until(chain, 1)
    walk = audit_module._walk

    def walk_later(*opened: Any) -> Any:
        with chain.path.open("ab") as stream:
            stream.write(b'{"half')
        return walk(*opened)

    monkeypatch.setattr(audit_module, "_walk", walk_later)
    verdict = verify(chain.path, KEPT)
    assert (verdict.lines, verdict.broken) == (count, ())
