# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""image-cache-metrics: write what is in the cache of images, for node_exporter."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from .._core import settings
from .._core.durable import write_whole
from .._core.errors import DebvisorError
from .._core.waiting import SystemClock
from .._ports.image_folder import ImageFolder
from .._ports.libvirt_pool import LibvirtPool
from .._storage import cache_metrics, pool
from .._storage.cache_looking import CacheLooking
from . import image_cache_settings
from .console import complain


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: written; 2: it cannot be."""
    parser = argparse.ArgumentParser(prog="image-cache-metrics", description=__doc__)
    parser.add_argument("--settings", type=Path, default=settings.image_cache_config())
    parser.add_argument("--output", type=Path, required=True, help="file of the textfile collector")
    options = parser.parse_args(arguments)
    folders = partial(ImageFolder, locks=settings.lock_dir())
    looking = CacheLooking(folders, LibvirtPool(pool.POOL), SystemClock())
    try:
        stock = looking.stock(image_cache_settings.read(options.settings)["path"])
        write_whole(options.output, cache_metrics.text(stock).encode(), mode=0o644)
    except (DebvisorError, OSError) as failure:
        complain(f"image-cache-metrics: {failure}")
        return 2
    return 0
