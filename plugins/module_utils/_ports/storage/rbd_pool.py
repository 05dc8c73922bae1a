# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes as RBD images of a Ceph pool, through Ceph's own bindings. Marks are image metadata.

An image cannot be made with its metadata in one step. So it is made under a name that says which run it is of, gets its
marks, and then its name. Where a run is killed in between, it is found under the name that it was to get.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from ..._core.errors import Refused, TimedOut, Unreachable
from ..._core.waiting import wait_until
from ..._storage.jobs.sizes import rounded_up
from ..._storage.volumes.volumes import Marks, Space, User, Volume

try:
    import rados
    import rbd
except ImportError:
    rados = rbd = None

CONFIGURATION = "/etc/ceph/ceph.conf"
CLIENT = "admin"
LIMITS = {
    "client_mount_timeout": "15",
    "rados_mon_op_timeout": "30",
    "rados_osd_op_timeout": "60",
    "rbd_cache": "false",
}
"""Without, calls wait for ever for a cluster that is gone. (The cache would only cost memory: we write zeros.)"""
MARK = "debvisor."
SEAL = "debvisor-golden"
"""The snapshot that clones are made from. It is protected, so that nobody removes it by mistake."""
UNMARKED = re.compile(r"(?P<name>.+)\.unmarked-(?P<token>[A-Za-z0-9:+-]*)")
GRANULE = 1 << 20
STEP = 64 << 20
"""Bytes that are zeroed between two ticks."""
STALE_WATCH = 45.0
"""Seconds to wait for watches of programs that were killed: Ceph drops those after 30."""
FATAL = frozenset({"OSD_FULL", "PG_AVAILABILITY", "POOL_FULL"})
"""Health checks under which writing fails, or waits for ever."""


class RbdPool:
    """The images of one pool. ``POOL`` is used as client.admin, ``CLIENT@POOL`` as another one."""

    kind = "rbd"
    fresh_is_zero = True
    can_clone = True

    def __init__(self, pool: str) -> None:
        self.pool = pool
        client, _mark, self._name = pool.rpartition("@")
        self._client = client or CLIENT
        self._cluster: Any = None
        self._context: Any = None

    def name_fault(self, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}", name):
            return "a name has letters, digits and _ . + - and begins with a letter or digit; at most 200 characters"
        return "unfinished volumes have such names" if UNMARKED.fullmatch(name) else ""

    def space(self) -> Space:
        """Ask the monitors. What is free is what the fullest disk leaves, with the pool's copies taken into account."""
        with self._used():
            usage = self._ask({"prefix": "df", "detail": "detail"})
            health = self._ask({"prefix": "health"})
        [stats] = [each["stats"] for each in usage["pools"] if each["name"] == self._name]
        free = int(stats["max_avail"])
        if quota := int(stats.get("quota_bytes", 0)):
            free = min(free, max(0, quota - int(stats["stored"])))
        troubles = [
            str(check["summary"]["message"])
            for name, check in health["checks"].items()
            if name in FATAL
        ]
        return Space(free, GRANULE, tuple(troubles))

    def find(self, name: str) -> Volume | None:
        """Look at one image. Opened for reading it is not watched by us, so we do not count as a user."""
        with self._used(name) as pool:
            return self._seen(pool, name) or self._unfinished(pool, name)

    def owned(self) -> tuple[Volume, ...]:
        """Return the images of the pool that are ours, and those that one of our runs was about to mark."""
        with self._used() as pool:
            found = [self._seen(pool, name) for name in sorted(rbd.RBD().list(pool))]
        return tuple(volume for volume in found if volume is not None and volume.marks is not None)

    def users(self, volume: Volume) -> tuple[User, ...]:
        """Say who watches the image, as everybody does who may write to it, on any host, and who has it locked."""
        with self._opened(volume, read_only=True) as image:
            watchers = {User("client", each["addr"]) for each in image.watchers_list()}
            locks = image.list_lockers() or {"tag": "internal", "lockers": []}
            # librbd's own lock outlives its holder until the next one breaks it; its holder is a watcher.
            owners = [] if locks["tag"] == "internal" else locks["lockers"]
        return tuple(
            sorted(watchers | {User("lock", owner[0], f"at {owner[2]}") for owner in owners})
        )

    def create(self, name: str, size: int, marks: Marks) -> Volume:
        """Make an image; it is sparse, and reads as zeros."""

        def make(pool: Any, unmarked: str) -> None:
            rbd.RBD().create(pool, unmarked, rounded_up(size, GRANULE))

        return self._made(make, name, size, marks)

    def clone(self, golden: Volume, name: str, size: int, marks: Marks) -> Volume:
        """Make an image that shares what it does not overwrite with the sealed one."""

        def make(pool: Any, unmarked: str) -> None:
            rbd.RBD().clone(pool, golden.name, SEAL, pool, unmarked, clone_format=2)

        self._still(golden)
        return self._made(make, name, max(size, golden.size), marks)

    def seal(self, volume: Volume) -> None:
        """Take the snapshot that clones are made from: what is written to the image later does not reach it."""
        with self._opened(volume) as image:
            if SEAL not in {each["name"] for each in image.list_snaps()}:
                image.create_snap(SEAL)
            if not image.is_protected_snap(SEAL):
                image.protect_snap(SEAL)

    def mark(self, volume: Volume, marks: Marks) -> Volume:
        """Replace our marks."""
        with self._opened(volume) as image:
            _write_marks(image, marks)
        return self._present(volume.name)

    def rename(self, volume: Volume, name: str) -> Volume:
        """Rename; Ceph refuses a name that is taken."""
        self._still(volume)
        with self._used(name) as pool:
            rbd.RBD().rename(pool, volume.name, name)
        return self._present(name)

    def remove(self, volume: Volume) -> None:
        """Remove the image of this identity, once nobody has it open. One that has clones stays."""
        if self.find(volume.name) is None:
            return
        self._await_unused(volume)
        with self._opened(volume) as image:
            if clones := [each["image"] for each in image.list_children2()]:
                raise Refused(
                    f"{self._shown(volume.name)} has clones",
                    why=", ".join(sorted(clones)),
                    hint="Remove those first, or flatten them (rbd flatten)",
                )
            if SEAL in {each["name"] for each in image.list_snaps()}:
                if image.is_protected_snap(SEAL):
                    image.unprotect_snap(SEAL)
                image.remove_snap(SEAL)
        with self._used(volume.name) as pool:
            rbd.RBD().remove(pool, volume.name)

    def zero(self, volume: Volume, start: int, length: int, tick: Callable[[], None]) -> None:
        """Have Ceph write zeros; where it can drop whole objects, it does."""
        with self._opened(volume) as image:
            for at in range(start, start + length, STEP):
                tick()
                image.write_zeroes(at, min(STEP, start + length - at))
            image.flush()

    def sync(self, volume: Volume) -> None:
        """Wait for what we have in flight. What another program wrote was on every copy's disk when it was told so."""
        with self._opened(volume) as image:
            image.flush()

    def close(self) -> None:
        """Shut the connection down: what Ceph's threads do while Python ends may crash it."""
        cluster, context = self._cluster, self._context
        self._cluster = self._context = None
        for end in (context and context.close, cluster and cluster.shutdown):
            if end:
                with contextlib.suppress(Exception):  # nobody needs it any more
                    end()

    def _pool(self) -> Any:
        """Return the pool, connected to when it is first asked for."""
        if rbd is None:
            raise Unreachable(
                "Ceph's Python bindings are not there", hint="Install python3-rados and python3-rbd"
            )
        if self._context is None:
            try:
                self._cluster = rados.Rados(
                    conffile=CONFIGURATION, rados_id=self._client, conf=LIMITS
                )
                self._cluster.connect()
            except rados.Error as cause:
                raise Unreachable(
                    f"the Ceph cluster of the pool {self.pool} cannot be reached",
                    why=str(cause),
                    hint=f"Check whether `ceph --id {self._client} status` answers on this host",
                ) from cause
            try:
                self._context = self._cluster.open_ioctx(self._name)
            except rados.ObjectNotFound as cause:
                raise Unreachable(f"there is no Ceph pool {self.pool}") from cause
        return self._context

    def _ask(self, question: dict[str, str]) -> dict[str, Any]:
        """Ask the monitors, who answer in JSON."""
        words = json.dumps({**question, "format": "json"})
        status, answer, complaint = self._cluster.mon_command(words, b"")
        if status != 0:
            raise Unreachable(f"Ceph does not answer {question['prefix']}", why=complaint)
        return dict(json.loads(answer))

    @contextlib.contextmanager
    def _opened(self, volume: Volume, *, read_only: bool = False) -> Iterator[Any]:
        """Open the image of this identity."""
        with (
            self._used(volume.name) as pool,
            rbd.Image(pool, volume.name, read_only=read_only) as image,
        ):
            if image.id() != volume.identity:
                raise Refused(
                    f"{self._shown(volume.name)} is another image than before",
                    hint="Nothing was done to it",
                )
            yield image

    def _still(self, volume: Volume) -> None:
        with self._opened(volume, read_only=True):
            pass

    def _made(self, make: Callable[[Any, str], None], name: str, size: int, marks: Marks) -> Volume:
        """Make an image under a name of our run, then give it size, marks and name."""
        unmarked = f"{name}.unmarked-{marks.token}"
        with self._used(name) as pool:
            make(pool, unmarked)
            try:
                with rbd.Image(pool, unmarked) as image:
                    if image.size() < size:
                        image.resize(rounded_up(size, GRANULE))
                    _write_marks(image, marks)
                rbd.RBD().rename(pool, unmarked, name)
            except BaseException:
                rbd.RBD().remove(pool, unmarked)
                raise
        return self._present(name)

    def _seen(self, pool: Any, name: str) -> Volume | None:
        try:
            image = rbd.Image(pool, name, read_only=True)
        except rbd.ImageNotFound:
            return None
        with image:
            return self._described(image, name)

    def _unfinished(self, pool: Any, name: str) -> Volume | None:
        """Look for an image that was to get this name."""
        for called in rbd.RBD().list(pool):
            unfinished = UNMARKED.fullmatch(called)
            if unfinished and unfinished["name"] == name:
                return self._seen(pool, called)
        return None

    def _described(self, image: Any, name: str) -> Volume:
        if unfinished := UNMARKED.fullmatch(name):
            marks: Marks | None = Marks(token=unfinished["token"])
        else:
            marks = Marks.read(_marks(image))
        snapshots = {each["name"] for each in image.list_snaps()}
        plain = not snapshots or (marks is not None and snapshots == {SEAL})
        client = "" if self._client == CLIENT else f":id={self._client}"
        return Volume(
            name=name,
            identity=image.id(),
            size=image.size(),
            path=f"rbd:{self._name}/{name}{client}",
            marks=marks,
            special="" if plain else "origin of snapshots",
        )

    def _present(self, name: str) -> Volume:
        volume = self.find(name)
        if volume is None:
            raise Unreachable(f"{self._shown(name)} vanished")
        return volume

    def _await_unused(self, volume: Volume) -> None:
        """Wait for watches of clients that are gone to end."""

        def unused() -> tuple[bool, str]:
            users = self.users(volume)
            return not users, ", ".join(map(str, users))

        what = f"the last user of {self._shown(volume.name)}"
        try:
            wait_until(unused, what=what, timeout=STALE_WATCH)
        except TimedOut as late:
            raise Refused(f"{self._shown(volume.name)} is in use", why=late.why) from late

    def _shown(self, name: str) -> str:
        return f"{self.pool}/{name}" if name else f"the Ceph pool {self.pool}"

    @contextlib.contextmanager
    def _used(self, name: str = "") -> Iterator[Any]:
        """Give the pool, and turn Ceph's errors into ours."""
        pool = self._pool()
        try:
            yield pool
        except (rbd.Error, rados.Error) as cause:
            raise _error(cause, self._shown(name)) from cause


def _error(cause: Exception, what: str) -> Exception:
    if isinstance(cause, (rbd.Timeout, rbd.ConnectionShutdown, rados.TimedOut)):
        return Unreachable(f"{what} does not answer", why=str(cause))
    if isinstance(cause, rbd.ImageNotFound):
        return Unreachable(f"{what} vanished", why=str(cause))
    if isinstance(cause, rbd.ImageExists):
        return Refused(f"{what} is there already")
    full = isinstance(cause, (rbd.NoSpace, rbd.DiskQuotaExceeded, rados.NoSpace))
    hint = "Make room and run again" if full else ""
    return Refused(f"{what} cannot be used", why=str(cause), hint=hint)


def _marks(image: Any) -> dict[str, str]:
    return {
        name.removeprefix(MARK): value
        for name, value in image.metadata_list()
        if name.startswith(MARK)
    }


def _write_marks(image: Any, marks: Marks) -> None:
    """Replace our marks: what vanishes goes first, the proof comes last, so that no half of it looks proved."""
    found, wanted = _marks(image), marks.written()
    for name in found.keys() - wanted.keys():
        image.metadata_remove(f"{MARK}{name}")
    for name in sorted(wanted, key="image".__eq__):
        if found.get(name) != wanted[name]:
            image.metadata_set(f"{MARK}{name}", wanted[name])
