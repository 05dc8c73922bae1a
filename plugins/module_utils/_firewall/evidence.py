# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a host before it is cut off: the looks at it, and the manifest of what they saw. Pure.

No environments and no key files: they hold secrets, and tell little. Command lines may hold secrets of others, so the
bundle is for root alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .._core.ports import Clock

BUDGET = 20.0
"""Seconds for all looks together: a compromised host is not left alone for longer."""
LOOK_LIMIT = 5.0
"""Seconds for one look."""
MOST_BYTES = 32 * 1024 * 1024
"""Of one look; what is more is cut off, and the manifest says so."""
MOST_JOURNAL_LINES = 100_000


@dataclass(frozen=True, slots=True)
class Look:
    """A program whose output is kept under ``name``."""

    name: str
    program: tuple[str, ...]


Seen = tuple[bytes, str]
"""What a look brought, and why that is missing, incomplete or a failure; empty where all is well."""


class Recorder(Protocol):
    """Runs programs within bounds, reads files, and packs what they gave."""

    def run(self, program: Sequence[str], *, timeout: float, most: int) -> Seen: ...

    def read(self, path: str, *, most: int) -> Seen: ...

    def pack(self, path: str, members: Sequence[tuple[str, bytes]], *, time: float) -> str:
        """Write a tar archive for root alone; return its SHA-256."""


FILES = {
    "modules.txt": "/proc/modules",
    "mounts.txt": "/proc/mounts",
    "utmp": "/run/utmp",
    "wtmp": "/var/log/wtmp",
}
"""Files that are kept as they are."""


def looks(journal_minutes: int) -> tuple[Look, ...]:
    """Return the looks, what changes fastest first."""
    # fmt: off
    return (
        Look("sockets.txt", ("ss", "--tcp", "--udp", "--all", "--numeric", "--processes", "--extended")),
        Look("processes.txt", ("ps", "-eww", "--forest", "-o", "pid,ppid,user,lstart,stat,args")),
        Look("executables.txt", ("find", "/proc", "-maxdepth", "2", "-name", "exe", "-printf", r"%p %l\n")),
        Look("neighbours.txt", ("ip", "neighbour", "show")),
        Look("addresses.txt", ("ip", "address", "show")),
        Look("routes.txt", ("ip", "route", "show", "table", "all")),
        Look("routes6.txt", ("ip", "-6", "route", "show", "table", "all")),
        Look("ruleset.nft", ("nft", "--terse", "list", "ruleset")),
        Look("units.txt", ("systemctl", "list-units", "--all", "--no-pager", "--plain")),
        Look("timers.txt", ("systemctl", "list-timers", "--all", "--no-pager", "--plain")),
        Look("logins.txt", ("who", "--all")),
        Look("last.txt", ("last", "-F", "-w")),
        Look("wtmpdb.txt", ("wtmpdb", "last")),
        Look("lastlog.txt", ("lastlog2",)),
        Look("journal.txt", ("journalctl", f"--since=-{journal_minutes}min", f"--lines={MOST_JOURNAL_LINES}",
                             "--output=short-iso-precise", "--no-pager")),
    )
    # fmt: on


def collect(
    recorder: Recorder, clock: Clock, journal_minutes: int, known: Any
) -> list[tuple[str, bytes]]:
    """Take every look, and return the bundle's members with the manifest first.

    :param known: what was found out already, as JSON; it is kept, too.
    """
    members: list[tuple[str, bytes]] = []
    manifest: dict[str, Any] = {}

    def keep(name: str, source: str, seen: Seen) -> None:
        content, trouble = seen
        members.append((name, content))
        manifest[name] = {
            "source": source,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **({"trouble": trouble} if trouble else {}),
        }

    deadline = clock.monotonic() + BUDGET
    for look in looks(journal_minutes):
        left = min(LOOK_LIMIT, deadline - clock.monotonic())
        if left > 0:
            seen = recorder.run(look.program, timeout=left, most=MOST_BYTES)
        else:
            seen = b"", "not run: no time was left"
        keep(look.name, " ".join(look.program), seen)
    for name, path in FILES.items():
        keep(name, path, recorder.read(path, most=MOST_BYTES))
    keep("guests.json", "debvisor.hci", (_json(known), ""))
    return [("manifest.json", _json(manifest)), *members]


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
