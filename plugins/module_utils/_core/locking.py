# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on one object."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from .durable import private_umask, recording
from .errors import TimedOut
from .journal import FIX, NOTHING_CHANGED
from .waiting import wait_until

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another run on the same scope. It is the longest that a queue of two may reasonably take."""


@contextlib.contextmanager
def locked(
    folder: Path,
    scope: str,
    timeout: float,
    undecided: Callable[[], str] = str,
    meanwhile: Callable[[], object] = str,
) -> Iterator[None]:
    """Hold the scope's lock, once nothing is ``undecided``.

    flock(2) dies with its holder, so there is no stale lock to break.
    """
    with private_umask(), recording("lock", folder, f"{NOTHING_CHANGED}. {FIX}"):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / hashlib.sha256(scope.encode()).hexdigest()[:32]
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:

        def attempt() -> tuple[bool, str]:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                meanwhile()
                return False, "held by another run"
            if reason := undecided():
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                return False, reason
            return True, "free"

        try:
            wait_until(attempt, what=f"the lock of {scope}", timeout=timeout)
        except TimedOut as late:
            late.hint = "Another run works on the same object: wait for its end, then run again"
            raise
        yield
    finally:
        os.close(descriptor)
