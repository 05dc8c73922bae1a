# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether keepalived may have the VIP here: the file that it tracks, and the reasons against."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from .._core.durable import write_whole
from .console import complain

LONE = 3.0
"""Seconds for which this server gives way without hearing of another primary that is able to write."""


class TrackedFile:
    """A file that keepalived tracks: 0 is well, 1 is not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: bool | None = None
        self._mark = 0

    def report(self, well: bool) -> None:
        """Write it where it changed, here or by dns-check; else touch it, so dns-check sees that this program lives.

        Its time of modification is on the monotonic clock, which nobody steps. Touching it (IN_ATTRIB, inotify(7)) does
        not wake keepalived up.
        """
        if well != self._last or self._modified() != self._mark:
            content = b"0\n" if well else b"1\n"
            write_whole(self._path, content, mode=0o644, durable=False)
            self._last = well
        self._mark = time.monotonic_ns()
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._path, ns=(self._mark, self._mark))

    def _modified(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return self._path.stat().st_mtime_ns
        return -1


class Offer:
    """Offers this server for the VIP, or takes the offer back.

    What is *withdrawn* is not offered, whatever the others can do. What *hinders* keeps this server from writing, and
    not from answering: it gives way to another primary that is able to write, and stays where there is none.

    :param others_able: tells whether another primary said lately that it is able to write.
    """

    def __init__(self, path: Path, others_able: Callable[[], bool]) -> None:
        self._file = TrackedFile(path)
        self._others_able = others_able
        self._able_at = float("-inf")
        self._lock = threading.RLock()
        """Over what follows, and over the file."""
        self._withdrawn: dict[str, str] = {"answers": "the local server was not asked yet"}
        self._hinders: dict[str, str] = {}
        self._gives_way = False
        self._ended = False

    @property
    def able(self) -> bool:
        """Whether nothing is against this server."""
        with self._lock:
            return not (self._withdrawn or self._hinders or self._ended)

    @property
    def hindrances(self) -> list[str]:
        """What keeps this server from writing."""
        with self._lock:
            return sorted(self._hinders.values())

    def withdraw(self, source: str, why: str) -> None:
        """Take the offer back for a reason; an empty one ends it. :meth:`look` carries it out."""
        with self._lock:
            _keep(self._withdrawn, source, why)

    def hinder(self, source: str, why: str) -> None:
        """Take note of what keeps this server from writing; an empty text ends it."""
        with self._lock:
            if bool(why) != (source in self._hinders):
                complain(why or f"{source}: all is well again")
            _keep(self._hinders, source, why)

    def look(self) -> None:
        """Tell keepalived what is the case now; to be called some times a second."""
        able, at = self._others_able(), time.monotonic()
        with self._lock:
            if able:
                self._able_at = at
            gives_way = bool(self._hinders) and at - self._able_at < LONE
            if gives_way != self._gives_way:
                complain(
                    "gives way to another primary"
                    if gives_way
                    else "may hold the VIP again"
                    if not self._hinders
                    else "may hold the VIP again: no other primary is able to write"
                )
            self._gives_way = gives_way
            self._file.report(not (self._withdrawn or gives_way or self._ended))

    def end(self) -> None:
        """Take the offer back for good: the program ends."""
        with self._lock:
            self._ended = True
            self._file.report(False)


def _keep(reasons: dict[str, str], source: str, why: str) -> None:
    if why:
        reasons[source] = why
    else:
        reasons.pop(source, None)
