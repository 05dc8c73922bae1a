# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""image-cache-maintenance: prune the cache of images, or read all of it again and put away what is damaged."""

from __future__ import annotations

import argparse
from pathlib import Path

from .._core import settings
from .._core.errors import DebvisorError
from .._core.executor import Outcome, Records, execute
from .._storage.jobs.sizes import Size
from .._wiring import storage
from . import image_cache_settings
from .console import complain, tell


def main(arguments: list[str] | None = None) -> int:
    """Exit 0: well; 1: an image is damaged, or a limit cannot be kept; 2: bad settings; 3: it failed."""
    parser = argparse.ArgumentParser(prog="image-cache-maintenance", description=__doc__)
    parser.add_argument("state", choices=["pruned", "verified"])
    parser.add_argument("--settings", type=Path, default=settings.image_cache_config())
    options = parser.parse_args(arguments)
    try:
        params = {**image_cache_settings.read(options.settings), "state": options.state}
    except DebvisorError as failure:
        complain(f"image-cache-maintenance: {failure}")
        return 2
    operation = storage.image_cache(params)
    outcome = execute(operation, params, Records.default(), lock_timeout=params["timeout"])
    for warning in outcome.warnings:
        complain(warning)
    if outcome.failure is not None:
        complain(f"image-cache-maintenance: {outcome.failure}")
        return 3
    tell(_told(outcome))
    return 1 if outcome.plan.warnings else 0


def _told(outcome: Outcome) -> str:
    facts = {**outcome.plan.facts, **outcome.facts}
    if "damaged" in facts:
        return f"{len(facts['verified'])} images are good, {len(facts['damaged'])} damaged"
    return f"{len(facts['removed'])} images removed, {Size(facts['freed'])} freed"
