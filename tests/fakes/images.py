# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in memory that are downloaded into real files, and work that nobody watches."""

from __future__ import annotations

import contextlib
import hashlib
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.image_folder import (
    ImageFolder,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.cache_directory import (
    CacheDirectory,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.cache_index import (
    CacheIndex,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.libvirt_pool import (
    PoolFacts,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_protocols import (
    CachedImage,
    Download,
    RemoteImage,
    Work,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_run import (
    UnrecordedRun,
)

CHUNK = 1 << 12
CONTENT = bytes(range(256)) * 100


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


DIGEST = sha256(CONTENT)
NAME = f"{DIGEST}.qcow2"


QCOW2_HEAD = struct.pack(">4sIQIIQI", b"QFI\xfb", 2, 0, 0, 16, 1 << 20, 0).ljust(104, b"\0")
"""Whatever the content is: no more is looked at before it comes."""


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

    def look(self, check: Callable[[], None] | None = None) -> RemoteImage:
        return RemoteImage(len(self.content), self.etag, QCOW2_HEAD, ranges=True)

    def checksum_text(self, check: Callable[[], None] | None = None) -> str | None:
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


class QuietWork(UnrecordedRun):
    """Work that nobody follows; what it was told is kept."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.done: list[int] = []
        self.waits: list[str] = []
        self.trouble: Exception | None = None
        """What each check raises."""

    def stage(self, name: str, total: int = 0) -> None:
        self.stages.append((name, total))

    def progress(self, done: int) -> None:
        self.done.append(done)

    def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    def waiting(self, reason: str) -> contextlib.AbstractContextManager[None]:
        self.waits.append(reason)
        return contextlib.nullcontext()


class FakePool:
    """libvirt's pool in memory; counts how often it was to list its files. Without libvirt it is not possible."""

    def __init__(self, facts: PoolFacts | None = None, *, possible: bool = False) -> None:
        self.held = facts
        self.is_possible = possible or facts is not None
        self.refreshed = 0
        self.read_only = False
        self.closed = False
        self.trouble: dict[str, Exception] = {}
        """What each method raises."""

    def possible(self) -> bool:
        return self.is_possible

    def facts(self) -> PoolFacts | None:
        self._ask("facts")
        return self.held

    def define(self, path: str) -> None:
        self._change("define")
        self.held = PoolFacts("dir", path, active=False, autostart=False)

    def undefine(self) -> None:
        self._change("undefine")
        self.held = None

    def start(self) -> None:
        self._change("start")
        self.held = self.held and replace(self.held, active=True)

    def stop(self) -> None:
        self._change("stop")
        self.held = self.held and replace(self.held, active=False)

    def set_autostart(self, wanted: bool) -> None:
        self._change("set_autostart")
        self.held = self.held and replace(self.held, autostart=wanted)

    def refresh(self) -> None:
        self._change("refresh")
        self.refreshed += 1

    def close(self) -> None:
        self.closed = True

    def _change(self, method: str) -> None:
        assert not self.read_only, "a write"
        self._ask(method)

    def _ask(self, method: str) -> None:
        if method in self.trouble:
            raise self.trouble[method]


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
        self.pool = FakePool()
        self.clock = Time()
        self.folder = ImageFolder(str(self.root), self.locks)
        self.cache = CacheDirectory(self.folder, self.pool, self.clock)
        self.index = CacheIndex(self.folder, self.clock)
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
