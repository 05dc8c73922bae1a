# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who writes: the decision of one DNS server, as a pure function of what it sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..protocol.serials import ahead

Serials = Mapping[str, int]
"""Zone to serial."""


class Role(Enum):
    """What the configuration in force makes of this server."""

    FOLLOWER = "follower"
    CLOSED = "closed"
    """Primary, but no client may write yet, or any more: a station on the way."""
    WRITER = "writer"
    PULL = "pull"
    """A follower that pulls from one named server instead of the VIP."""


class Verb(Enum):
    """What to do next."""

    STAY = "stay"
    WAIT = "wait"
    FOLLOW = "follow"
    PROMOTE = "promote"
    PULL = "pull"
    DEMOTE = "demote"


@dataclass(frozen=True, slots=True)
class Situation:
    """What a server sees. ``peers`` holds only those that answered lately, each with the zones it serves."""

    role: Role
    vip: bool
    healthy: bool
    zones: tuple[str, ...]
    own: Serials
    peers: Mapping[str, Serials]
    servers: int
    quorum: int
    lease: int = 0
    """The number of its present lease (:attr:`lease.Candidate.tenure`); 0 where it has none."""
    wrote_in: int = 0
    """The lease in which it became the writer."""
    rival: str = ""
    """Who has votes in its place."""
    hold: bool = False
    """A handover is under way: do not take the writing up."""
    primaries: frozenset[str] = frozenset()
    """The peers that may write. What a zone holds is for them to say."""
    differs: frozenset[str] = frozenset()
    """Zones that are not what the writer attested at the serial that they have."""
    outdated: frozenset[tuple[str, str]] = frozenset()
    """Peers, each with a zone in which a high serial there stands for less than a writer attested since."""
    proved: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Peers with the zones in which they hold what the writer attested last."""

    @property
    def answering(self) -> int:
        """How many DNS servers answer, this one included."""
        return len(self.peers) + (1 if self.healthy else 0)

    @property
    def majority(self) -> bool:
        return self.answering >= self.quorum


@dataclass(frozen=True, slots=True)
class Step:
    """A decision and its reason, for the status and the log."""

    verb: Verb
    why: str
    server: str = ""
    zones: tuple[str, ...] = field(default=())


def further(situation: Situation) -> dict[str, dict[str, int]]:
    """Return the primaries that are ahead of us, each with the zones in which it is, and by how much.

    A zone that we do not serve counts as far behind. What a secondary has beyond is looked at while we take over
    (:mod:`content`): its word alone neither decides nor delays.
    """
    found: dict[str, dict[str, int]] = {}
    for peer, serials in situation.peers.items():
        if peer not in situation.primaries:
            continue
        for zone in situation.zones:
            if zone not in serials or (peer, zone) in situation.outdated:
                continue
            lead = ahead(serials[zone], situation.own[zone]) if zone in situation.own else 1 << 31
            if lead > 0:
                found.setdefault(peer, {})[zone] = lead
    return found


def decide(situation: Situation) -> Step:
    """Decide what to do next.

    To write takes the VIP and the lease. To begin with it takes also a majority in sight, being behind no other
    primary, and content that no writer has disowned.
    """
    may = situation.vip and situation.lease and not situation.hold
    if situation.role is Role.WRITER:
        if may and situation.lease != situation.wrote_in:
            return Step(
                Verb.DEMOTE, "its lease is a new one: another server may have written before it"
            )
        if may:
            return Step(Verb.STAY, f"writes, {situation.answering} of {situation.servers} answer")
        return Step(Verb.DEMOTE, _why_not(situation))
    if not may or not situation.majority:
        if situation.role is not Role.FOLLOWER:
            return Step(Verb.FOLLOW, _why_not(situation))
        return Step(Verb.STAY, _why_not(situation))
    if not situation.healthy:
        return Step(Verb.WAIT, "the local server does not answer")
    return _towards_writing(situation)


def _why_not(situation: Situation) -> str:
    if situation.hold:
        return "hands over"
    if not situation.vip:
        return "follows: the VIP is elsewhere"
    if situation.rival and not situation.lease:
        return f"holds the VIP but does not write: {situation.rival} has the writer's lease"
    return (
        f"holds the VIP but does not write: {'' if situation.lease else 'it has no lease; '}"
        f"{situation.answering} of {situation.servers} servers answer, {situation.quorum} are needed"
    )


def _towards_writing(situation: Situation) -> Step:
    leaders = further(situation)
    if leaders:
        peer = max(leaders, key=lambda name: (max(leaders[name].values()), name))
        zones = tuple(zone for zone in situation.zones if zone in leaders[peer])
        return Step(Verb.PULL, f"{peer} is ahead in {', '.join(zones)}", peer, zones)
    lacking = [
        zone for zone in situation.zones if zone not in situation.own or zone in situation.differs
    ]
    for peer, proved in sorted(situation.proved.items()):
        if peer in situation.peers and (zones := tuple(zone for zone in lacking if zone in proved)):
            return Step(Verb.PULL, f"{peer} has {', '.join(zones)} as it was attested", peer, zones)
    if lacking:
        return Step(Verb.WAIT, f"no reachable server has {', '.join(lacking)} as a primary had it")
    return Step(Verb.PROMOTE, "holds the VIP and the lease, and is behind no other primary")
