# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a DNS server, read off the state that dns-role writes: one judgement for people and keepalived.

It imports next to nothing, because dns-check has to start in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

OK, UNSERVED, STALE, BEHIND, UNKNOWN = 0, 1, 2, 3, 4
"""How dns-check ends. Anything but OK, and keepalived takes the VIP from this node."""


class Concern(NamedTuple):
    """What an operator should look at. ``code`` is OK where dns-check leaves it to others, or to its own questions."""

    what: str
    code: int = OK


def concerns(
    state: Mapping[str, Any] | None, at: float, *, stale_after: float, behind_limit: float
) -> Iterator[Concern]:
    """Yield the concerns; none where all is well.

    :param state: what dns-role wrote last, or None where it wrote nothing.
    :param at: the present time on the clock of its heartbeat.
    """
    if state is None:
        yield Concern("dns-role tells nothing", STALE)
        return
    age = at - state["heartbeat"]
    if age > stale_after:
        yield Concern(f"dns-role was last heard of {age:.0f} s ago", STALE)
    if not state["healthy"]:
        yield Concern("the local server does not answer: this node cannot hold the VIP")
    if not state["quorum"]:
        yield Concern("no majority of the DNS servers answers: this node does not write")
    if state["trouble"]:
        yield Concern(str(state["trouble"]))
    for zone, about in state["zones"].items():
        lasting = about["behind_for"] > behind_limit
        if about["serial"] is None:
            what = f"{zone} is not loaded here"
        elif lasting:
            what = f"{zone} is behind for {about['behind_for']:.0f} s"
        else:
            continue
        yield Concern(f"{what}: this node cannot hold the VIP", BEHIND if lasting else OK)
