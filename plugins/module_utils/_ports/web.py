# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content from a web server or a file of this machine, streamed, with a bound on its size and on the time it takes."""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import stat
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from .._core.errors import Refused, TimedOut, Unreachable
from .._core.secret import Secret
from .connections import Connection, Deadline, SafeConnection
from .spool import BLOCK, Spool

ATTEMPTS = 3
PAUSE = 1.0
"""Seconds before the second attempt; twice as many before the third."""
REQUEST_HEADERS = {"User-Agent": "debvisor.hci", "Accept": "*/*", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether there was content, and the marks by which to ask for it next time (RFC 9110, section 13)."""

    modified: bool
    etag: str = ""
    last_modified: str = ""


class _Broken(Exception):
    """The connection failed, so another attempt may go better."""


class Web:
    """Where content comes from: ``https:``, ``http:``, ``file:``, or a path that begins with a slash."""

    def fetch(
        self,
        place: str,
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
        scheme = urlsplit(place).scheme
        if scheme not in ("http", "https"):
            _copy(urlsplit(place).path if scheme == "file" else place, into, max_bytes)
            return Answer(modified=True)
        deadline = time.monotonic() + timeout
        request = _request(place, headers, marks)
        for attempt in range(ATTEMPTS):
            into.clear()
            try:
                with Deadline(deadline) as watch:
                    answer = _exchange(request, into, max_bytes, watch, conditional=any(marks))
                    if watch.left <= 0:
                        raise _Broken("the connection was cut at the deadline")
                    return answer
            except _Broken as broken:
                pause = PAUSE * 2**attempt
                if time.monotonic() >= deadline:
                    raise _too_slow(request, timeout, into.size) from broken
                if attempt + 1 == ATTEMPTS or time.monotonic() + pause >= deadline:
                    raise Unreachable(
                        f"{request.host} did not deliver it",
                        why=f"{broken}; attempt {attempt + 1} of {ATTEMPTS}",
                    ) from broken
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


def _request(
    url: str, headers: Mapping[str, Secret], marks: tuple[str, str]
) -> urllib.request.Request:
    request = urllib.request.Request(url, headers=REQUEST_HEADERS)
    for name, mark in zip(("If-None-Match", "If-Modified-Since"), marks, strict=True):
        if mark:
            request.add_header(name, mark)
    for name, value in headers.items():
        request.add_unredirected_header(name, value.reveal().decode("latin-1"))
    return request


def _exchange(
    request: urllib.request.Request,
    into: Spool,
    max_bytes: int,
    watch: Deadline,
    *,
    conditional: bool,
) -> Answer:
    """Make one request and take its answer."""
    try:
        with _opener(watch).open(request, timeout=max(watch.left, 0.001)) as response:
            _take_body(response, into, max_bytes, request.host)
            marks = response.headers
            return Answer(True, marks.get("ETag", ""), marks.get("Last-Modified", ""))
    except HTTPError as answer:
        with contextlib.closing(answer):
            if answer.code == 304 and conditional:
                return Answer(modified=False)
            meaning = http.client.responses.get(answer.code, "an answer that means nothing to us")
            why = answer.reason if isinstance(answer, _BadRedirect) else ""
            raise Refused(f"{request.host} answered {answer.code} {meaning}", why=why) from answer
    except URLError as failure:
        if isinstance(failure.reason, ssl.SSLCertVerificationError):
            raise Refused(
                f"the certificate of {request.host} is not valid",
                why=failure.reason.verify_message,
            ) from failure
        raise _Broken(str(failure.reason)) from failure
    except (OSError, http.client.HTTPException) as failure:
        raise _Broken(str(failure) or type(failure).__name__) from failure


def _take_body(response: http.client.HTTPResponse, into: Spool, max_bytes: int, whose: str) -> None:
    expected = response.length
    if response.status != 200:
        raise Refused(f"{whose} answered {response.status}, which is not the content")
    if expected is not None and expected > max_bytes:
        raise Refused(f"{whose} has {expected} bytes to send; {max_bytes} are allowed")
    while block := response.read(BLOCK):
        _take(block, into, max_bytes, whose)
    if expected is not None and into.size < expected:
        raise _Broken(f"the connection ended after {into.size} of {expected} bytes")


def _too_slow(request: urllib.request.Request, timeout: float, size: int) -> TimedOut:
    return TimedOut(f"{request.host} is too slow", why=f"{size} bytes came in {timeout:g} s")


def _opener(watch: Deadline) -> urllib.request.OpenerDirector:
    """Return an opener that knows HTTP and HTTPS and nothing else, such as files and FTP; proxies as usual."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
        _Handler(watch),
    ):
        opener.add_handler(handler)
    return opener


class _Handler(urllib.request.AbstractHTTPHandler):
    def __init__(self, watch: Deadline) -> None:
        super().__init__()
        self._watch = watch

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._watched(Connection), request)

    def https_open(self, request: urllib.request.Request) -> Any:
        context = ssl.create_default_context()
        return self.do_open(self._watched(SafeConnection), request, context=context)

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def _watched(self, kind: type[Connection]) -> Any:
        def connection(host: str, **options: Any) -> Connection:
            made = kind(host, **options)
            made.sockets = self._watch
            return made

        return connection


class _BadRedirect(HTTPError):
    """A redirect that is not followed; its reason is ours."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        fp.close()  # or urllib reads the body to its end, however long it is
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            reason = "it redirects from https to a place that anybody can forge"
            raise _BadRedirect(req.full_url, code, reason, headers, fp)
        further = super().redirect_request(req, fp, code, msg, headers, newurl)
        if further is not None and (old.scheme, old.netloc) == (new.scheme, new.netloc):
            for name, value in req.unredirected_hdrs.items():
                further.add_unredirected_header(name, value)
        return further
