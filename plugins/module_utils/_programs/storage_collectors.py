# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collectors of volumes and of the image cache. ``about`` is what their roles wrote for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._core import settings
from .._storage.images import cache_metrics
from .._storage.jobs import volume_metrics
from .._wiring import storage
from .._wiring.jobs import jobs
from . import image_cache_settings
from .collected import Collected
from .console import complain


def of_image_cache(about: Mapping[str, Any]) -> Collected:
    """What is in the cache of images."""
    path = Path(about.get("settings", settings.image_cache_config()))
    stock = storage.cache_contents().stock(image_cache_settings.read(path)["path"])
    return Collected(cache_metrics.families(stock))


def of_volumes(about: Mapping[str, Any]) -> Collected:
    """What the jobs of this host did and do."""
    present = jobs()
    return Collected(volume_metrics.families(present.counters(), present.all()))


def settle_volumes() -> None:
    """Record jobs that died without doing so themselves."""
    for job in jobs().settle():
        complain(f"the job {job.job_id} failed: {job.error and job.error.what}")
