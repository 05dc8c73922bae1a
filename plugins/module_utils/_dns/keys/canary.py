# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that goes on as if nothing happened, and counts: the proof that a rotation lost nothing.

An update counts as made when the server acknowledged it, at the first try or within the client's ordinary patience;
as failed when patience ran out, or when the server does not know any of this host's keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..._core.errors import DebvisorError, TimedOut, Unreachable
from ..._core.ports import Clock
from ..._core.waiting import intervals
from ..protocol import rdata, wire
from ..protocol.client import Client
from ..protocol.retrying import TRANSIENT

KEPT_ERRORS = 5
TTL = 60


@dataclass(slots=True)
class Tally:
    """What became of one kind of work. ``slowest`` is in seconds, from the first try to the success."""

    made: int = 0
    failed: int = 0
    retried: int = 0
    slowest: float = 0.0
    errors: list[str] = field(default_factory=list)

    def public(self) -> dict[str, Any]:
        return {
            "made": self.made,
            "failed": self.failed,
            "retried": self.retried,
            "slowest_ms": round(self.slowest * 1000, 1),
            "errors": list(self.errors),
        }


def attempt(work: Callable[[], object], tally: Tally, patience: float, clock: Clock) -> None:
    """Do ``work`` once, patiently, and note what became of it."""
    began = clock.monotonic()
    for number, pause in enumerate(intervals(0.02, 0.2)):
        try:
            work()
        except DebvisorError as failure:
            over = clock.monotonic() - began >= patience
            if over or not isinstance(failure, (*TRANSIENT, TimedOut, Unreachable)):
                tally.failed += 1
                tally.errors = [*tally.errors, str(failure)][-KEPT_ERRORS:]
                return
            clock.sleep(pause)
        else:
            tally.made += 1
            tally.retried += number > 0
            tally.slowest = max(tally.slowest, clock.monotonic() - began)
            return


def write(client: Client, zone: bytes, name: bytes, text: str) -> None:
    """Set the canary's TXT record, or with an empty text remove it. Harmless when sent twice."""
    owner = name + zone
    updates = [wire.record(owner, rdata.TXT, wire.ANY, 0, b"")]
    if text:
        data = bytes([len(text)]) + text.encode("ascii")
        updates.append(wire.record(owner, rdata.TXT, wire.IN, TTL, data))
    [outcome] = client.update(wire.update(zone, [], updates))
    if outcome is not None:
        raise outcome
