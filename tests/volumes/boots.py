# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node: fill a volume with a tiny image, and boot a guest of libvirt from it.

``python3 boots.py KIND POOL MARKER`` prints what its serial port said.
"""

from __future__ import annotations

import sys

from bad_cases import (
    CACHE,
    DISK,
    FOLDER,
    IMAGE,
    POOLS,
    cleared,
    convert,
    make_images,
    provision,
    site,
    state,
)
from boot_sector import boot_sector
from guest import await_text, libvirt_guest
from http_server import HttpServer


def main() -> None:
    kind, pool, marker = sys.argv[1:]
    POOLS[kind] = pool
    make_images()
    CACHE.mkdir()
    disk = FOLDER / "boot.raw"
    disk.write_bytes(boot_sector(marker).ljust(DISK, b"\0"))
    convert(disk, disk.with_suffix(".qcow2"))
    try:
        with HttpServer(site(disk.with_suffix(".qcow2").read_bytes())) as server:
            outcome = provision(
                server.url + IMAGE, backend=kind, pool=POOLS[kind], image_type="qcow2"
            )
        if outcome.failure is not None:
            raise outcome.failure
        with libvirt_guest(source(state(kind)[1].path)):
            print(await_text(marker))
    finally:
        cleared([kind])


def source(path: str) -> dict[str, str]:
    """Return how a disk of libvirt names what volume_image calls by this path."""
    if path.startswith("rbd:"):
        return {"protocol": "rbd", "name": path.split(":")[1]}
    return {"dev" if path.startswith("/dev/") else "file": path}


if __name__ == "__main__":
    main()
