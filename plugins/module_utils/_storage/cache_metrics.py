# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the cache of images, in Prometheus' text format. Hits and misses are counted with the jobs."""

from __future__ import annotations

from .cache_looking import Stock

PREFIX = "libvirt_volume_provisioner_cache"


def text(stock: Stock) -> str:
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
            "Bytes of downloads that were cut off, of quarantine and the like.",
            stock.useless,
        ),
        ("free_bytes", "Bytes that are free on the file system of the cache.", stock.free),
    ]
    return "".join(
        f"# HELP {PREFIX}_{name} {told}\n# TYPE {PREFIX}_{name} gauge\n{PREFIX}_{name} {value}\n"
        for name, told, value in gauges
    )
