# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A world of DNS servers that is out to break the lease, in simulated time.

Messages are late, lost, doubled and overtaken; links break in one direction or in both; clocks are wrong by an hour,
and run too fast or too slow; programs are killed and start again; machines stand still while their clocks go on.
A schedule is all of that from one seed, and a calm end in which somebody has to get the lease.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from types import ModuleType
from typing import Any

DURATION = 1.0
STORM = 4.0
"""Seconds of faults."""
CALM = 2.5
"""Seconds without any, by the end of which somebody writes: a start's silence, and some rounds."""

MOST = 5000
"""Messages of a whole schedule: some thousand are what it takes."""


class Violation(AssertionError):
    """What must never happen, and did."""


class Machine:
    """One DNS server: its clock, its programs, and the kernel's fence, which outlives them."""

    def __init__(self, world: World, name: str, primary: bool, drift: float) -> None:
        draw = world.random
        self.world, self.name, self.primary = world, name, primary
        self._rate = 1 + draw.choice((-drift, drift, draw.uniform(-drift, drift)))
        self._offset = draw.uniform(0, 3600)
        self.life = 0
        self.up = False
        self.paused = False
        self.lives: dict[str, int] = {}
        """Which life of each candidate the voter talks with."""
        self.open_until = float("-inf")
        """By its own clock: until then updates pass."""
        self._planned = float("inf")
        self.voter: Any = None
        self.candidate: Any = None

    def clock(self) -> float:
        return self._offset + self.world.now * self._rate

    def writes(self) -> bool:
        return self.primary and self.clock() < self.open_until

    def start(self) -> None:
        """Start the program: it closes the fence before anything else, and remembers nothing."""
        world = self.world
        self.up = True
        self.life += 1
        self.lives = {}
        self.open_until = float("-inf")
        self._planned = float("inf")
        self.voter = world.code.Voter(self.name, DURATION, self.clock())
        if self.primary:
            self.candidate = world.code.Candidate(
                self.name, world.count, world.quorum, DURATION, world.random.uniform
            )
            self._send(self.candidate.want(True, self.clock()))

    def kill(self) -> None:
        """Kill it; the fence stays as it is."""
        self.up = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._planned = float("inf")
        if self.up and self.primary:
            self._settle()

    def change_mind(self) -> None:
        """Stop wanting the lease, or begin to, as where the VIP moves."""
        if self.up and not self.paused and self.primary:
            self._send(self.candidate.want(not self.candidate.wanted, self.clock()))

    def _send(self, requests: tuple[Any, ...]) -> None:
        for request in requests:
            for voter in self.world.machines:
                self.world.carry(self, voter, (request, self.life, voter.life))
        self._settle()

    def _settle(self) -> None:
        """Set the fence as the candidate says, and plan its next tick."""
        now = self.clock()
        left = self.candidate.left(now)
        self.open_until = now + left
        if left:
            self.world.check()
        upcoming = self.candidate.next_tick()
        if upcoming == float("inf"):
            return
        when = max(self.world.now, (upcoming - self._offset) / self._rate) + 1e-6
        if when < self._planned - 1e-9 or self._planned < self.world.now:
            self._planned = when
            self.world.plan(when, self._tick, self.life)

    def _tick(self, life: int) -> None:
        if self.up and not self.paused and life == self.life and self.world.now >= self._planned:
            self._planned = float("inf")
            self._send(self.candidate.tick(self.clock()))

    def receive(self, source: Machine, message: tuple[Any, int, int]) -> None:
        """Take a message in; what was meant for another life of either side is refused, as sessions do."""
        content, source_life, own_life = message
        if not self.up or own_life != self.life:
            return
        if self.paused:
            self.world.plan(self.world.now + 0.05, self._later, (source, message))
            return
        if not isinstance(content, self.world.requests):
            self.candidate.hear(content, self.clock())
            self._settle()
            return
        known = self.lives.get(source.name, 0)
        if source_life < known:
            return
        if source_life > known:
            self.lives[source.name] = source_life
            self.voter.begin_anew(source.name)
        reply = self.voter.answer(content, self.clock())
        if reply is not None:
            self.world.carry(self, source, (reply, self.life, source_life))

    def _later(self, arguments: tuple[Machine, tuple[Any, int, int]]) -> None:
        self.receive(*arguments)


class World:
    """All of it; :meth:`run` runs one schedule.

    :param code: the module of the lease, or a mutation of it.
    :param drift: by how much clocks may be wrong, as a share.
    """

    def __init__(self, code: ModuleType, seed: int, *, drift: float, servers: int = 0) -> None:
        self.random = draw = Random(seed)
        self.code = code
        self.requests = (code.Ask, code.Release)
        self.now = 0.0
        self.count = servers or draw.choice((3, 3, 4, 5))
        self.quorum = self.count // 2 + 1
        self._about = f"seed {seed}, {self.count} servers"
        self._queue: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._planned = 0
        self._cut: set[tuple[str, str]] = set()
        self._loss = draw.choice((0.0, 0.0, 0.1, 0.4))
        self._doubled = draw.choice((0.0, 0.2))
        self._delay = draw.choice((0.002, 0.02, 0.1, 0.5))
        self.machines = [Machine(self, f"n{i}", i < 2, drift) for i in range(self.count)]
        self.messages = 0

    def plan(self, when: float, action: Callable[[Any], None], argument: Any) -> None:
        self._planned += 1
        heapq.heappush(self._queue, (when, self._planned, action, argument))

    def carry(self, source: Machine, target: Machine, message: tuple[Any, int, int]) -> None:
        """Carry a message, or not, or twice. What a machine tells itself arrives at once."""
        self.messages += 1
        if source is target:
            self.plan(self.now, self._arrive, (source, target, message))
            return
        draw = self.random.random
        if (source.name, target.name) in self._cut or draw() < self._loss:
            return
        for _copy in range(2 if draw() < self._doubled else 1):
            late = self._delay * (draw() if draw() < 0.9 else 4 * draw())
            self.plan(self.now + late, self._arrive, (source, target, message))

    def _arrive(self, arguments: tuple[Machine, Machine, tuple[Any, int, int]]) -> None:
        source, target, message = arguments
        if (source.name, target.name) not in self._cut:
            target.receive(source, message)

    def _fault(self, _nothing: None) -> None:
        """Break something, mend something, and plan the next fault."""
        draw = self.random
        machine = draw.choice(self.machines)
        match draw.randrange(8):
            case 0:
                self._cut = {pair for pair in self._pairs() if draw.random() < 0.3}
            case 1:
                side = {each.name for each in self.machines if draw.random() < 0.5}
                self._cut = {
                    pair for pair in self._pairs() if (pair[0] in side) != (pair[1] in side)
                }
            case 2:
                self._cut = set()
            case 3:
                self._cut = {("n0", "n1"), ("n1", "n0")}
            case 4 if machine.up:
                machine.kill()
                self.plan(self.now + draw.choice((0.01, 0.3, 1.5)), self._start, machine)
            case 5 if not machine.paused:
                machine.pause()
                self.plan(self.now + draw.uniform(0.05, 2), lambda each: each.resume(), machine)
            case 6:
                draw.choice(self.machines[:2]).change_mind()
            case 7:
                self._delay = draw.choice((0.002, 0.02, 0.1, 0.5))
        upcoming = self.now + draw.expovariate(4 / DURATION)
        if upcoming < STORM:
            self.plan(upcoming, self._fault, None)

    def _pairs(self) -> list[tuple[str, str]]:
        names = [machine.name for machine in self.machines]
        return [(a, b) for a in names for b in names if a != b]

    def _start(self, machine: Machine) -> None:
        if not machine.up:
            machine.start()

    def _calm(self, _nothing: None) -> None:
        """Mend everything; the first primary wants the lease, the other one by chance."""
        self._cut, self._loss, self._doubled, self._delay = set(), 0.0, 0.0, 0.01
        for machine in self.machines:
            machine.resume()
            self._start(machine)
        if not self.machines[0].candidate.wanted:
            self.machines[0].change_mind()

    def check(self) -> None:
        """See that no two write. It is enough to look where a fence opens."""
        if all(machine.writes() for machine in self.machines[:2]):
            raise Violation(f"{self._about}: two write at {self.now:.4f}")

    def run(self) -> None:
        """Run the schedule.

        :raises Violation: where two write at once, or nobody does in the end.
        """
        for machine in self.machines:
            machine.start()
        self.plan(self.random.uniform(0, DURATION), self._fault, None)
        self.plan(STORM + 2.1, self._calm, None)
        end = STORM + 2.1 + CALM
        primaries = self.machines[:2]
        while self._queue:
            when, _order, action, argument = heapq.heappop(self._queue)
            if when > end:
                break
            self.now = when
            action(argument)
            if self.messages > MOST:
                raise Violation(f"{self._about}: {MOST} messages by {self.now:.4f}")
        if not any(machine.writes() for machine in primaries):
            raise Violation(f"{self._about}: nobody writes after {CALM} s without faults")


class Walk:
    """The same programs on a random walk: any message may come next, at any time, or never, or again.

    It knows no network and no calm end, and takes a hundredth of the time of :class:`World`.
    """

    STEPS = 100

    def __init__(self, code: ModuleType, seed: int, *, drift: float) -> None:
        self._draw = draw = Random(seed)
        self._code, self._about = code, f"walk {seed}"
        self._count = draw.choice((3, 3, 4, 5))
        self._rates = [1 + draw.choice((-drift, drift)) for _server in range(self._count)]
        self._now = 100.0
        self._lives = [1] * self._count
        self._heard = [[1, 1] for _server in range(self._count)]
        """Which life of each candidate each voter talks with."""
        self._voters = [code.Voter(str(i), DURATION, 0.0) for i in range(self._count)]
        self._candidates = [self._candidate(0), self._candidate(1)]
        self._lost = draw.choice((0.0, 0.2, 0.5))
        self._sent: list[tuple[int, int, Any, int, int]] = []
        """Source, target, content, and the lives of both that it is meant for."""

    def _candidate(self, which: int) -> Any:
        quorum = self._count // 2 + 1
        made = self._code.Candidate(str(which), self._count, quorum, DURATION, self._draw.uniform)
        made.want(True, self._now * self._rates[which])
        return made

    def run(self) -> None:
        """Walk.

        :raises Violation: where two write at once.
        """
        draw = self._draw
        pace = draw.choice((0.002, 0.02, 0.1))
        restarts = draw.choice((0.0, 0.02, 0.1))
        minds = restarts + draw.choice((0.0, 0.05))
        skew, first = draw.choice((1, 3)), draw.choice((0.5, 0.85))
        for _step in range(self.STEPS):
            self._now += pace * draw.random()
            what = draw.random()
            if draw.random() < 0.1:
                self._now = max(self._now, self._edge())
            if what < restarts:
                self._restart(draw.randrange(self._count))
            elif what < minds:
                which = draw.randrange(2)
                clock = self._now * self._rates[which]
                candidate = self._candidates[which]
                self._send(which, candidate.want(not candidate.wanted, clock))
            elif what < minds + 0.25 or not self._sent:
                which = 0 if draw.random() < first else 1
                self._send(which, self._candidates[which].tick(self._now * self._rates[which]))
            else:
                # Mostly one of the newest; what came may come again.
                position = -1 - int(len(self._sent) * draw.random() ** skew)
                message = self._sent[position] if draw.random() < 0.1 else self._sent.pop(position)
                self._deliver(*message)

    def _edge(self) -> float:
        """Return a moment that matters: a voter becomes free, so that a lease of its vote has to be over; or a tick."""
        which = self._draw.randrange(self._count + 2)
        if which < self._count:
            edge = self._voters[which].binds_until / self._rates[which]
        else:
            which -= self._count
            edge = self._candidates[which].next_tick() / self._rates[which]
        return float(edge) + 1e-9 if edge < self._now + DURATION else 0.0

    def _restart(self, which: int) -> None:
        self._lives[which] += 1
        self._heard[which] = [0, 0]
        self._voters[which] = self._code.Voter(str(which), DURATION, self._now * self._rates[which])
        if which < 2:
            self._candidates[which] = self._candidate(which)

    def _send(self, which: int, requests: tuple[Any, ...]) -> None:
        for request in requests:
            self._sent += [
                (which, voter, request, self._lives[which], self._lives[voter])
                for voter in range(self._count)
                if self._draw.random() >= self._lost
            ]

    def _deliver(self, source: int, target: int, content: Any, life: int, own_life: int) -> None:
        if own_life != self._lives[target]:
            return
        clock = self._now * self._rates[target]
        if isinstance(content, (self._code.Grant, self._code.Refusal)):
            self._candidates[target].hear(content, clock)
            if all(
                candidate.left(self._now * rate)
                for candidate, rate in zip(self._candidates, self._rates, strict=False)
            ):
                raise Violation(f"{self._about}: two write")
            return
        heard = self._heard[target]
        if life < heard[source]:
            return
        if life > heard[source]:
            heard[source] = life
            self._voters[target].begin_anew(str(source))
        reply = self._voters[target].answer(content, clock)
        if reply is not None:
            self._sent.append((target, source, reply, own_life, life))
