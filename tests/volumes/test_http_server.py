# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web server misbehaves as told, as Python's own client sees it."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from itertools import repeat
from pathlib import Path

import pytest

from tests.volumes.certificates import Authority
from tests.volumes.http_server import HttpServer, Refusal, Served, tls

CONTENT = bytes(range(256)) * 1024


def fetch(server: HttpServer, path: str = "/image", **headers: str) -> tuple[int, bytes, str]:
    """Return status, body and entity tag. Underlines in a header's name are dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(server.url + path, headers=named)
    try:
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return answer.status, answer.read(), answer.headers["ETag"]
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, b"", refused.headers.get("ETag", "")


def test_ranges_and_conditions() -> None:
    with HttpServer({"/image": Served(CONTENT)}) as server:
        status, body, etag = fetch(server)
        assert (status, body) == (200, CONTENT)
        assert fetch(server, Range="bytes=10-19", If_Match=etag) == (206, CONTENT[10:20], etag)
        assert fetch(server, Range="bytes=-5")[:2] == (206, CONTENT[-5:])
        assert fetch(server, Range=f"bytes={len(CONTENT)}-")[0] == 416
        assert fetch(server, If_Match='"other"')[0] == 412
        assert fetch(server, "/missing")[0] == 404
        assert [each.status for each in server.requests] == [200, 206, 206, 416, 412, 404]
        assert server.sent == len(CONTENT) + 10 + 5


def test_files_are_served_like_bytes(tmp_path: Path) -> None:
    file = tmp_path / "image"
    file.write_bytes(CONTENT)
    with HttpServer({"/image": Served(file)}) as server:
        assert fetch(server, Range="bytes=70000-140000")[:2] == (206, CONTENT[70000:140001])


def test_refused_ranges_get_the_whole() -> None:
    with HttpServer({"/image": Served(CONTENT, ranges=False)}) as server:
        assert fetch(server, Range="bytes=10-19")[:2] == (200, CONTENT)


def test_refusals_come_first_or_always() -> None:
    served = {
        "/image": Served(CONTENT, refusals=iter([Refusal(500), Refusal(429)])),
        "/never": Served(CONTENT, refusals=repeat(Refusal(403))),
    }
    with HttpServer(served) as server:
        assert [fetch(server)[0] for _turn in range(3)] == [500, 429, 200]
        assert [fetch(server, "/never")[0] for _turn in range(3)] == [403, 403, 403]


def test_an_answer_that_is_cut_off() -> None:
    with (
        HttpServer({"/image": Served(CONTENT, cuts_after=1000)}) as server,
        pytest.raises(http.client.IncompleteRead) as caught,
    ):
        fetch(server)
    assert caught.value.partial == CONTENT[:1000]


def test_an_answer_that_stalls() -> None:
    with HttpServer({"/image": Served(CONTENT, stalls_after=1000)}) as server:
        link = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), 1)
        with contextlib.closing(link):
            link.request("GET", "/image")
            answer = link.getresponse()
            assert answer.read(1000) == CONTENT[:1000]
            with contextlib.closing(answer), pytest.raises(TimeoutError):
                answer.read(1)


def test_an_object_that_changes_in_between() -> None:
    served = Served(CONTENT, changes_to=b"another", changes_after=2)
    with HttpServer({"/image": served}) as server:
        etag = fetch(server, Range="bytes=0-9")[2]
        assert fetch(server, Range="bytes=10-19", If_Match=etag)[0] == 206
        assert fetch(server, Range="bytes=20-29", If_Match=etag)[0] == 412
        served.heeds_if_match = False
        assert fetch(server, Range="bytes=0-2", If_Match=etag)[1] == b"ano"


def test_the_rate_is_that_of_a_connection() -> None:
    rate = 4 * len(CONTENT)
    with HttpServer({"/image": Served(CONTENT, rate=rate)}) as server:
        begun = time.monotonic()
        assert fetch(server)[1] == CONTENT
        assert time.monotonic() - begun >= 0.25, "it may take longer, and not less"


def test_certificates_of_server_and_client(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, client = authority.issue("localhost"), authority.issue("client")
    context = tls(own.certificate, own.key, clients=authority.certificate)
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    with HttpServer({"/image": Served(CONTENT)}, name="localhost", tls=context) as server:
        with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(server.url + "/image", context=trusting, timeout=5).read()
        trusting.load_cert_chain(client.certificate, client.key)
        with urllib.request.urlopen(server.url + "/image", context=trusting, timeout=5) as answer:
            assert answer.read() == CONTENT
