# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server on loopback that serves what a test wants, and misbehaves as it wants."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Misbehaviour = Callable[["Handler"], None]


@dataclass
class Publisher:
    """What lies at which path: content, or a function that answers for itself. ``requests`` has what was asked."""

    port: int = 0
    content: dict[str, bytes | Misbehaviour] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def asked(self) -> list[str]:
        return [path for path, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    publisher: Publisher
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self.close_connection = True
        self.publisher.requests.append((self.path, dict(self.headers)))
        content = self.publisher.content.get(self.path)
        if callable(content):
            content(self)
        elif content is None:
            self.answer(404, b"nothing here")
        elif self._holds(content):
            self.answer(304, None)
        else:
            self.answer(200, content, ETag=self.etag(content), **self.publisher.headers)

    def _holds(self, content: bytes) -> bool:
        return self.headers.get("If-None-Match") == self.etag(content)

    @staticmethod
    def etag(content: bytes) -> str:
        return f'"{hash(content):x}"'

    def answer(self, code: int, body: bytes | None, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if body is not None and "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what tests are about."""


@contextmanager
def publishing(tls: ssl.SSLContext | None = None) -> Iterator[Publisher]:
    """Serve until the block ends."""
    publisher = Publisher()
    handler = type("OneHandler", (Handler,), {"publisher": publisher})
    server = _Server(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    publisher.port = server.server_address[1]
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield publisher
    finally:
        publisher.stopped.set()
        server.shutdown()
        server.server_close()
        serving.join()


def fails(code: int) -> Misbehaviour:
    """Answer with a status alone."""
    return lambda handler: handler.answer(code, b"no")


def redirects(to: str, code: int = 302) -> Misbehaviour:
    """Send elsewhere."""
    return lambda handler: handler.answer(code, b"", Location=to)


def breaks_off(content: bytes, after: int) -> Misbehaviour:
    """Promise all and deliver less."""

    def answer(handler: Handler) -> None:
        handler.answer(200, content[:after], Content_Length=str(len(content)))

    return answer


def resets(handler: Handler) -> None:
    """Hang up without a word."""
    handler.connection.shutdown(socket.SHUT_RDWR)


def drips(handler: Handler) -> None:
    """Send a line now and then, for ever: each read comes back soon, and the whole never ends."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.publisher.stopped.is_set():
        try:
            handler.wfile.write(b"192.0.2.1\n")
            handler.wfile.flush()
        except OSError:
            return
        time.sleep(0.02)


def drips_headers(handler: Handler) -> None:
    """Never come to the content."""
    while not handler.publisher.stopped.is_set():
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n" if handler.path else b"")
            handler.path = ""
            handler.wfile.write(b"X")
        except OSError:
            return
        time.sleep(0.02)


def once(first: Misbehaviour, then: bytes) -> Misbehaviour:
    """Misbehave the first time alone."""
    asked: list[str] = []

    def answer(handler: Handler) -> None:
        asked.append(handler.path)
        if len(asked) == 1:
            first(handler)
        else:
            handler.answer(200, then)

    return answer
