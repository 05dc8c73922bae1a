# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease of the one writer: granted by a majority of the DNS servers, for a time, without disks and common clocks.

After PaxosLease (arXiv 1209.4187). Each :class:`Voter` grants the lease to one node at a time, and counts the time from
when it granted; each :class:`Candidate` counts it, a little shorter, from before it asked. Two majorities share a
voter, so while one node holds the lease by its own clock, no other node can get it.

What this rests on: clocks that run at the right speed within :data:`DRIFT`, and go on while a machine sleeps; messages
that nobody forged. What it does not rest on: clocks that agree, messages that arrive once, in order, or at all.

PaxosLease asks twice, to prepare and to propose. Here one question is enough, because a voter never takes a lease that
runs from its holder: who loses a split vote gives back what it got, and tries again after a random pause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

DRIFT = 0.01
"""By how much a clock may run too fast or too slow: twenty times what NTP corrects (500 ppm)."""
MARGIN = 0.05
"""By how much the holder's lease is shorter than the voters'; it covers two clocks, each off by ``2 * DRIFT``."""
RENEWALS = 4
"""How often the holder asks within one lease: three lost rounds do not cost it the lease."""
QUESTIONS = 8
"""How often a candidate without the lease asks within one lease. Before it tries anew it pauses that long at most."""
ATTEMPT = 0.5
"""Share of a lease after which a candidate without a majority gives back what it got: some round trips."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A candidate asks for the lease, or for more of it. ``number`` grows with each question of a process."""

    node: str
    number: int
    term: int


@dataclass(frozen=True, slots=True)
class Release:
    """A candidate gives back what it got for its questions up to ``number``."""

    node: str
    number: int


@dataclass(frozen=True, slots=True)
class Grant:
    """A voter grants the lease for the question ``number``."""

    voter: str
    number: int
    term: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A voter says no to the question ``number``: ``holder`` has its vote for ``left`` seconds, or the term is old.

    A voter that just started refuses everybody, without a holder: it may have granted the lease before, and forgot.
    """

    voter: str
    number: int
    term: int
    holder: str
    left: float


Request: TypeAlias = "Ask | Release"
Reply: TypeAlias = "Grant | Refusal"


class Voter:
    """One DNS server's vote. It lives in memory only.

    :param duration: seconds that a vote binds it; and that it is silent for after its start.
    """

    def __init__(self, name: str, duration: float, now: float) -> None:
        self.name = name
        self.term = 0
        self.holder = ""
        self._duration = duration
        self.binds_until = now + duration
        """Until then ``holder`` has the vote; after the start, nobody can have it."""
        self._last: dict[str, int] = {}
        """The last number that each node used: what comes later with a smaller one was overtaken on its way."""

    def answer(self, request: Request, now: float) -> Reply | None:
        """Return the reply to a request; None where it needs none."""
        if request.number <= self._last.get(request.node, 0):
            return None
        if isinstance(request, Release):
            self._last[request.node] = request.number
            if self.holder == request.node:
                self.holder, self.binds_until = "", now
            return None
        self._last[request.node] = request.number
        renewal = self.holder == request.node and request.term == self.term
        if now < self.binds_until and self.holder != request.node:
            return self._refusal(request, now)
        if request.term < self.term or (request.term == self.term and not renewal):
            return self._refusal(request, now)
        self.holder, self.term = request.node, request.term
        self.binds_until = now + self._duration
        return Grant(self.name, request.number, self.term)

    def learn(self, term: int) -> None:
        """Take note of a term that left its mark elsewhere: whoever had an older one has been succeeded."""
        self.term = max(self.term, term)

    def begin_anew(self, node: str) -> None:
        """Forget the numbers of a node whose program started again, and counts from one."""
        self._last.pop(node, None)

    def _refusal(self, request: Ask, now: float) -> Refusal:
        left = max(0.0, self.binds_until - now)
        return Refusal(self.name, request.number, self.term, self.holder if left else "", left)


@dataclass(slots=True)
class _Question:
    """A question that is on its way, and what came back for it."""

    number: int
    asked: float
    term: int
    granted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


class Candidate:
    """One primary's side: it asks for the lease while it is wanted, and knows until when it has it.

    What :meth:`tick` and :meth:`want` return goes to every voter, its own included.

    :param voters: how many there are. :param quorum: how many grants make the lease; more than half of them.
    :param duration: seconds, the same for all voters.
    :param pick: draws a number between two, as :meth:`random.Random.uniform` does.
    """

    def __init__(
        self,
        node: str,
        voters: int,
        quorum: int,
        duration: float,
        pick: Callable[[float, float], float],
    ) -> None:
        if not voters // 2 < quorum <= voters:
            raise ValueError(f"{quorum} of {voters} is no majority")
        self.node = node
        self.term = 0
        """Of the lease that it has, or had last."""
        self.tenure = 0
        """How often it got the lease. While that stays the same and it has the lease, nobody else had it in between."""
        self.wanted = False
        self._voters, self._quorum, self._duration, self._pick = voters, quorum, duration, pick
        self.until = float("-inf")
        """When the lease ends; in the past where there is none."""
        self._next = float("-inf")
        self._began = float("-inf")
        self._failed = False
        self._number = 0
        self._held_by = 0
        """The youngest question that got a majority."""
        self._youngest = 0
        self._asked_term = 0
        self._open: dict[int, _Question] = {}
        self._rivals: dict[str, tuple[str, float]] = {}

    def left(self, now: float) -> float:
        """Return for how many seconds it has the lease; 0 where it has not."""
        return max(0.0, self.until - now)

    def rival(self, now: float) -> str:
        """Return who else has votes that still bind, as far as this candidate was told; empty where nobody has."""
        found = [holder for holder, until in self._rivals.values() if now < until]
        return max(found, key=lambda name: (found.count(name), name), default="")

    def want(self, wanted: bool, now: float) -> tuple[Request, ...]:
        """Begin to ask, or give the lease back: it is not held any more when this returns."""
        if wanted == self.wanted:
            return ()
        self.wanted = wanted
        self._next = now
        return () if wanted else self._give_back()

    def learn(self, term: int) -> None:
        """Take note of a term that was known before the voters started."""
        self._youngest = max(self._youngest, term)

    def next_tick(self) -> float:
        """Return when :meth:`tick` has something to do."""
        return self._next if self.wanted else float("inf")

    def tick(self, now: float) -> tuple[Request, ...]:
        """Return what to send now."""
        if not self.wanted or now < self._next:
            return ()
        if self.left(now):
            return self._ask(now, self._duration / RENEWALS)
        if not self._open:
            self._began, self._failed = now, False
            self._asked_term = self._youngest + 1
        elif self._failed or now - self._began >= ATTEMPT * self._duration:
            # Votes that made no majority must not keep the others from theirs.
            self._next = now + self._pick(0.0, self._duration / QUESTIONS)
            return self._give_back()
        return self._ask(now, self._duration / QUESTIONS)

    def hear(self, reply: Reply, now: float) -> None:
        """Take a voter's reply in."""
        self._youngest = max(self._youngest, reply.term)
        self._note_rival(reply, now)
        question = self._open.get(reply.number)
        if question is None:
            return
        if isinstance(reply, Grant):
            question.granted.add(reply.voter)
            if len(question.granted) >= self._quorum:
                self._hold(question, now)
            return
        question.refused.add(reply.voter)
        # No majority can come of it. A holder has been succeeded while its clock stood still, or the voters forgot it.
        hopeless = (
            len(question.refused) > self._voters - self._quorum and reply.number > self._held_by
        )
        if hopeless:
            self.until = float("-inf")
        if not self.left(now) and (hopeless or reply.term >= self._asked_term):
            self._failed = True
            self._next = now

    def _hold(self, question: _Question, now: float) -> None:
        """Take note of a majority."""
        until = question.asked + self._duration * (1 - MARGIN)
        if until <= now:
            return
        if not self.left(now):
            self.tenure += 1
        self.until = max(self.until, until)
        self._held_by = max(self._held_by, question.number)
        self._next = max(now, question.asked + self._duration / RENEWALS)
        self.term = question.term
        # A voter that let another candidate try knows a younger term. That nobody got it is sure now, and only now.
        self._asked_term = max(self.term, self._youngest + (self._youngest > self.term))

    def _ask(self, now: float, pause: float) -> tuple[Request, ...]:
        self._number += 1
        self._next = now + pause
        oldest = now - self._duration
        self._open = {number: each for number, each in self._open.items() if each.asked > oldest}
        self._open[self._number] = _Question(self._number, now, self._asked_term)
        return (Ask(self.node, self._number, self._asked_term),)

    def _give_back(self) -> tuple[Request, ...]:
        """Forget every grant, those on their way too, and free the voters."""
        self.until = float("-inf")
        self._open.clear()
        self._number += 1
        return (Release(self.node, self._number),)

    def _note_rival(self, reply: Reply, now: float) -> None:
        if isinstance(reply, Refusal) and reply.holder not in ("", self.node):
            self._rivals[reply.voter] = (reply.holder, now + reply.left)
        else:
            self._rivals.pop(reply.voter, None)
