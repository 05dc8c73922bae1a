# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to the cluster. Each fault holds while its context does, and is undone after it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

import dns.message

from tests.lab.cluster import PRIMARIES, Cluster

ZONES = "/var/lib/bind"
ASIDE = "/run/zones-aside"
PROGRAMS = ("named", "dns-role", "keepalived")
CONNECTIONS = 300


@dataclass
class World:
    """The cluster, the draw, and the nodes that another fault has already."""

    cluster: Cluster
    draw: Random
    taken: set[str] = field(default_factory=set)

    @property
    def servers(self) -> list[str]:
        return [node.name for node in self.cluster.lab.nodes]

    @contextmanager
    def victim(self, among: Sequence[str] = ()) -> Iterator[str]:
        """Take a node for a fault: the one with the VIP more often than not."""
        free = [name for name in among or self.servers if name not in self.taken]
        chosen, rather = self.draw.choice(free), self.draw.random() < 0.6
        if rather:
            holders = [name for name in free if name in PRIMARIES and self._has_vip(name)]
            chosen = holders[0] if holders else chosen
        self.taken.add(chosen)
        try:
            yield chosen
        finally:
            self.taken.discard(chosen)

    def _has_vip(self, name: str) -> bool:
        return bool(self.cluster.status(name).get("vip"))


Fault: TypeAlias = Callable[[World], AbstractContextManager[str]]


@contextmanager
def partition(world: World) -> Iterator[str]:
    """The servers fall into two parts."""
    names = world.draw.sample(world.servers, len(world.servers))
    at = world.draw.randrange(1, len(names))
    left, right = sorted(names[:at]), sorted(names[at:])
    for name in left:
        world.cluster.cut(name, right)
    yield f"partition: {' '.join(left)} | {' '.join(right)}"
    world.cluster.mend()


@contextmanager
def bridge(world: World) -> Iterator[str]:
    """One sees all, and the others fall into two parts."""
    middle, *others = world.draw.sample(world.servers, len(world.servers))
    at = world.draw.randrange(1, len(others))
    left, right = sorted(others[:at]), sorted(others[at:])
    for name in left:
        world.cluster.cut(name, right)
    yield f"bridge: {' '.join(left)} | {' '.join(right)}, and {middle} sees all"
    world.cluster.mend()


@contextmanager
def one_way(world: World) -> Iterator[str]:
    """What one says does not reach some others; what they say reaches it."""
    mute, *others = world.draw.sample(world.servers, len(world.servers))
    deaf = sorted(others[: world.draw.randrange(1, len(others) + 1)])
    world.cluster.cut(mute, deaf, one_way=True)
    yield f"one-way cut: {mute} is not heard by {' '.join(deaf)}"
    world.cluster.mend()


@contextmanager
def node_paused(world: World) -> Iterator[str]:
    """A node stands still."""
    with world.victim() as name:
        world.cluster.pause(name)
        try:
            yield f"{name} stands still"
        finally:
            world.cluster.resume(name)


@contextmanager
def node_off(world: World) -> Iterator[str]:
    """A node loses its power."""
    with world.victim() as name:
        world.cluster.kill(name)
        try:
            yield f"{name} is off"
        finally:
            world.cluster.start(name)


@contextmanager
def program_stopped(world: World) -> Iterator[str]:
    """A program hangs."""
    program = world.draw.choice(PROGRAMS)
    among = PRIMARIES if program == "keepalived" else ()
    with world.victim(among) as name:
        world.cluster.run(name, f"systemctl kill -s STOP {program}")
        try:
            yield f"{program} hangs on {name}"
        finally:
            world.cluster.run(name, f"systemctl kill -s CONT {program} || true")


@contextmanager
def program_killed(world: World) -> Iterator[str]:
    """A program dies."""
    program = world.draw.choice(PROGRAMS)
    among = PRIMARIES if program == "keepalived" else ()
    with world.victim(among) as name:
        world.cluster.run(name, f"systemctl kill -s KILL {program} || true")
        yield f"{program} dies on {name}"


@contextmanager
def disk_full(world: World) -> Iterator[str]:
    """The zones of a primary are on a small disk, and it fills up."""
    with world.victim(PRIMARIES) as name, small_disk(world.cluster, name):
        world.cluster.whole()
        world.cluster.run(name, f"dd if=/dev/zero of={ZONES}/filler bs=64k 2>/dev/null || true")
        yield f"the disk of {name} is full"
        world.cluster.run(name, f"rm -f {ZONES}/filler")


@contextmanager
def small_disk(cluster: Cluster, node: str, room: str = "24m") -> Iterator[None]:
    """Let the zones of a node be on a disk of their own. On the old one they grow old, which is for it to notice."""
    cluster.run(
        node,
        f"systemctl stop named && cp -a {ZONES} {ASIDE} && mount -t tmpfs -o size={room} zones {ZONES}"
        f" && chown bind:bind {ZONES} && cp -a {ASIDE}/. {ZONES}/ && systemctl start named",
    )
    try:
        yield
        cluster.whole()  # nothing is on this disk alone
    finally:
        cluster.run(
            node,
            f"systemctl stop named; rm -rf {ASIDE}; umount --lazy {ZONES}; systemctl start named",
        )


@contextmanager
def idle_connections(world: World) -> Iterator[str]:
    """Somebody opens connections to the VIP, and says nothing."""
    links: list[socket.socket] = []
    for _number in range(CONNECTIONS):
        link = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        link.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            link.connect((world.cluster.vip, 53))
        links.append(link)
    try:
        yield f"{CONNECTIONS} idle connections to the VIP"
    finally:
        for link in links:
            link.close()


@contextmanager
def overload(world: World) -> Iterator[str]:
    """More queries come than can be answered."""
    stop = threading.Event()
    question = dns.message.make_query(world.cluster.zone, "SOA").to_wire()

    def flood() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            while not stop.is_set():
                for _number in range(50):
                    with contextlib.suppress(OSError):
                        link.sendto(question, (world.cluster.vip, 53))

    threads = [threading.Thread(target=flood, daemon=True) for _each in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield "a flood of queries"
    finally:
        stop.set()
        for thread in threads:
            thread.join(5)


@contextmanager
def fence_lost(world: World) -> Iterator[str]:
    """Somebody flushes the rules."""
    with world.victim(PRIMARIES) as name:
        world.cluster.run(name, "nft delete table inet debvisor_dns || true")
        try:
            yield f"the fence of {name} is lost"
        finally:
            world.cluster.run(name, "systemctl restart debvisor-dns-gate")


@contextmanager
def handover(world: World) -> Iterator[str]:
    """An operator asks for a handover."""
    with world.victim(PRIMARIES) as name:
        world.cluster.run(name, "timeout 30 /usr/libexec/debvisor/dns-role handover || true")
        yield f"handover on {name}"


FAULTS: tuple[Fault, ...] = (
    partition,
    bridge,
    one_way,
    node_paused,
    node_off,
    program_stopped,
    program_killed,
    disk_full,
    idle_connections,
    overload,
    fence_lost,
    handover,
)
