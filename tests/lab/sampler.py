# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node, standard library only: note every argument and environment seen in /proc until told to stop.

It prints one JSON list of distinct texts at the end. It stops after the seconds given as its argument, or as soon as
the file /run/debvisor-sampler.stop appears.
"""

from __future__ import annotations

import json
import os
import sys
import time

STOP = "/run/debvisor-sampler.stop"


YOUNG, SELDOM = 50, 100
"""Looks for which a process is new, and may become another program; after that it is looked at each so many."""


def look(ages: dict[str, int]) -> set[str]:
    """Read what is new, and of the rest a part. ``ages`` holds in how many looks each process was there."""
    seen = set()
    there = {entry for entry in os.listdir("/proc") if entry.isdigit()}
    for entry in ages.keys() - there:
        del ages[entry]
    for entry in there - {str(os.getpid())}:
        age = ages[entry] = ages.get(entry, -1) + 1
        if age > YOUNG and age % SELDOM:
            continue
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{entry}/{name}", "rb") as stream:
                    seen.add(stream.read().decode(errors="replace"))
            except OSError:
                continue  # the process ended between the listing and the look
    return seen


def main() -> None:
    deadline = time.monotonic() + float(sys.argv[1])
    seen: set[str] = set()
    rounds = 0
    ages: dict[str, int] = {}
    while time.monotonic() < deadline and not os.path.exists(STOP):
        seen |= look(ages)
        rounds += 1
        time.sleep(0.01)
    json.dump({"rounds": rounds, "texts": sorted(seen)}, sys.stdout)


if __name__ == "__main__":
    main()
