# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from the web and from S3-compatible storage. Presigned addresses are for GET, so only that is asked."""

from __future__ import annotations

import functools
import http
import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from ..._core import urls
from ..._core.errors import Conflict, Refused, TimedOut
from ..._core.secret import Secret
from ..._storage.images.ranges import Delivered, Parts, Span
from ..._storage.jobs.job_protocols import Download, RemoteImage, Work
from ..http.connections import Sockets
from ..http.http_session import LATER, Access, Broken, OriginClient, Session, patience, reaching
from ..http.retries import Limits
from .http_ranges import Changed, RangesRefused, Transfer, refuse_encoding
from .part_file import PartFile
from .thread_group import ThreadGroup, aside
from .thread_group import pause as rest

Result = TypeVar("Result")

HEAD_BYTES = 1 << 16
CHECKSUM_BYTES = 1 << 20
ASK_SECONDS = 60.0
"""For a question with a short answer, all its attempts together."""
CHECKSUM_SUFFIX = ".sha256"


@dataclass(frozen=True, slots=True)
class ImageAddress:
    """Where an image is, how to be let in, and how hard to pull. Addresses may be presigned, so they are secrets."""

    url: Secret
    checksum_url: Secret | None = None
    """Where the digest is; without it, ``<url>.sha256``."""
    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)


class WebImage:
    """One image, behind the port ``ImageSource``."""

    def __init__(self, address: ImageAddress) -> None:
        self._address = address
        self._client = OriginClient(address.url, address.access, address.limits)

    @property
    def _url(self) -> str:
        return self._address.url.reveal().decode()

    @property
    def shown(self) -> str:
        return urls.shown(self._url)

    def look(self, check: Callable[[], None] | None = None) -> RemoteImage:
        """Ask for the image's first bytes.

        :raises Refused: :raises Unreachable: :raises TimedOut:
        """
        return self._ask(self._look, self._url, check)

    def checksum_text(self, check: Callable[[], None] | None = None) -> str | None:
        """Return the text that should hold the digest, or None where there is no such object."""
        named = self._address.checksum_url
        if named is None and urls.presigned(self._url):
            raise Refused(
                f"there is no address for the checksum of {self.shown}",
                why="a presigned address is for one object",
                hint="Give the checksum, or a presigned address of it, too",
            )
        url = named.reveal().decode() if named else urls.beside(self._url, CHECKSUM_SUFFIX)
        return self._ask(self._checksum, url, check)

    def download(self, image: RemoteImage, part: str, work: Work) -> Download:
        """Bring the image into the file ``part``, and note in ``<part>.map`` what has come until it is whole.

        :raises Conflict: where the object changed meanwhile, a second time.
        """
        try:
            return Download(self._whole(image, part, work), image)
        except Changed:
            image = self._ask(self._look, self._url, work.check)
        try:
            return Download(self._whole(image, part, work), image)
        except Changed as change:
            raise Conflict(
                f"{self.shown} changed twice while it was downloaded",
                hint="Run again once its upload is complete",
            ) from change

    def _whole(self, image: RemoteImage, part: str, work: Work) -> str:
        if image.ranges and image.version:
            try:
                return self._transfer(image, part, work, ranged=True)
            except RangesRefused:
                pass
        return self._in_one_stream(image, part, work)

    def _in_one_stream(self, image: RemoteImage, part: str, work: Work) -> str:
        """Begin at zero with each attempt, as there is no way to go on."""
        failures = 0
        while True:
            try:
                return self._transfer(image, part, work, ranged=False)
            except Broken as broken:
                failures += 1
                pause = patience(self._address.limits.retry, failures, broken, self.shown)
            rest(pause, work.check)

    def _transfer(self, image: RemoteImage, part: str, work: Work, *, ranged: bool) -> str:
        file = PartFile(part, image.size)
        try:
            parts = Parts.read(file.recorded() or "", image)
            if parts is None or not ranged:
                size = self._address.limits.part_size if ranged else image.size
                parts = Parts(image.size, size)
                aside(file.begin_anew, work.check)
            transfer = Transfer(self._client, self._url, image, file, parts, ranged=ranged)
            digest = transfer.run(work)
            file.forget()
            return digest
        finally:
            file.close()

    def _ask(
        self,
        exchange: Callable[[Session], Result],
        url: str,
        check: Callable[[], None] | None = None,
    ) -> Result:
        """Have a question answered in bounded time, with further attempts."""
        if fault := urls.fault(url):
            raise Refused("this is not the address of an image", why=fault)
        threads, sockets = ThreadGroup(), Sockets()
        threads.at_stop(functools.partial(sockets.cut, for_good=True))
        session = Session(self._client, url, sockets)
        answers: list[Result] = []
        deadline = time.monotonic() + ASK_SECONDS

        def insist() -> None:
            try:
                answers.append(self._insist(threads, session, exchange))
            finally:
                session.close()

        def tick() -> None:
            if check is not None:
                check()
            if time.monotonic() > deadline:
                raise TimedOut(
                    f"{urls.shown(url)} is too slow",
                    why=f"there was no whole answer in {ASK_SECONDS:g} s",
                    hint=LATER,
                )

        threads.add(insist)
        threads.run(tick)
        return answers[0]

    def _insist(
        self, threads: ThreadGroup, session: Session, exchange: Callable[[Session], Result]
    ) -> Result:
        failures = 0
        while True:
            try:
                return exchange(session)
            except Broken as broken:
                session.close()
                threads.check()
                failures += 1
                threads.pause(patience(self._address.limits.retry, failures, broken, self.shown))

    def _look(self, session: Session) -> RemoteImage:
        wanted = Span(0, HEAD_BYTES)
        response = session.get({"Range": wanted.asked()}, (200, 206, 416))
        refuse_encoding(response, self.shown)
        size = self._size(response)
        length = min(wanted.length, size)
        with reaching(self.shown):
            head = response.read(length)
        if len(head) < length:
            raise Broken(f"the connection ended after {len(head)} of {length} bytes")
        etag = response.headers.get("ETag", "")
        return RemoteImage(
            size=size,
            etag=etag if etag.startswith('"') else "",
            head=head,
            ranges=response.status == 206,
            modified=response.headers.get("Last-Modified", ""),
        )

    def _size(self, response: http.client.HTTPResponse) -> int:
        """Return the size of the object whose first bytes are asked for."""
        size = response.length
        if response.status == 206:
            delivered = Delivered.read(response.headers.get("Content-Range"))
            begins = (
                delivered is not None and delivered.span is not None and not delivered.span.start
            )
            size = delivered.size if delivered and begins else None
        if response.status == 416 or size == 0:
            raise Refused(f"{self.shown} is empty")
        if size is None:
            raise Refused(f"{self.shown} does not say how large it is")
        return size

    def _checksum(self, session: Session) -> str | None:
        try:
            response = session.get({}, (200, 404))
        except Refused as refusal:
            if refusal.details.get("status") == http.HTTPStatus.FORBIDDEN:
                refusal.hint += ". Where there is no checksum, publish it, or give checksum"
            raise
        if response.status == 404:
            return None
        refuse_encoding(response, self.shown)
        expected = response.length
        with reaching(self.shown):
            text = response.read(CHECKSUM_BYTES + 1)
        if len(text) > CHECKSUM_BYTES:
            raise Refused(f"what is published as the checksum of {self.shown} is too long")
        if expected is not None and len(text) < expected:
            raise Broken(f"the connection ended after {len(text)} of {expected} bytes")
        return text.decode(errors="replace")
