# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the cache, and how it leaves. To list takes as long as there are images; a look-up goes by name alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from ..._core.ports import Clock
from ..._core.waiting import wait_until
from . import cache
from .cache import Entry, Identity, Leftover, Origin, Record

RECORDS = "records"
"""The lock under which records are changed. Nobody holds it for longer than a small file takes to write."""
LOCK_TIMEOUT = 60.0
"""Seconds to wait for a lock that nobody holds for long."""


class Folder(Protocol):
    """The cache's folder; every name is relative to it."""

    def path(self, name: str) -> str: ...

    def there(self) -> bool: ...

    def identity(self, name: str) -> Identity | None: ...

    def room(self, name: str) -> int: ...

    def changed(self, name: str) -> int: ...

    def names(self, folder: str = "") -> list[str]: ...

    def read(self, name: str) -> bytes | None: ...

    def link_target(self, name: str) -> str | None: ...

    def digest(self, name: str, tick: Callable[[int], None]) -> tuple[str, Identity]: ...

    def free(self) -> int: ...

    def make(self, *folders: str) -> None: ...

    def unmake(self, *folders: str) -> None: ...

    def write(self, name: str, content: bytes) -> None: ...

    def link(self, name: str, target: str) -> None: ...

    def seal(self, name: str) -> Identity: ...

    def rename(self, name: str, new: str) -> None: ...

    def remove(self, *names: str) -> None: ...

    def try_lock(
        self, name: str, *, exclusive: bool = True
    ) -> AbstractContextManager[None] | None: ...

    def is_locked(self, name: str) -> bool: ...

    def is_open(self, name: str) -> bool: ...


class CacheIndex:
    """All that is in the folder."""

    def __init__(self, folder: Folder, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    # --- looking

    def entries(self) -> tuple[Entry, ...]:
        """Return every image, by name."""
        found = (self.entry(name) for name in self._folder.names() if cache.named(name))
        return tuple(entry for entry in found if entry is not None)

    def entry(self, name: str) -> Entry | None:
        """Return one image; None where it is not there."""
        identity = self._folder.identity(name)
        if identity is None:
            return None
        return Entry(
            name,
            size=identity.size,
            room=self._folder.room(name),
            changed=self._folder.changed(name),
            record=self.record(name),
            verified=self.verified(name) is not None,
            in_use=self._folder.is_locked(name) or self._folder.is_open(name),
        )

    def record(self, name: str) -> Record | None:
        """Return what is known of an image."""
        return Record.read(self._folder.read(cache.record_of(name)))

    def verified(self, name: str) -> Record | None:
        """Return the record of an image that is there and still the one that was verified. Costs the same for any
        number of images.
        """
        record = self.record(name)
        return record if record and record.identity == self._folder.identity(name) else None

    def leftovers(self) -> tuple[Leftover, ...]:
        """Return what is neither an image nor of use to one, the oldest first."""
        found = [*self._hidden(), *self._quarantined(), *self._removed()]
        return tuple(sorted(found, key=lambda each: (each.changed, each.names)))

    def _hidden(self) -> Iterator[Leftover]:
        for name in self._folder.names(cache.HIDDEN):
            path = f"{cache.HIDDEN}/{name}"
            if name.endswith(cache.PART):
                owner = name.removesuffix(cache.PART)
                if not self._folder.is_locked(owner):
                    yield self._leftover("part", owner, path, cache.map_of(owner))
            elif name.startswith(cache.ORIGIN):
                target = (self._folder.link_target(path) or "").removeprefix("../")
                if not cache.named(target):
                    yield self._leftover("stray", name, path)
                elif self._folder.identity(target) is None:
                    yield self._leftover("stray", target, path)
            elif name.endswith(cache.RECORD):
                owner = name.removesuffix(cache.RECORD)
                if all(self._folder.identity(place) is None for place in cache.places(owner)):
                    yield self._leftover("stray", owner, path)

    def _quarantined(self) -> Iterator[Leftover]:
        for name in self._folder.names(cache.QUARANTINE):
            if not name.endswith(cache.RECORD):
                path = cache.quarantined(name)
                yield self._leftover("quarantine", name, path, path + cache.RECORD)

    def _removed(self) -> Iterator[Leftover]:
        for name in self._folder.names(cache.REMOVED):
            yield self._leftover("removed", name, cache.removed(name))

    def _leftover(self, kind: str, owner: str, *names: str) -> Leftover:
        room = sum(self._folder.room(name) for name in names)
        return Leftover(kind, owner, names, room, self._folder.changed(names[0]))

    def why_quarantined(self, name: str) -> str:
        """Return why a file was put away."""
        try:
            told = json.loads(self._folder.read(cache.quarantined(name) + cache.RECORD) or b"")
            return str(told["reason"])
        except (ValueError, KeyError, TypeError):
            return "unknown"

    # --- changing

    def amend(self, name: str, change: Callable[[Record | None], Record | None]) -> None:
        """Change a record; None from ``change`` leaves it as it is. Nobody else's change is lost."""
        with self.locked(RECORDS):
            record = change(self.record(name))
            if record is not None:
                self._folder.write(cache.record_of(name), record.written())

    def prove(self, name: str, identity: Identity, origin: Origin | None = None) -> None:
        """Record that this file was verified just now. Where it came from stays where nobody says; a pin stays."""
        now = int(self._clock.wall())

        def proved(known: Record | None) -> Record:
            return Record(
                origin.url if origin else known.url if known else "",
                origin.etag if origin else known.etag if known else "",
                *identity,
                verified_at=now,
                last_used=now if origin or not known else known.last_used,
                pinned=known is not None and known.pinned,
            )

        self.amend(name, proved)

    def locked(self, name: str, *, exclusive: bool = True) -> AbstractContextManager[None]:
        """Return a lock that is held, after a short while at most.

        :raises TimedOut: where others keep it.
        """

        def probe() -> tuple[bool, AbstractContextManager[None] | None]:
            lock = self._folder.try_lock(name, exclusive=exclusive)
            return lock is not None, lock

        lock = wait_until(
            probe, what=f"the lock of {name}", timeout=LOCK_TIMEOUT, clock=self._clock
        )
        if lock is None:
            raise RuntimeError("unreachable: it was waited for")
        return lock

    def put_away(self, path: str, name: str, reason: str) -> None:
        """Put a bad file into quarantine, under the name that it was to have. The caller holds the name's lock."""
        told = {"reason": reason, "at": int(self._clock.wall())}
        place = cache.quarantined(name)
        self._folder.write(place + cache.RECORD, json.dumps(told).encode() + b"\n")
        self._folder.rename(path, place)

    def condemn(self, name: str, identity: Identity, reason: str) -> bool:
        """Put a bad image into quarantine. False where it is another file by now, or is being fetched anew.

        Who uses it now goes on with it, as its file stays open; nobody else finds it.
        """
        lock = self._folder.try_lock(name, exclusive=False)
        if lock is None:
            return False
        with lock:
            if self._folder.identity(name) != identity:
                return False
            self.put_away(name, name, reason)
        return True

    def reprieve(self, name: str) -> str | None:
        """Bring an image back from quarantine, and say so where another one has its name by now."""
        return self._bring_back(cache.quarantined(name), name)

    def withdraw(self, entry: Entry) -> bool:
        """Set an image aside, so that nobody finds it. False where it is in use, or was since ``entry`` was made."""
        lock = self._folder.try_lock(entry.name)
        if lock is None:
            return False
        with lock:
            if self.record(entry.name) != entry.record or self._folder.is_open(entry.name):
                return False
            self._folder.rename(entry.name, cache.removed(entry.name))
        return True

    def restore(self, name: str) -> str | None:
        """Bring back an image that was set aside, and say so where another one has its name by now."""
        return self._bring_back(cache.removed(name), name)

    def _bring_back(self, path: str, name: str) -> str | None:
        if self._folder.identity(path) is None:
            return None
        lock = self._folder.try_lock(name)
        if lock is not None:
            with lock:
                if self._folder.identity(name) is None:
                    self._folder.rename(path, name)
                    return None
        return (
            f"The image {name} was not put back, as it has been fetched anew; {path} is left over"
        )

    def forget(self, name: str) -> None:
        """Remove an image that was set aside, for good, and with it what is known of it."""
        record = self.record(name)
        self._folder.remove(cache.removed(name))
        lock = self._folder.try_lock(name)
        if lock is not None:  # who holds it is about to fetch it anew, and writes a new record
            with lock:
                self._drop_stray(cache.record_of(name), name)
                if record is not None:
                    self._drop_stray(record.origin(name).link, name)

    def discard(self, leftover: Leftover) -> bool:
        """Remove a leftover. False where somebody works on that image by now."""
        lock = self._folder.try_lock(leftover.owner)
        if lock is None:
            return False
        with lock:
            if leftover.kind != "stray":
                self._folder.remove(*leftover.names)
            else:
                self._drop_stray(leftover.names[0], leftover.owner)
        return True

    def _drop_stray(self, path: str, owner: str) -> None:
        if all(self._folder.identity(place) is None for place in cache.places(owner)):
            self._folder.remove(path)
