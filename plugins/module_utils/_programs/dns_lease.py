# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease at work: one thread that votes, asks, and keeps the kernel's fence as the lease is.

Its clock goes on while the machine sleeps (CLOCK_BOOTTIME, clock_gettime(2)).
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from .._core.errors import DebvisorError
from .._dns.writer.lease import Candidate, Voter
from .._dns.writer.lease_channel import (
    CandidateDesk,
    Letter,
    VoterDesk,
    electorate,
    seal,
    unseal,
)
from .._dns.writer.signed_text import LONGEST
from .dns_keys import SharedKeys
from .dns_settings import Settings

FENCE_SLACK = 0.1
"""Seconds that the kernel may be late to take an element, or to drop it, of which 45 ms were measured."""
TRIES = 3
STRANGE_FOR = 10.0
"""Seconds for which another electorate is remembered."""
FENCE_GRACE = 0.25
"""Seconds for which the kernel may not take the fence, as while nftables starts afresh, before the lease is let go."""
FENCE_AGAIN = 2.0
"""Seconds between two looks at a fence that is not in use."""
DRAIN = 0.1
"""Seconds between the closing of the fence and the giving back: BIND ends what it had received."""


class Fence(Protocol):
    def open(self, seconds: float, *, clients: bool) -> None: ...
    def renew(self, seconds: float, *, clients: bool) -> bool: ...
    def close(self) -> None: ...


def clock() -> float:
    """Return the time on the clock of leases."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Gate:
    """The fence, kept as the lease is. All calls come from one thread."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._open = False
        """The last call that succeeded was not :meth:`shut`."""
        self._set_for = (float("-inf"), False)
        self._failing_since: float | None = None
        self._again_at = float("-inf")
        self.trouble = ""
        """Why the kernel does not take the fence, since longer than :data:`FENCE_GRACE`."""

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self._failing_since is not None

    def keep(self, until: float, *, clients: bool) -> float:
        """Have it open until then; return until when that can be relied on: never, where the kernel takes no fence.

        A fence that is not in use is looked at, too: who cannot close updates out must not ask for the lease.
        """
        try:
            lasting = self.follow(until, clients=clients)
            if not self._open and clock() >= self._again_at:
                self._again_at = clock() + FENCE_AGAIN
                self._fence.close()
        except DebvisorError as failure:
            self._failing_since = self._failing_since or clock()
            self._again_at = float("-inf")
            if clock() - self._failing_since < FENCE_GRACE:
                return min(until, self._set_for[0])
            self.trouble = str(failure)
            return float("-inf")
        self._failing_since, self.trouble = None, ""
        return until if lasting else float("-inf")

    def shut(self) -> None:
        """Close it.

        :raises DebvisorError: where the kernel says no.
        """
        self._fence.close()
        self._open = False
        self._set_for = (float("-inf"), False)

    def follow(self, until: float, *, clients: bool) -> bool:
        """Have it open until then, or closed where that is over; False where the kernel was too slow to be sure.

        The kernel counts from when it gets to it, so a call that took long would keep the fence open too long.

        :raises DebvisorError: where it cannot be closed. It closes by itself.
        """
        if until <= clock():
            if self._open:
                self.shut()
            return True
        if (until, clients) == self._set_for:
            return True
        for _try in range(TRIES):
            before = clock()
            left = until - before - FENCE_SLACK
            if left <= 0:
                break
            renewed = self._open and self._fence.renew(left, clients=clients)
            if not renewed:
                self._fence.open(left, clients=clients)
            self._open = True
            if clock() - before < FENCE_SLACK / 2:
                self._set_for = (until, clients)
                return True
        self.shut()
        return False


class LeaseKeeper:
    """Votes for others, and holds the lease for this server while it is wanted."""

    def __init__(self, config: Settings, ring: Callable[[], None], fence: Fence | None) -> None:
        """:param ring: called when the lease comes or goes. :param fence: None on a server that never writes."""
        self.others: Callable[[bytes, str], None] = lambda datagram, address: None
        """Takes datagrams that are none of the lease's, and the addresses that they came from."""
        self._config = config
        self._ring = ring
        self._gate = Gate(fence) if fence else None
        self._keys = SharedKeys(config.peers)
        self._addresses = {server.name: server.address for server in config.servers}
        primaries = [server.name for server in config.servers if server.primary]
        self._electorate = electorate(self._addresses, config.quorum, config.lease)
        self._voter = Voter(config.node, config.lease, clock())
        self._voting = VoterDesk(
            self._voter, primaries, self._electorate, lambda: secrets.token_hex(8)
        )
        self._candidate = Candidate(
            config.node, len(config.servers), config.quorum, config.lease, random.uniform
        )
        self._asking = CandidateDesk(
            self._candidate, self._addresses, self._electorate, secrets.token_hex(8)
        )
        self._strangers: dict[str, float] = {}
        self._drains_until: float | None = None
        """Until then BIND may still do what it had received; after it the lease is given back."""
        self._waker, self._bell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._socket = socket.socket(
            socket.AF_INET6 if ":" in self._addresses[config.node] else socket.AF_INET,
            socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
        )
        self._lock = threading.Lock()
        """Over what follows, which other threads read and write."""
        self._wanted = False
        self._serves = 0
        self._known_term = 0
        self._until = float("-inf")
        self._tenure = 0
        self._term = 0
        self._rival = ""

    def open(self) -> None:
        """Listen, and close the fence, whatever an earlier life left.

        :raises DebvisorError: where the address is not free.
        """
        own = self._addresses[self._config.node]
        try:
            self._socket.bind((own, self._config.lease_port))
        except OSError as cause:
            raise DebvisorError(
                f"UDP port {self._config.lease_port} of {own} cannot be used", why=str(cause)
            ) from cause
        if self._gate:
            self._gate.keep(float("-inf"), clients=False)

    def shut(self) -> None:
        """Let go of the address, after :meth:`run` ended."""
        self._socket.close()
        for descriptor in (self._waker, self._bell):
            os.close(descriptor)

    def want(self, wanted: bool) -> None:
        """Ask for the lease from now on, or give it back."""
        with self._lock:
            changed, self._wanted = wanted != self._wanted, wanted
        if changed:
            self._wake()

    def serve(self, tenure: int) -> None:
        """Let updates of clients pass while this server has the lease of that number: BIND is the writer in it.

        With 0 none pass. In a later lease none do either until this is called anew: another server may have written.
        """
        with self._lock:
            changed, self._serves = tenure != self._serves, tenure
        if changed:
            self._wake()

    def learn(self, term: int) -> None:
        """Take note of a term that is written in a zone."""
        with self._lock:
            self._known_term = max(self._known_term, term)

    def tenure(self) -> int:
        """Return the number of the present lease; 0 where there is none.

        While it stays the same, nobody else had the lease.
        """
        with self._lock:
            return self._tenure if self._until > clock() else 0

    def term(self) -> int:
        """Return the term of the lease that this server has, or had last: no two holders have the same."""
        with self._lock:
            return self._term

    def rival(self) -> str:
        """Return who has votes where this server asks in vain; empty where nobody has."""
        with self._lock:
            return self._rival

    def strangers(self) -> list[str]:
        """Return the servers that asked lately, and know of other voters or another duration."""
        with self._lock:
            return sorted(
                name for name, at in self._strangers.items() if clock() - at < STRANGE_FOR
            )

    def trouble(self) -> str:
        """Return why this server cannot have the lease: the kernel takes no fence; empty where it does."""
        return self._gate.trouble if self._gate else ""

    def run(self, stop: threading.Event) -> None:
        """Vote and ask until told to stop; then give the lease back."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._waker, selectors.EVENT_READ)
            while not stop.is_set() or self._candidate.wanted:
                self._follow_wish(clock(), stop.is_set())
                self._act(self._asking.address(self._candidate.tick(clock())))
                self._watch_fence()
                upcoming = self._drains_until or self._candidate.next_tick()
                longest = 0.05 if self._gate and self._gate.failing else 0.2
                for key, _events in selector.select(min(longest, max(0.0, upcoming - clock()))):
                    if key.fileobj == self._waker:
                        os.read(self._waker, 64)
                    else:
                        self._receive()

    def _watch_fence(self) -> None:
        """Try again what the kernel did not take; where it does not for long, ask no more.

        The votes are not given back then: nothing but their end keeps another writer from beside a BIND that still
        takes updates.
        """
        if self._gate is None:
            return
        self._settle()
        if self._gate.trouble and self._candidate.wanted:
            self._drains_until = None
            self._candidate.want(False, clock())

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._bell, b"x")

    def _follow_wish(self, now: float, ends: bool) -> None:
        """Begin to ask; or close the fence, and give the lease back a little later."""
        with self._lock:
            wanted, known = self._wanted and not ends, self._known_term
        self._voter.learn(known)
        self._candidate.learn(known)
        if wanted and not (self._gate and self._gate.failing and not self._candidate.wanted):
            self._drains_until = None
            self._act(self._asking.address(self._candidate.want(True, now)))
        elif not wanted and self._candidate.wanted and self._drains_until is None:
            self._drains_until = now + DRAIN
            self._settle()
        elif self._drains_until is not None and now >= self._drains_until:
            self._drains_until = None
            self._act(self._asking.address(self._candidate.want(False, now)))

    def _act(self, letters: Iterable[Letter]) -> None:
        """Set the fence, and only then tell the voters: they must not free us before it is closed."""
        self._settle()
        self._send(letters)

    def _receive(self) -> None:
        """Read what is there, some of it at a time: a flood must not keep us from asking."""
        for _datagram in range(32):
            try:
                datagram, (address, *_rest) = self._socket.recvfrom(LONGEST + 1)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP message about something that was sent
            if len(datagram) > LONGEST:
                continue
            letter = unseal(datagram, functools.partial(self._keys.named, address))
            if letter is None:
                with contextlib.suppress(Exception):  # it has nothing to do with the lease
                    self.others(datagram, address)
                continue
            if self._addresses.get(letter.source) != address:
                continue
            if letter.electorate == self._electorate:
                self._take(letter)
            else:
                with self._lock:
                    self._strangers[letter.source] = clock()

    def _take(self, letter: Letter) -> None:
        now = clock()
        reply = self._voting.answer(letter, now)
        if reply is not None:
            self._send([reply])
        self._act(self._asking.hear(letter, now))

    def _send(self, letters: Iterable[Letter]) -> None:
        """Send letters; what goes to ourselves is taken at once."""
        for letter in letters:
            if letter.target == self._config.node:
                self._take(letter)
                continue
            address = self._addresses[letter.target]
            if (key := self._keys.current(address)) is None:
                continue
            with contextlib.suppress(OSError):
                self._socket.sendto(seal(letter, key), (address, self._config.lease_port))

    def _settle(self) -> None:
        """Make the fence what the lease is, and tell the others."""
        now = clock()
        until = self._candidate.until if self._drains_until is None else float("-inf")
        with self._lock:
            serves = self._serves
        if self._gate:
            clients = bool(serves) and serves == self._candidate.tenure
            until = self._gate.keep(until, clients=clients)
        rival = self._candidate.rival(now)
        with self._lock:
            had = self._until > now
            changed = had != (until > now) or self._rival != rival
            self._until, self._rival = until, rival
            self._tenure, self._term = self._candidate.tenure, self._candidate.term
        if changed:
            self._ring()
