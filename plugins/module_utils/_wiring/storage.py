# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on volumes and on the cache of images, with their real ports."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from .._core import settings
from .._core.audit import requester
from .._core.errors import DebvisorError
from .._core.locking import locked
from .._core.ports import Clock
from .._core.secret import Secret
from .._core.waiting import SystemClock
from .._ports.http.http_session import Access
from .._ports.http.retries import Limits
from .._ports.storage.backends import open_backend
from .._ports.storage.directory_pool import canonical_pool
from .._ports.storage.image_folder import ImageFolder
from .._ports.storage.image_source import ImageAddress, WebImage
from .._ports.virt.libvirt_host import LibvirtHost
from .._ports.virt.libvirt_pool import LibvirtPool
from .._ports.virt.qemu_img import QemuImg
from .._storage.images import libvirt_pool
from .._storage.images.cache_directory import CacheDirectory
from .._storage.images.cache_looking import CacheLooking
from .._storage.images.cache_operation import CacheOperation
from .._storage.jobs.job_protocols import ImageSource, Work
from .._storage.jobs.job_run import UnrecordedRun
from .._storage.volumes.volume_operation import Ports, VolumeImage
from .jobs import job_run


class Calendar:
    """The host's calendar."""

    def utc(self) -> str:
        """Return the present second, as in ``2026-01-31T12:00:00Z``."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class GuestsSoFar(LibvirtHost):
    """The guests of this host, where libvirt runs. At boot it waits for us; only the kernel knows of users then."""

    def needing_disk(self, path: str) -> tuple[tuple[str, str], ...]:
        """Name those that are known to have it."""
        try:
            return super().needing_disk(path)
        except DebvisorError:
            return ()


def image_at(params: Mapping[str, Any]) -> WebImage | None:
    """Return the image that the options name, or None where they name none. Its server is not asked yet."""
    if not params["image_url"]:
        return None
    signed = params["signed_urls"] or {}
    checksum = params["checksum"] or ""
    published = signed.get("checksum") or (checksum if "/" in checksum else "")
    access = Access(
        ca=params["ca_path"] or "",
        cert=params["client_cert"] or "",
        key=params["client_key"] or "",
        validate_certs=params["validate_certs"],
    )
    return WebImage(
        ImageAddress(
            url=Secret((signed.get("image") or params["image_url"]).encode()),
            checksum_url=Secret(published.encode()) if published else None,
            access=access,
            limits=Limits(connections=params["connections"]),
        )
    )


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
    images = LibvirtPool(libvirt_pool.POOL)
    folder = libvirt_pool.folder(cache_path, None if cache_path else images.facts())
    return Ports(
        backend=open_backend,
        canonical_pool=canonical_pool,
        source=source,
        cache=CacheDirectory(ImageFolder(folder, locks), images, clock),
        disks=QemuImg(),
        guests=LibvirtHost(),
        work=work,
        lock=lock,
        calendar=Calendar(),
        token=secrets.token_hex(4),
        job_id=str(uuid4()),
    )


def volume_image(params: Mapping[str, Any], *, check: bool) -> VolumeImage:
    """Return the operation of the module of this name."""
    clock, limits = SystemClock(), {name: params[name] for name in ("timeout", "queue_timeout")}
    work = UnrecordedRun() if check else job_run(VolumeImage.name, clock, requester(), **limits)
    locks = settings.lock_dir()
    return VolumeImage(
        volume_ports(
            image_at(params), work, clock, partial(locked, locks), locks, params["cache_path"]
        )
    )


def volume_recovery() -> VolumeImage:
    """Return the operation that rolls back what dead runs left. It needs no cache, so libvirt is not asked for it."""
    locks = settings.lock_dir()
    lock = partial(locked, locks)
    ports = volume_ports(None, UnrecordedRun(), SystemClock(), lock, locks, libvirt_pool.FOLDER)
    return VolumeImage(replace(ports, guests=GuestsSoFar()))


def image_cache(params: Mapping[str, Any]) -> CacheOperation:
    """Return the operation of the module of this name."""
    return CacheOperation(_folder, LibvirtPool(libvirt_pool.POOL), SystemClock(), image_at(params))


def cache_contents() -> CacheLooking:
    """Return what reads the cache, for ``image_cache_info`` and for metrics."""
    return CacheLooking(_folder, LibvirtPool(libvirt_pool.POOL), SystemClock())


def _folder(path: str) -> ImageFolder:
    return ImageFolder(path, settings.lock_dir())
