# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a host before it is cut off, within bounds, and without what is secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from ansible_collections.debvisor.hci.plugins.module_utils._firewall import evidence

from tests.fakes.dns_server import FakeClock


class Recorder:
    """Sees the same everywhere; each look takes some time."""

    def __init__(self, clock: FakeClock, seconds: float = 0.0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.limits: list[float] = []
        self.programs: list[Sequence[str]] = []

    def run(self, program: Sequence[str], *, timeout: float, most: int) -> tuple[bytes, str]:
        self.programs.append(program)
        self.limits.append(timeout)
        self.clock.sleep(self.seconds)
        return (b"", "No such file or directory") if program[0] == "last" else (b"seen\n", "")

    def read(self, path: str, *, most: int) -> tuple[bytes, str]:
        return b"content\n", ""

    def pack(self, path: str, members: Sequence[tuple[str, bytes]], *, time: float) -> str:
        raise AssertionError("collecting packs nothing")


def collected(
    seconds: float = 0.0,
) -> tuple[Recorder, dict[str, bytes], dict[str, dict[str, object]]]:
    clock = FakeClock()
    recorder = Recorder(clock, seconds)
    members = evidence.collect(recorder, clock, 30, [{"name": "a"}])
    assert members[0][0] == "manifest.json"
    manifest = json.loads(members[0][1])
    assert list(manifest) == sorted(name for name, _content in members[1:])
    return recorder, dict(members[1:]), manifest


def test_the_manifest_accounts_for_every_member() -> None:
    _recorder, members, manifest = collected()
    for name, content in members.items():
        assert manifest[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert manifest[name]["bytes"] == len(content)
    assert manifest["last.txt"]["trouble"] == "No such file or directory"
    assert "trouble" not in manifest["sockets.txt"]
    assert manifest["sockets.txt"]["source"].startswith("ss ")
    assert json.loads(members["guests.json"]) == [{"name": "a"}]


def test_looks_end_in_time_and_what_was_not_seen_is_told() -> None:
    recorder, _members, manifest = collected(seconds=evidence.LOOK_LIMIT)
    assert len(recorder.programs) == evidence.BUDGET / evidence.LOOK_LIMIT
    assert max(recorder.limits) <= evidence.LOOK_LIMIT
    missing = [
        name for name, about in manifest.items() if about.get("trouble", "").startswith("not run")
    ]
    assert len(missing) == len(evidence.looks(30)) - len(recorder.programs)
    assert "journal.txt" in missing


def test_no_look_takes_environments_or_keys() -> None:
    words = " ".join(" ".join(look.program) for look in evidence.looks(30))
    assert "environ" not in words
    assert "/etc/debvisor" not in words + " ".join(evidence.FILES.values())
    assert "--since=-30min" in words
    assert "--terse" in words, "a list of a million addresses is not evidence"
