# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the cache of images. Hits and misses are counted with the jobs."""

from __future__ import annotations

from ..._core.metrics import Family, single
from .cache_looking import Stock

PREFIX = "libvirt_volume_provisioner_cache"


def families(stock: Stock) -> list[Family]:
    """Return all of it."""
    quarantine = [each for each in stock.leftovers if each.kind == "quarantine"]
    gauges = [
        ("images", "Images in the cache.", len(stock.images)),
        ("bytes", "Bytes on disk of these images.", stock.room),
        (
            "evictable_bytes",
            "Bytes of images that are neither pinned nor in use.",
            stock.evictable,
        ),
        (
            "doubtful_images",
            "Images that are not, or not provably, the file that was verified.",
            sum(not each.verified for each in stock.images),
        ),
        ("quarantined_images", "Files that were not what they should have been.", len(quarantine)),
        (
            "leftover_bytes",
            "Bytes of interrupted downloads, of quarantine and the like.",
            stock.useless,
        ),
        ("free_bytes", "Bytes that are free on the file system of the cache.", stock.free),
    ]
    return [single(f"{PREFIX}_{name}", "gauge", said, value) for name, said, value in gauges]
