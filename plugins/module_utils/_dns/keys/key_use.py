# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``tsig_key_use_info`` reports: who used which key when, as the name server noted it.

BIND notes the key of every signed update, transfer and notification that it takes, in the channel that the role
dns_server sets up:

    2026-11-25T14:33:14.224Z update: client @0x7f19 192.0.2.13#59578/key g1.debvisor-node: view vip: updating zone ...
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from ..._core.ports import Clock
from ..._core.spec import Spec

SPEC = Spec(
    {
        "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
        "quiet_for": {"type": "float", "default": 60},
        "log": {"type": "path", "default": "/var/log/named/debvisor-keys.log"},
        "kept_versions": {"type": "int", "default": 2},
    }
)
ATTEMPTS = 3
"""How often to read a log that is turned over while it is read. It holds twenty megabytes: once is rare."""

_LINE = re.compile(r"^(\S+) \S+ client @\S+ (\S+?)#\d+/key ([^\s:]+)")


class Logs(Protocol):
    """Log files of the machine."""

    def versions(self, path: str) -> list[str]: ...

    def lines(self, path: str) -> Iterable[str]: ...

    def identities(self, paths: Iterable[str]) -> list[int | None]: ...


class KeyUse:
    """Reads the server's notes."""

    def __init__(self, logs: Logs, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the last use of each key, and whether none was used in the last ``quiet_for`` seconds.

        Where the notes do not reach back that far because older ones were thrown away, nothing is known of that time:
        then it is not quiet. Nor is it where they are turned over while they are read, again and again, nor where they
        say nothing of all that time: a server that cannot write its log reports nothing of its callers.
        """
        now = self._clock.wall()
        wanted = set(params["keys"])
        whole, left = False, ATTEMPTS
        while not whole and left:
            left -= 1
            files = self._logs.versions(params["log"])
            before = self._logs.identities(files)
            used, begin, end = self._read(files, wanted)
            whole = self._logs.identities(self._logs.versions(params["log"])) == before
        since = now - params["quiet_for"]
        thrown_away = len(files) > params["kept_versions"]
        reaches_back = begin is not None and (begin <= since or not thrown_away)
        covered = whole and reaches_back and end is not None and end > since
        recent = {key: use for key, use in used.items() if use["at"] > since}
        return {"used": used, "recent": recent, "covered": covered, "quiet": covered and not recent}

    def _read(
        self, files: Sequence[str], wanted: Collection[str]
    ) -> tuple[dict[str, dict[str, Any]], float | None, float | None]:
        """Return the last use of each key, and when the notes begin and end."""
        used: dict[str, dict[str, Any]] = {}
        begin: float | None = None
        last = ""
        for path in reversed(files):
            for line in self._logs.lines(path):
                if begin is None:
                    begin = _time(line)
                last = line
                found = _LINE.match(line)
                if found and found.group(3) in wanted:
                    at = _time(line)
                    if at is not None:
                        used[found.group(3)] = {"at": round(at, 3), "client": found.group(2)}
        return used, begin, _time(last)


def _time(line: str) -> float | None:
    """Read the time that a line begins with; None where it has none (the first line of a file may be torn)."""
    try:
        return datetime.fromisoformat(line.partition(" ")[0]).timestamp()
    except ValueError:
        return None
