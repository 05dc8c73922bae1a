# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resident part of dns-role: it watches, decides, acts and reports until it is stopped."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.durable import write_whole
from .._core.errors import DebvisorError, TimedOut
from .._core.waiting import wait_until
from .._dns.protocol.serials import ahead
from .._dns.writer import writer
from .._dns.writer.stuck_fetch import StuckFetch
from .._dns.writer.writer import Role, Step, Verb
from .._ports.dns.update_fence import UpdateFence
from .._ports.host import service_manager
from .._ports.net import neighbours
from . import dns_mend
from .console import complain, now
from .dns_cluster_view import ClusterView
from .dns_lease import LeaseKeeper
from .dns_offer import Offer
from .dns_settings import Settings
from .dns_transitions import Transitions, role_of
from .dns_watchers import Watchers

ANNOUNCE_PAUSE = 5.0
"""Seconds between two announcements of the VIP."""
RENEW_PAUSE = 60.0
"""Seconds between two tries to fetch a zone afresh."""
START_PAUSE = 600.0
"""Seconds that BIND gets to fetch zones after it was started afresh."""


class Controller:
    """The one that decides and acts."""

    def __init__(self, config: Settings, view: ClusterView) -> None:
        self._config = config
        self._view = view
        self.transitions = Transitions(config, view)
        self.trouble = ""
        self.last: dict[str, Any] = {}
        self.called_off: dict[str, str] = {}
        """The last handover that did not come to be."""
        self._retry_at = 0.0
        self._nudge_at = 0.0
        self._announce_at = 0.0
        self._renew_at: dict[str, float] = {}
        self._stuck = StuckFetch(config.behind_limit / 2, START_PAUSE)

    def act(self) -> Step:
        """Decide once and carry it out. A failure is logged, and tried again after a pause."""
        step = writer.decide(self.transitions.situation())
        if step.verb is Verb.STAY:
            self.trouble = ""  # whatever failed before, all is as it should be now
        if step.verb in (Verb.STAY, Verb.WAIT):
            return step
        if step.verb is not Verb.DEMOTE and time.monotonic() < self._retry_at:
            return Step(Verb.WAIT, f"{step.why}; last try failed: {self.trouble}")
        began = time.monotonic()
        try:
            with self.transitions.lock:
                self.transitions.carry_out(step)
        except DebvisorError as failure:
            if self.trouble != str(failure):
                complain(f"{step.verb.value} failed: {failure}")
            self.trouble = str(failure)
            self._retry_at = time.monotonic() + self._config.retry_pause
            with contextlib.suppress(DebvisorError), self.transitions.lock:
                self.transitions.follow()
            return step
        took = time.monotonic() - began
        if step.verb in (Verb.PROMOTE, Verb.PULL, Verb.DEMOTE):
            self.trouble = ""
            self.last = {
                "step": step.verb.value,
                "why": step.why,
                "took": round(took, 3),
                "at": now(),
            }
            complain(f"{step.verb.value} done in {took:.3f} s: {step.why}")
        return step

    def nudge(self) -> None:
        """Notify again where a follower lags: the first message may have been lost, or met a moment without VIP."""
        at, view = time.monotonic(), self._view
        if at < self._nudge_at or role_of(self.transitions.bind.in_force()) is not Role.WRITER:
            return
        with view.lock:
            late = {
                zone
                for (_name, zone), (target, since) in view.lagging.items()
                if at - since > self._config.lag_patience
            }
            late = {zone for zone in late if self._is_late(zone)}
        if late:
            self._nudge_at = at + self._config.nudge_pause
        for zone in late:
            with contextlib.suppress(DebvisorError):
                self.transitions.bind.notify(zone)

    def announce(self) -> None:
        """Say again who has the VIP, while this server has the lease: another one may have drawn the clients meanwhile.

        keepalived would say so also where another server has the lease, or where this one was cut off on purpose.
        """
        at, view = time.monotonic(), self._view
        with view.lock:
            vip = view.vip
        if not (vip and view.keeper.tenure()):
            self._announce_at = 0.0
        elif at >= self._announce_at:
            self._announce_at = at + ANNOUNCE_PAUSE
            with contextlib.suppress(DebvisorError, OSError):  # it is said again soon
                neighbours.announce(self._config.vips)

    def renew_content(self) -> None:
        """Fetch zones afresh that are not what the writer has at the same serial.

        Not while the VIP is here: this server would fetch from itself.
        """
        content, at = self.transitions.content, time.monotonic()
        with self._view.lock:
            if self._view.vip:
                return
        for zone in content.differing(self._config.node):
            if at < self._renew_at.get(zone, 0.0):
                continue
            self._renew_at[zone] = at + RENEW_PAUSE
            complain(f"{zone} is not what the writer has at the same serial: it is fetched afresh")
            with contextlib.suppress(DebvisorError), self.transitions.lock:
                if role_of(self.transitions.bind.in_force()) is Role.FOLLOWER:
                    content.suspect(zone)
                    self.transitions.bind.retransfer(zone)

    def start_bind_afresh(self) -> None:
        """Start BIND again where it does not fetch what the writer has: nobody depends on it while it follows."""
        view, writers = self._view, self.transitions.content.writers()
        with view.lock:
            if view.vip or not view.healthy:
                return
            late = {
                zone: view.own.get(zone)
                for zone in self._config.zones
                for name in writers & view.peers.keys()
                if (theirs := view.peers[name].get(zone)) is not None
                and ((mine := view.own.get(zone)) is None or ahead(theirs, mine) > 0)
            }
        zones = self._stuck.look(time.monotonic(), late)
        if zones and role_of(self.transitions.bind.in_force()) is Role.FOLLOWER:
            complain(
                f"{', '.join(zones)}: BIND does not fetch what the writer has; it starts afresh"
            )
            with contextlib.suppress(DebvisorError):
                self.transitions.bind.start_afresh()

    def _is_late(self, zone: str) -> bool:
        mine = self._view.own.get(zone)
        return mine is not None and any(
            zone not in found or ahead(mine, found[zone]) > 0 for found in self._view.peers.values()
        )

    def hand_over(self, watchers: Watchers, stop: threading.Event) -> None:
        """Write on until another primary is close behind, then stop and let go of the VIP at once.

        It is not waited for what the other one lacks after that: followers fetch at the VIP, which is closed to them
        without the lease. The other one fetches it from this server's own address before it writes.
        """
        config = self._config
        self._view.asked.clear()
        try:
            close = wait_until(
                self._close_primaries,
                what="another primary to be close behind",
                timeout=config.handover_patience,
                longest=0.02,
            )
        except TimedOut:
            why = "; ".join(f"{name} {lacking}" for name, lacking in self._unfit().items())
            self.called_off = {"why": why, "at": now()}
            complain(f"handover called off: {why}")
            return
        self._view.hold.set()
        try:
            watchers.wish()
            self.act()
            watchers.offer.withdraw("hands over", "a handover is under way")
            watchers.offer.look()
            with contextlib.suppress(TimedOut):
                wait_until(
                    self._let_go,
                    what="the VIP to leave",
                    timeout=config.handover_patience,
                    longest=0.02,
                )
            complain(f"handed over; {', '.join(close)} was close behind")
            stop.wait(1.0)  # time for the other one to hold it before we stand by again
        finally:
            watchers.offer.withdraw("hands over", "")
            self._view.hold.clear()

    def _close_primaries(self) -> tuple[bool, list[str]]:
        """Go on as ever; return the other primaries that could take over now."""
        self.act()
        service_manager.notify("WATCHDOG=1")
        found = [name for name, lacking in self._unfit().items() if not lacking]
        return bool(found), found

    def _unfit(self) -> dict[str, str]:
        """Return the other primaries, each with what keeps it from taking over; empty where nothing does."""
        seen, content, at = self.transitions.situation(), self.transitions.content, time.monotonic()
        with self._view.lock:
            lagging = dict(self._view.lagging)

        def behind(name: str, zone: str) -> bool:
            if zone not in seen.peers[name]:
                return True
            if ahead(seen.peers[name][zone], seen.own.get(zone, 0)) >= 0:
                return False
            _target, since = lagging.get((name, zone), (0, float("-inf")))
            return at - since > self._config.lag_patience

        def lacking(name: str) -> str:
            if name not in seen.peers:
                return "does not answer"
            if content.says_able(name) is False:
                return "says that it is not able to write"
            if differing := content.differing(name):
                return f"holds other content of {', '.join(differing)}"
            late = [zone for zone in self._config.zones if behind(name, zone)]
            return f"lacks changes of {', '.join(late)}" if late else ""

        return {name: lacking(name) for name in sorted(self._config.other_primaries)}

    def _let_go(self) -> tuple[bool, str]:
        service_manager.notify("WATCHDOG=1")
        return not self.transitions.situation().vip, "the VIP is here"

    def state(
        self, step: Step, unshared: Mapping[str, Any], hindered: Sequence[str]
    ) -> dict[str, Any]:
        """Return what the state file holds.

        :param unshared: what became of updates that only a former writer had.
        :param hindered: what keeps this server from writing.
        """
        config, seen = self._config, self.transitions.situation()
        at = time.monotonic()
        with self._view.lock:
            behind = {zone: round(at - since, 2) for zone, since in self._view.behind.items()}
        return {
            "node": config.node,
            "role": "writer" if seen.role is Role.WRITER else "follower",
            "in_force": self.transitions.bind.in_force(),
            "vip": seen.vip,
            "healthy": seen.healthy,
            "quorum": seen.majority,
            "lease": bool(seen.lease),
            "rival": seen.rival,
            "strangers": self._view.keeper.strangers(),
            "may_write": config.primary,
            "keepalived": not config.primary or service_manager.has_processes("keepalived.service"),
            "answering": seen.answering,
            "servers": seen.servers,
            "why": step.why,
            "trouble": self.trouble,
            "zones": {
                zone: {
                    "serial": seen.own.get(zone),
                    "epoch": self.transitions.epochs.get(zone),
                    "behind_for": behind.get(zone, 0.0),
                }
                for zone in config.zones
            },
            "peers": seen.peers,
            "primaries": sorted(config.other_primaries),
            "differ": {
                name: zones
                for name in (config.node, *(server.name for server in config.peers))
                if (zones := self.transitions.content.differing(name))
            },
            "unshared": unshared,
            "hindered": hindered,
            "last": self.last,
            "handover_called_off": self.called_off,
            "heartbeat": at,
            "time": now(),
        }


def run(config: Settings) -> int:
    """Watch and act until a signal ends it."""
    stop = threading.Event()
    bell = threading.Event()
    keeper = LeaseKeeper(config, bell.set, UpdateFence(config.vips) if config.primary else None)
    view = ClusterView(keeper, bell=bell)

    def end(*_: object) -> None:
        stop.set()
        view.bell.set()

    def ask(*_: object) -> None:
        view.asked.set()
        view.bell.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    keeper.open()
    controller = Controller(config, view)
    transitions = controller.transitions
    offer = Offer(config.health_file, transitions.content.hears_of_able_primary)
    watchers = Watchers(config, view, stop, offer)
    keeper.others = transitions.content.hear
    transitions.begin()
    signal.signal(signal.SIGUSR1, ask)
    watchers.check_vip()
    watchers.start(lambda: transitions.content.run(stop))
    mender = dns_mend.Mender(config, transitions.bind, transitions.lock, stop, complain)
    mender.start()
    service_manager.notify("READY=1")
    said = ""
    while not stop.is_set():
        view.bell.wait(config.local_interval)
        view.bell.clear()
        if stop.is_set():
            break
        watchers.wish()
        if view.asked.is_set():
            controller.hand_over(watchers, stop)
        step = controller.act()
        controller.nudge()
        controller.renew_content()
        controller.start_bind_afresh()
        controller.announce()
        watchers.report_lease()
        state = controller.state(step, mender.summary(), offer.hindrances)
        write_whole(
            config.state_file, (json.dumps(state) + "\n").encode(), mode=0o644, durable=False
        )
        line = controller.trouble or step.why
        service_manager.notify("WATCHDOG=1", *([f"STATUS={line}"] if line != said else []))
        said = line
    offer.end()
    watchers.end()
    return 0
