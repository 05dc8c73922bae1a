# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dns-role sees of the cluster: the local server, the other servers, and where the VIP is.

The threads of :mod:`dns_watchers` write into one :class:`ClusterView`; whoever decides reads it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol

from .._dns.protocol.serials import ahead
from .._ports.dns.dns_probe import Question, ask, serials
from .dns_keys import SharedKeys
from .dns_settings import Settings


class Keeper(Protocol):
    """The lease, as :class:`dns_lease.LeaseKeeper` keeps it."""

    def want(self, wanted: bool) -> None: ...
    def serve(self, tenure: int) -> None: ...
    def learn(self, term: int) -> None: ...
    def tenure(self) -> int: ...
    def term(self) -> int: ...
    def rival(self) -> str: ...
    def strangers(self) -> list[str]: ...
    def trouble(self) -> str: ...
    def run(self, stop: threading.Event) -> None: ...


@dataclass
class ClusterView:
    """What the watchers saw last, and the bell they ring when it changes. All access is under the lock."""

    keeper: Keeper
    """What is known of the lease; under a lock of its own."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    bell: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    """Set when a handover is asked for."""
    hold: threading.Event = field(default_factory=threading.Event)
    """Set while a handover is under way."""
    able: bool = False
    """Whether this server could take the writing over, as far as it knows."""
    vip: bool = False
    misses: int = 1
    healthy: bool = False
    own: dict[str, int] = field(default_factory=dict)
    peers: dict[str, dict[str, int]] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    behind: dict[str, float] = field(default_factory=dict)
    lagging: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)


def ask_peers(config: Settings, keys: SharedKeys, budget: float) -> dict[str, dict[str, int]]:
    """Return name to zone to serial, of the other servers that answer with the key that is shared with them."""
    name_of = {server.address: server.name for server in config.peers}
    questions = [
        Question(server.address, zone, config.port)
        for server in config.peers
        for zone in config.zones
    ]
    return {
        name_of[address]: found
        for address, found in serials(ask(questions, budget, keys.sign)).items()
    }


def note_behind(config: Settings, view: ClusterView, at: float) -> None:
    """Keep since when each zone is behind another server, for the status and for dns-check."""
    for zone in config.zones:
        mine = view.own.get(zone)
        late = mine is None or any(
            zone in found and ahead(found[zone], mine) > 0 for found in view.peers.values()
        )
        if not late:
            view.behind.pop(zone, None)
        else:
            view.behind.setdefault(zone, at)


def note_lagging(config: Settings, view: ClusterView, at: float) -> None:
    """Keep since when a peer has not reached the serial that we had then."""
    for name, found in view.peers.items():
        for zone in config.zones:
            mine = view.own.get(zone)
            if mine is None:
                continue
            target, since = view.lagging.get((name, zone), (mine, at))
            if zone in found and ahead(found[zone], target) >= 0:
                target, since = mine, at
            view.lagging[name, zone] = (target, since)
    for key in [key for key in view.lagging if key[0] not in view.peers]:
        del view.lagging[key]
