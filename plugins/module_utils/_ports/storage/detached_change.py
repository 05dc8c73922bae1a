# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that go on to their end when their run is killed; whoever reads the pool next waits for that end.

Half of such a change would be worse than all of it: LVM leaves volumes suspended, and whoever uses them waits for ever.
But a run that takes over must not read, find nothing to roll back, and then have the change happen after all.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from typing import IO

from ..._core import settings
from ..._core.durable import private_umask
from ..._core.errors import CannotRecord
from ..._core.waiting import wait_until
from ..host import command

TIMEOUT = 300.0
"""Seconds for a change: the kernel first writes out what is on its way to a volume."""
PATIENCE = 120.0
"""Seconds to wait for the change of another run, be that alive or dead."""
POLL = 0.02
HOLD = '"$@" </dev/null; exit $?'
"""The shell has the lock as its standard input, and waits; LVM itself closes whatever it was given."""


class DetachedChange:
    """The changes of one pool, one at a time."""

    def __init__(self, pool: str) -> None:
        self._name = f"debvisor-{pool.replace('/', '-')}"

    def run(self, words: Sequence[str]) -> None:
        """Run a program that changes something.

        :raises ProgramFailed: where it ends with another status than 0, or is not there.
        :raises TimedOut: where it does not end. It goes on, and is waited for by whoever reads next.
        """
        with self._alone() as lock:
            command.run(
                ("sh", "-c", HOLD, "sh", *words), timeout=TIMEOUT, outlives=True, input=lock
            )

    def settle(self) -> None:
        """Wait until no change is under way."""
        with self._alone():
            pass

    @contextlib.contextmanager
    def _alone(self) -> Iterator[IO[bytes]]:
        path = settings.lock_dir() / self._name
        try:
            with private_umask():
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = path.open("ab")
        except OSError as cause:
            raise CannotRecord(f"{path} cannot be opened", why=cause.strerror or "") from cause
        with lock:
            wait_until(
                lambda: (_taken(lock), f"{path} is locked"),
                what="the end of another run's change",
                timeout=PATIENCE,
                first=POLL,
                longest=POLL,
                hint=f"fuser {path} names its process; check why it hangs (dmesg)",
            )
            yield lock


def _taken(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
