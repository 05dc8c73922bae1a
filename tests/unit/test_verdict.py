# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of the random test, on logs that were made up: what it must find, and what it must not."""

from __future__ import annotations

from tests.random_faults.verdict import Change, after_a_successor, changes

EPOCHS = "_writer.z.test"
LINE = "2026-11-30T02:00:00.{at}Z update: info: client @0x7f 10.0.0.1#1/key g1.x: view vip: updating zone '{zone}/IN': "
LOG = "\n".join(
    [
        LINE.format(at=100, zone="z.test") + "adding an RR at '_writer.z.test' TXT \"1\"",
        LINE.format(at=200, zone="z.test") + "adding an RR at 'a.z.test' A 192.0.2.1",
        LINE.format(at=300, zone="other.test") + "adding an RR at 'b.other.test' A 192.0.2.1",
        LINE.format(at=400, zone="z.test") + "delete all rrsets from name 'a.z.test'",
        "2026-11-30T02:00:00.500Z notify: info: something else",
    ]
)


def history(*entries: tuple[int, str, str]) -> list[Change]:
    return [Change(f"{at:03}", server, name) for at, server, name in entries]


def test_a_log_is_read() -> None:
    assert [(each.server, each.name) for each in changes("n1", LOG, "z.test")] == [
        ("n1", EPOCHS),
        ("n1", "a.z.test"),
    ]


def test_one_after_the_other_is_fine_and_a_replay_too() -> None:
    told = history(
        (1, "n1", EPOCHS), (2, "n1", "a"), (3, "n2", EPOCHS), (4, "n2", "b"), (5, "n2", "a")
    )
    assert after_a_successor(told, {"a", "b"}, EPOCHS) == []


def test_who_was_succeeded_and_goes_on_is_found() -> None:
    told = history((1, "n1", EPOCHS), (3, "n2", EPOCHS), (4, "n1", "a"), (5, "n2", "b"))
    assert after_a_successor(told, {"a", "b"}, EPOCHS) == ["004 n1, not n2: a"]


def test_what_nobody_was_told_does_not_count() -> None:
    told = history((1, "n1", EPOCHS), (3, "n2", EPOCHS), (4, "n1", "a"))
    assert after_a_successor(told, {"b"}, EPOCHS) == []
