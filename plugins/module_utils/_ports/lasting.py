# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes that go on to their end when their run is killed; whoever looks next waits for that end.

Half of such a change would be worse than all of it: LVM leaves volumes suspended, and whoever uses them waits for ever.
But a run that takes over must not look, find nothing to take back, and then have the change happen after all.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from .._core.durable import private_umask
from .._core.errors import CannotRecord, TimedOut
from . import command

LOCKS = Path("/run/debvisor/lock")
TIMEOUT = 300.0
"""Seconds for a change: the kernel first writes out what is on its way to a volume."""
PATIENCE = 120.0
"""Seconds to wait for the change of another run, be that alive or dead."""
POLL = 0.02
HOLD = '"$@" </dev/null; exit $?'
"""The shell has the lock as its standard input, and waits; LVM itself closes whatever it was given."""


class Lasting:
    """The changes of one pool, one at a time."""

    def __init__(self, pool: str) -> None:
        self._name = f"debvisor-{pool.replace('/', '-')}"

    def change(self, words: Sequence[str]) -> None:
        """Run a program that changes something.

        :raises ProgramFailed: where it ends with another status than 0, or is not there.
        :raises TimedOut: where it does not end. It goes on, and is waited for by whoever looks next.
        """
        with self._alone() as lock:
            command.run(
                ("sh", "-c", HOLD, "sh", *words), timeout=TIMEOUT, outlives=True, stdin=lock
            )

    def settle(self) -> None:
        """Wait until no change is under way."""
        with self._alone():
            pass

    @contextlib.contextmanager
    def _alone(self) -> Iterator[IO[bytes]]:
        path, deadline = LOCKS / self._name, time.monotonic() + PATIENCE
        try:
            with private_umask():
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = path.open("ab")
        except OSError as cause:
            raise CannotRecord(f"{path} cannot be opened", why=cause.strerror or "") from cause
        with lock:
            while not _taken(lock):
                if time.monotonic() > deadline:
                    raise TimedOut(
                        "a change of another run does not end",
                        why=f"waited {PATIENCE:g} s for {path}",
                        hint=f"fuser {path} names its process; look why it hangs (dmesg)",
                    )
                time.sleep(POLL)
            yield lock


def _taken(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
