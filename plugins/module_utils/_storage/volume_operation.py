# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``volume_image``: a volume holds the bytes of an image. Wiring of steps; what is decided stands in volume_plan."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from .._core.errors import Conflict, Refused, TimedOut, VerificationFailed
from .._core.plan import Action, Operation, Plan, Receipt
from . import images, promised, request, volume_plan
from .filling import Disks, Filling
from .request import Request
from .volume_plan import Seen, golden_name, mark_of
from .volumes import Backend, Marks, Volume
from .work import CachedImage, ImageCache, ImageSource, RemoteImage, Work

LOOK_AGAIN = 1.0
"""Seconds between two looks at whether the work may go on, while another run has a lock."""


class Guests(Protocol):
    """The guests of this host."""

    def needing_disk(self, path: str) -> tuple[str, ...]:
        """Name the guests that it must not change under: it is a disk of theirs, under whatever name, or behind one."""

    def close(self) -> None:
        """Let go of the connection; never fails."""


class Timestamps(Protocol):
    """The calendar."""

    def utc(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world of one run."""

    backend: Callable[[str, str], Backend]
    """Open the backend of a kind and a pool."""
    real_place: Callable[[str, str], str]
    """Return the one name of a pool of a kind, under which it is locked."""
    source: ImageSource | None
    """None where the volume shall be absent."""
    cache: ImageCache
    disks: Disks
    guests: Guests
    work: Work
    lock: Callable[[str, float], AbstractContextManager[None]]
    calendar: Timestamps
    token: str
    """Eight hex digits that name this run on what it makes."""


class VolumeImage(Operation[Request, Seen]):
    """Make a volume hold an image, or be absent."""

    name = "volume_image"
    sweeps = True

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._backends: dict[tuple[str, str], Backend] = {}
        self._seen = Seen()
        self._image: CachedImage | None = None
        self._golden: Volume | None = None
        self._new: Volume | None = None
        """What is made beside what is there."""
        self._filling = Filling(ports.disks, ports.work)

    def parse(self, params: Mapping[str, Any]) -> Request:
        """Check the options."""
        pool = self._ports.real_place(params["backend"], params["pool"])
        wanted = request.read({**params, "pool": pool})
        promised.literal(wanted.checksum)  # what is malformed is refused before anything is asked
        return wanted

    def scope(self, wanted: Request) -> str:
        """One run at a time works on a volume."""
        return wanted.place

    def begun(self, wanted: Request) -> None:
        """Be seen as a job."""
        self._ports.work.begin(
            wanted.job_id,
            correlation_id=wanted.correlation_id,
            volume_name=wanted.name,
            backend=wanted.backend,
            pool=wanted.pool,
            image_url=self._ports.source.shown if self._ports.source is not None else "",
        )

    def waits(self) -> None:
        """Let go of the queue for the volume where somebody asks to."""
        self._ports.work.check()

    # -- looking ------------------------------------------------------------------------------------------------------

    def observe(self, wanted: Request) -> Seen:
        """Look at the volume first; at the image only where that is needed."""
        self._ports.work.stage("preflight")
        backend = self._backend(wanted.backend, wanted.pool)
        if fault := backend.name_fault(wanted.name):
            return Seen(name_fault=fault)
        volume = backend.find(wanted.name)
        seen = Seen(volume=volume, users=self._users(backend, volume), space=backend.space())
        if wanted.present:
            can_clone = wanted.golden and backend.can_clone
            seen = self._look_at_image(replace(seen, can_clone=can_clone), wanted)
        self._seen = seen
        return seen

    def _look_at_image(self, seen: Seen, wanted: Request) -> Seen:
        source, work, cache = self._source(), self._ports.work, self._ports.cache
        seen = replace(seen, source=source.shown)
        work.stage("resolving_checksum")
        digest = promised.digest(wanted.checksum, source, work.check)
        remote: RemoteImage | None = None
        cached = None
        if digest is None:
            remote = source.look(work.check)
            cached = cache.find_by_origin(source.shown, remote.etag, remote.size, wanted.image_type)
            digest = cached.digest if cached is not None else ""
        seen = replace(seen, digest=digest, cached=cached)
        if volume_plan.is_right(seen, wanted):
            return seen
        work.stage("checking_cache")
        if cached is None and digest:
            cached = cache.find(digest, wanted.image_type)
        golden = self._find_golden(digest, wanted) if digest and seen.can_clone else None
        if golden is not None and golden.marks is not None:
            virtual_size = golden.marks.virtual_size
        elif cached is not None:
            virtual_size = self._filling.judge(cached).virtual_size
        else:
            remote = remote or source.look(work.check)
            virtual_size = images.read_head(
                remote.head, remote.size, wanted.image_type
            ).virtual_size
        return replace(seen, cached=cached, golden=golden, remote=remote, virtual_size=virtual_size)

    def _find_golden(self, digest: str, wanted: Request) -> Volume | None:
        golden = self._backend(wanted.backend, wanted.pool).find(golden_name(digest))
        if golden is None or golden.marks is None or not golden.marks.golden:
            return None
        return golden if golden.marks.image == mark_of(digest) else None

    # -- deciding -----------------------------------------------------------------------------------------------------

    def plan(self, observed: Seen, wanted: Request) -> Plan:
        """Decide."""
        return volume_plan.decide(observed, wanted)

    def prepare(self, action: Action, wanted: Request) -> Receipt:
        """Name what the step will make or move."""
        token = self._ports.token
        place = {"backend": wanted.backend, "pool": wanted.pool, "token": token}
        match action.verb:
            case "create" | "clone":
                return {"step": "create", "name": _beside(wanted.name, token), **place}
            case "make golden":
                digest = self._image.digest if self._image is not None else self._seen.digest
                return {"step": "create", "name": _beside(golden_name(digest), token), **place}
            case "publish" | "remove":
                return {
                    "step": "replace",
                    "name": wanted.name,
                    "new": _beside(wanted.name, token) if action.verb == "publish" else None,
                    "old": self._seen.volume.identity if self._seen.volume is not None else None,
                    "aside": f"{wanted.name}.old-{token}",
                    **place,
                }
            case "overwrite":
                return {"step": "overwrite", "name": wanted.name, **place}
        return {"step": "none"}

    # -- doing --------------------------------------------------------------------------------------------------------

    def apply(self, action: Action, receipt: Receipt, wanted: Request) -> None:
        """Do one step."""
        self._ports.work.take_turn()
        self._ports.work.check()
        backend = self._backend(wanted.backend, wanted.pool)
        match action.verb:
            case "fetch":
                self._fetch(wanted)
            case "make golden":
                self._make_golden(backend, receipt["name"], wanted)
            case "create":
                self._ports.work.stage("creating_volume")
                volume_plan.check_room(replace(self._seen, space=backend.space()), wanted)
                marks = Marks(token=self._ports.token)
                self._new = backend.create(receipt["name"], wanted.size, marks)
            case "clone":
                self._clone(backend, receipt["name"], wanted)
            case "populate":
                zeroed = backend.fresh_is_zero
                self._new = self._populate(backend, self._made(), wanted, zeroed=zeroed)
            case "overwrite":
                self._overwrite(backend, wanted)
            case "remove golden":
                self._remove_golden(backend, wanted)
            case "publish" | "remove":
                self._ports.work.stage("publishing")
                self._replace(backend, receipt)

    def _fetch(self, wanted: Request) -> CachedImage:
        """Have the image in the cache."""
        seen, source = self._seen, self._source()
        remote = seen.remote or source.look(self._ports.work.check)
        image = self._ports.cache.store(
            seen.digest or None, wanted.image_type, source, remote, self._ports.work
        )
        self._check_not_there_already(image, wanted)
        self._ports.work.note(image_sha256=image.digest, image_path=image.path)
        self._image = image
        return image

    def _check_not_there_already(self, image: CachedImage, wanted: Request) -> None:
        """A guest's disk is not replaced by its own image only because nobody told before which image it is."""
        marks = self._seen.volume.marks if self._seen.volume is not None else None
        if marks is None or wanted.overwrite == "always" or marks.image != mark_of(image.digest):
            return
        raise Conflict(
            f"{wanted.place} holds this image already",
            why="nobody published its digest, so that was not known before the image was fetched",
            hint="Nothing is to be done. Say overwrite: always to fill it afresh",
        )

    def _ready_image(self, wanted: Request) -> CachedImage:
        """Return the image; one that was evicted since we looked is fetched again."""
        image = self._image or self._seen.cached
        if image is None or self._ports.cache.find(image.digest, image.image_type) is None:
            return self._fetch(wanted)
        self._image = image
        self._ports.work.note(image_sha256=image.digest, image_path=image.path)
        return image

    def _make_golden(self, backend: Backend, name: str, wanted: Request) -> None:
        """Make the golden volume, unless another run has made it while we waited."""
        image = self._ready_image(wanted)
        virtual_size = self._filling.judge(image).virtual_size
        with self._alone(f"golden:{backend.kind}:{backend.pool}:{image.digest}"):
            self._golden = self._find_golden(image.digest, wanted)
            if self._golden is not None:
                return
            self._ports.work.stage("creating_volume")
            volume = backend.create(name, virtual_size, Marks(token=self._ports.token))
            volume = self._populate(backend, volume, wanted, zeroed=backend.fresh_is_zero)
            marks = replace(volume.marks or Marks(), golden=True)
            volume = backend.mark(volume, marks)
            backend.seal(volume)
            self._golden = self._published_golden(backend, volume, image.digest, wanted)

    def _published_golden(
        self, backend: Backend, volume: Volume, digest: str, wanted: Request
    ) -> Volume:
        """Give a golden volume its name; where another host was first, as on Ceph, take that one."""
        try:
            return backend.rename(volume, golden_name(digest))
        except Refused:
            other = self._find_golden(digest, wanted)
            if other is None:
                raise
            backend.remove(volume)
            return other

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Hold a lock; while another run has it, our turn is given back."""
        with contextlib.ExitStack() as stack:
            if not self._enter(stack, name, 0):
                with self._ports.work.waiting("another run makes the same golden volume"):
                    while not self._enter(stack, name, LOOK_AGAIN):
                        self._ports.work.check()
            yield

    def _enter(self, stack: contextlib.ExitStack, name: str, patience: float) -> bool:
        try:
            stack.enter_context(self._ports.lock(name, patience))
        except TimedOut:
            return False
        return True

    def _clone(self, backend: Backend, name: str, wanted: Request) -> None:
        self._ports.work.stage("creating_volume")
        golden = self._golden or self._seen.golden
        if golden is None or golden.marks is None:
            raise Conflict("the golden volume is gone", hint="Run again")
        token = self._ports.token
        volume = backend.clone(golden, name, wanted.size, Marks(token=token))
        size = golden.marks.virtual_size
        image = self._ready_image(wanted) if wanted.compare else None
        self._filling.prove_clone(volume, golden, size, image)
        self._new = backend.mark(volume, self._proved(golden.marks.image, size))

    def _overwrite(self, backend: Backend, wanted: Request) -> None:
        volume = _present(backend, wanted.name)
        self._check_same(volume, self._seen.volume)
        self._populate(backend, volume, wanted, zeroed=False)

    def _remove_golden(self, backend: Backend, wanted: Request) -> None:
        """Remove it at once: aside, one that its clones need would stay under a name that nobody looks for."""
        volume = _present(backend, wanted.name)
        self._check_same(volume, self._seen.volume)
        self._check_unused(backend, volume)
        backend.remove(volume)

    def _populate(
        self, backend: Backend, volume: Volume, wanted: Request, *, zeroed: bool
    ) -> Volume:
        """Fill a volume with the image, and mark it as proved."""
        image = self._ready_image(wanted)
        with self._ports.cache.hold(image):
            size = self._filling.fitting_size(image, volume)
            self._check_unused(backend, volume)
            if volume.marks != Marks(token=self._ports.token):
                volume = self._unproved(backend, volume)
            self._filling.fill(image, size, backend, volume, zeroed=zeroed, compare=wanted.compare)
        return backend.mark(volume, self._proved(mark_of(image.digest), size))

    def _unproved(self, backend: Backend, volume: Volume) -> Volume:
        """Take its marks from a volume that is about to lose its content; one that comes into use keeps both."""
        marked = backend.mark(volume, Marks(token=self._ports.token))
        try:
            self._check_unused(backend, marked)
        except Conflict:
            backend.mark(marked, volume.marks or Marks())
            raise
        return marked

    def _proved(self, image: str, size: int) -> Marks:
        return Marks(image, self._ports.token, self._ports.calendar.utc(), size)

    def _replace(self, backend: Backend, receipt: Receipt) -> None:
        """Move the former volume aside and the new one into its place.

        Whoever opened the former one until then is seen once it is aside: nobody comes to it by its name any more.
        """
        old = backend.find(receipt["name"])
        if (old.identity if old is not None else None) != receipt["old"]:
            raise Conflict(
                f"{receipt['name']} is another volume than when this run began",
                hint="Look at it, and run again",
            )
        if old is not None:
            self._check_unused(backend, old)
            self._check_unused(backend, backend.rename(old, receipt["aside"]))
        if receipt["new"]:
            backend.rename(self._made(), receipt["name"])

    # -- taking back, and making final --------------------------------------------------------------------------------

    def undo(self, receipt: Receipt) -> str | None:
        """Remove what carries the run's token; bring back what was moved aside."""
        if receipt["step"] == "none":
            return None
        backend = self._backend(receipt["backend"], receipt["pool"])
        if receipt["step"] == "create":
            _remove_own(backend, receipt["name"], receipt["token"])
            return None
        if receipt["step"] == "overwrite":
            return self._tell_of_overwriting(backend, receipt)
        return self._bring_back(backend, receipt)

    def _tell_of_overwriting(self, backend: Backend, receipt: Receipt) -> str | None:
        """Say what is lost, where it is: the volume's marks changed before its first byte did.

        :raises Refused: in the run that overwrote it, so that this one is not said to have been taken back.
        """
        volume = backend.find(receipt["name"])
        if volume is None or not _carries(volume, receipt["token"]):
            return None
        what = f"{receipt['name']} was overwritten in place: what it held before is lost"
        if receipt["token"] != self._ports.token:
            return what
        holds = (volume.marks.image if volume.marks is not None else "") or "part of an image"
        raise Refused(what, why=f"it now holds {holds}", hint="Run again to fill it")

    def _bring_back(self, backend: Backend, receipt: Receipt) -> str | None:
        present, old = backend.find(receipt["name"]), backend.find(receipt["aside"])
        if self._is_finished(present, receipt):
            self._remove_aside(backend, receipt)
            return (
                f"{receipt['name']} was filled and proved before its run was cut off, so it is kept"
            )
        if receipt["new"] and present is not None and _carries(present, receipt["token"]):
            self._check_unused(backend, present)
            backend.rename(present, receipt["new"])
            present = None
        if old is None:
            return None
        if present is not None:
            return f"{receipt['name']} is somebody else's by now, so what it was before stays as {receipt['aside']}"
        _check_aside(old, receipt)
        backend.rename(old, receipt["name"])
        return None

    def _is_finished(self, present: Volume | None, receipt: Receipt) -> bool:
        """Tell whether a run that died had done all but say so.

        Its volume has been under its name since, so a guest may have written to it: to take that back would lose data.
        """
        if receipt["token"] == self._ports.token or not receipt["new"] or present is None:
            return False
        return _carries(present, receipt["token"]) and bool(present.marks and present.marks.image)

    def commit(self, receipt: Receipt) -> None:
        """Remove what was replaced."""
        if receipt["step"] == "replace" and receipt["old"] is not None:
            self._remove_aside(self._backend(receipt["backend"], receipt["pool"]), receipt)

    def _remove_aside(self, backend: Backend, receipt: Receipt) -> None:
        old = backend.find(receipt["aside"])
        if old is not None:
            _check_aside(old, receipt)
            backend.remove(old)

    def verify(self, plan: Plan, wanted: Request) -> Mapping[str, Any]:
        """Look at the volume once more, and tell what it is."""
        volume = self._backend(wanted.backend, wanted.pool).find(wanted.name)
        self._ports.work.stage("finalizing")
        if not wanted.present:
            if volume is not None:
                raise VerificationFailed(f"{wanted.place} is there, though it was removed")
            return {}
        if volume is None or volume.marks is None or not volume.marks.image:
            raise VerificationFailed(
                f"{wanted.place} is not there, or not proved, after all was done"
            )
        if plan.actions and not _carries(volume, self._ports.token):
            raise VerificationFailed(
                f"{wanted.place} is another volume than the one that was filled"
            )
        told = {"device": volume.path, "identity": volume.identity, "size": volume.size}
        image = self._image or self._seen.cached
        facts = {
            "volume": {**told, "image": volume.marks.image, "filled_at": volume.marks.at},
            "image_sha256": volume.marks.image.removeprefix("sha256:"),
            "image_path": image.path if image is not None else "",
            "job_id": wanted.job_id,
        }
        self._ports.work.note(**{**plan.facts, **facts})
        return facts

    def ended(self, failure: BaseException | None, taken_back: bool) -> None:
        """Give the job's record its last form."""
        self._ports.work.ended(failure, taken_back)

    def close(self) -> None:
        """Let go of connections."""
        for backend in self._backends.values():
            backend.close()
        self._ports.guests.close()

    # -- small things -------------------------------------------------------------------------------------------------

    def _backend(self, kind: str, pool: str) -> Backend:
        if (kind, pool) not in self._backends:
            self._backends[kind, pool] = self._ports.backend(kind, pool)
        return self._backends[kind, pool]

    def _made(self) -> Volume:
        if self._new is None:
            raise ValueError("a volume is filled and published once it was made")
        return self._new

    def _source(self) -> ImageSource:
        if self._ports.source is None:
            raise ValueError("a volume that shall be present needs the source of its image")
        return self._ports.source

    def _users(self, backend: Backend, volume: Volume | None) -> tuple[str, ...]:
        if volume is None or volume.special:
            return ()
        guests = self._ports.guests.needing_disk(volume.path)
        return (*(f"guest {name}" for name in guests), *backend.users(volume))

    def _check_unused(self, backend: Backend, volume: Volume) -> None:
        """Look right before the write: a guest may have been started since we planned."""
        if users := self._users(backend, volume):
            raise Conflict(
                f"{volume.path} came into use meanwhile",
                why="; ".join(users),
                hint="Run again later",
            )

    def _check_same(self, present: Volume, seen: Volume | None) -> None:
        if seen is None or present.identity != seen.identity:
            raise Conflict(
                f"{present.path} is another volume than when this run began", hint="Run again"
            )


def _beside(name: str, token: str) -> str:
    return f"{name}.new-{token}"


def _present(backend: Backend, name: str) -> Volume:
    volume = backend.find(name)
    if volume is None:
        raise Conflict(f"{backend.kind}:{backend.pool}/{name} vanished", hint="Run again")
    return volume


def _check_aside(old: Volume, receipt: Receipt) -> None:
    """Leave what we cannot know again; its name says that we moved it there, so it may be the only copy."""
    if old.identity != receipt["old"]:
        raise Refused(
            f"{old.path} is another volume than the one that was moved there from {receipt['name']}",
            hint=f"Look at it. Rename it to {receipt['name']} where that is missing, else remove it; and run again",
        )


def _carries(volume: Volume, token: str) -> bool:
    return volume.marks is not None and volume.marks.token == token


def _remove_own(backend: Backend, name: str, token: str) -> None:
    """Remove a volume by name only where it carries the token of the run that made it."""
    volume = backend.find(name)
    if volume is not None and _carries(volume, token):
        backend.remove(volume)
