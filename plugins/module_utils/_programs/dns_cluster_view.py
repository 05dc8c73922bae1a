# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What dns-role sees of the cluster: the local server, the other servers, and where the VIP is.

Three threads write into one :class:`ClusterView`; whoever decides reads it. Watching is never held up by acting.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .._core.durable import write_whole
from .._core.errors import DebvisorError
from .._dns.protocol import names
from .._dns.protocol.client import Client
from .._dns.protocol.serials import ahead
from .._dns.writer import epoch, takeover
from .._dns.writer.stand_back import StandBack
from .._ports.dns.dns_probe import Question, ask, serials
from .._ports.dns.dns_server import DnsServer
from .._ports.net import ip_addresses
from .console import complain
from .dns_keys import Keys
from .dns_settings import LOCAL, Settings


class Keeper(Protocol):
    """The lease, as :class:`dns_lease.LeaseKeeper` keeps it."""

    def want(self, wanted: bool) -> None: ...
    def serve(self, serves: bool) -> None: ...
    def learn(self, term: int) -> None: ...
    def tenure(self) -> int: ...
    def term(self) -> int: ...
    def rival(self) -> str: ...
    def strangers(self) -> list[str]: ...
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
    vip: bool = False
    misses: int = 1
    healthy: bool = False
    own: dict[str, int] = field(default_factory=dict)
    peers: dict[str, dict[str, int]] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    behind: dict[str, float] = field(default_factory=dict)
    lagging: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)


class Health:
    """A file that keepalived tracks: 0 is well, 1 is not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: bool | None = None

    def report(self, healthy: bool) -> None:
        """Write it where it changed."""
        if healthy == self._last and self._path.exists():
            return
        write_whole(self._path, ("0\n" if healthy else "1\n").encode(), mode=0o644, durable=False)
        self._last = healthy


class Watchers:
    """The threads that watch."""

    def __init__(self, config: Settings, view: ClusterView, stop: threading.Event) -> None:
        self._stand_back = StandBack(config.rival_patience * config.lease)
        self._lease_thread: threading.Thread | None = None
        self._config = config
        self._view = view
        self._stop = stop
        self.health = Health(config.health_file)
        self.lease = Health(config.lease_file)
        self.offer = threading.Event()
        self.offer.set()

    def start(self, *others: Callable[[], None]) -> None:
        """Begin. ``others`` are threads that the program cannot do without either."""
        targets = (self._watch_local, self._watch_peers, self._watch_addresses, self._watch_epochs)
        for target in (*targets, *others):
            threading.Thread(target=self._guarded, args=(target,), daemon=True).start()
        self._lease_thread = threading.Thread(
            target=self._guarded, args=(self._keep_lease,), daemon=True
        )
        self._lease_thread.start()

    def end(self) -> None:
        """Wait until the lease is given back; to be called when all are told to stop."""
        if self._lease_thread:
            self._lease_thread.join(1.0)

    def _guarded(self, target: Callable[[], None]) -> None:
        """A watcher that fails takes the program down: systemd starts it afresh, and unhealthy meanwhile."""
        try:
            target()
        except Exception as failure:  # a blind program must not go on
            complain(f"{target} failed: {failure!r}")
            self.health.report(False)
            os._exit(70)

    def _keep_lease(self) -> None:
        self._view.keeper.run(self._stop)

    def wish(self) -> None:
        """Ask for the lease where this server is to write, or would have the VIP; else give it back."""
        view = self._view
        with view.lock:
            wanted = view.healthy and (view.vip or self._stand_back.active)
        view.keeper.want(wanted and not view.hold.is_set())

    def report_lease(self) -> None:
        """Tell keepalived whether this server has the lease, and whether it should not have the VIP without it."""
        view = self._view
        holds, rival = bool(view.keeper.tenure()), view.keeper.rival()
        with view.lock:
            vip, near = view.vip, rival in view.peers
        before = self._stand_back.active
        active = self._stand_back.look(
            time.monotonic(), vip=vip, holds=holds, rival=rival, near=near
        )
        self.lease.report(holds)
        if active == before:
            return
        if active:
            complain(f"gives up the VIP: {rival} has the writer's lease")
            self.offer.clear()
            self.health.report(False)
        else:
            complain("may hold the VIP again")
            self.offer.set()

    def _watch_epochs(self) -> None:
        """Tell the keeper of the lease which terms are written in the zones."""
        zones = [names.parse(f"{zone}.") for zone in self._config.zones]
        while not self._stop.is_set():
            with closing(Client(DnsServer(LOCAL, self._config.port, 1.0))) as client:
                for zone in zones:
                    with contextlib.suppress(DebvisorError):
                        last = epoch.latest(takeover.history(client, zone))
                        self._view.keeper.learn(last.number if last else 0)
            self._stop.wait(2.0)

    def _watch_local(self) -> None:
        config, view = self._config, self._view
        questions = [Question(LOCAL, zone, config.port) for zone in config.zones]
        while not self._stop.is_set():
            began = time.monotonic()
            answers = serials(ask(questions, config.local_budget))
            with view.lock:
                before = view.healthy
                view.misses = 0 if answers else view.misses + 1
                view.healthy = view.misses == 0 or (before and view.misses < 2)
                if answers:
                    view.own = answers[LOCAL]
                changed = before != view.healthy
                healthy = view.healthy
            if changed:
                complain(
                    "the local server answers" if healthy else "the local server does not answer"
                )
                self.wish()
                view.bell.set()
            self.health.report(healthy and self.offer.is_set())
            self._stop.wait(max(0.01, began + config.local_interval - time.monotonic()))

    def _watch_peers(self) -> None:
        config, view = self._config, self._view
        keys = Keys(str(config.transfer_key))
        while not self._stop.is_set():
            began = time.monotonic()
            answers = ask_peers(config, keys, config.peer_budget)
            at = time.monotonic()
            with view.lock:
                count = len(view.peers)
                for name, found in answers.items():
                    view.peers[name] = found
                    view.seen[name] = at
                for name in [n for n, t in view.seen.items() if at - t > config.peer_patience]:
                    view.peers.pop(name, None)
                    view.seen.pop(name)
                _note_behind(config, view, at)
                _note_lagging(config, view, at)
                changed = count != len(view.peers)
            if changed:
                view.bell.set()
            self._stop.wait(max(0.01, began + config.peer_interval - time.monotonic()))

    def _watch_addresses(self) -> None:
        self.check_vip()
        for _change in ip_addresses.changes():
            self.check_vip()
            if self._stop.is_set():
                return

    def check_vip(self) -> None:
        """See whether the VIP is here."""
        present = self._config.vips[0] in ip_addresses.here()
        with self._view.lock:
            changed = present != self._view.vip
            self._view.vip = present
        if changed:
            complain(f"the VIP {'came' if present else 'left'}")
            self.wish()
            self._view.bell.set()


def ask_peers(config: Settings, keys: Keys, budget: float) -> dict[str, dict[str, int]]:
    """Return name to zone to serial, of the other servers that answer and know the key of transfers."""
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


def _note_behind(config: Settings, view: ClusterView, at: float) -> None:
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


def _note_lagging(config: Settings, view: ClusterView, at: float) -> None:
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
