# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports of ``volume_image`` on a real host, put together in one place: the module and the boot need the same."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from .._core.waiting import Clock
from .._storage import pool
from .._storage.image_cache import Cache
from .._storage.volume_operation import Ports
from .._storage.work import ImageSource, Work
from .backends import open_backend
from .directory_pool import real_place
from .image_folder import ImageFolder
from .libvirt_host import LibvirtHost
from .libvirt_pool import LibvirtPool
from .qemu_img import QemuImg


class Calendar:
    """The host's calendar."""

    def utc(self) -> str:
        """Return the present second, as in ``2026-01-31T12:00:00Z``."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def volume_ports(
    source: ImageSource | None,
    work: Work,
    clock: Clock,
    lock: Callable[[str, float], AbstractContextManager[None]],
    locks: Path,
    cache_path: str | None = None,
) -> Ports:
    """Return what a run on this host works with.

    :param lock: takes a named lock, waiting so many seconds at most.
    :param locks: folder of the locks of images.
    :param cache_path: folder of the cache, where it is not that of libvirt's pool.
    """
    images = LibvirtPool(pool.POOL)
    folder = pool.folder(cache_path, None if cache_path else images.facts())
    return Ports(
        backend=open_backend,
        real_place=real_place,
        source=source,
        cache=Cache(ImageFolder(folder, locks), images, clock),
        disks=QemuImg(),
        guests=LibvirtHost(),
        work=work,
        lock=lock,
        calendar=Calendar(),
        token=secrets.token_hex(4),
    )
