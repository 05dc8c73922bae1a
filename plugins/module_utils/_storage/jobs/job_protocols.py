# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What long work needs around it: to be seen, to be stopped, and to wait for its turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ..._core.errors import DebvisorError


class Cancelled(DebvisorError):
    """The work was asked to stop. It is rolled back like any failure."""


class Work(Protocol):
    """The job that a run is: it takes reports of progress, and says when to stop."""

    def begin(self, job_id: str, **facts: Any) -> None:
        """Give the job a name, before anything else, and record what is asked for (see :meth:`note`).

        :raises Conflict: where a job of that name runs.
        """

    def take_turn(self) -> None:
        """Wait in the host's queue until it is our turn; once it was, do nothing. Only then does time begin to run.

        :raises TimedOut: where the queue's limit is used up.
        """

    def note(self, **facts: Any) -> None:
        """Record what is known by now: fields of :class:`job.Job`, such as cache_hit or image_path."""

    def ended(self, failure: BaseException | None, rolled_back: bool) -> None:
        """Say how it went; the job's record gets its last form."""

    def stage(self, name: str, total: int = 0) -> None:
        """Begin a stage of :mod:`stages`; ``total`` bytes are to be done in it, 0 where that is unknown."""

    def progress(self, done: int) -> None:
        """So many bytes of the stage are done. Cheap: may be called for every block.

        The first report of a stage has what was there before.
        """

    def check(self) -> None:
        """Return while the work may go on. Called at least once a second by everything that takes long.

        :raises Cancelled: where it was asked to stop (cancel file, SIGTERM, SIGHUP, SIGINT).
        :raises TimedOut: where the time to run is used up. Time in the queue does not count.
        """

    def waiting(self, reason: str) -> AbstractContextManager[None]:
        """Inside this block the work waits for another job: its slot is given back, and the time does not count.

        :raises TimedOut: where the queue's own limit is used up.
        """


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """An object as its server describes it."""

    size: int
    etag: str
    """Strong entity tag, quotes included; "" where there is none."""
    head: bytes
    """Its first bytes, enough for the header of a qcow2 image."""
    ranges: bool
    """True where the server answers ranges."""
    modified: str = ""
    """``Last-Modified`` as it came; "" where there is none."""

    @property
    def version(self) -> str:
        """What distinguishes this version of the object from others; "" where nothing does."""
        return self.etag or self.modified


@dataclass(frozen=True, slots=True)
class Download:
    """What came."""

    digest: str
    """SHA-256 in hex."""
    image: RemoteImage
    """The object that it is: another than was looked at before, where that changed on its server meanwhile."""


class ImageSource(Protocol):
    """Where one image comes from. It knows the addresses, credentials, certificates and limits; secrets stay in it."""

    @property
    def shown(self) -> str:
        """The image's address without credentials and query, for people and records."""

    def look(self, check: Callable[[], None] | None = None) -> RemoteImage:
        """Ask for the image's first bytes; ``check`` is called meanwhile, and may end it.

        :raises Refused: for 403, 404 and the like; Unreachable for the rest.
        """

    def checksum_text(self, check: Callable[[], None] | None = None) -> str | None:
        """Return the text that should hold the digest: the given URL's, or ``<url>.sha256``; at most 1 MiB.

        None where there is no such object (404); any other failure raises.
        """

    def download(self, image: RemoteImage, part: str, work: Work) -> Download:
        """Bring the image into the file ``part``, resuming what is there of the same object. The file is synced.

        A part of another object (ETag, size) is begun anew, and so is, once, what changes while it comes. What a run
        that ends early has got is noted in ``<part>.map``; a whole part has no map.

        :raises Conflict: where the object changed meanwhile, a second time.
        """


@dataclass(frozen=True, slots=True)
class CachedImage:
    """An image in the cache, whole and verified."""

    digest: str
    """SHA-256 in hex."""
    path: str
    size: int
    image_type: str
    """``qcow2`` or ``raw``; as it came, so a compressed one stays compressed."""
    url: str = ""
    etag: str = ""


class CacheStore(Protocol):
    """The images of this host, named by digest."""

    def find(self, digest: str, image_type: str) -> CachedImage | None:
        """Look, without a write: the file is there and, by inode, size and mtime, still the one that was verified.

        Where it is not the verified one any more, it does not count; :meth:`store` sees to it.
        """

    def find_by_origin(self, url: str, etag: str, size: int, image_type: str) -> CachedImage | None:
        """The same for an image without a published digest: what came from there with this entity tag."""

    def store(
        self,
        digest: str | None,
        image_type: str,
        source: ImageSource,
        image: RemoteImage,
        work: Work,
    ) -> CachedImage:
        """Have the image in the cache: find it, re-hash it where in doubt, or download it; once, whoever asks.

        Others who want the same digest wait meanwhile (:meth:`Work.waiting`). Room is made by evicting what is neither
        pinned nor in use. A file with the wrong digest is put into quarantine and never gets its name.

        :raises VerificationFailed: where what came is not what was promised.
        """

    def hold(self, image: CachedImage) -> AbstractContextManager[None]:
        """Keep it from being evicted inside this block, and note that it was used.

        :raises Conflict: where it went since it was found.
        """
