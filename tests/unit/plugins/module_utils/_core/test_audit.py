# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit chain holds, and shows where it was tampered with."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import (
    LINE_ROOM,
    LONGEST_VALUE,
    Audit,
    public,
    verify,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret


@pytest.fixture
def chain(tmp_path: Path) -> Audit:
    audit = Audit(tmp_path / "log" / "audit.jsonl")
    for number in range(5):
        append(audit, f"t{number}")
    return audit


def append(audit: Audit, transaction: str, **values: object) -> None:
    audit.append(
        **{
            "transaction": transaction,
            "operation": "test",
            "scope": "x",
            "result": "changed",
            "actions": [],
            "before": {},
            "after": {},
            **values,
        }
    )


def lines(audit: Audit) -> list[bytes]:
    return audit.path.read_bytes().splitlines(keepends=True)


def faults(audit: Audit) -> list[tuple[int, str]]:
    return [(fault.line, fault.what) for fault in verify(audit.path).broken]


def test_an_untouched_chain_holds(chain: Audit) -> None:
    verdict = verify(chain.path)
    assert (verdict.lines, verdict.broken) == (5, ())


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_changed_line_is_found(chain: Audit, number: int) -> None:
    all_lines = lines(chain)
    all_lines[number] = all_lines[number].replace(b'"changed"', b'"nothing"')
    chain.path.write_bytes(b"".join(all_lines))
    assert faults(chain) == [(number + 2, "does not follow from the line before")]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_removed_line_is_found(chain: Audit, number: int) -> None:
    all_lines = lines(chain)
    del all_lines[number]
    chain.path.write_bytes(b"".join(all_lines))
    assert faults(chain) == [(number + 1, "does not follow from the line before")]


def test_swapped_lines_are_found(chain: Audit) -> None:
    first, second, *rest = lines(chain)
    chain.path.write_bytes(b"".join([second, first, *rest]))
    assert verify(chain.path).broken


def test_a_change_of_the_newest_line_shows_in_the_head(chain: Audit) -> None:
    head = verify(chain.path).head
    all_lines = lines(chain)
    all_lines[-1] = all_lines[-1].replace(b'"changed"', b'"nothing"')
    chain.path.write_bytes(b"".join(all_lines))
    assert verify(chain.path).head != head


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_line_torn_by_a_crash_is_owned_up_to_and_the_chain_goes_on(
    chain: Audit, kept: int
) -> None:
    whole, torn = lines(chain)[:-1], lines(chain)[-1]
    chain.path.write_bytes(b"".join(whole) + torn[:kept])
    assert faults(chain) == [(5, "is not a whole line, and nothing follows it")]
    append(chain, "after")
    assert json.loads(lines(chain)[-1])["after_torn_line"] is True
    assert verify(chain.path).broken == ()


def test_an_account_without_a_name_is_its_number(
    chain: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    append(chain, "nameless")
    assert json.loads(lines(chain)[-1])["who"]["account"] == "4000000"


def test_a_line_torn_by_hand_is_not_excused(chain: Audit) -> None:
    all_lines = lines(chain)
    all_lines[2] = b"rubbish\n"
    chain.path.write_bytes(b"".join(all_lines))
    assert (3, "is not a whole line") in faults(chain)


def test_room_for_a_line_is_reserved_and_the_file_does_not_grow(chain: Audit) -> None:
    size = chain.path.stat().st_size
    chain.ready()
    after = chain.path.stat()
    assert after.st_size == size
    assert after.st_blocks * 512 >= size + LINE_ROOM
    append(chain, "after")
    assert verify(chain.path).broken == ()


def test_an_empty_file_is_a_chain(tmp_path: Path) -> None:
    (tmp_path / "audit").touch()
    assert verify(tmp_path / "audit").broken == ()


def test_long_lines_are_followed_across_reads(chain: Audit) -> None:
    append(chain, "t" * 200_000)
    append(chain, "next")
    assert verify(chain.path).broken == ()


def test_large_values_are_kept_as_a_hash(chain: Audit) -> None:
    append(chain, "big", before={"text": "x" * LONGEST_VALUE})
    assert set(json.loads(lines(chain)[-1])["before"]) == {"bytes", "sha256"}


def test_secrets_become_fingerprints_at_any_depth(chain: Audit) -> None:
    secret = Secret("correct horse battery staple")
    append(chain, "s", before={"key": [secret]}, after={"deep": {"er": (secret, {secret})}})
    text = chain.path.read_text()
    assert "correct horse" not in text
    assert text.count(secret.fingerprint) == 3


def test_public_turns_anything_into_plain_data() -> None:
    plain = public({1: Path("/x"), "s": Secret("s"), "n": None, "t": (1, 2.5, True)})
    assert plain == {"1": "/x", "s": Secret("s").fingerprint, "n": None, "t": [1, 2.5, True]}
