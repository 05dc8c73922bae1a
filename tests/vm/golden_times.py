# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long volumes of a golden image take. Runs in the machine: ``python3 golden_times.py KIND POOL`` prints JSON.

The first volume takes the image from a server, and makes the golden volume; the others are cloned from that.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import bad_cases
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.backends import (
    open_backend,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_plan import (
    golden_name,
)
from bad_cases import (
    CACHE,
    IMAGE,
    POOLS,
    asked,
    cleared,
    digest,
    expect,
    image,
    make_images,
    provision,
    site,
    state,
)
from http_server import HttpServer
from spare_disk import tool

VOLUMES = 6
bad_cases.DISK = 3 << 20


def timed(server: HttpServer, number: int, kind: str) -> dict[str, Any]:
    """Fill one volume; return how, and how long that took."""
    before, began = len(asked(server)), time.monotonic()
    name = f"bad-case-{number}"
    outcome = provision(server.url + IMAGE, backend=kind, volume_name=name, golden=True, size="8M")
    took = time.monotonic() - began
    expect(outcome.failure is None, f"{outcome.failure}")
    return {
        "seconds": round(took, 2),
        "steps": [action.verb for action in outcome.plan.actions],
        "asked": len(asked(server)) - before,
        "origin": origin(kind, name),
        "holds": state(kind, name)[0],
    }


def origin(kind: str, name: str) -> str:
    """Return what the pool says that it was cloned from."""
    if kind == "zfs":
        place = f"{POOLS[kind]}/{name}"
        told = tool("zfs", "get", "-Ho", "value", "origin", place).partition("@")[0]
        return told.rpartition("/")[2]
    group = POOLS[kind].partition("/")[0]
    return tool("lvs", "--noheadings", "-o", "origin", f"{group}/{name}").strip()


def main() -> None:
    kind, pool = sys.argv[1:]
    POOLS[kind] = pool
    make_images()
    CACHE.mkdir(exist_ok=True)
    try:
        with HttpServer(site(image("b"))) as server:
            told = [timed(server, number, kind) for number in range(VOLUMES)]
        print(json.dumps({"golden": golden_name(digest(image("b"))), "volumes": told}))
    finally:
        backend = open_backend(kind, POOLS[kind])
        for each in sorted(
            backend.owned(), key=lambda volume: bool(volume.marks and volume.marks.golden)
        ):
            backend.remove(each)
        cleared([kind])


if __name__ == "__main__":
    main()
