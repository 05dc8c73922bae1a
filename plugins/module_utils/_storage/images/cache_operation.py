# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``image_cache``: images are there before they are needed, stay, go, or are proved again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..._core.errors import Conflict, TimedOut, VerificationFailed
from ..._core.plan import Action, Operation, Plan, Receipt
from ..._core.ports import Clock
from ..jobs.job_protocols import ImageSource
from ..jobs.job_run import UnrecordedRun
from . import cache, cache_plan, expected_digest, libvirt_pool
from .cache import Entry, Leftover
from .cache_directory import CacheDirectory
from .cache_index import CacheIndex, Folder
from .cache_plan import Seen, Wanted
from .cache_steps import (
    AutostartPool,
    DefinePool,
    Discard,
    Fetch,
    Hashed,
    MakeFolder,
    Pin,
    Prove,
    Quarantine,
    Remove,
    StartPool,
    Step,
)
from .images import read_head
from .libvirt_pool import Pool


class Deadline(UnrecordedRun):
    """Work that is not recorded, and that ends in time."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._until = clock.monotonic() + seconds

    def check(self) -> None:
        if self._clock.monotonic() > self._until:
            raise TimedOut(
                f"it took longer than {self._seconds:g} s",
                hint="What has come is kept; raise timeout, or run again to go on",
            )


class CacheOperation(Operation[Wanted, Seen]):
    """Keep the cache of images as wanted."""

    name = "image_cache"

    def __init__(
        self,
        open_folder: Callable[[str], Folder],
        pool: Pool,
        clock: Clock,
        source: ImageSource | None = None,
    ) -> None:
        self._open_folder = open_folder
        self._pool = pool
        self._clock = clock
        self._source = source

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        return cache_plan.read(params, self._source.shown if self._source else "")

    def scope(self, wanted: Wanted) -> str:
        """One run at a time works on a cache as a whole; each image has a lock of its own besides."""
        return f"{self.name}:{wanted.path or libvirt_pool.POOL}"

    # --- looking

    def observe(self, wanted: Wanted) -> Seen:
        """Look at no more than the state needs: where one image is wanted, the others are not gone through."""
        possible = not wanted.path and self._pool.possible()
        facts = self._pool.facts() if possible else None
        where = libvirt_pool.folder(wanted.path, facts)
        folder, index = self._opened(where)
        seen = Seen(where, folder.there(), possible, facts, now=self._clock.wall())
        if wanted.state == "present":
            return self._look_for_image(seen, index, wanted)
        entries = tuple(entry for entry in index.entries() if _is_meant(entry, wanted))
        if wanted.state == "verified":
            return replace(seen, hashed=tuple(self._hashed(folder, entries, wanted)))
        if wanted.state == "pruned" and seen.there:
            seen = replace(seen, leftovers=index.leftovers(), free=folder.free())
        return replace(seen, entries=entries)

    def _look_for_image(self, seen: Seen, index: CacheIndex, wanted: Wanted) -> Seen:
        source = self._source
        if source is None:
            entries = [entry for entry in _named(index, wanted.digest) if entry.verified][:1]
            return replace(seen, entries=tuple(entries), name=entries[0].name if entries else "")
        check = Deadline(self._clock, wanted.timeout).check
        digest = expected_digest.digest(wanted.checksum, source, check)
        remote = None
        if digest is None:
            remote = source.look(check)
            known = self._cache(seen.folder).find_by_origin(
                source.shown, remote.etag, remote.size, wanted.image_type
            )
            digest = known.digest if known else ""
        name = cache.file_name(digest, wanted.image_type) if digest else ""
        entry = index.entry(name) if name else None
        if entry is None or not entry.verified:
            remote = remote or source.look(check)
        if remote is not None:  # what no volume could be filled from is not fetched
            read_head(remote.head, remote.size, wanted.image_type)
        return replace(seen, entries=(entry,) if entry else (), name=name, remote=remote)

    def _hashed(self, folder: Folder, entries: Iterable[Entry], wanted: Wanted) -> Iterator[Hashed]:
        work = Deadline(self._clock, wanted.timeout)
        for entry in entries:
            digest, identity = folder.digest(entry.name, lambda done: work.check())
            yield Hashed(entry, digest, identity)

    # --- deciding

    def plan(self, observed: Seen, wanted: Wanted) -> Plan:
        return cache_plan.decide(observed, wanted)

    # --- doing

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        """Say what is done to what. An image that is to be pinned may get its name only now, when it is fetched."""
        step: Step = action.payload
        receipt: dict[str, Any] = {"step": step.step, "folder": step.folder}
        match step:
            case Pin():
                return {**receipt, "name": step.context.name, "pinned": step.pinned}
            case Quarantine():
                return {**receipt, "name": step.hashed.entry.name}
            case Remove():
                return {**receipt, "name": step.entry.name}
        return receipt

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> str | None:
        step: Step = action.payload
        folder, index = self._opened(step.folder)
        match step:
            case MakeFolder():
                folder.make()
            case DefinePool():
                self._pool.define(step.folder)
            case StartPool():
                self._pool.start()
            case AutostartPool():
                self._pool.set_autostart(True)
            case Fetch():
                return self._fetch(step, wanted)
            case Pin():
                _pin(index, step.context.name, step.pinned)
            case Prove():
                index.prove(step.hashed.entry.name, step.hashed.identity)
            case Quarantine():
                return _quarantine(index, step.hashed)
            case Remove():
                return _remove(index, step.entry, wanted)
            case Discard():
                return _discard(index, step.leftover)
        return None

    def _fetch(self, step: Fetch, wanted: Wanted) -> str | None:
        source = self._source
        if source is None:
            raise ValueError("an image that is to be fetched needs a source")
        known = cache.named(step.context.name)
        images = self._cache(step.folder)
        image = images.store(
            known[0] if known else None,
            wanted.image_type,
            source,
            step.remote or source.look(),
            Deadline(self._clock, wanted.timeout),
        )
        step.context.name = cache.file_name(image.digest, image.image_type)
        return ". ".join(images.notes) or None

    # --- rolling back, and making final

    def undo(self, receipt: Receipt) -> str | None:
        """Take a step back. An image that was fetched stays: it is verified, and goes when its room is needed."""
        folder, index = self._opened(receipt["folder"])
        match receipt["step"]:
            case "make":
                folder.unmake(*cache.FOLDERS)
            case "define":
                self._pool.undefine()
            case "start":
                self._pool.stop()
            case "autostart":
                self._pool.set_autostart(False)
            case "pin":
                _pin(index, receipt["name"], not receipt["pinned"])
            case "quarantine":
                return index.reprieve(receipt["name"])
            case "remove":
                return index.restore(receipt["name"])
        return None

    def commit(self, receipt: Receipt) -> None:
        """Remove for good what was set aside."""
        if receipt["step"] == "remove":
            self._opened(receipt["folder"])[1].forget(receipt["name"])

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        """Read back, and return what came of it."""
        match wanted.state:
            case "present":
                return self._verify_present(plan.facts["folder"], plan.context.name, wanted)
            case "verified":
                self._note_proofs(plan.facts["folder"], plan.context.good)
                return {}
        return self._gone(plan)

    def _gone(self, plan: Plan) -> Mapping[str, Any]:
        """Return what is there no more of what was to go."""
        _folder, index = self._opened(plan.facts["folder"])
        steps: list[Step] = [action.payload for action in plan.actions]
        left = {each.names for each in index.leftovers()} if steps else set()
        removed, freed = list[str](), 0
        for step in steps:
            match step:
                case Remove(entry=entry) if index.entry(entry.name) is None:
                    removed.append(entry.name)
                    freed += entry.room
                case Discard(leftover=leftover) if leftover.names not in left:
                    freed += leftover.room
        return {"freed": freed, "removed": removed}

    def _verify_present(self, where: str, name: str, wanted: Wanted) -> Mapping[str, Any]:
        folder, index = self._opened(where)
        if not folder.there():
            raise VerificationFailed(f"the folder {where} is not there")
        if not name:
            return {}
        entry = index.entry(name)
        if entry is None or not entry.verified:
            raise VerificationFailed(f"the image {name} is not in {where}")
        if wanted.pinned is not None and entry.pinned != wanted.pinned:
            raise VerificationFailed(f"the pin of the image {name} is not as wanted")
        return {"image": {**cache_plan.shown(entry), "path": folder.path(entry.name)}}

    def _note_proofs(self, where: str, good: Iterable[Hashed]) -> None:
        """Note that images were found good. Like an audit line, that is no part of what is wanted, and no change."""
        folder, index = self._opened(where)
        for each in good:
            if folder.identity(each.entry.name) == each.identity:
                index.prove(each.entry.name, each.identity)

    def ended(self, plan: Plan, failure: BaseException | None, rolled_back: bool) -> None:
        """Let the pool list what is there now."""
        if any(isinstance(action.payload, (Quarantine, Remove)) for action in plan.actions):
            self._pool.refresh()

    def close(self) -> None:
        self._pool.close()

    # --- small things

    def _opened(self, path: str) -> tuple[Folder, CacheIndex]:
        folder = self._open_folder(path)
        return folder, CacheIndex(folder, self._clock)

    def _cache(self, path: str) -> CacheDirectory:
        return CacheDirectory(self._open_folder(path), self._pool, self._clock)


def _named(index: CacheIndex, digest: str) -> Iterator[Entry]:
    """Yield the images of that digest, of whatever type."""
    for image_type in cache.IMAGE_TYPES if digest else ():
        entry = index.entry(cache.file_name(digest, image_type))
        if entry is not None:
            yield entry


def _is_meant(entry: Entry, wanted: Wanted) -> bool:
    """Return whether it is the image that was named, by digest or by where it came from; all are where none was."""
    if wanted.digest:
        return entry.name.startswith(wanted.digest)
    if wanted.url:
        return entry.record is not None and entry.record.url == wanted.url
    return True


def _quarantine(index: CacheIndex, hashed: Hashed) -> str | None:
    name = hashed.entry.name
    if index.condemn(name, hashed.identity, f"its SHA-256 is {hashed.digest}"):
        return None
    return f"The image {name} is being fetched anew, so it was left alone"


def _remove(index: CacheIndex, entry: Entry, wanted: Wanted) -> str | None:
    if index.withdraw(entry):
        return None
    used = f"image {entry.name} came into use meanwhile"
    if wanted.state == "absent":
        raise Conflict(f"the {used}", hint="Run again later")
    return f"The {used}, so it stays"


def _discard(index: CacheIndex, leftover: Leftover) -> str | None:
    if index.discard(leftover):
        return None
    return f"{leftover.names[0]} came into use meanwhile, so it stays"


def _pin(index: CacheIndex, name: str, pinned: bool) -> None:
    index.amend(name, lambda record: record and replace(record, pinned=pinned))
