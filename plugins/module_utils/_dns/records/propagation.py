# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until servers serve what was written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..._core.errors import DebvisorError, TimedOut
from ..._core.ports import Clock
from ..._core.waiting import wait_until
from ..protocol import names, serials
from ..protocol.client import Client
from ..protocol.rrset import Key, RRset
from .updates import same
from .zone_reader import sets_of

SAMPLE = 50
"""Changed record sets that are read from each server, spread evenly. The serial vouches for the rest."""
LONGEST_ASK = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """What one zone shall be at: a serial, and some of its record sets (None: absent)."""

    zone: bytes
    serial: int
    sample: Mapping[Key, RRset | None] = field(default_factory=dict)


@dataclass(slots=True)
class Standing:
    """What is known of one server and one zone."""

    server: str
    zone: str
    serial: int | None = None
    in_sync: bool = False
    problem: str = "not asked yet"

    def public(self) -> dict[str, Any]:
        """Return it for the result."""
        return {
            "server": self.server,
            "zone": self.zone,
            "serial": self.serial,
            "in_sync": self.in_sync,
            "problem": self.problem,
        }

    def __str__(self) -> str:
        return f"{self.server} {self.zone} {'in sync' if self.in_sync else self.problem}"


def spread(items: Mapping[Key, RRset | None], count: int = SAMPLE) -> dict[Key, RRset | None]:
    """Return up to ``count`` of the items, evenly spread, the first and the last among them."""
    keys = list(items)
    if len(keys) <= count:
        return dict(items)
    return {
        key: items[key]
        for key in (keys[round(number * (len(keys) - 1) / (count - 1))] for number in range(count))
    }


def needed_of(wait_for: str, count: int) -> int:
    """Return how many of ``count`` servers must be in sync."""
    return {"all": count, "majority": count // 2 + 1 if count else 0, "primary": 0}[wait_for]


def wait_for_servers(
    servers: Sequence[Client],
    targets: Sequence[Target],
    needed: int,
    timeout: float,
    clock: Clock,
    prove: Callable[[Client, bytes, Mapping[Key, RRset | None]], None] | None = None,
) -> list[Standing]:
    """Wait until ``needed`` of the servers serve every target; return where each stands.

    :param prove: a further check of a server that has the data, such as DNSSEC validation; its errors end the wait.
    :raises TimedOut: with where each server stands.
    """
    standings = {
        (number, target.zone): Standing(str(client), names.render(target.zone))
        for number, client in enumerate(servers)
        for target in targets
    }
    deadline = clock.monotonic() + timeout

    def complete() -> int:
        return sum(
            all(standings[number, target.zone].in_sync for target in targets)
            for number in range(len(servers))
        )

    def probe() -> tuple[bool, str]:
        for number, client in enumerate(servers):
            for target in targets:
                standing = standings[number, target.zone]
                if not standing.in_sync:
                    left = max(deadline - clock.monotonic(), 0.2)
                    _update(standing, client, target, min(left, LONGEST_ASK))
                    if standing.in_sync and prove:
                        prove(client, target.zone, target.sample)
        return complete() >= needed, "; ".join(map(str, standings.values()))

    try:
        wait_until(
            probe,
            what=f"{needed} of {len(servers)} servers to serve the new data",
            timeout=timeout,
            clock=clock,
            hint="Check that these servers get NOTIFY and may transfer the zone",
        )
    except TimedOut as late:
        late.details["servers"] = [standing.public() for standing in standings.values()]
        raise
    return list(standings.values())


def _update(standing: Standing, client: Client, target: Target, timeout: float) -> None:
    try:
        standing.serial = client.soa(target.zone, timeout=timeout).serial
        if not serials.reached(standing.serial, target.serial):
            standing.problem = f"is at serial {standing.serial}, not yet at {target.serial}"
            return
        differing = unlike(client, target.sample)
    except DebvisorError as cause:
        standing.problem = str(cause.what)
        return
    if differing:
        key = differing[0]
        standing.problem = (
            f"is at serial {standing.serial}, and {names.render(key[0])} is not as written"
        )
    else:
        standing.in_sync, standing.problem = True, ""


def unlike(client: Client, sample: Mapping[Key, RRset | None]) -> list[Key]:
    """Return those of the sample that the server does not serve as given."""
    keys = list(sample)
    answers = client.ask_many(keys) if keys else []
    return [
        key
        for key, answer in zip(keys, answers, strict=True)
        if not same(sets_of(answer, key[0]).get(key), sample[key])
    ]
