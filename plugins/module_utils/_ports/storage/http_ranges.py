# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transfer of an object into a file: over several connections, each with a part, hashed in order as it comes.

Threads share the work because what takes long lets others run: the kernel copies, OpenSSL hashes. The hash reads the
file, not the network, so parts may come in any order, and the bytes it wants are still in the page cache.
"""

from __future__ import annotations

import functools
import hashlib
import http.client
import threading
import time
from collections import deque

from ..._core import urls
from ..._core.errors import Refused
from ..._storage.images.ranges import Arrivals, Delivered, Parts, Span
from ..._storage.jobs.job_protocols import RemoteImage, Work
from ..http.connections import Sockets
from ..http.http_session import Broken, OriginClient, Session, patience, reaching
from ..http.retries import Flow, Portion
from .part_file import PartFile
from .thread_group import ThreadGroup

BLOCK = 1 << 18
"""Bytes that one connection takes at once, at most."""
HASH_BLOCK = 1 << 20
AHEAD = 256 << 20
"""Bytes that may come before they are hashed. Where the network is faster than the hash, more would be written out of
the page cache and have to be read from disk again."""
RECORD_SECONDS = 1.0
"""How often the map is written. A run that is killed loses what came in that time, and the parts at hand."""


class Changed(Exception):
    """The object is not any more the one that was looked at."""


class RangesRefused(Exception):
    """The server answered a part with the whole."""


class _Lane:
    """One connection, and what the watch knows of it."""

    def __init__(self, client: OriginClient, url: str) -> None:
        self.sockets = Sockets()
        self.session = Session(client, url, self.sockets)
        self.buffer = memoryview(bytearray(BLOCK))
        self.portion = Portion(BLOCK)
        self.received = 0
        self.flow: Flow | None = None
        """Of the request at hand."""


class Transfer:
    """One attempt at the whole: over several connections, or in one stream where the server knows no ranges."""

    def __init__(
        self,
        client: OriginClient,
        url: str,
        image: RemoteImage,
        file: PartFile,
        parts: Parts,
        *,
        ranged: bool,
    ) -> None:
        self._image = image
        self._shown = urls.shown(url)
        self._file = file
        self._parts = parts
        self._ranged = ranged
        self._limits = client.limits
        self._threads = ThreadGroup()
        self._settled = threading.Event()
        self._threads.at_stop(self._settled.set)
        self._arrivals = Arrivals(parts)
        self._waiting = deque(index for index in range(parts.count) if index not in parts.done)
        self._missing = len(self._waiting)
        if not self._missing:
            self._settled.set()
        self._ahead = 0
        for work in (self._digest, self._record):
            self._threads.add(work)
        self._hash = hashlib.sha256()
        lanes = min(self._limits.connections if ranged else 1, self._missing)
        self._lanes = [_Lane(client, url) for _lane in range(lanes)]
        for lane in self._lanes:
            self._threads.at_stop(functools.partial(lane.sockets.cut, for_good=True))
            self._threads.add(functools.partial(self._fetch, lane))

    def run(self, work: Work) -> str:
        """Do it, and return the SHA-256 of the whole. All is on disk then.

        :raises Changed: :raises RangesRefused: :raises Broken: the last of them only where nothing can be resumed.
        """
        work.progress(self._arrivals.received)  # what an earlier attempt had left
        self._threads.run(functools.partial(self._tick, work))
        work.progress(self._arrivals.received)
        return self._hash.hexdigest()

    def _tick(self, work: Work) -> None:
        work.check()
        work.progress(self._arrivals.received)
        now = time.monotonic()
        for lane in self._lanes:
            flow = lane.flow
            if flow is not None and flow.stalled(now, lane.received):
                lane.sockets.cut()

    # The connections

    def _fetch(self, lane: _Lane) -> None:
        try:
            while (index := self._take()) is not None:
                self._bring(lane, index)
        finally:
            lane.session.close()

    def _take(self) -> int | None:
        """Return the next part to get, the first of those that are missing, as the hash goes by order."""
        with self._threads.changed:
            while self._waiting and self._ahead > AHEAD:
                self._threads.check()
                self._threads.changed.wait()
            self._threads.check()
            return self._waiting.popleft() if self._waiting else None

    def _bring(self, lane: _Lane, index: int) -> None:
        """Get one part, with as many attempts as it is worth; each goes on where the one before broke off."""
        failures = 0
        while (missing := self._arrivals.rest(index)).length:
            try:
                self._receive(lane, index, missing)
            except Broken as broken:
                lane.session.close()
                self._threads.check()
                if not self._ranged:
                    raise
                came = missing.length - self._arrivals.rest(index).length
                failures = 1 if came >= BLOCK else failures + 1
                self._threads.pause(patience(self._limits.retry, failures, broken, self._shown))

    def _receive(self, lane: _Lane, index: int, wanted: Span) -> None:
        flow = lane.flow = Flow(self._limits.stall_rate, self._limits.stall_seconds)
        try:
            response = lane.session.get(self._conditions(wanted), (200, 206, 412, 416))
            self._agree(response, wanted)
            offset = wanted.start
            while offset < wanted.end:
                began = time.monotonic()
                with reaching(self._shown):
                    room = lane.buffer[: min(lane.portion.size, wanted.end - offset)]
                    count = response.readinto(room)
                lane.portion.took(time.monotonic() - began)
                if not count:
                    came = offset - wanted.start
                    raise Broken(f"the connection ended after {came} of {wanted.length} bytes")
                self._threads.check()
                self._file.write(room[:count], offset)
                offset += count
                lane.received += count
                self._arrived(index, count)
            with reaching(self._shown):
                if response.read(1):
                    raise Refused(f"{self._shown}: more comes than the server said")
        except Broken as broken:
            if not flow.stood_still:
                raise
            raise Broken(str(flow)) from broken
        finally:
            lane.flow = None

    def _conditions(self, wanted: Span) -> dict[str, str]:
        """Return the headers that bind an answer to the version of the object that was looked at."""
        image = self._image
        headers = {"Range": wanted.asked()} if self._ranged else {}
        if image.etag:
            headers["If-Match"] = image.etag
        elif image.modified:
            headers["If-Unmodified-Since"] = image.modified
        return headers

    def _agree(self, response: http.client.HTTPResponse, wanted: Span) -> None:
        """Make sure that an answer has the bytes that are wanted, of that version, as they are stored."""
        image, told = self._image, response.headers
        if response.status in (412, 416):
            raise Changed
        if image.etag and told.get("ETag", "") != image.etag:
            raise Changed
        if not image.etag and told.get("Last-Modified", "") != image.modified:
            raise Changed
        refuse_encoding(response, self._shown)
        if self._ranged and response.status == 200:
            raise RangesRefused
        if not self._ranged:
            if response.status != 200 or response.length not in (None, image.size):
                raise Changed
            return
        delivered = Delivered.read(told.get("Content-Range"))
        if delivered is not None and delivered.size != image.size:
            raise Changed
        if (
            delivered is None
            or delivered.span != wanted
            or response.length not in (None, wanted.length)
        ):
            said = told.get("Content-Range", "nothing")[:100]
            raise Refused(f"{self._shown} was asked for {wanted.asked()} and sends {said}")

    def _arrived(self, index: int, count: int) -> None:
        with self._threads.changed:
            self._arrivals.note(index, count)
            self._ahead += count
            if not self._arrivals.rest(index).length:
                self._missing -= 1
            if not self._missing:
                self._settled.set()
            self._threads.changed.notify_all()

    # The hash

    def _digest(self) -> None:
        buffer = memoryview(bytearray(HASH_BLOCK))
        offset = 0
        while offset < self._image.size:
            front = self._front(offset)
            index = offset // self._parts.part_size
            until = min(front, self._parts.span(index).end, offset + HASH_BLOCK)
            count = self._file.read_into(buffer[: until - offset], offset)
            self._hash.update(buffer[:count])
            offset += count
            if index not in self._parts.done:
                with self._threads.changed:
                    self._ahead -= count
                    self._threads.changed.notify_all()

    def _front(self, offset: int) -> int:
        """Wait for bytes beyond the offset, and return where the first one is missing."""
        with self._threads.changed:
            while True:
                self._threads.check()
                front = self._arrivals.front()
                if front > offset:
                    return front
                self._threads.changed.wait()

    # The map

    def _record(self) -> None:
        """Note now and then what is on disk, and in the end see to it that all is."""
        recorded = self._parts.done
        last = False
        while not last:
            last = self._settled.wait(RECORD_SECONDS)
            with self._threads.changed:
                done = self._arrivals.done()
            if done != recorded:
                self._file.sync()
                self._file.record(self._parts.written(self._image, done))
                recorded = done


def refuse_encoding(response: http.client.HTTPResponse, shown: str) -> None:
    """:raises Refused: where what comes is not what is stored."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise Refused(
            f"{shown} comes encoded as {encoding[:40]}",
            why="the object has a Content-Encoding, or a proxy gives it one",
            hint="Store the object without Content-Encoding",
        )
