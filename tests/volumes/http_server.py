# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that misbehaves when told to, and counts what it was asked for.

A test runs it in its own process, at an address that its clients reach: the loopback address, or that of the lab's
bridge for clients on a node. It needs nothing but Python, so it can also be run on a node: see ``main``.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

BLOCK = 64 * 1024
Content = bytes | Path


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer without the object."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Served:
    """An object, and what is wrong with how it is served. A number of bytes is one of the body of each answer."""

    content: Content
    ranges: bool = True
    """Without, the whole object is the answer to a range."""
    etag: bool = True
    heeds_if_match: bool = True
    refusals: Iterator[Refusal] = field(default_factory=lambda: iter(()))
    """Given first, one a request: ``repeat(Refusal(403))``, or a list's iterator for a server that recovers."""
    stalls_after: int | None = None
    """The rest never comes, and the connection stays open."""
    cuts_after: int | None = None
    """The connection is closed, though more was promised."""
    rate: float | None = None
    """Bytes a second on each connection."""
    changes_to: Content | None = None
    changes_after: int = 1
    """So many answers with (part of) the object, then it is another one."""


@dataclass
class Request:
    """Kept up to date before each byte goes out, so that whoever got an answer finds it here."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    connection: int
    status: int = 0
    sent: int = 0
    """Bytes of the body."""


class HttpServer:
    """Serves objects by path from when it is entered until it is left."""

    def __init__(
        self,
        objects: Mapping[str, Served],
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        name: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.objects = dict(objects)
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self._listener = _Listener((address, port), _Handler)
        self._listener.served = self
        if tls is not None:
            # The handshake is the connection's own thread's work: a client that is slow with it holds up nobody.
            self._listener.socket = tls.wrap_socket(
                self._listener.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://{name or address}:{self._listener.server_address[1]}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,))

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    @property
    def sent(self) -> int:
        """Bytes of bodies that went out."""
        with self.lock:
            return sum(each.sent for each in self.requests)

    def note(self, request: Request) -> None:
        with self.lock:
            self.requests.append(request)


def tls(certificate: Path, key: Path, clients: Path | None = None) -> ssl.SSLContext:
    """Return a server's context; one that takes only clients which this authority certified, if there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    served: HttpServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away in the middle are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.started = time.monotonic()
        self.carried = 0
        """Bytes of bodies on this connection."""

    def log_message(self, format: str, *args: Any) -> None:
        """Be silent: requests are noted."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path, _mark, query = self.path.partition("?")
        self.noted = Request(self.command, path, query, dict(self.headers), self.client_address[1])
        self.server.served.note(self.noted)
        self._answer(path)

    def send_response(self, code: int, message: str | None = None) -> None:
        self.noted.status = code
        super().send_response(code, message)

    def _answer(self, path: str) -> None:
        served = self.server.served.objects.get(path)
        if served is None:
            self._refuse(Refusal(404))
            return
        with self.server.served.lock:
            refusal = next(served.refusals, None)
            content = served.content
        wanted = _range(self.headers.get("Range"), _size(content)) if served.ranges else None
        refusal = refusal or self._refusal(served, content, wanted)
        if refusal is not None:
            self._refuse(refusal)
        else:
            self._serve(served, content, wanted)

    def _refusal(self, served: Served, content: Content, wanted: range | None) -> Refusal | None:
        """Return what a server has to say to this request instead of the object."""
        if_match = self.headers.get("If-Match")
        if served.heeds_if_match and if_match not in (None, "*", _etag(content)):
            return Refusal(412)
        if wanted is not None and not wanted:
            return Refusal(416, {"Content-Range": f"bytes */{_size(content)}"})
        return None

    def _refuse(self, refusal: Refusal) -> None:
        body = b"no\n"
        self.send_response(refusal.status)
        for name, value in refusal.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _serve(self, served: Served, content: Content, wanted: range | None) -> None:
        part = range(_size(content)) if wanted is None else wanted
        self.send_response(200 if wanted is None else 206)
        self.send_header("Content-Length", str(len(part)))
        if served.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if wanted is not None:
            shown = f"bytes {part.start}-{part.stop - 1}/{_size(content)}"
            self.send_header("Content-Range", shown)
        if served.etag:
            self.send_header("ETag", _etag(content))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(served, content, part)
            self._change(served)

    def _send_body(self, served: Served, content: Content, part: range) -> None:
        ends = [bound for bound in (served.stalls_after, served.cuts_after) if bound is not None]
        bound = min([len(part), *ends])
        with _opened(content) as source:
            source.seek(part.start)
            while (left := bound - self.noted.sent) > 0:
                block = source.read(min(BLOCK, left))
                self.noted.sent += len(block)
                self.carried += len(block)
                self._pace(served.rate)
                self.wfile.write(block)
        if bound == len(part):
            return
        self.wfile.flush()
        if served.stalls_after == bound:
            self.server.served.closing.wait()
        self.close_connection = True

    def _pace(self, rate: float | None) -> None:
        if rate is not None:
            early = self.carried / rate - (time.monotonic() - self.started)
            if early > 0:
                time.sleep(early)

    def _change(self, served: Served) -> None:
        with self.server.served.lock:
            served.changes_after -= 1
            if served.changes_to is not None and served.changes_after <= 0:
                served.content, served.changes_to = served.changes_to, None


def _opened(content: Content) -> BinaryIO:
    return content.open("rb") if isinstance(content, Path) else io.BytesIO(content)


def _size(content: Content) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)


def _etag(content: Content) -> str:
    if isinstance(content, Path):
        seen = content.stat()
        return f'"{seen.st_ino:x}-{seen.st_size:x}-{seen.st_mtime_ns:x}"'
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _range(header: str | None, size: int) -> range | None:
    """Return the bytes that a header asks for, empty where there are none; None without a (single) range."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not found or found.group() == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(size, int(last) + 1) if last else size)


def main() -> None:
    """Serve files until standard input ends: ADDRESS PORT, then {"/path": {"content": "FILE", "rate": ...}, ...}."""
    address, port, objects = sys.argv[1:]
    served = {
        path: Served(**{**options, "content": Path(options["content"])})
        for path, options in json.loads(objects).items()
    }
    with HttpServer(served, address=address, port=int(port)) as server:
        print(server.url, flush=True)
        sys.stdin.read()
    print(json.dumps({"requests": len(server.requests), "sent": server.sent}))


if __name__ == "__main__":
    main()
