# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content from a web server or a file of this machine, streamed, with a bound on its size and on the time it takes."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..._core import urls
from ..._core.errors import Refused, TimedOut, Unreachable
from ..._core.secret import Secret
from ..host.spool import BLOCK, Spool
from .connections import Deadline
from .http_session import Access, Broken, OriginClient, Postponed, Session, reaching
from .retries import Limits

ATTEMPTS = 3
PAUSE = 1.0
"""Seconds before the second attempt; twice as many before the third."""
CONDITIONS = ("If-None-Match", "If-Modified-Since")


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether there was content, and the marks by which to ask for it next time (RFC 9110, section 13)."""

    modified: bool
    etag: str = ""
    last_modified: str = ""


class Web:
    """Reads from ``https:``, ``http:``, ``file:``, or a path that begins with a slash."""

    def fetch(
        self,
        address: str,
        into: Spool,
        *,
        max_bytes: int,
        timeout: float,
        headers: Mapping[str, Secret],
        marks: tuple[str, str] = ("", ""),
    ) -> Answer:
        """Get the content, unless it still has the ETag and the Last-Modified of ``marks``.

        :param timeout: seconds for everything, further attempts included.
        :param headers: sent to the host of the address alone, and not to where it redirects.
        :raises Unreachable: where the other side cannot be reached, or breaks off each time.
        :raises Refused: where it answers with something else than content, or with too much.
        :raises TimedOut: where it is too slow.
        """
        scheme = urlsplit(address).scheme
        if scheme not in ("http", "https"):
            _copy(urlsplit(address).path if scheme == "file" else address, into, max_bytes)
            return Answer(modified=True)
        deadline, host = time.monotonic() + timeout, urls.host(urls.split(address))
        for attempt in range(ATTEMPTS):
            into.clear()
            try:
                with Deadline(deadline) as watch:
                    return _exchange(address, headers, marks, into, max_bytes, watch)
            except Postponed as answer:
                raise Refused(str(answer)) from answer
            except (Broken, Refused) as failure:
                pause = PAUSE * 2**attempt
                if time.monotonic() >= deadline:
                    why = f"{into.size} bytes came in {timeout:g} s"
                    raise TimedOut(f"{host} is too slow", why=why) from failure
                if isinstance(failure, Refused):
                    raise
                if attempt + 1 == ATTEMPTS or time.monotonic() + pause >= deadline:
                    raise Unreachable(
                        f"{host} did not deliver it",
                        why=f"{failure}; attempt {attempt + 1} of {ATTEMPTS}",
                    ) from failure
                time.sleep(pause)
        raise RuntimeError("unreachable: the last attempt returns or raises")


def _copy(path: str, into: Spool, max_bytes: int) -> None:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise Refused(f"{path} is not a regular file")
            while block := stream.read(BLOCK):
                _take(block, into, max_bytes, path)
    except OSError as cause:
        raise Unreachable(f"{path} cannot be read", why=cause.strerror or str(cause)) from cause


def _take(block: bytes, into: Spool, max_bytes: int, whose: str) -> None:
    if into.size + len(block) > max_bytes:
        raise Refused(f"{whose} sends more than {max_bytes} bytes")
    into.write(block)


def _exchange(
    address: str,
    headers: Mapping[str, Secret],
    marks: tuple[str, str],
    into: Spool,
    max_bytes: int,
    watch: Deadline,
) -> Answer:
    """Make one request and take its answer."""
    left = max(watch.left, 0.001)
    limits = Limits(connect_timeout=left, stall_seconds=left)
    client = OriginClient(Secret(address.encode()), Access(headers), limits)
    conditions = {name: mark for name, mark in zip(CONDITIONS, marks, strict=True) if mark}
    with contextlib.closing(Session(client, address, watch)) as session:
        response = session.get(conditions, (200, 304) if conditions else (200,))
        if response.status == 304:
            return Answer(modified=False)
        host, expected = urls.host(urls.split(address)), response.length
        if expected is not None and expected > max_bytes:
            raise Refused(f"{host} has {expected} bytes to send; {max_bytes} are allowed")
        with reaching(address):
            while block := response.read(BLOCK):
                _take(block, into, max_bytes, host)
        if expected is not None and into.size < expected:
            raise Broken(f"the connection ended after {into.size} of {expected} bytes")
        if watch.left <= 0:
            raise Broken("the connection was cut at the deadline")
        return Answer(
            True, response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
        )
