# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run: writers everywhere, and faults in random sequence from a seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random

from tests.lab.cluster import Cluster
from tests.random_faults import verdict
from tests.random_faults.faults import FAULTS, Fault, World
from tests.random_faults.writers import writing

LASTS = (1.5, 8.0)
"""Seconds that a fault lasts, from and to; the lease lasts one."""
REST = (0.0, 4.0)
TWO_AT_ONCE = 0.25
"""How often a second fault comes on top of the first."""
SETTLES = 0.3
"""How often the cluster may come to rest before the next fault."""


@dataclass
class Outcome:
    """What a run showed. ``wrong`` is empty where all is well."""

    seed: int
    servers: int
    seconds: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)
    acknowledged: Mapping[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def run(cluster: Cluster, seed: int, seconds: float, tell: Callable[[str], None]) -> Outcome:
    """Do it. Faults are drawn from the seed; when they strike also depends on the machine."""
    world = World(cluster, Random(seed))
    outcome = Outcome(seed, len(world.servers))
    verdict.settle(cluster)
    reports, began = verdict.reports(cluster), time.monotonic()
    with writing(cluster) as writers:
        while (passed := time.monotonic() - began) < seconds:
            for what in _strike(world, outcome):
                tell(f"{passed:6.0f} s  {what}")
            time.sleep(world.draw.uniform(*REST))
            if world.draw.random() < SETTLES:
                cluster.whole()
        verdict.settle(cluster)
    outcome.seconds = round(time.monotonic() - began, 1)
    found = writers.acknowledged()
    outcome.acknowledged = {where: len(names) for where, names in found.items()}
    names = set().union(*found.values())
    verdict.settle(cluster)
    for server, missing in verdict.lost(cluster, names).items():
        outcome.wrong.append(f"{server} lacks {len(missing)} acknowledged names: {missing[:5]}")
    outcome.wrong += verdict.two_writers(cluster, names)[:20]
    outcome.wrong += verdict.conflicts(cluster, reports)
    return outcome


def _strike(world: World, outcome: Outcome) -> Iterator[str]:
    """Let one or two faults hold for a while; say which as they begin."""
    chosen: list[Fault] = [world.draw.choice(FAULTS)]
    if world.draw.random() < TWO_AT_ONCE:
        chosen.append(world.draw.choice([each for each in FAULTS if each is not chosen[0]]))
    chosen.sort(
        key=lambda each: each.__name__ != "disk_full"
    )  # it wants a whole cluster to begin with
    with ExitStack() as stack:
        for fault in chosen:
            yield stack.enter_context(fault(world))
            name = fault.__name__
            outcome.faults[name] = outcome.faults.get(name, 0) + 1
        time.sleep(world.draw.uniform(*LASTS))
