# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""image-cache-tend: prune the cache of images, or read all of it again and put away what is damaged."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from .._core import settings
from .._core.errors import DebvisorError
from .._core.operation import Outcome, Records, execute
from .._core.waiting import SystemClock
from .._ports.image_folder import ImageFolder
from .._ports.libvirt_pool import LibvirtPool
from .._storage import pool
from .._storage.cache_operation import ImageCaching
from .._storage.sizes import Size
from . import image_cache_settings
from .console import complain, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: well; 1: an image is damaged, or a limit cannot be kept; 2: bad settings; 3: it failed."""
    parser = argparse.ArgumentParser(prog="image-cache-tend", description=__doc__)
    parser.add_argument("state", choices=["pruned", "verified"])
    parser.add_argument("--settings", type=Path, default=settings.image_cache_config())
    options = parser.parse_args(arguments)
    try:
        params = {**image_cache_settings.read(options.settings), "state": options.state}
    except DebvisorError as failure:
        complain(f"image-cache-tend: {failure}")
        return 2
    clock = SystemClock()
    folders = partial(ImageFolder, locks=settings.lock_dir())
    caching = ImageCaching(folders, LibvirtPool(pool.POOL), clock)
    outcome = execute(caching, params, Records.default(), lock_timeout=params["timeout"])
    for warning in outcome.warnings:
        complain(warning)
    if outcome.failure is not None:
        complain(f"image-cache-tend: {outcome.failure}")
        return 3
    tell(_told(outcome))
    return 1 if outcome.plan.warnings else 0


def _told(outcome: Outcome) -> str:
    facts = {**outcome.plan.facts, **outcome.facts}
    if "damaged" in facts:
        return f"{len(facts['verified'])} images are good, {len(facts['damaged'])} damaged"
    return f"{len(facts['removed'])} images went, {Size(facts['freed'])} were given back"
