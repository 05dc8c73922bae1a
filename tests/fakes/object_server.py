# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of objects on loopback: ranges, entity tags, connections that last, and the faults that a test wants."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class Asked:
    """A request as it came, with what was sent for it."""

    path: str
    headers: dict[str, str]
    client: int
    """The port at the other side, so that one connection can be told from another."""
    status: int = 0
    sent: int = 0

    @property
    def start(self) -> int:
        """The first byte that is asked for."""
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        return int(match[1]) if match else 0

    @property
    def is_look(self) -> bool:
        return self.headers.get("Range") == "bytes=0-65535"


Fault = Callable[["Handler", Asked], bool]
"""Answers for the server, and says whether it did."""
Misbehaviour = Callable[["Handler", Asked], object]
"""Stands in the place of an object, and answers for itself."""


@dataclass
class ObjectServer:
    """What lies at which path, and how it is served. ``log`` has all that was asked."""

    port: int = 0
    objects: dict[str, bytes | Misbehaviour] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with each object, over what the server says itself; an empty one is left out."""
    ranges: bool = True
    fault: Fault = lambda handler, asked: False
    log: list[Asked] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    open_connections: int = 0

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    @staticmethod
    def etag(content: bytes) -> str:
        return f'"{hashlib.md5(content).hexdigest()}"'

    def parts(self) -> list[Asked]:
        """What was asked but for looks."""
        return [asked for asked in self.log if not asked.is_look]

    @property
    def sent(self) -> int:
        """Bytes of objects that were sent, but for looks."""
        return sum(asked.sent for asked in self.parts())


class Handler(BaseHTTPRequestHandler):
    server_state: ObjectServer
    protocol_version = "HTTP/1.1"
    timeout = 30
    wbufsize = 0

    def setup(self) -> None:
        super().setup()
        self.server_state.open_connections += 1

    def finish(self) -> None:
        self.server_state.open_connections -= 1
        super().finish()

    def do_GET(self) -> None:
        state = self.server_state
        self.asked = Asked(self.path, dict(self.headers), self.client_address[1])
        state.log.append(self.asked)
        if not state.fault(self, self.asked):
            self.serve()

    def serve(self, content: bytes | None = None, **replaced: str) -> None:
        """Answer as a server should; ``replaced`` headers stand instead of its own."""
        state = self.server_state
        found = state.objects.get(urlsplit(self.path).path) if content is None else content
        if found is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if callable(found):
            self.close_connection = True
            found(self, self.asked)
            return None
        content = found
        headers = {"ETag": state.etag(content), **state.headers}
        if self._outdated(headers):
            return self.answer(412, b"")
        if self.headers.get("If-None-Match") == headers["ETag"]:
            return self.answer(304, b"", Content_Length="")
        match = _RANGE.fullmatch(self.headers.get("Range", "")) if state.ranges else None
        if not match:
            return self.answer(200, content, **headers, **replaced)
        start, last = int(match[1]), min(int(match[2]), len(content) - 1)
        if start > last:
            return self.answer(416, b"", **{"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {start}-{last}/{len(content)}"
        return self.answer(206, content[start : last + 1], **{**headers, **replaced})

    def _outdated(self, headers: dict[str, str]) -> bool:
        wanted, since = self.headers.get("If-Match"), self.headers.get("If-Unmodified-Since")
        return (wanted is not None and wanted != headers.get("ETag")) or (
            since is not None and since != headers.get("Last-Modified")
        )

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send an answer; ``Content_Length`` may promise more than the body has."""
        self.asked.status = status
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if status in (200, 206):
            self.send(body)
        else:
            self.wfile.write(body)

    def send(self, body: bytes) -> None:
        for offset in range(0, len(body), 1 << 16):
            block = body[offset : offset + (1 << 16)]
            self.wfile.write(block)
            self.asked.sent += len(block)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 32

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what tests are about."""


@contextmanager
def serving(
    tls: ssl.SSLContext | None = None, handler: type[Handler] = Handler
) -> Iterator[ObjectServer]:
    """Have a server answer on loopback until the block ends."""
    state = ObjectServer()
    server = _Server(("127.0.0.1", 0), type("OneHandler", (handler,), {"server_state": state}))
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def breaks_off(after: int) -> Fault:
    """Promise all, and hang up after so many bytes."""

    def fault(handler: Handler, asked: Asked) -> bool:
        send = handler.send

        def short(body: bytes) -> None:
            send(body[:after])
            if len(body) > after:
                handler.close_connection = True
                handler.connection.shutdown(socket.SHUT_RDWR)

        handler.send = short  # type: ignore[method-assign]
        return False

    return fault


def stalls(after: int) -> Fault:
    """Promise all, send so many bytes, and then nothing any more, until the other side hangs up."""

    def fault(handler: Handler, asked: Asked) -> bool:
        send = handler.send

        def slow(body: bytes) -> None:
            send(body[:after])
            if len(body) > after:
                handler.close_connection = True
                handler.rfile.read(1)

        handler.send = slow  # type: ignore[method-assign]
        return False

    return fault


def answers(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer so, whatever is asked."""

    def fault(handler: Handler, asked: Asked) -> bool:
        handler.answer(status, body, **headers)
        return True

    return fault


def on_parts(inner: Fault, times: int = 1 << 30) -> Fault:
    """Let looks pass, and be faulty so many times."""
    left = [times]
    lock = threading.Lock()

    def fault(handler: Handler, asked: Asked) -> bool:
        with lock:
            if asked.is_look or not left[0]:
                return False
            left[0] -= 1
        return inner(handler, asked)

    return fault


# What stands in the place of an object


def redirects(to: str, code: int = 302) -> Misbehaviour:
    """Send elsewhere."""
    return answers(code, Location=to)


def ends_early(content: bytes, after: int) -> Misbehaviour:
    """Promise all and deliver less."""
    return answers(200, content[:after], Content_Length=str(len(content)))


def resets(handler: Handler, asked: Asked) -> None:
    """Hang up without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def drips(handler: Handler, asked: Asked) -> None:
    """Send a line now and then, for ever: each read comes back soon, and the whole never ends."""
    handler.send_response(200)
    handler.end_headers()
    _for_ever(handler, b"192.0.2.1\n")


def drips_headers(handler: Handler, asked: Asked) -> None:
    """Never come to the content."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    _for_ever(handler, b"X")


def _for_ever(handler: Handler, block: bytes) -> None:
    while not handler.server_state.stopped.is_set():
        try:
            handler.wfile.write(block)
        except OSError:
            return
        time.sleep(0.02)


def once(first: Misbehaviour, then: bytes) -> Misbehaviour:
    """Misbehave the first time alone."""
    asked_before: list[Asked] = []

    def answer(handler: Handler, asked: Asked) -> object:
        asked_before.append(asked)
        return first(handler, asked) if len(asked_before) == 1 else handler.answer(200, then)

    return answer
