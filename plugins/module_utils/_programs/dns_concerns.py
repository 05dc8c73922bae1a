# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a DNS server, read off the state that dns-role writes: one judgement for people and keepalived.

It imports next to nothing, because dns-check has to start in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .._dns.protocol.serials import ahead

OK, UNSERVED, STALE, BEHIND, UNKNOWN = 0, 1, 2, 3, 4
"""How dns-check ends. Anything but OK, and keepalived takes the VIP from this node."""
STALE_AFTER, BEHIND_LIMIT = 10.0, 60.0
"""Seconds, where the configuration says nothing else: since the last heartbeat, and behind the writer."""
UNSHARED_LIMIT = 300.0
"""Seconds. A comparison waits for a writer, and then takes moments."""


class Concern(NamedTuple):
    """What an operator should check. ``code`` is OK where dns-check leaves it to others, or to its own questions."""

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
        yield Concern("dns-role reports nothing", STALE)
        return
    age = at - state["heartbeat"]
    if age > stale_after:
        yield Concern(f"dns-role was last heard of {age:.0f} s ago", STALE)
    if not state["healthy"]:
        yield Concern("the local server does not answer: this node cannot hold the VIP")
    if not state["quorum"]:
        yield Concern(
            "no majority of the DNS servers answers: this node does not write"
            if state.get("may_write", True)
            else "no DNS primary answers"
        )
    if state.get("vip") and state.get("rival"):
        yield Concern(
            f"the VIP is here, and {state['rival']} has the writer's lease: this node does not write"
        )
    elif state.get("vip") and state.get("healthy") and not state.get("lease", True):
        yield Concern("the VIP is here, and this node does not get the writer's lease")
    for why in state.get("hindered", ()):
        yield Concern(why)
    if state.get("strangers"):
        others = ", ".join(state["strangers"])
        yield Concern(f"{others}: has other DNS servers in its settings; run debvisor.hci.dns_ha")
    if not state.get("keepalived", True):
        yield Concern("keepalived does not run: this node cannot get the VIP")
    for name, zones in state.get("differ", {}).items():
        yield Concern(f"{name} holds other content at the writer's serial: {', '.join(zones)}")
    if state["trouble"]:
        yield Concern(str(state["trouble"]))
    # What is not there is none: an upgrade brings this code before dns-role is started afresh.
    if state.get("unshared", {}).get("waiting_for", 0.0) > UNSHARED_LIMIT:
        yield Concern("updates that only this node had are kept, and cannot be compared yet")
    for zone, about in state["zones"].items():
        lasting = about["behind_for"] > behind_limit
        if about["serial"] is None:
            what = f"{zone} is not loaded here"
        elif lasting:
            what = f"{zone} is behind for {about['behind_for']:.0f} s"
        else:
            continue
        if lasting and _another_is_further(state, zone, about["serial"]):
            yield Concern(f"{what}: this node cannot hold the VIP", BEHIND)
        else:
            yield Concern(what)


def _another_is_further(state: Mapping[str, Any], zone: str, serial: int | None) -> bool:
    """Return whether another primary that answers has more: then it should hold the VIP.

    Where only others have more, no server could take the VIP from here, and without it none would answer at all.
    """
    peers = state.get("peers", {})
    served = (peers.get(name, {}).get(zone) for name in state.get("primaries", ()))
    return any(
        theirs is not None and (serial is None or ahead(theirs, serial) > 0) for theirs in served
    )
