# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``image_cache``: images are there before they are needed, stay, go, or are proved again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._core.errors import Conflict, TimedOut, VerificationFailed
from .._core.plan import Action, Operation, Plan, Receipt
from .._core.waiting import Clock
from . import cache, cache_plan, pool, promised
from .cache import Entry, Leftover
from .cache_plan import Hashed, Seen, Wanted
from .image_cache import Cache
from .images import read_head
from .inventory import Folder, Inventory
from .job_run import UnrecordedRun
from .pool import Pool
from .work import ImageSource, RemoteImage


class Deadline(UnrecordedRun):
    """Work that nobody follows, and that ends in time."""

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


class ImageCaching(Operation[Wanted, Seen]):
    """Keep the cache of images as wanted."""

    name = "image_cache"

    def __init__(
        self,
        open_folder: Callable[[str], Folder],
        pool_: Pool,
        clock: Clock,
        source: ImageSource | None = None,
    ) -> None:
        self._open_folder = open_folder
        self._pool = pool_
        self._clock = clock
        self._source = source
        self._folder = ""
        self._name = ""
        """Of the image that is wanted, once anybody knows its digest."""
        self._remote: RemoteImage | None = None
        self._hashed_good: tuple[Hashed, ...] = ()
        self._freed = 0
        self._removed: list[str] = []
        self._notes: list[str] = []
        self._stale = False
        """True where the pool lists what is not there any more."""

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        """Check the options."""
        return cache_plan.read(params, self._source.shown if self._source else "")

    def scope(self, wanted: Wanted) -> str:
        """One run at a time works on a cache as a whole; each image has a lock of its own besides."""
        return f"{self.name}:{wanted.path or pool.POOL}"

    # --- looking

    def observe(self, wanted: Wanted) -> Seen:
        """Look at no more than the state needs: where one image is wanted, the others are not gone through."""
        possible = not wanted.path and self._pool.possible()
        facts = self._pool.facts() if possible else None
        self._folder = pool.folder(wanted.path, facts)
        folder, inventory = self._opened(self._folder)
        seen = Seen(self._folder, folder.there(), possible, facts, now=self._clock.wall())
        if wanted.state == "present":
            seen = self._look_for_image(seen, inventory, wanted)
            self._name = seen.name
            return seen
        entries = tuple(entry for entry in inventory.entries() if _is_meant(entry, wanted))
        if wanted.state == "verified":
            hashed = tuple(self._hashed(folder, entries, wanted))
            self._hashed_good = tuple(each for each in hashed if each.good)
            return replace(seen, hashed=hashed)
        if wanted.state == "pruned" and seen.there:
            seen = replace(seen, leftovers=inventory.leftovers(), free=folder.free())
        return replace(seen, entries=entries)

    def _look_for_image(self, seen: Seen, inventory: Inventory, wanted: Wanted) -> Seen:
        source = self._source
        if source is None:
            entries = [entry for entry in _named(inventory, wanted.digest) if entry.verified][:1]
            return replace(seen, entries=tuple(entries), name=entries[0].name if entries else "")
        check = Deadline(self._clock, wanted.timeout).check
        digest = promised.digest(wanted.checksum, source, check)
        if digest is None:
            self._remote = source.look(check)
            known = self._cache(seen.folder).find_by_origin(
                source.shown, self._remote.etag, self._remote.size, wanted.image_type
            )
            digest = known.digest if known else ""
        name = cache.file_name(digest, wanted.image_type) if digest else ""
        entry = inventory.entry(name) if name else None
        if entry is None or not entry.verified:
            self._remote = self._remote or source.look(check)
        if self._remote is not None:  # what no volume could be filled from is not fetched
            read_head(self._remote.head, self._remote.size, wanted.image_type)
        size = self._remote.size if self._remote else None
        return replace(seen, entries=(entry,) if entry else (), name=name, size=size)

    def _hashed(self, folder: Folder, entries: Iterable[Entry], wanted: Wanted) -> Iterator[Hashed]:
        work = Deadline(self._clock, wanted.timeout)
        for entry in entries:
            digest, identity = folder.digest(entry.name, lambda done: work.check())
            yield Hashed(entry, digest, identity)

    # --- deciding

    def plan(self, observed: Seen, wanted: Wanted) -> Plan:
        """Decide."""
        return cache_plan.decide(observed, wanted)

    # --- doing

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        """Say what is done to what. An image that is to be pinned may get its name only now, when it is fetched."""
        name = self._name if action.verb in {"pin", "unpin"} else action.target
        return {"verb": action.verb, "folder": self._folder, "name": name}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        """Do one step."""
        folder, inventory = self._opened(receipt["folder"])
        match action.verb:
            case "make":
                folder.make()
            case "define":
                self._pool.define(receipt["folder"])
            case "start":
                self._pool.start()
            case "autostart":
                self._pool.set_autostart(True)
            case "fetch":
                self._fetch(wanted)
            case "pin" | "unpin":
                _pin(inventory, receipt["name"], action.verb == "pin")
            case "prove":
                inventory.prove(action.target, action.payload.identity)
            case "quarantine":
                self._quarantine(inventory, action.payload)
            case "remove":
                self._remove(inventory, action.payload, wanted)
            case "discard":
                self._discard(inventory, action.payload)

    def _fetch(self, wanted: Wanted) -> None:
        source = self._source
        if source is None:
            raise ValueError("an image that is to be fetched needs a source")
        known = cache.named(self._name)
        images = self._cache(self._folder)
        image = images.store(
            known[0] if known else None,
            wanted.image_type,
            source,
            self._remote or source.look(),
            Deadline(self._clock, wanted.timeout),
        )
        self._name = cache.file_name(image.digest, image.image_type)
        self._notes += images.notes

    def _quarantine(self, inventory: Inventory, hashed: Hashed) -> None:
        name = hashed.entry.name
        if inventory.condemn(name, hashed.identity, f"its SHA-256 is {hashed.digest}"):
            self._stale = True
        else:
            self._notes.append(f"The image {name} is being fetched anew, so it was left alone")

    def _remove(self, inventory: Inventory, entry: Entry, wanted: Wanted) -> None:
        if inventory.withdraw(entry):
            self._freed += entry.room
            self._removed.append(entry.name)
            self._stale = True
        elif wanted.state == "absent":
            raise Conflict(
                f"the image {entry.name} came into use meanwhile", hint="Run again later"
            )
        else:
            self._notes.append(f"The image {entry.name} came into use meanwhile, so it stays")

    def _discard(self, inventory: Inventory, leftover: Leftover) -> None:
        if inventory.discard(leftover):
            self._freed += leftover.room
        else:
            self._notes.append(f"{leftover.names[0]} came into use meanwhile, so it stays")

    # --- taking back, and making final

    def undo(self, receipt: Receipt) -> str | None:
        """Take a step back. An image that was fetched stays: it is verified, and goes when its room is needed."""
        folder, inventory = self._opened(receipt["folder"])
        match receipt["verb"]:
            case "make":
                folder.unmake(*cache.FOLDERS)
            case "define":
                self._pool.undefine()
            case "start":
                self._pool.stop()
            case "autostart":
                self._pool.set_autostart(False)
            case "pin" | "unpin":
                _pin(inventory, receipt["name"], receipt["verb"] == "unpin")
            case "quarantine":
                return inventory.reprieve(receipt["name"])
            case "remove":
                return inventory.restore(receipt["name"])
        return None

    def commit(self, receipt: Receipt) -> None:
        """Remove for good what was set aside."""
        if receipt["verb"] == "remove":
            self._opened(receipt["folder"])[1].forget(receipt["name"])

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        """Look once more, and tell what came of it."""
        if wanted.state == "present":
            return self._verify_present(wanted)
        if wanted.state == "verified":
            self._note_proofs()
            return {}
        return {"freed": self._freed, "removed": self._removed}

    def _verify_present(self, wanted: Wanted) -> Mapping[str, Any]:
        folder, inventory = self._opened(self._folder)
        if not folder.there():
            raise VerificationFailed(f"the folder {self._folder} is not there")
        if not self._name:
            return {}
        entry = inventory.entry(self._name)
        if entry is None or not entry.verified:
            raise VerificationFailed(f"the image {self._name} is not in {self._folder}")
        if wanted.pinned is not None and entry.pinned != wanted.pinned:
            raise VerificationFailed(f"the pin of the image {self._name} is not as wanted")
        return {"image": {**cache_plan.shown(entry), "path": folder.path(entry.name)}}

    def _note_proofs(self) -> None:
        """Note that images were found good. Like an audit line, that is no part of what is wanted, and no change."""
        folder, inventory = self._opened(self._folder)
        for each in self._hashed_good:
            if folder.identity(each.entry.name) == each.identity:
                inventory.prove(each.entry.name, each.identity)

    def notes(self) -> Sequence[str]:
        """Return what was left as it was, and why."""
        return self._notes

    def ended(self, failure: BaseException | None, taken_back: bool) -> None:
        """Let the pool list what is there now."""
        if self._stale:
            self._pool.refresh()

    def close(self) -> None:
        """Let go of libvirt."""
        self._pool.close()

    # --- small things

    def _opened(self, path: str) -> tuple[Folder, Inventory]:
        folder = self._open_folder(path)
        return folder, Inventory(folder, self._clock)

    def _cache(self, path: str) -> Cache:
        return Cache(self._open_folder(path), self._pool, self._clock)


def _named(inventory: Inventory, digest: str) -> Iterator[Entry]:
    """Yield the images of that digest, of whatever type."""
    for image_type in cache.IMAGE_TYPES if digest else ():
        entry = inventory.entry(cache.file_name(digest, image_type))
        if entry is not None:
            yield entry


def _is_meant(entry: Entry, wanted: Wanted) -> bool:
    """Tell whether it is the image that was named, by digest or by where it came from; all are where none was."""
    if wanted.digest:
        return entry.name.startswith(wanted.digest)
    if wanted.url:
        return entry.record is not None and entry.record.url == wanted.url
    return True


def _pin(inventory: Inventory, name: str, pinned: bool) -> None:
    inventory.amend(name, lambda record: record and replace(record, pinned=pinned))
