# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How this server changes between writer and follower: the steps that dns-role decides on, carried out with BIND."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from .._core.durable import write_whole
from .._core.errors import Conflict, DebvisorError
from .._core.waiting import wait_until
from .._dns.protocol import names
from .._dns.protocol.client import Client
from .._dns.protocol.serials import ahead
from .._dns.writer import epoch, takeover, writer
from .._dns.writer.epoch import Epoch
from .._dns.writer.writer import Role, Situation, Step, Verb
from .._ports.dns.bind import Bind
from .._ports.dns.dns_probe import Question, ask, serials
from . import dns_mend
from .console import complain, now
from .dns_adoption import Adopted, Adoption, unanswered
from .dns_cluster_view import ClusterView, ask_peers
from .dns_content import ContentKeeper
from .dns_settings import LOCAL, Settings

EXPECT_PAUSE = 60.0
"""Seconds for which dns-check does not wait for zones again that did not come."""
ASK_AGAIN = 0.2
"""Seconds between two questions for what a pull still lacks."""


def role_of(in_force: str) -> Role:
    """Read the role off the configuration's name."""
    if in_force.startswith("pull-"):
        return Role.PULL
    try:
        return Role(in_force)
    except ValueError:
        return Role.CLOSED  # unknown: get out of it


def took_updates(bind: Bind) -> bool:
    """Return by the configuration whether clients may have written here since a copy was kept."""
    return bind.in_force() in ("writer", "closed")


class Failed(DebvisorError):
    """A transition did not come to its end; the server follows again."""


class _Zone(NamedTuple):
    """A zone that this server is about to write."""

    name: str
    followed: int
    """The serial that it had as a follower: where the epoch begins."""
    serial: int
    """The serial by now. BIND may have signed something since."""
    adopted: Adopted | None
    """What a secondary has beyond."""


class Transitions:
    """The ways between the roles, and what is known of the role that BIND has.

    ``lock`` is held while one is on its way. ``epochs`` maps each zone to the epoch that this server began for it.
    """

    def __init__(self, config: Settings, view: ClusterView) -> None:
        self._config = config
        self._view = view
        self.content = ContentKeeper(config, self._writing, self._served, lambda: view.able)
        self._adoption = Adoption(config, self.content, complain)
        self.bind = Bind(config.link, config.zone_dir)
        self.lock = threading.Lock()
        self.epochs: dict[str, int] = {}
        self._expect_again_at = 0.0
        """When dns-check may wait again for zones that BIND loads."""
        self._wrote_in = 0
        """The lease in which this server became the writer."""
        self._term = 0
        """The term in which it did. The lease may be renewed in younger ones, of which the zones know nothing."""
        self._in_force = False
        """Whether BIND is known to have read the configuration that the link names."""
        self._unkept = took_updates(self.bind)
        """Whether clients may have written here what was not copied yet."""
        self._kept: tuple[tuple[int, int], ...] = ()
        """The journals as they were when they were copied last."""

    def begin(self) -> None:
        """Make sure that BIND does what the link says: an earlier run may have been interrupted between the two."""
        with contextlib.suppress(DebvisorError):
            self.bind.reconfigure()
            self._in_force = True

    def situation(self) -> Situation:
        """Return what is seen now."""
        config, view = self._config, self._view
        with view.lock:
            return Situation(
                role=role_of(self.bind.in_force()) if self._in_force else Role.CLOSED,
                vip=view.vip,
                healthy=view.healthy,
                zones=config.zones,
                own=dict(view.own),
                peers={name: dict(found) for name, found in view.peers.items()},
                servers=config.audible,
                quorum=config.enough,
                lease=view.keeper.tenure(),
                wrote_in=self._wrote_in,
                rival=view.keeper.rival(),
                hold=view.hold.is_set(),
                primaries=config.other_primaries,
                differs=frozenset(self.content.differing(config.node)),
                outdated=self.content.outdated(),
                proved=self.content.proved(),
            )

    def _writing(self) -> tuple[int, int]:
        """Return the number of the lease in which this server writes, 0 for none, and the term of its epochs."""
        tenure = self._view.keeper.tenure()
        return (tenure if tenure == self._wrote_in else 0), self._term

    def _served(self) -> dict[str, int]:
        with self._view.lock:
            return dict(self._view.own)

    def carry_out(self, step: Step) -> None:
        """Make it so.

        :raises DebvisorError: where it fails part of the way; then :meth:`follow`.
        """
        if step.verb is Verb.PROMOTE:
            self._promote()
        elif step.verb is Verb.PULL:
            self._pull(step)
        elif step.verb is Verb.DEMOTE:
            self._demote()
        else:
            self.follow()

    def follow(self) -> None:
        """Follow, once what was written here is copied: what comes over would take its place."""
        if self._unkept:
            self._keep()
        self._put_in_force("follower")
        self._unkept = False  # until then a BIND that hung may go on as the writer that it was

    def _keep(self) -> None:
        """Copy what was written here, where it is not copied yet."""
        marks = self.bind.journal_marks(self._config.zones)
        if marks != self._kept:
            dns_mend.keep(self.bind, self._config)
            self._kept = marks

    def _put_in_force(self, name: str, timeout: float = 3.0, *, durable: bool = False) -> None:
        """Switch the configuration. Where BIND does not say that it did, its role is in doubt until it has followed."""
        self._in_force = False
        self._wrote_in = 0
        self._view.keeper.serve(0)
        self.bind.point_to(name, durable=durable)
        self.bind.reconfigure(timeout)
        self._in_force = True

    def _expect_zones(self) -> None:
        """Have dns-check wait for the zones, which BIND drops and loads: it is a primary after it was a secondary.

        Not where they did not come lately: then another server may do better.
        """
        at = time.monotonic()
        if at < self._expect_again_at:
            return
        until = f"{at + self._config.promote_patience:.3f}\n"
        with contextlib.suppress(OSError):
            write_whole(self._config.loading_file, until.encode(), mode=0o644, durable=False)
        self._expect_again_at = at + EXPECT_PAUSE  # until they came

    def _check_lease(self, lease: int) -> None:
        """See that what began in a lease is still in it.

        :raises Failed: where the lease or the VIP went, or the lease is another one by now.
        """
        if not self._view.vip or not lease or self._view.keeper.tenure() != lease:
            raise Failed("the lease or the VIP was lost on the way to writing")

    def _promote(self) -> None:
        """Become the writer: check once more, open for ourselves alone, take over every zone, open for all."""
        lease, self._term = self._view.keeper.tenure(), self._view.keeper.term()
        fresh = self._look_again()
        step = writer.decide(fresh)
        if step.verb is not Verb.PROMOTE:
            if step.verb is Verb.PULL:
                self._pull(step)
                return
            raise Failed("something changed on the way to writing", why=step.why)
        self._check_content()
        adopted = self._adoption.collect(fresh)
        # The next start must not overlook it, also after a loss of power: with the name of before it follows at once.
        self._expect_zones()
        self._put_in_force("closed", durable=True)
        at_vip = self._wait_for_zones()
        for zone, serial in at_vip.items():
            if ahead(fresh.own[zone], serial) > 0:
                raise Failed(
                    f"{zone} was at serial {fresh.own[zone]}, and BIND loaded {serial} from its disk",
                    hint="Make room on /var/lib/bind: what came over could not be written there",
                )
        begun: dict[str, Adopted] = {}
        try:
            with self._config.own_vip(self._config.update_timeout) as server:
                for zone in self._config.zones:
                    about = _Zone(zone, fresh.own[zone], at_vip[zone], adopted.get(zone))
                    self._begin(server, about, lease, begun)
            self._unkept = True
            self._check_lease(lease)
            self._put_in_force("writer")
            self._wrote_in = lease
            self._view.keeper.serve(lease)
        finally:  # where this ends half-way, no other try finds the secondary ahead
            threading.Thread(target=self._adoption.report, args=(begun,), daemon=True).start()

    def _check_content(self) -> None:
        """See that no zone is other than the writer attested it.

        :raises Failed: where one is, or this program has not heard the others yet.
        """
        if self._config.peers and not self.content.has_listened():
            raise Failed("dns-role has just started: it waits for what the other servers tell")
        wrong = [zone for zone in self._config.zones if not self.content.is_as_attested(zone)]
        if wrong:
            raise Failed(f"not what the writer had at the same serial: {', '.join(wrong)}")

    def _look_again(self) -> Situation:
        seen = self.situation()
        own = ask(
            [Question(LOCAL, zone, self._config.port) for zone in seen.zones],
            self._config.local_budget,
        )
        peers = ask_peers(self._config, self.content.shared_keys, self._config.peer_budget)
        # A server that did not answer this once may still be there: it counts for the quorum, with what it had.
        return dataclasses.replace(
            seen,
            role=Role.FOLLOWER,
            own=serials(own).get(LOCAL, {}),
            peers={**seen.peers, **peers},
        )

    def _wait_for_zones(self) -> dict[str, int]:
        """Wait until the VIP serves every zone; return the serials."""
        address = self._config.vips[0]
        questions = [Question(address, zone, self._config.port) for zone in self._config.zones]
        served: dict[str, int] = {}

        def complete() -> tuple[bool, str]:
            served.clear()
            served.update(serials(ask(questions, 0.2)).get(address, {}))
            missing = [zone for zone in self._config.zones if zone not in served]
            return not missing, f"missing: {', '.join(missing)}"

        wait_until(
            complete,
            what="the VIP to serve every zone",
            timeout=self._config.promote_patience,
            first=0.01,
            longest=0.01,
        )
        self._expect_again_at = 0.0
        return served

    def _begin(self, server: Client, about: _Zone, lease: int, begun: dict[str, Adopted]) -> None:
        """Begin the epoch of a zone, with what a secondary had beyond us: in one message where that is possible.

        So the raised serial never stands for less than a secondary has, wherever this ends half-way.

        :param begun: gets what is to be reported, once the serial is raised.
        """
        self._check_lease(lease)
        zone, adopted = about.name, about.adopted
        if adopted and (together := adopted.together):
            try:
                self._take_over(server, about, *together)
                begun[zone] = adopted
                return
            except DebvisorError as failure:
                if unanswered(failure):
                    raise
                complain(f"{zone}: changes from {adopted.source} are tried one by one: {failure}")
                self._check_lease(lease)
        first = self._take_over(server, about)
        if adopted:
            begun[zone] = adopted
            self._adoption.make(server, zone, first, adopted, lambda: self._check_lease(lease))

    def _take_over(
        self,
        server: Client,
        about: _Zone,
        changes: Sequence[bytes] = (),
        start: int | None = None,
    ) -> Epoch:
        """Raise the serial and note the epoch; return it.

        :param changes: what else is to be changed.
        :param start: where the epoch begins, unless at the serial that we had as a follower.
        """
        zone, followed, serial = about.name, about.followed, about.serial
        apex = names.parse(f"{zone}.")
        leap = epoch.leap(serial, self._config.rank)
        history = takeover.history(server, apex)
        begins = followed if start is None else start
        mine = epoch.following(history, self._config.node, begins, now(), self._term)
        for attempt in range(3):
            try:
                raised = takeover.take_over(server, apex, leap, {*history, mine}, changes)
                break
            except DebvisorError as failure:
                if attempt == 2 or (changes and not isinstance(failure, Conflict)):
                    raise
        self.epochs[zone] = mine.number
        if raised != followed:
            # A serial of BIND's own lies before the leap, and another server may hold other content under it.
            self.bind.forget_journal(zone)
        return mine

    def _demote(self) -> None:
        """Stop writing: close, keep what was written, follow."""
        self._unkept = True
        with contextlib.suppress(DebvisorError):
            self._put_in_force("closed", 1.0)
        self.follow()

    def _left(self, step: Step) -> list[str]:
        """Return the zones of a pull that did not come over yet, or are not what the writer attested."""
        fresh = self._look_again()
        further = writer.further(fresh).get(step.server, {})
        theirs = fresh.peers.get(step.server, {})
        missing = [
            zone
            for zone in step.zones
            if zone not in fresh.own
            or zone in further
            or (
                step.server not in self._config.other_primaries
                and fresh.own[zone] != theirs.get(zone)
            )
        ]
        return missing or [
            zone
            for zone in self.content.differing(self._config.node)
            if zone in step.zones and not self._is_as_attested(zone, step.server)
        ]

    def _is_as_attested(self, zone: str, source: str) -> bool:
        """Tell whether a zone that came over is the writer's: at the attested serial, or on from it."""
        server = next(each for each in self._config.peers if each.name == source)
        with contextlib.suppress(DebvisorError, ValueError):
            if self.content.is_as_attested(zone, afresh=True):
                return True
            if self._adoption.leads_here(zone, server):
                self.content.trust(zone)
                return True
        return False

    def _pull(self, step: Step) -> None:
        """Fetch what another server has and we lack, from just that server.

        What a secondary gives has to be what the writer attested.
        """
        self._put_in_force(f"pull-{step.server}")
        for zone in step.zones:
            with contextlib.suppress(DebvisorError):  # BIND asks by itself too; the wait decides
                if step.server in self._config.other_primaries:
                    self.bind.refresh(zone)
                else:  # the serial may be the one that we have
                    self.content.suspect(zone)
                    self.bind.retransfer(zone)
        began = asked = time.monotonic()
        forced = False

        def level() -> tuple[bool, str]:
            nonlocal asked, forced
            left, at = self._left(step), time.monotonic()
            if left and not forced and at - began > self._config.pull_patience / 2:
                forced = True
                for zone in left:
                    self.bind.retransfer(zone)
            elif left and step.server in self._config.other_primaries and at - asked > ASK_AGAIN:
                # BIND passes a question over while one is under way, and that one may be for the VIP: itself by now.
                asked = at
                for zone in left:
                    with contextlib.suppress(DebvisorError):
                        self.bind.refresh(zone)
            return not left, f"{step.server} is still ahead in {', '.join(left)}"

        wait_until(
            level,
            what=f"the zones that {step.server} is ahead in",
            timeout=self._config.pull_patience,
            first=0.05,
            longest=0.05,
            hint="No server writes until they come over. See the transfer's messages of named on both",
        )
