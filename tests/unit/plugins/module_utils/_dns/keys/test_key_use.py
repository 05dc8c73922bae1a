# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BIND's notes of who used which key, line by line as it writes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.keys.key_use import KeyUse
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.logs import Logs

NOW = datetime(2026, 11, 25, 14, 40, tzinfo=UTC).timestamp()


class Clock:
    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("it reads and does not wait")


OLD = "2026-11-25T14:00:00.000Z notify: zone x.test/IN/vip: sending notifies (serial 4)\n"
UPDATE = (
    "2026-11-25T14:39:30.228Z update: client @0x7f19dbf77000 192.0.2.13#59578/key g1.node: view vip:"
    " updating zone 'x.test/IN': adding an RR at 'y.x.test' A 192.0.2.1\n"
)
TRANSFER = (
    "2026-11-25T14:39:50.224Z xfer-out: client @0x7f19ddf9d000 2001:db8::12#33934/key g1.xfer (x.test):"
    " view vip: transfer of 'x.test/IN': IXFR started: TSIG g1.xfer (serial 1 -> 2)\n"
)
NOTIFY = (
    "2026-11-25T14:39:55.424Z notify: client @0x7f1ea9595c00 192.0.2.11#52461/key g2.xfer: view direct:"
    " received notify for zone 'x.test': TSIG 'g2.xfer'\n"
)
SENT = "2026-11-25T14:39:59.224Z notify: zone x.test/IN/vip: sending notify to 192.0.2.12#53 : TSIG (g1.xfer)\n"


def look(folder: Path, *keys: str, quiet_for: float = 60, **files: str) -> dict[str, Any]:
    for name, text in files.items():
        (folder / {"log": "log", "log0": "log.0", "log1": "log.1"}[name]).write_text(text)
    params = {"keys": keys, "quiet_for": quiet_for, "log": str(folder / "log"), "kept_versions": 2}
    return dict(KeyUse(Logs(), Clock()).look(params))


def test_each_kind_of_use_is_seen_with_its_client(tmp_path: Path) -> None:
    found = look(tmp_path, "g1.node", "g1.xfer", "g2.xfer", log=OLD + UPDATE + TRANSFER + NOTIFY)
    assert {key: use["client"] for key, use in found["used"].items()} == {
        "g1.node": "192.0.2.13",
        "g1.xfer": "2001:db8::12",
        "g2.xfer": "192.0.2.11",
    }
    assert found["used"]["g1.node"]["at"] == pytest.approx(NOW - 29.772)
    assert not found["quiet"]


def test_what_this_server_sent_is_not_what_it_accepted(tmp_path: Path) -> None:
    assert look(tmp_path, "g1.xfer", log=OLD + SENT)["quiet"]


@pytest.mark.parametrize(("quiet_for", "quiet"), [(29, True), (31, False)])
def test_it_is_quiet_after_the_time_that_was_asked_for(
    tmp_path: Path, quiet_for: float, quiet: bool
) -> None:
    found = look(tmp_path, "g1.node", quiet_for=quiet_for, log=OLD + UPDATE + SENT)
    assert (found["quiet"], bool(found["recent"])) == (quiet, not quiet)


def test_a_key_whose_name_begins_alike_is_another(tmp_path: Path) -> None:
    assert look(tmp_path, "g1.nod", "1.node", "g1.node.x", log=OLD + UPDATE)["used"] == {}


def test_older_versions_are_read_too(tmp_path: Path) -> None:
    found = look(tmp_path, "g1.node", quiet_for=60, log=NOTIFY, log0=UPDATE, log1=OLD)
    assert found["used"]["g1.node"]["client"] == "192.0.2.13"
    assert not found["quiet"]


def test_unknown_is_not_quiet(tmp_path: Path) -> None:
    assert not look(tmp_path, "g1.node")["quiet"], "there is no log"
    assert not look(tmp_path, "g1.node", log="")["quiet"], "the log is empty"
    thrown_away = look(tmp_path, "g1.node", log=NOTIFY, log0=NOTIFY, log1=NOTIFY)
    assert (thrown_away["covered"], thrown_away["quiet"]) == (False, False)


def test_a_young_log_that_lost_nothing_tells_everything(tmp_path: Path) -> None:
    assert look(tmp_path, "g1.node", log=NOTIFY)["quiet"]


def test_torn_and_strange_lines_are_passed_over(tmp_path: Path) -> None:
    noise = "e 0x7f/key g1.node\n\n\x00\xff /key g1.node:\nno-time client @0x1 1.2.3.4#5/key g1.node: x\n"
    found = look(tmp_path, "g1.node", log=noise + OLD + SENT)
    assert (found["used"], found["quiet"]) == ({}, True)


def test_a_real_line_of_each_kind(tmp_path: Path) -> None:
    lines = (
        "2026-11-25T14:33:14.224Z update: client @0x7f19dbf77000 10.77.120.13#59578/key g1.debvisor-node:"
        " view vip: updating zone 'x/IN': adding an RR at 'y' PTR z\n"
        "2026-11-25T14:33:15.224Z xfer-out: client @0x7f19ddf9d000 fd00::c%2#33934/key g1.debvisor-xfer"
        " (debvisor.test): view vip: transfer of 'debvisor.test/IN': IXFR started: TSIG g1.debvisor-xfer"
        " (serial 1 -> 2)\n"
        "2026-11-25T14:33:16.000Z notify: client @0x7f1ea9595c00 10.77.120.11#52461/key g2.debvisor-xfer:"
        " view direct: received notify for zone 'debvisor.test'\n"
        "2026-11-25T14:33:17Z update-security: client @0x7f1ea9595c00 10.77.120.14#1/key g3.debvisor-vm:"
        ' view vip: signer "g3.debvisor-vm" approved\n'
        "2026-11-25T14:33:18.000Z xfer-out: client @0x7f1ea9595c00 10.77.120.15#2 (debvisor.test): view vip:"
        " transfer of 'debvisor.test/IN': AXFR started (serial 2)\n"
    )
    keys = ("g1.debvisor-node", "g1.debvisor-xfer", "g2.debvisor-xfer", "g3.debvisor-vm")
    found = look(tmp_path, *keys, quiet_for=3600, log=lines)
    assert {key: use["client"] for key, use in found["recent"].items()} == {
        "g1.debvisor-node": "10.77.120.13",
        "g1.debvisor-xfer": "fd00::c%2",
        "g2.debvisor-xfer": "10.77.120.11",
        "g3.debvisor-vm": "10.77.120.14",
    }


def test_the_last_use_counts_over_all_versions(tmp_path: Path) -> None:
    later = UPDATE.replace("14:39:30.228", "14:39:59.000").replace("2.13#", "2.99#")
    found = look(tmp_path, "g1.node", log=later, log0=UPDATE, log1=OLD)
    assert found["used"]["g1.node"] == {"at": pytest.approx(NOW - 1), "client": "192.0.2.99"}


@pytest.mark.parametrize(
    ("minute", "covered"), [("14:39:01", False), ("14:39:00", True), ("14:38:00", True)]
)
def test_notes_that_reach_back_far_enough_cover_whatever_was_thrown_away(
    tmp_path: Path, minute: str, covered: bool
) -> None:
    first = OLD.replace("14:00:00", minute)
    found = look(tmp_path, "g1.node", log=NOTIFY, log0=NOTIFY, log1=first)
    assert (found["covered"], found["quiet"]) == (covered, covered)


def test_a_torn_first_line_does_not_tell_when_the_notes_begin(tmp_path: Path) -> None:
    torn = "11-25T13:00:00.000Z notify: zone x"
    found = look(tmp_path, "g1.node", log=NOTIFY, log0=NOTIFY, log1=f"{torn}\n{UPDATE}")
    assert not found["covered"]


def test_a_log_that_is_turned_over_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    class Turning(Logs):
        turns = 0

        def lines(self, path: str) -> Iterator[str]:
            yield from super().lines(path)
            if path.endswith("log.0") and self.turns < 1:
                self.turns += 1
                (tmp_path / "log.0").rename(tmp_path / "log.1")
                (tmp_path / "log").rename(tmp_path / "log.0")
                (tmp_path / "log").write_text(NOTIFY)

    (tmp_path / "log.0").write_text(OLD)
    (tmp_path / "log").write_text(UPDATE)
    params = {"keys": ["g1.node"], "quiet_for": 60, "log": str(tmp_path / "log")}
    found = KeyUse(Turning(), Clock()).look({**params, "kept_versions": 2})
    assert found["used"]["g1.node"]["client"] == "192.0.2.13"
    assert not found["quiet"]


def test_a_log_that_is_turned_over_at_each_reading_tells_nothing(tmp_path: Path) -> None:
    class Turning(Logs):
        def lines(self, path: str) -> Iterator[str]:
            yield from super().lines(path)
            if path.endswith("log"):
                if (tmp_path / "log.0").exists():
                    (tmp_path / "log.0").rename(tmp_path / "log.1")
                (tmp_path / "log").rename(tmp_path / "log.0")
                (tmp_path / "log").write_text(NOTIFY)

    (tmp_path / "log").write_text(OLD)
    params = {"keys": ["g1.node"], "quiet_for": 60, "log": str(tmp_path / "log")}
    found = KeyUse(Turning(), Clock()).look({**params, "kept_versions": 2})
    assert (found["covered"], found["quiet"]) == (False, False)


def test_a_log_that_says_nothing_of_that_time_proves_nothing(tmp_path: Path) -> None:
    """As on a full disk, where the server goes on answering and notes no more."""
    found = look(tmp_path, "g1.node", log=OLD)
    assert (found["covered"], found["quiet"]) == (False, False)
    found = look(tmp_path, "g1.node", log=OLD + SENT)
    assert (found["covered"], found["quiet"]) == (True, True)
