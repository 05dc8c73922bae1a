# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in memory that are downloaded into real files, and work that nobody watches."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._ports.image_folder import ImageFolder
from ansible_collections.debvisor.hci.plugins.module_utils._storage.image_cache import Cache
from ansible_collections.debvisor.hci.plugins.module_utils._storage.inventory import Inventory
from ansible_collections.debvisor.hci.plugins.module_utils._storage.work import (
    CachedImage,
    Download,
    RemoteImage,
    Work,
)

CHUNK = 1 << 12
CONTENT = bytes(range(256)) * 100


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


DIGEST = sha256(CONTENT)
NAME = f"{DIGEST}.qcow2"


class MemoryImage:
    """Implements ``ImageSource``: resumes what is there, as the real one does."""

    def __init__(
        self,
        content: bytes,
        *,
        url: str = "https://images.example.org/base.qcow2",
        etag: str = '"v1"',
        log: Path | None = None,
        hook: Callable[[int], None] = lambda done: None,
    ) -> None:
        self.content = content
        self.url = url
        self.etag = etag
        self.log = log
        self.hook = hook
        self.downloads = 0
        self.fetched = 0

    @property
    def shown(self) -> str:
        return self.url

    def look(self) -> RemoteImage:
        return RemoteImage(len(self.content), self.etag, self.content[:512], ranges=True)

    def checksum_text(self) -> str | None:
        return sha256(self.content)

    def download(self, image: RemoteImage, part: str, work: Work) -> Download:
        self.downloads += 1
        if self.log is not None:
            with self.log.open("a") as stream:
                stream.write("download\n")
        with open(part, "ab") as stream:
            done = stream.tell()
            while block := self.content[done : done + CHUNK]:
                self.hook(done)
                stream.write(block)
                stream.flush()
                done += len(block)
                self.fetched += len(block)
                work.progress(done)
                work.check()
        return Download(sha256(Path(part).read_bytes()), self.look())


class QuietWork:
    """Implements ``Work`` for a run that nobody follows; what it was told is kept."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.done: list[int] = []
        self.waits: list[str] = []
        self.trouble: Exception | None = None
        """What the next check raises."""

    def take_turn(self) -> None: ...

    def note(self, **facts: object) -> None: ...

    def ended(self, failure: BaseException | None, taken_back: bool) -> None: ...

    def stage(self, name: str, total: int = 0) -> None:
        self.stages.append((name, total))

    def progress(self, done: int) -> None:
        self.done.append(done)

    def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    @contextlib.contextmanager
    def waiting(self, reason: str) -> Iterator[None]:
        self.waits.append(reason)
        yield


class NoPool:
    """A machine without libvirt; counts how often it was to list its files."""

    def __init__(self) -> None:
        self.refreshed = 0
        self.trouble: Exception | None = None

    def refresh(self) -> None:
        self.refreshed += 1
        if self.trouble is not None:
            raise self.trouble


class Time(SystemClock):
    """The machine's clock, ahead by so much."""

    ahead = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead


class CachingHost:
    """A machine with a cache in real files."""

    def __init__(self, root: Path) -> None:
        self.root = root / "images"
        self.root.mkdir()
        self.locks = root / "locks"
        self.pool = NoPool()
        self.clock = Time()
        self.folder = ImageFolder(str(self.root), self.locks)
        self.cache = Cache(self.folder, self.pool, self.clock)
        self.inventory = Inventory(self.folder, self.clock)
        self.work = QuietWork()

    def store(self, source: MemoryImage, digest: str | None = DIGEST) -> CachedImage:
        return self.cache.store(digest, "qcow2", source, source.look(), self.work)

    def images(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir() if path.name != ".debvisor")

    def hidden(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.root / ".debvisor"))
            for path in (self.root / ".debvisor").rglob("*")
            if not path.is_dir()
        )
