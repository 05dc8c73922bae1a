# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dns-role: makes this server the writer or a follower, whichever it should be, and says how things are.

Four threads share one :class:`Sight`: one looks at the local server, one at the other servers, one at this machine's
addresses, and the main one decides and acts. Looking is never held up by acting.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.errors import DebvisorError
from .._dns import epoch, names, taking_over, writer
from .._dns.client import Client
from .._dns.serials import ahead
from .._dns.writer import Role, Situation, Step, Verb
from .._ports import addresses, service_manager
from .._ports.bind import Bind
from .._ports.dns_probe import Question, ask, serials
from . import dns_mend
from .console import complain, now, tell
from .dns_concerns import concerns
from .dns_settings import Settings, write_atomically

LOCAL = "127.0.0.1"


def log(message: str) -> None:
    """Say it to the journal of the unit."""
    complain(message)


@dataclass
class Sight:
    """What the watchers saw last, and the bell they ring when it changes. All access is under the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    bell: threading.Event = field(default_factory=threading.Event)
    vip: bool = False
    misses: int = 1
    healthy: bool = False
    own: dict[str, int] = field(default_factory=dict)
    peers: dict[str, dict[str, int]] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    behind: dict[str, float] = field(default_factory=dict)
    lagging: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)


def role_of(in_force: str) -> Role:
    """Read the role off the configuration's name."""
    if in_force.startswith("pull-"):
        return Role.PULL
    try:
        return Role(in_force)
    except ValueError:
        return Role.CLOSED  # unknown: get out of it


def took_updates(bind: Bind) -> bool:
    """Tell by the configuration whether clients may have written here since a copy was kept."""
    return bind.in_force() in ("writer", "closed")


class Health:
    """A file that keepalived tracks: 0 is well, 1 is not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: bool | None = None

    def tell(self, healthy: bool) -> None:
        """Write it where it changed."""
        if healthy == self._last and self._path.exists():
            return
        write_atomically(self._path, "0\n" if healthy else "1\n")
        self._last = healthy


class Watchers:
    """The threads that look."""

    def __init__(self, config: Settings, sight: Sight, stop: threading.Event) -> None:
        self._config = config
        self._sight = sight
        self._stop = stop
        self.health = Health(config.health_file)
        self.majority = Health(config.majority_file)
        self.offer = threading.Event()
        self.offer.set()

    def start(self) -> None:
        for target in (self._watch_local, self._watch_peers, self._watch_addresses):
            threading.Thread(target=self._guarded, args=(target,), daemon=True).start()

    def _guarded(self, target: Callable[[], None]) -> None:
        """A watcher that fails takes the program down: systemd starts it afresh, and unhealthy meanwhile."""
        try:
            target()
        except Exception as failure:  # a blind program must not go on
            log(f"{target.__name__} failed: {failure!r}")
            self.health.tell(False)
            os._exit(70)

    def _watch_local(self) -> None:
        config, sight = self._config, self._sight
        questions = [Question(LOCAL, zone, config.port) for zone in config.zones]
        while not self._stop.is_set():
            began = time.monotonic()
            told = serials(ask(questions, config.local_budget))
            with sight.lock:
                before = sight.healthy
                sight.misses = 0 if told else sight.misses + 1
                sight.healthy = sight.misses == 0 or (before and sight.misses < 2)
                if told:
                    sight.own = told[LOCAL]
                changed = before != sight.healthy
                healthy = sight.healthy
            if changed:
                log("the local server answers" if healthy else "the local server does not answer")
                sight.bell.set()
            self.health.tell(healthy and self.offer.is_set())
            self._stop.wait(max(0.01, began + config.local_interval - time.monotonic()))

    def _watch_peers(self) -> None:
        config, sight = self._config, self._sight
        while not self._stop.is_set():
            began = time.monotonic()
            told = look_at_peers(config, config.peer_budget)
            at = time.monotonic()
            with sight.lock:
                count = len(sight.peers)
                for name, found in told.items():
                    sight.peers[name] = found
                    sight.seen[name] = at
                for name in [n for n, t in sight.seen.items() if at - t > config.peer_patience]:
                    sight.peers.pop(name, None)
                    sight.seen.pop(name)
                _note_behind(config, sight, at)
                _note_lagging(config, sight, at)
                changed = count != len(sight.peers)
            if changed:
                sight.bell.set()
            self._stop.wait(max(0.01, began + config.peer_interval - time.monotonic()))

    def _watch_addresses(self) -> None:
        self.look_for_vip()
        for _change in addresses.changes():
            self.look_for_vip()
            if self._stop.is_set():
                return

    def look_for_vip(self) -> None:
        """See whether the VIP is here."""
        present = self._config.vips[0] in addresses.here()
        with self._sight.lock:
            changed = present != self._sight.vip
            self._sight.vip = present
        if changed:
            log(f"the VIP {'came' if present else 'left'}")
            self._sight.bell.set()


def look_at_peers(config: Settings, budget: float) -> dict[str, dict[str, int]]:
    """Return name to zone to serial, of the other servers that answer."""
    names = {server.address: server.name for server in config.peers}
    questions = [
        Question(server.address, zone, config.port)
        for server in config.peers
        for zone in config.zones
    ]
    return {names[address]: found for address, found in serials(ask(questions, budget)).items()}


def _note_behind(config: Settings, sight: Sight, at: float) -> None:
    """Keep since when each zone is behind somebody, for the status and for dns-check."""
    for zone in config.zones:
        mine = sight.own.get(zone)
        late = mine is None or any(
            zone in found and ahead(found[zone], mine) > 0 for found in sight.peers.values()
        )
        if not late:
            sight.behind.pop(zone, None)
        else:
            sight.behind.setdefault(zone, at)


def _note_lagging(config: Settings, sight: Sight, at: float) -> None:
    """Keep since when a peer has not reached the serial that we had then."""
    for name, found in sight.peers.items():
        for zone in config.zones:
            mine = sight.own.get(zone)
            if mine is None:
                continue
            target, since = sight.lagging.get((name, zone), (mine, at))
            if zone in found and ahead(found[zone], target) >= 0:
                target, since = mine, at
            sight.lagging[name, zone] = (target, since)
    for key in [key for key in sight.lagging if key[0] not in sight.peers]:
        del sight.lagging[key]


class Failed(DebvisorError):
    """A transition did not come to its end; the server follows again."""


class Actor:
    """The one that decides and acts."""

    def __init__(self, config: Settings, sight: Sight, watchers: Watchers) -> None:
        self._config = config
        self._sight = sight
        self._watchers = watchers
        self.bind = Bind(config.link, config.zone_dir)
        self.transition = threading.Lock()
        self.trouble = ""
        self.epochs: dict[str, int] = {}
        self.last: dict[str, Any] = {}
        self.hold = threading.Event()
        self._retry_at = 0.0
        self._nudge_at = 0.0
        self._in_force = False
        """Whether BIND is known to have read the configuration that the link names."""
        self._unkept = took_updates(self.bind)
        """Whether clients may have written here what nobody has copied yet."""

    def begin(self) -> None:
        """Make sure that BIND does what the link says: a run before this one may have been cut off between the two."""
        with contextlib.suppress(DebvisorError):
            self.bind.reconfigure()
            self._in_force = True

    def situation(self) -> Situation:
        """Return what is seen now."""
        config = self._config
        with self._sight.lock:
            return Situation(
                role=role_of(self.bind.in_force()) if self._in_force else Role.CLOSED,
                vip=self._sight.vip,
                healthy=self._sight.healthy,
                zones=config.zones,
                own=dict(self._sight.own),
                peers={name: dict(found) for name, found in self._sight.peers.items()},
                servers=len(config.servers),
                quorum=config.quorum,
                hold=self.hold.is_set(),
            )

    def act(self) -> Step:
        """Decide once and carry it out. A failure is told, and tried again after a pause."""
        step = writer.decide(self.situation())
        if step.verb is Verb.STAY:
            self.trouble = ""  # whatever failed before, all is as it should be now
        if step.verb in (Verb.STAY, Verb.WAIT):
            return step
        if step.verb is not Verb.DEMOTE and time.monotonic() < self._retry_at:
            return Step(Verb.WAIT, f"{step.why}; last try failed: {self.trouble}")
        began = time.monotonic()
        try:
            with self.transition:
                self._carry_out(step)
        except DebvisorError as failure:
            if self.trouble != str(failure):
                log(f"{step.verb.value} failed: {failure}")
            self.trouble = str(failure)
            self._retry_at = time.monotonic() + self._config.retry_pause
            with contextlib.suppress(DebvisorError), self.transition:
                self._follow()
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
            log(f"{step.verb.value} done in {took:.3f} s: {step.why}")
        return step

    def nudge(self) -> None:
        """Notify again where a follower lags: the first message may have been lost, or met a moment without VIP."""
        at = time.monotonic()
        if at < self._nudge_at or role_of(self.bind.in_force()) is not Role.WRITER:
            return
        with self._sight.lock:
            late = {
                zone
                for (_name, zone), (target, since) in self._sight.lagging.items()
                if at - since > self._config.lag_patience
            }
            late = {zone for zone in late if self._is_late(zone)}
        if late:
            self._nudge_at = at + self._config.nudge_pause
        for zone in late:
            with contextlib.suppress(DebvisorError):
                self.bind.notify(zone)

    def _is_late(self, zone: str) -> bool:
        mine = self._sight.own.get(zone)
        return mine is not None and any(
            zone not in found or ahead(mine, found[zone]) > 0
            for found in self._sight.peers.values()
        )

    def _carry_out(self, step: Step) -> None:
        if step.verb is Verb.PROMOTE:
            self._promote()
        elif step.verb is Verb.PULL:
            self._pull(step)
        elif step.verb is Verb.DEMOTE:
            self._demote()
        else:
            self._follow()

    def _follow(self) -> None:
        """Follow, once what was written here is copied: what comes over would take its place."""
        if self._unkept:
            dns_mend.keep(self.bind, self._config)
            self._unkept = False
        self._put_in_force("follower")

    def _put_in_force(self, name: str, timeout: float = 3.0) -> None:
        """Switch the configuration. Where BIND does not say that it did, its role is in doubt until it has followed."""
        self._in_force = False
        self.bind.point_to(name)
        self.bind.reconfigure(timeout)
        self._in_force = True

    def _promote(self) -> None:
        """Become the writer: look once more, open for ourselves alone, take over every zone, open for all."""
        fresh = self._look_again()
        step = writer.decide(fresh)
        if step.verb is not Verb.PROMOTE:
            if step.verb is Verb.PULL:
                self._pull(step)
                return
            raise Failed("something changed on the way to writing", why=step.why)
        self._put_in_force("closed")
        at_vip = self._wait_for_zones()
        for zone, serial in at_vip.items():
            if ahead(fresh.own[zone], serial) > 0:
                raise Failed(
                    f"{zone} was at serial {fresh.own[zone]}, and BIND loaded {serial} from its disk",
                    hint="Make room on /var/lib/bind: what came over could not be written there",
                )
        with self._config.vip(self._config.update_timeout, self._config.role_key) as server:
            for zone in self._config.zones:
                self._take_over(server, zone, fresh.own[zone], at_vip[zone])
        self._unkept = True
        self._put_in_force("writer")

    def _look_again(self) -> Situation:
        seen = self.situation()
        own = ask(
            [Question(LOCAL, zone, self._config.port) for zone in seen.zones],
            self._config.local_budget,
        )
        peers = look_at_peers(self._config, self._config.peer_budget)
        # Who did not answer this once may still be there: its place in the quorum stays, and so does what it had.
        return Situation(
            role=Role.FOLLOWER,
            vip=seen.vip,
            healthy=seen.healthy,
            zones=seen.zones,
            own=serials(own).get(LOCAL, {}),
            peers={**seen.peers, **peers},
            servers=seen.servers,
            quorum=seen.quorum,
            hold=seen.hold,
        )

    def _wait_for_zones(self) -> dict[str, int]:
        """Wait until the VIP serves every zone; return the serials."""
        address = self._config.vips[0]
        questions = [Question(address, zone, self._config.port) for zone in self._config.zones]
        deadline = time.monotonic() + self._config.promote_patience
        while True:
            told = serials(ask(questions, 0.2)).get(address, {})
            missing = [zone for zone in self._config.zones if zone not in told]
            if not missing:
                return told
            if time.monotonic() > deadline:
                raise Failed(
                    "the VIP does not serve every zone", why=f"missing: {', '.join(missing)}"
                )
            time.sleep(0.01)

    def _take_over(self, server: Client, zone: str, followed: int, serial: int) -> None:
        """Raise the serial and note the epoch.

        :param followed: the serial that we had as a follower: where this epoch begins.
        :param serial: the serial by now. BIND may have signed something since.
        """
        apex = names.parse(f"{zone}.")
        leap = epoch.leap(serial, self._config.rank)
        history = taking_over.history(server, apex)
        mine = epoch.following(history, self._config.node, followed, now())
        for attempt in range(3):
            try:
                raised = taking_over.take_over(server, apex, leap, mine, epoch.obsolete(history))
                break
            except DebvisorError:
                if attempt == 2:
                    raise
        self.epochs[zone] = mine.number
        if raised != followed:
            # A serial of BIND's own lies before the leap, and another server may hold other content under it.
            self.bind.forget_journal(zone)

    def _demote(self) -> None:
        """Stop writing: close, keep what was written, follow."""
        self._unkept = True
        with contextlib.suppress(DebvisorError):
            self._put_in_force("closed", 1.0)
        self._follow()

    def _pull(self, step: Step) -> None:
        """Fetch what another server has and we lack, from just that server."""
        self._put_in_force(f"pull-{step.server}")
        for zone in step.zones:
            with contextlib.suppress(DebvisorError):  # BIND asks by itself too; the wait decides
                self.bind.refresh(zone)
        deadline = time.monotonic() + self._config.pull_patience
        forced = False
        while True:
            fresh = self._look_again()
            left = writer.further(fresh).get(step.server, {})
            if not left:
                return
            if not forced and time.monotonic() > deadline - self._config.pull_patience / 2:
                forced = True
                for zone in left:
                    self.bind.retransfer(zone)
            if time.monotonic() > deadline:
                raise Failed(
                    f"{step.server} is ahead in {', '.join(left)}, and the zone does not come over",
                    hint="Nobody writes until it does. Look at the transfer's messages of named on both",
                )
            time.sleep(0.05)


def status(
    config: Settings, actor: Actor, sight: Sight, step: Step, mender: dns_mend.Mender
) -> dict[str, Any]:
    """Return what the state file holds."""
    seen = actor.situation()
    at = time.monotonic()
    with sight.lock:
        behind = {zone: round(at - since, 2) for zone, since in sight.behind.items()}
    role = "writer" if seen.role is Role.WRITER else "follower"
    return {
        "node": config.node,
        "role": role,
        "in_force": actor.bind.in_force(),
        "vip": seen.vip,
        "healthy": seen.healthy,
        "quorum": seen.majority,
        "answering": seen.answering,
        "servers": seen.servers,
        "why": step.why,
        "trouble": actor.trouble,
        "zones": {
            zone: {
                "serial": seen.own.get(zone),
                "epoch": actor.epochs.get(zone),
                "behind_for": behind.get(zone, 0.0),
            }
            for zone in config.zones
        },
        "peers": seen.peers,
        "primaries": [server.name for server in config.peers if server.primary],
        "unshared": mender.summary(),
        "last": actor.last,
        "heartbeat": at,
        "time": now(),
    }


def run(config: Settings) -> int:
    """Watch and act until told to end."""
    stop = threading.Event()
    sight = Sight()

    def end(*_: object) -> None:
        stop.set()
        sight.bell.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    watchers = Watchers(config, sight, stop)
    actor = Actor(config, sight, watchers)
    actor.begin()
    signal.signal(signal.SIGUSR1, lambda *_: _offer_away(actor, sight))
    watchers.look_for_vip()
    watchers.start()
    mender = dns_mend.Mender(config, actor.bind, actor.transition, stop, log)
    mender.start()
    service_manager.notify("READY=1")
    said = ""
    while not stop.is_set():
        sight.bell.wait(config.local_interval)
        sight.bell.clear()
        if stop.is_set():
            break
        if actor.hold.is_set():
            _hand_over(config, actor, watchers, stop)
        step = actor.act()
        actor.nudge()
        watchers.majority.tell(actor.situation().majority)
        write_atomically(
            config.state_file, json.dumps(status(config, actor, sight, step, mender)) + "\n"
        )
        line = actor.trouble or step.why
        service_manager.notify("WATCHDOG=1", *([f"STATUS={line}"] if line != said else []))
        said = line
    watchers.health.tell(False)
    return 0


def _offer_away(actor: Actor, sight: Sight) -> None:
    actor.hold.set()
    sight.bell.set()


def _hand_over(config: Settings, actor: Actor, watchers: Watchers, stop: threading.Event) -> None:
    """Planned handover: stop writing, wait until another primary has everything, then let go of the VIP."""
    try:
        actor.act()
        deadline = time.monotonic() + config.handover_patience
        primaries = {server.name for server in config.peers if server.primary}
        while time.monotonic() < deadline:
            seen = actor.situation()
            level = [
                name
                for name in primaries & set(seen.peers)
                if all(
                    zone in seen.peers[name]
                    and ahead(seen.peers[name][zone], seen.own.get(zone, 0)) >= 0
                    for zone in config.zones
                )
            ]
            if level:
                break
            time.sleep(0.02)
        else:
            log("handover called off: no other primary has everything")
            return
        watchers.offer.clear()
        watchers.health.tell(False)
        deadline = time.monotonic() + config.handover_patience
        while time.monotonic() < deadline and actor.situation().vip:
            service_manager.notify("WATCHDOG=1")
            time.sleep(0.02)
        log(f"handed over; {', '.join(level)} had everything")
        stop.wait(1.0)  # time for the other one to hold it before we stand by again
    finally:
        watchers.offer.set()
        actor.hold.clear()


def boot(config: Settings) -> int:
    """Before named starts: keep what a writer left, and make it a follower.

    Where there is no room for that, it starts closed: it serves what it has, and follows once dns-role found room.
    """
    bind = Bind(config.link, config.zone_dir)
    if took_updates(bind):
        try:
            dns_mend.keep(bind, config)
        except DebvisorError as failure:
            log(f"starts closed: {failure}")
            bind.point_to("closed")
            return 0
    bind.point_to("follower")
    return 0


def handover(config: Settings) -> int:
    """Ask the resident program to hand over, and wait until it did."""
    before = read_state(config)
    if not before or not before.get("vip"):
        tell("This node does not hold the VIP: there is nothing to hand over.")
        return 0
    words = [
        "/usr/bin/systemctl",
        "kill",
        "--signal=SIGUSR1",
        "--kill-whom=main",
        "dns-role.service",
    ]
    if os.spawnv(os.P_WAIT, words[0], words) != 0:
        complain("dns-role.service does not run here.")
        return 1
    deadline = time.monotonic() + 3 * config.handover_patience
    while time.monotonic() < deadline:
        state = read_state(config)
        if state and not state["vip"] and state["role"] == "follower":
            tell("Handed over.")
            return 0
        time.sleep(0.05)
    complain("The VIP is still here: see `journalctl -u dns-role`.")
    return 1


def read_state(config: Settings) -> dict[str, Any]:
    """Return the state file's content; empty where there is none."""
    try:
        found: dict[str, Any] = json.loads(config.state_file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def show(config: Settings, as_json: bool) -> int:
    """Print how things are. Exit 0: fine; 1: something is wrong; 3: nothing is known."""
    state = read_state(config)
    if not state:
        complain("dns-role does not run here.")
        return 3
    at = time.monotonic()
    found = concerns(state, at, stale_after=config.stale_after, behind_limit=config.behind_limit)
    state["age"] = round(at - state["heartbeat"], 2)
    state["concerns"] = [concern.what for concern in found]
    if as_json:
        tell(json.dumps(state, indent=1))
    else:
        tell("\n".join(table(state)))
    return 1 if state["concerns"] else 0


def table(state: Mapping[str, Any]) -> list[str]:
    """Return the status as lines for people."""
    lines = [
        f"node     {state['node']}",
        f"role     {state['role']} ({state['in_force']})",
        f"VIP      {'here' if state['vip'] else 'elsewhere'}",
        f"servers  {state['answering']} of {state['servers']} answer"
        f"{'' if state['quorum'] else ': NO MAJORITY'}",
        f"now      {state['why']}",
    ]
    lines += [f"CONCERN  {concern}" for concern in state["concerns"]]
    lines += ["", f"{'ZONE':<45} {'SERIAL':>10} {'BEHIND':>7}  PEERS"]
    for zone, about in state["zones"].items():
        others = ", ".join(
            f"{name} {found.get(zone, 'none')}" for name, found in sorted(state["peers"].items())
        )
        serial = about["serial"] if about["serial"] is not None else "none"
        lines.append(f"{zone:<45} {serial:>10} {about['behind_for']:>6}s  {others}")
    unshared = state["unshared"]
    if unshared["waiting"]:
        lines.append(f"\nKept from former terms, still to be compared: {unshared['waiting']}")
    lines += [f"Report: {path}" for path in unshared["reports"]]
    return lines


def code_hash() -> str:
    """Return a hash over the code that this program consists of; a change of it calls for a restart."""
    whole = hashlib.sha256()
    for package in ("_core", "_dns", "_entry", "_ports"):
        for file in sorted((Path(__file__).parents[1] / package).glob("*.py")):
            whole.update(file.name.encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="dns-role", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, default=settings.CONFIG_DIR / "dns.json")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run", help="watch and act; what the service runs")
    verbs.add_parser("boot", help="make this server a follower before named starts")
    verbs.add_parser("handover", help="give the VIP and the writing to another primary")
    verbs.add_parser("version", help="show a hash over the code")
    verbs.add_parser("unhealthy", help="tell keepalived that this server must not hold the VIP")
    shown = verbs.add_parser("status", help="show role, quorum and serials")
    shown.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.verb == "version":
        tell(code_hash())
        return 0
    try:
        config = Settings.read(options.config)
        if options.verb == "unhealthy":
            Health(config.health_file).tell(False)
            return 0
        if options.verb == "status":
            return show(config, options.json)
        return {"run": run, "boot": boot, "handover": handover}[options.verb](config)
    except DebvisorError as failure:
        complain(f"dns-role: {failure}")
        return 1
