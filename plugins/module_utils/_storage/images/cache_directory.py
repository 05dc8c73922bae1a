# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of images: an image that is in it was verified before it got its name.

The steps of :meth:`CacheDirectory.store` are in an order that makes a crash harmless anywhere: content on disk, digest
compared, record on disk, and the rename last. A record without an image is nothing; an image without a record is
verified anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from ..._core.errors import Conflict, DebvisorError, VerificationFailed
from ..._core.ports import Clock
from ..._core.waiting import intervals
from ..jobs.job_protocols import CachedImage, Download, ImageSource, RemoteImage, Work
from . import cache
from .cache import Entry, Limits, Origin
from .cache_index import CacheIndex, Folder

MARGIN = 64 << 20
"""Bytes that stay free on the file system, for records and for whoever else needs a little."""


class NoRoom(DebvisorError):
    """The file system of the cache cannot take the image, whatever is evicted."""


class RefreshedPool(Protocol):
    """Who lists the folder's files."""

    def refresh(self) -> None: ...


class CacheDirectory:
    """Implements :class:`job_protocols.CacheStore` on a folder."""

    def __init__(self, folder: Folder, pool: RefreshedPool, clock: Clock) -> None:
        self._folder = folder
        self._pool = pool
        self._clock = clock
        self._index = CacheIndex(folder, clock)
        self.notes: list[str] = []
        """What else happened, for people: evictions, a pool that could not be refreshed."""

    # --- looking up

    def find(self, digest: str, image_type: str) -> CachedImage | None:
        """Look, without a write."""
        return self._find(cache.file_name(digest, image_type))

    def find_by_origin(self, url: str, etag: str, size: int, image_type: str) -> CachedImage | None:
        """Look for what came from there, without a write. Without an entity tag nothing is found."""
        if not etag:
            return None
        target = self._folder.link_target(Origin(url, etag, size, image_type).link) or ""
        name = target.removeprefix("../")
        return self._find(name) if cache.named(name) else None

    def _find(self, name: str) -> CachedImage | None:
        record, known = self._index.verified(name), cache.named(name)
        if record is None or known is None:
            return None
        digest, image_type = known
        path = self._folder.path(name)
        return CachedImage(digest, path, record.size, image_type, record.url, record.etag)

    @contextlib.contextmanager
    def hold(self, image: CachedImage) -> Iterator[None]:
        """Keep it from being evicted inside this block, and note that it was used.

        :raises Conflict: where it went since it was found, or was changed by the end of the block.
        """
        name = cache.file_name(image.digest, image.image_type)
        with self._index.locked(name, exclusive=False):
            if self._find(name) is None:
                raise Conflict(
                    f"the image {name} left the cache while it was about to be used",
                    hint="Run again; it is then fetched anew",
                )
            now = int(self._clock.wall())
            self._index.amend(name, lambda record: record and replace(record, last_used=now))
            yield
            if self._find(name) is None:
                raise Conflict(
                    f"the image {name} was changed while it was used",
                    why="the cache's locks hold within one host",
                    hint="Find out who writes into the cache's folder, and run again",
                )

    # --- bringing in

    def store(
        self,
        digest: str | None,
        image_type: str,
        source: ImageSource,
        image: RemoteImage,
        work: Work,
    ) -> CachedImage:
        """Have the image in the cache: find it, verify it anew where in doubt, or fetch it; once, whoever asks."""
        self._folder.make(*cache.FOLDERS)
        wanted = _Wanted(digest, image_type, source, image, work)
        return self._once(
            wanted.name,
            lambda: self._known(wanted),
            lambda: self._fetch(wanted, digest) if digest else self._fetch_unknown(wanted),
            work,
        )

    def _known(self, wanted: _Wanted) -> CachedImage | None:
        if wanted.digest is not None:
            return self._find(wanted.name)
        origin = wanted.origin
        return self.find_by_origin(origin.url, origin.etag, origin.size, origin.image_type)

    def _once(
        self,
        name: str,
        known: Callable[[], CachedImage | None],
        bring: Callable[[], CachedImage],
        work: Work,
    ) -> CachedImage:
        """Return what is known, or bring it under the lock of that name; wait while another run does.

        The lock is let go before the waiting ends: there the work waits for its turn, and whoever has that may wait for
        this lock.
        """
        while True:
            if image := known():
                return image
            lock = self._folder.try_lock(name)
            if lock is not None:
                with lock:
                    return known() or bring()
            with work.waiting("another run that fetches the same image"):
                for pause in intervals(0.05, 0.5):
                    if known() or not self._folder.is_locked(name):
                        break
                    work.check()
                    self._clock.sleep(pause)

    def _fetch(self, wanted: _Wanted, digest: str) -> CachedImage:
        name, part = wanted.name, cache.part_of(wanted.name)
        if image := self._verified_anew(wanted, digest):
            return image
        resumed = self._folder.identity(part) is not None
        arrived = self._download(wanted)
        if (
            arrived.digest != digest and resumed
        ):  # what an earlier run left may have suffered in a crash
            self._folder.remove(part, cache.map_of(name))
            arrived = self._download(wanted)
        if arrived.digest != digest:
            self._index.put_away(part, name, f"its SHA-256 is {arrived.digest}")
            raise VerificationFailed(
                f"{wanted.source.shown} is not the expected image",
                why=f"its SHA-256 is {arrived.digest}, expected {digest}",
                hint=f"It is kept as {self._folder.path(cache.quarantined(name))}; the next run fetches it anew",
                details={"expected": digest, "arrived": arrived.digest},
            )
        return self._publish(part, name, wanted.origin_of(arrived))

    def _fetch_unknown(self, wanted: _Wanted) -> CachedImage:
        """Fetch an image whose digest is unknown. It may turn out to be here already, from elsewhere."""
        part = cache.part_of(wanted.name)
        arrived = self._download(wanted)
        name = cache.file_name(arrived.digest, wanted.image_type)
        origin = wanted.origin_of(arrived)
        image = self._once(
            name,
            lambda: self._find(name),
            lambda: self._publish(part, name, origin),
            wanted.work,
        )
        self._note_origin(origin, name)
        self._folder.remove(part)
        return image

    def _download(self, wanted: _Wanted) -> Download:
        part = cache.part_of(wanted.name)
        self._make_room(wanted.image.size - self._folder.room(part))
        wanted.work.stage("downloading", wanted.image.size)
        return wanted.source.download(wanted.image, self._folder.path(part), wanted.work)

    def _verified_anew(self, wanted: _Wanted, digest: str) -> CachedImage | None:
        """Return the image where its file is there in doubt, and proves good. A bad one is put away."""
        name = wanted.name
        identity = self._folder.identity(name)
        if identity is None:
            return None
        wanted.work.stage("verifying", identity.size)
        found, identity = self._folder.digest(name, wanted.tick)
        if found == digest:
            self._index.prove(name, identity)
        elif self._folder.identity(cache.record_of(name)) is None:
            raise Conflict(
                f"{self._folder.path(name)} is no image of the cache",
                why=f"its SHA-256 is {found}, and nothing is known of it",
                hint="Find out whose it is, and move it away",
            )
        else:
            self._index.put_away(name, name, f"it was changed: its SHA-256 is {found}")
            self.notes.append(
                f"The image {name} had been changed on disk; it is in quarantine, and was fetched anew"
            )
        return self._find(name)

    def _publish(self, part: str, name: str, origin: Origin) -> CachedImage:
        """Give a verified part its name. The rename comes last: content and record are on disk by then."""
        self._index.prove(name, self._folder.seal(part), origin)
        self._note_origin(origin, name)
        self._folder.rename(part, name)
        self._refresh()
        image = self._find(name)
        if image is None:
            raise Conflict(
                f"the image {name} was changed while it was put into the cache",
                hint="Find out who writes into its folder, and run again",
            )
        return image

    def _note_origin(self, origin: Origin, name: str) -> None:
        if origin.etag:
            self._folder.link(origin.link, f"../{name}")

    def _refresh(self) -> None:
        try:
            self._pool.refresh()
        except DebvisorError as cause:
            self.notes.append(f"The pool does not list the new image yet: {cause}")

    # --- making room

    def _make_room(self, size: int) -> None:
        """Free so much and a margin: first what is of no use, then the images that were not used for longest.

        :raises NoRoom: where that is not enough. Nothing is removed where that is clear before.
        """
        wanted = max(0, size) + MARGIN
        free = self._folder.free()
        if free >= wanted:
            return
        useless = [each for each in self._index.leftovers() if each.kind in ("part", "quarantine")]
        free += sum(each.room for each in useless)
        pruning = cache.prune(
            self._index.entries(), Limits(min_free=wanted), now=self._clock.wall(), free=free
        )
        if pruning.lack:
            raise _no_room(self._folder.path(""), size, wanted - pruning.lack)
        for leftover in useless:
            if self._folder.free() < wanted:
                self._index.discard(leftover)
        for victim in pruning.victims:
            if self._folder.free() < wanted:
                self._evict(victim.entry)
        if self._folder.free() < wanted:  # what was free is in use by now
            raise _no_room(self._folder.path(""), size, self._folder.free())

    def _evict(self, entry: Entry) -> None:
        if self._index.withdraw(entry):
            self._index.forget(entry.name)
            self.notes.append(f"The image {entry.name} was evicted to make room")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An image that somebody wants, and where to get it."""

    digest: str | None
    image_type: str
    source: ImageSource
    image: RemoteImage
    work: Work

    @property
    def origin(self) -> Origin:
        return self._origin(self.image)

    @property
    def name(self) -> str:
        """Its name in the cache, or what stands for that while its digest is unknown."""
        return cache.file_name(self.digest, self.image_type) if self.digest else self.origin.name

    def origin_of(self, arrived: Download) -> Origin:
        """Return where it truly came from: the object may have changed since it was looked at."""
        return self._origin(arrived.image)

    def _origin(self, image: RemoteImage) -> Origin:
        return Origin(self.source.shown, image.etag, image.size, self.image_type)

    def tick(self, done: int) -> None:
        """So many bytes are done; go on if you may."""
        self.work.progress(done)
        self.work.check()


def _no_room(folder: str, size: int, most: int) -> NoRoom:
    return NoRoom(
        f"there is no room in {folder} for an image of {size} bytes",
        why=f"{max(0, most - MARGIN)} bytes are free, or can be made so: by then all images that are neither pinned nor"
        f" in use are gone; {MARGIN} bytes stay free",
        hint="Unpin images, make room on that file system, or put the pool elsewhere",
    )
