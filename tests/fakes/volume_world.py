# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a pool, a cache and a server of images, and runs of ``volume_image`` on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_operation import (
    Ports,
    VolumeImage,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_plan import (
    golden_name,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_request import (
    SPEC,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import Marks

from tests.fakes.switchboard import Fault, Switchboard
from tests.fakes.volumes import (
    BLOCK,
    FakeCache,
    FakeDisks,
    FakeGuests,
    FakeLocks,
    FakePool,
    FakeSource,
    FakeWork,
    Held,
    Picture,
    picture,
)

NAME = "web-root"
SIZE = 32 * BLOCK
NOW = "2026-01-31T12:00:00Z"
THEN = "2025-12-31T12:00:00Z"
WRITES = frozenset(
    {f"pool.{call}" for call in ("create", "clone", "seal", "mark", "rename", "remove", "zero")}
    | {"pool.sync", "disks.convert", "cache.store", "cache.hold", "source.download", "lock"}
    | {f"work.{call}" for call in ("begin", "take_turn", "waiting", "note", "ended")}
)
"""What check mode never calls."""
PARAMS: dict[str, Any] = filled(
    SPEC,
    {
        "backend": "lvm_thin",
        "pool": "vg/thin",
        "volume_name": NAME,
        "image_url": "https://web.test/image.qcow2",
        "size": "128K",
        "job_id": "job-1",
    },
)


class Calendar:
    def utc(self) -> str:
        return NOW


class World:
    def __init__(self, base: Path, pool: FakePool | None = None) -> None:
        self.records = Records(Journal(base / "journal"), Audit(base / "audit"), base / "lock")
        self.pool = pool or FakePool()
        self.cache = FakeCache()
        self.image = picture(1)
        self.source = FakeSource(self.image, self.cache.files)
        self.disks = FakeDisks(self.cache.files, self.pool)
        self.guests = FakeGuests(self.pool)
        self.locks = FakeLocks()
        self.work = FakeWork()
        self.board = Switchboard()
        self.runs = 0
        self.neighbour = self.give("neighbour", b"other data", None)
        """A volume that is nobody's business."""

    # What is there

    def give(self, name: str, content: bytes, marks: Marks | None, **about: Any) -> Held:
        """Put a volume there that no run made."""
        held = Held(bytearray(content.ljust(SIZE, b"\x77")), marks, **about)
        self.pool.held[name] = held
        return held

    def give_filled(self, image: Picture, name: str = NAME) -> Held:
        """Put a volume there that an earlier run filled, and that a guest wrote to since."""
        mark = Marks(f"sha256:{image.digest}", "0ldt0ken", THEN, len(image.disk))
        return self.give(name, b"guest's data", mark)

    def give_golden(self) -> Held:
        """Put the image's golden volume there."""
        marks = Marks(self.mark, "0ldt0ken", THEN, len(self.image.disk), golden=True)
        held = Held(bytearray(self.image.disk), marks, sealed=True)
        self.pool.held[self.golden] = held
        return held

    def cached(self) -> None:
        self.cache.put(self.image, self.source)

    @property
    def mark(self) -> str:
        return f"sha256:{self.image.digest}"

    @property
    def golden(self) -> str:
        return golden_name(self.image.digest)

    @property
    def filled(self) -> bytes:
        """What a volume with the image holds."""
        return self.image.disk.ljust(SIZE, b"\0")

    @property
    def volume(self) -> Held:
        return self.pool.held[NAME]

    @property
    def names(self) -> set[str]:
        return set(self.pool.held)

    @property
    def open_transactions(self) -> list[Path]:
        return list(self.records.journal.folder.glob("*.json"))

    # Runs

    def operation(self, wire: Callable[[str, Any], Any] | None = None) -> VolumeImage:
        """Return a run, as a process of its own would have it."""
        self.runs += 1
        self.work = FakeWork()
        wire = wire or self.board.wire
        pool = wire("pool", self.pool)
        ports = Ports(
            backend=lambda kind, name: pool,
            canonical_pool=lambda kind, name: name,
            source=wire("source", self.source),
            cache=wire("cache", self.cache),
            disks=wire("disks", self.disks),
            guests=wire("guests", self.guests),
            work=wire("work", self.work),
            lock=wire("lock", self.locks),
            calendar=Calendar(),
            token=self.token,
            job_id="job-of-its-own",
        )
        return VolumeImage(ports)

    @property
    def token(self) -> str:
        """Of the present run."""
        return f"{self.runs:08x}"

    def run(self, *, fault: Fault | None = None, check: bool = False, **options: Any) -> Outcome:
        self.board.restart()
        self.board.fault = fault
        self.board.forbidden = WRITES if check else ()
        operation = self.operation()
        try:
            return execute(operation, {**PARAMS, **options}, self.records, check=check)
        finally:
            self.board.forbidden = ()
