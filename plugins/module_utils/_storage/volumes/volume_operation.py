# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``volume_image``: a volume holds the bytes of an image. Wiring of steps; what is decided stands in volume_plan."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..._core.errors import Conflict, Refused, VerificationFailed
from ..._core.plan import Action, Operation, Plan, Receipt
from ..images import expected_digest, images
from ..jobs.job_protocols import CachedImage, CacheStore, ImageSource, RemoteImage, Work
from . import golden, volume_plan, volume_request
from .golden import GoldenMaker, Lock
from .populate import Disks, Filler, Guests, Timestamps, Usage
from .volume_plan import (
    Clone,
    Create,
    Fetch,
    Made,
    MakeGolden,
    Overwrite,
    Populate,
    Publish,
    Remove,
    RemoveGolden,
    Seen,
    Step,
    golden_name,
    mark_of,
)
from .volume_request import Request
from .volumes import Backend, Marks, Volume


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world of one run."""

    backend: Callable[[str, str], Backend]
    """Open the backend of a kind and a pool."""
    canonical_pool: Callable[[str, str], str]
    """Return the one name of a pool of a kind, under which it is locked."""
    source: ImageSource | None
    """None where the volume shall be absent."""
    cache: CacheStore
    disks: Disks
    guests: Guests
    work: Work
    lock: Lock
    calendar: Timestamps
    token: str
    """Eight hex digits that name this run on what it makes."""
    job_id: str
    """The job's, where the caller gives none."""


class VolumeImage(Operation[Request, Seen]):
    """Make a volume hold an image, or be absent."""

    name = "volume_image"
    sweeps = True

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._opened = contextlib.ExitStack()
        self._backend = functools.cache(self._open)
        self._usage = Usage(ports.guests)
        self._filler = Filler(
            ports.disks, ports.work, ports.cache, self._usage, ports.calendar, ports.token
        )
        self._golden = GoldenMaker(self._filler, ports.work, ports.lock)

    def parse(self, params: Mapping[str, Any]) -> Request:
        pool = self._ports.canonical_pool(params["backend"], params["pool"])
        job_id = params["job_id"] or self._ports.job_id
        wanted = volume_request.read({**params, "pool": pool, "job_id": job_id})
        expected_digest.literal(
            wanted.checksum
        )  # what is malformed is refused before anything is asked
        return wanted

    def scope(self, wanted: Request) -> str:
        """One run at a time works on a volume."""
        return wanted.volume

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
        """Stop waiting for the volume on request."""
        self._ports.work.check()

    # -- looking ------------------------------------------------------------------------------------------------------

    def observe(self, wanted: Request) -> Seen:
        """Look at the volume first; at the image only where that is needed."""
        self._ports.work.stage("preflight")
        backend = self._backend(wanted.backend, wanted.pool)
        if fault := backend.name_fault(wanted.name):
            return Seen(name_fault=fault)
        volume = backend.find(wanted.name)
        seen = Seen(volume=volume, users=self._usage.of(backend, volume), space=backend.space())
        if wanted.present:
            can_clone = wanted.golden and backend.can_clone
            seen = self._look_at_image(replace(seen, can_clone=can_clone), backend, wanted)
        return seen

    def _look_at_image(self, seen: Seen, backend: Backend, wanted: Request) -> Seen:
        source, work, cache = self._source(), self._ports.work, self._ports.cache
        seen = replace(seen, source=source.shown)
        work.stage("resolving_checksum")
        digest = expected_digest.digest(wanted.checksum, source, work.check)
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
        origin = golden.find(backend, digest) if digest and seen.can_clone else None
        if origin is not None and origin.marks is not None:
            virtual_size = origin.marks.virtual_size
        elif cached is not None:
            virtual_size = self._filler.judge(cached).virtual_size
        else:
            remote = remote or source.look(work.check)
            virtual_size = images.read_head(
                remote.head, remote.size, wanted.image_type
            ).virtual_size
        return replace(seen, cached=cached, golden=origin, remote=remote, virtual_size=virtual_size)

    # -- deciding -----------------------------------------------------------------------------------------------------

    def plan(self, observed: Seen, wanted: Request) -> Plan:
        return volume_plan.decide(observed, wanted)

    def prepare(self, action: Action, wanted: Request) -> Receipt:
        """Name what the step will make or move."""
        token = self._ports.token
        where = {"backend": wanted.backend, "pool": wanted.pool, "token": token}
        match action.payload:
            case Create() | Clone():
                return {"step": "create", "name": _beside(wanted.name, token), **where}
            case MakeGolden(seen, made):
                digest = made.image.digest if made.image is not None else seen.digest
                return {"step": "create", "name": _beside(golden_name(digest), token), **where}
            case Publish(seen) | Remove(seen):
                publishes = isinstance(action.payload, Publish)
                return {
                    "step": "replace",
                    "name": wanted.name,
                    "new": _beside(wanted.name, token) if publishes else None,
                    "old": seen.volume.identity if seen.volume is not None else None,
                    "aside": f"{wanted.name}.old-{token}",
                    **where,
                }
            case Overwrite():
                return {"step": "overwrite", "name": wanted.name, **where}
        return {"step": "none"}

    # -- doing --------------------------------------------------------------------------------------------------------

    def apply(self, action: Action, receipt: Receipt, wanted: Request) -> None:
        self._ports.work.take_turn()
        self._ports.work.check()
        backend = self._backend(wanted.backend, wanted.pool)
        step: Step = action.payload
        seen, made = step.seen, step.made
        match step:
            case Fetch():
                self._fetch(seen, made, wanted)
            case MakeGolden():
                image = self._ready_image(seen, made, wanted)
                name, compare = receipt["name"], wanted.compare
                made.golden = self._golden.make(backend, name, image, compare=compare)
            case Create():
                self._ports.work.stage("creating_volume")
                volume_plan.check_room(replace(seen, space=backend.space()), wanted)
                marks = Marks(token=self._ports.token)
                made.volume = backend.create(receipt["name"], wanted.size, marks)
            case Clone():
                made.volume = self._clone(backend, receipt["name"], seen, made, wanted)
            case Populate():
                new, zeroed = _made(made), backend.fresh_is_zero
                made.volume = self._fill(backend, new, seen, made, wanted, zeroed=zeroed)
            case Overwrite():
                present = _still(backend, wanted.name, seen.volume)
                self._fill(backend, present, seen, made, wanted, zeroed=False)
            case RemoveGolden():
                # At once: aside, one that its clones need would stay under a name that no run checks.
                present = _still(backend, wanted.name, seen.volume)
                self._usage.check_none(backend, present)
                backend.remove(present)
            case Publish() | Remove():
                self._ports.work.stage("publishing")
                self._replace(backend, receipt, made)

    def _fetch(self, seen: Seen, made: Made, wanted: Request) -> CachedImage:
        """Have the image in the cache."""
        source, work = self._source(), self._ports.work
        remote = seen.remote or source.look(work.check)
        image = self._ports.cache.store(
            seen.digest or None, wanted.image_type, source, remote, work
        )
        _check_not_there_already(image, seen.volume, wanted)
        work.note(image_sha256=image.digest, image_path=image.path)
        made.image = image
        return image

    def _ready_image(self, seen: Seen, made: Made, wanted: Request) -> CachedImage:
        """Return the image; one that was evicted since it was found is fetched again."""
        image = made.image or seen.cached
        if image is None or self._ports.cache.find(image.digest, image.image_type) is None:
            return self._fetch(seen, made, wanted)
        made.image = image
        self._ports.work.note(image_sha256=image.digest, image_path=image.path)
        return image

    def _clone(
        self, backend: Backend, name: str, seen: Seen, made: Made, wanted: Request
    ) -> Volume:
        self._ports.work.stage("creating_volume")
        origin = made.golden or seen.golden
        if origin is None or origin.marks is None:
            raise Conflict("the golden volume is gone", hint="Run again")
        image = self._ready_image(seen, made, wanted) if wanted.compare else None
        return self._filler.clone(origin, backend, name, wanted.size, image)

    def _fill(
        self,
        backend: Backend,
        volume: Volume,
        seen: Seen,
        made: Made,
        wanted: Request,
        *,
        zeroed: bool,
    ) -> Volume:
        image = self._ready_image(seen, made, wanted)
        return self._filler.fill(image, backend, volume, zeroed=zeroed, compare=wanted.compare)

    def _replace(self, backend: Backend, receipt: Receipt, made: Made) -> None:
        """Move the former volume aside and the new one into its place.

        Whoever opened the former one until then is seen once it is aside: its name leads to it no more.
        """
        old = backend.find(receipt["name"])
        if (old.identity if old is not None else None) != receipt["old"]:
            raise Conflict(
                f"{receipt['name']} is another volume than when this run began",
                hint="Check which one it is, and run again",
            )
        if old is not None:
            self._usage.check_none(backend, old)
            self._usage.check_none(backend, backend.rename(old, receipt["aside"]))
        if receipt["new"]:
            backend.rename(_made(made), receipt["name"])

    # -- rolling back, and making final --------------------------------------------------------------------------------

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

        :raises Refused: in the run that overwrote it, so that this one is not reported as rolled back.
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
            return f"{receipt['name']} was filled and proved before its run was interrupted, so it is kept"
        if receipt["new"] and present is not None and _carries(present, receipt["token"]):
            self._usage.check_none(backend, present)
            backend.rename(present, receipt["new"])
            present = None
        if old is None:
            return None
        if present is not None:
            name, aside = receipt["name"], receipt["aside"]
            return f"{name} belongs to another owner by now, so what it was before stays as {aside}"
        _check_aside(old, receipt)
        backend.rename(old, receipt["name"])
        return None

    def _is_finished(self, present: Volume | None, receipt: Receipt) -> bool:
        """Return whether a run that died had done all but say so.

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
        """Read the volume back, and return what it is."""
        volume = self._backend(wanted.backend, wanted.pool).find(wanted.name)
        self._ports.work.stage("finalizing")
        if not wanted.present:
            if volume is not None:
                raise VerificationFailed(f"{wanted.volume} is there, though it was removed")
            return {}
        if volume is None or volume.marks is None or not volume.marks.image:
            raise VerificationFailed(
                f"{wanted.volume} is not there, or not proved, after all was done"
            )
        if plan.actions and not _carries(volume, self._ports.token):
            raise VerificationFailed(
                f"{wanted.volume} is another volume than the one that was filled"
            )
        told = {"device": volume.path, "identity": volume.identity, "size": volume.size}
        context: Step = plan.context
        image = context.made.image or context.seen.cached
        facts = {
            "volume": {**told, "image": volume.marks.image, "filled_at": volume.marks.at},
            "image_sha256": volume.marks.image.removeprefix("sha256:"),
            "image_path": image.path if image is not None else "",
            "job_id": wanted.job_id,
        }
        self._ports.work.note(**{**plan.facts, **facts})
        return facts

    def ended(self, plan: Plan, failure: BaseException | None, rolled_back: bool) -> None:
        self._ports.work.ended(failure, rolled_back)

    def close(self) -> None:
        with contextlib.closing(self._ports.guests):
            self._opened.close()

    # -- small things -------------------------------------------------------------------------------------------------

    def _open(self, kind: str, pool: str) -> Backend:
        return self._opened.enter_context(contextlib.closing(self._ports.backend(kind, pool)))

    def _source(self) -> ImageSource:
        if self._ports.source is None:
            raise ValueError("a volume that shall be present needs the source of its image")
        return self._ports.source


def _made(made: Made) -> Volume:
    if made.volume is None:
        raise ValueError("a volume is filled and published once it was made")
    return made.volume


def _check_not_there_already(image: CachedImage, volume: Volume | None, wanted: Request) -> None:
    """A guest's disk is not replaced by its own image only because its digest was not known before."""
    marks = volume.marks if volume is not None else None
    if marks is None or wanted.overwrite == "always" or marks.image != mark_of(image.digest):
        return
    raise Conflict(
        f"{wanted.volume} holds this image already",
        why="no digest of it was published, so that was not known before the image was fetched",
        hint="No action needed. Set overwrite=always to refill it",
    )


def _beside(name: str, token: str) -> str:
    return f"{name}.new-{token}"


def _still(backend: Backend, name: str, seen: Volume | None) -> Volume:
    """Return the volume, which must be the one that was seen."""
    volume = backend.find(name)
    if volume is None:
        raise Conflict(f"{backend.kind}:{backend.pool}/{name} vanished", hint="Run again")
    if seen is None or volume.identity != seen.identity:
        raise Conflict(
            f"{volume.path} is another volume than when this run began", hint="Run again"
        )
    return volume


def _check_aside(old: Volume, receipt: Receipt) -> None:
    """Leave what we cannot know again; its name says that we moved it there, so it may be the only copy."""
    if old.identity != receipt["old"]:
        raise Refused(
            f"{old.path} is another volume than the one that was moved there from {receipt['name']}",
            hint=f"Check it. Rename it to {receipt['name']} where that is missing, else remove it; and run again",
        )


def _carries(volume: Volume, token: str) -> bool:
    return volume.marks is not None and volume.marks.token == token


def _remove_own(backend: Backend, name: str, token: str) -> None:
    """Remove a volume by name only where it carries the token of the run that made it."""
    volume = backend.find(name)
    if volume is not None and _carries(volume, token):
        backend.remove(volume)
