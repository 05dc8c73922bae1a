# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The writer's lease, simulated by the million: how many schedules a second, and that none makes two holders.

``DEBVISOR_SCHEDULES`` says how many, ``DEBVISOR_SEED`` from which seed on; the unit tests begin at 0.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer import lease

from tests.bench.report import Row
from tests.fakes.lease_world import Walk, World

WALKS = int(os.environ.get("DEBVISOR_SCHEDULES", "2000000"))
FIRST = int(os.environ.get("DEBVISOR_SEED", "1000000"))
PART = 10_000
STORMS_IN_A_HUNDRED = 1
"""The larger world takes a hundred times as long as a walk."""


def simulate(first: int, count: int) -> float:
    """Run schedules; return the seconds that the walks took.

    :raises Violation: where two hold the lease, or nobody gets it; it names the seed.
    """
    began = time.perf_counter()
    for seed in range(first, first + count):
        Walk(lease, seed, drift=2 * lease.DRIFT).run()
    took = time.perf_counter() - began
    for seed in range(first, first + count * STORMS_IN_A_HUNDRED // 100):
        World(lease, seed, drift=2 * lease.DRIFT).run()
    return took


def measure() -> Iterator[list[Row]]:
    """Yield one row: walks a second of one process."""
    rates = []
    began = time.monotonic()
    with ProcessPoolExecutor() as pool:
        parts = [pool.submit(simulate, first, PART) for first in range(FIRST, FIRST + WALKS, PART)]
        for done, part in enumerate(as_completed(parts), 1):
            rates.append(PART / part.result())
            share = done / len(parts)
            left = (time.monotonic() - began) * (1 / share - 1)
            print(f"\rlease    {share:4.0%}, {left:5.0f} s left", end="", file=sys.stderr)
    print(file=sys.stderr)
    note = f"{len(parts) * PART:,} schedules from seed {FIRST:,}, and {len(parts) * PART // 100:,} storms: no violation"
    yield [Row("schedules of the writer's lease, one process", "schedules/s", rates, note=note)]
