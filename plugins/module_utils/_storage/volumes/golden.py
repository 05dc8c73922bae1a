# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Golden volumes: one for each image and pool, from which others are cloned."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from ..._core.errors import Refused, TimedOut
from ..jobs.job_protocols import CachedImage, Work
from .populate import Filler
from .volume_plan import golden_name, mark_of
from .volumes import Backend, Marks, Volume

LOCK_POLL = 1.0
"""Seconds between two checks whether the work may go on, while another run has the lock."""
Lock = Callable[[str, float], AbstractContextManager[None]]
"""Takes a lock by its name, waiting so many seconds at most."""


def find(backend: Backend, digest: str) -> Volume | None:
    """Return the pool's golden volume of this image."""
    golden = backend.find(golden_name(digest))
    if golden is None or golden.marks is None or not golden.marks.golden:
        return None
    return golden if golden.marks.image == mark_of(digest) else None


@dataclass(frozen=True, slots=True)
class GoldenMaker:
    """Makes golden volumes."""

    filler: Filler
    work: Work
    lock: Lock

    def make(self, backend: Backend, name: str, image: CachedImage, *, compare: bool) -> Volume:
        """Make the golden volume, unless another run has made it meanwhile.

        :param name: what it is called until it is proved.
        """
        virtual_size = self.filler.judge(image).virtual_size
        with self._alone(f"golden:{backend.kind}:{backend.pool}:{image.digest}"):
            golden = find(backend, image.digest)
            if golden is not None:
                return golden
            self.work.stage("creating_volume")
            volume = backend.create(name, virtual_size, Marks(token=self.filler.token))
            zeroed = backend.fresh_is_zero
            volume = self.filler.fill(image, backend, volume, zeroed=zeroed, compare=compare)
            volume = backend.mark(volume, replace(volume.marks or Marks(), golden=True))
            backend.seal(volume)
            return _published(backend, volume, image.digest)

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Hold a lock; while another run has it, our turn is given back."""
        with contextlib.ExitStack() as stack:
            if not self._enter(stack, name, 0):
                with self.work.waiting("another run makes the same golden volume"):
                    while not self._enter(stack, name, LOCK_POLL):
                        self.work.check()
            yield

    def _enter(self, stack: contextlib.ExitStack, name: str, timeout: float) -> bool:
        try:
            stack.enter_context(self.lock(name, timeout))
        except TimedOut:
            return False
        return True


def _published(backend: Backend, volume: Volume, digest: str) -> Volume:
    """Give a golden volume its name; where another host was first, as on Ceph, take that one."""
    try:
        return backend.rename(volume, golden_name(digest))
    except Refused:
        other = find(backend, digest)
        if other is None:
            raise
        backend.remove(volume)
        return other
