# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The threads that watch: the local server, the other servers, the VIP, and what keeps this server from writing.

Watching is never held up by acting.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import closing

from .._core.errors import DebvisorError
from .._dns.protocol import names
from .._dns.protocol.client import Client
from .._dns.writer import epoch, takeover
from .._dns.writer.stand_back import StandBack
from .._ports.dns.dns_probe import Question, ask, serials
from .._ports.dns.dns_server import DnsServer
from .._ports.net import ip_addresses
from .console import complain
from .dns_cluster_view import ClusterView, ask_peers, note_behind, note_lagging
from .dns_disk import DiskWatch
from .dns_keepalived import KeepalivedWatch
from .dns_keys import SharedKeys
from .dns_offer import Offer, TrackedFile
from .dns_settings import LOCAL, Settings


class Watchers:
    """The threads that watch."""

    def __init__(
        self, config: Settings, view: ClusterView, stop: threading.Event, offer: Offer
    ) -> None:
        self._stand_back = StandBack(config.rival_patience * config.lease)
        self._lease_thread: threading.Thread | None = None
        self._config = config
        self._view = view
        self._stop = stop
        self.lease = TrackedFile(config.lease_file)
        self.offer = offer
        self._disk = DiskWatch(config.zone_dir)
        self._keepalived = KeepalivedWatch(config.checked_file)

    def start(self, *others: Callable[[], None]) -> None:
        """Begin. ``others`` are threads that the program cannot do without either."""
        targets = (
            self._watch_local,
            self._watch_peers,
            self._watch_addresses,
            self._watch_epochs,
            self._watch_disk,
        )
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
            self.offer.end()
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
            self.offer.withdraw("stands back", f"{rival} has the writer's lease")
        else:
            complain("may hold the VIP again")
            self.offer.withdraw("stands back", "")
        self.offer.look()

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
            self.offer.withdraw("answers", "" if healthy else "the local server does not answer")
            self.offer.hinder("fence", view.keeper.trouble())
            self.offer.hinder("disk", self._disk.trouble())
            self.offer.look()
            if config.primary:
                self._keepalived.look()
            view.able = self.offer.able
            self._stop.wait(max(0.01, began + config.local_interval - time.monotonic()))

    def _watch_peers(self) -> None:
        config, view = self._config, self._view
        keys = SharedKeys(config.peers)
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
                note_behind(config, view, at)
                note_lagging(config, view, at)
                changed = count != len(view.peers)
            if changed:
                view.bell.set()
            self._stop.wait(max(0.01, began + config.peer_interval - time.monotonic()))

    def _watch_disk(self) -> None:
        self._disk.run(self._stop)

    def _watch_addresses(self) -> None:
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
