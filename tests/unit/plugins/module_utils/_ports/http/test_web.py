# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content from real servers on loopback: streamed, bounded in size and time, and marked for the next time."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Refused,
    TimedOut,
    Unreachable,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.spool import Spool
from ansible_collections.debvisor.hci.plugins.module_utils._ports.http import web
from ansible_collections.debvisor.hci.plugins.module_utils._ports.http.web import Answer, Web

from tests.fakes import object_server as fake
from tests.fakes.object_server import Asked, Handler, ObjectServer, serving

LIST = b"192.0.2.1\n198.51.100.0/24\n" * 1000


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between the test and its server, and no long pauses."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(web, "PAUSE", 0.01)


@pytest.fixture
def publisher() -> Iterator[ObjectServer]:
    with serving() as running:
        running.objects["/list"] = LIST
        yield running


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(str(tmp_path))
    yield made
    made.close()


def fetch(place: str, into: Spool, **options: Any) -> Answer:
    limits = {"max_bytes": 1 << 20, "timeout": 10.0, "headers": {}}
    return Web().fetch(place, into, **{**limits, **options})


def held(spool: Spool) -> bytes:
    return b"".join(spool.blocks())


def test_content_comes_once_and_its_marks_spare_the_second_time(
    publisher: ObjectServer, spool: Spool, tmp_path: Path
) -> None:
    publisher.headers["Last-Modified"] = "Wed, 21 Oct 2026 07:28:00 GMT"
    first = fetch(publisher.url("/list"), spool)
    assert (first.modified, held(spool)) == (True, LIST)
    assert first.last_modified == "Wed, 21 Oct 2026 07:28:00 GMT"
    again = fetch(publisher.url("/list"), spool, marks=(first.etag, first.last_modified))
    assert not again.modified
    asked = publisher.log[1].headers
    assert (asked["If-None-Match"], asked["If-Modified-Since"]) == (first.etag, first.last_modified)
    publisher.objects["/list"] = b"203.0.113.1\n"
    assert fetch(publisher.url("/list"), spool, marks=(first.etag, "")).modified
    assert held(spool) == b"203.0.113.1\n"
    assert list(tmp_path.iterdir()) == [], "what is on its way has no name"


@pytest.mark.parametrize("code", [401, 403, 404, 410, 429, 500, 503])
def test_a_refusal_is_told_and_not_repeated(
    publisher: ObjectServer, spool: Spool, code: int
) -> None:
    publisher.objects["/list"] = fake.answers(code)
    with pytest.raises(Refused, match=f"127.0.0.1:{publisher.port}/list answered {code} [A-Z]"):
        fetch(publisher.url("/list"), spool)
    assert len(publisher.log) == 1


@pytest.mark.parametrize("code", [204, 206])
def test_only_the_whole_is_content(publisher: ObjectServer, spool: Spool, code: int) -> None:
    publisher.objects["/list"] = fake.answers(code)
    with pytest.raises(Refused, match=f"answered {code}"):
        fetch(publisher.url("/list"), spool)


def test_nobody_who_was_not_asked_says_that_nothing_changed(
    publisher: ObjectServer, spool: Spool
) -> None:
    publisher.objects["/list"] = fake.answers(304, Content_Length="")
    with pytest.raises(Refused, match="304"):
        fetch(publisher.url("/list"), spool)


@pytest.mark.parametrize("trouble", [fake.resets, fake.ends_early(LIST, 500)])
def test_a_broken_connection_gets_further_attempts_and_an_end(
    publisher: ObjectServer, spool: Spool, trouble: fake.Misbehaviour
) -> None:
    publisher.objects["/list"] = fake.once(trouble, LIST)
    assert fetch(publisher.url("/list"), spool).modified
    assert held(spool) == LIST, "nothing of the torn attempt is in it"
    publisher.log.clear()
    publisher.objects["/list"] = trouble
    with pytest.raises(Unreachable, match="attempt 3 of 3"):
        fetch(publisher.url("/list"), spool)
    assert len(publisher.log) == 3


def test_chunks_that_end_too_soon_are_torn(publisher: ObjectServer, spool: Spool) -> None:
    def answer(handler: Handler, asked: Asked) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"a\r\n192.0.2.1\n\r\n")

    publisher.objects["/list"] = answer
    with pytest.raises(Unreachable):
        fetch(publisher.url("/list"), spool)


def test_nobody_listening_is_unreachable(spool: Spool) -> None:
    with serving() as gone:
        url = gone.url("/list")
    with pytest.raises(Unreachable, match="refused"):
        fetch(url, spool)


@pytest.mark.parametrize("slow", [fake.drips, fake.drips_headers])
def test_a_slow_server_is_cut_off_at_the_deadline(
    publisher: ObjectServer, spool: Spool, slow: fake.Misbehaviour
) -> None:
    publisher.objects["/list"] = slow
    started = time.monotonic()
    with pytest.raises(TimedOut, match="is too slow"):
        fetch(publisher.url("/list"), spool, timeout=0.3)
    assert 0.25 < time.monotonic() - started < 3


@pytest.mark.parametrize("told", [True, False])
def test_too_much_is_refused_before_it_is_taken(
    publisher: ObjectServer, spool: Spool, told: bool
) -> None:
    def endless(handler: Handler, asked: Asked) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while not publisher.stopped.is_set():
                handler.wfile.write(LIST)
        except OSError:
            return

    publisher.objects["/list"] = LIST if told else endless
    with pytest.raises(Refused, match="1000"):
        fetch(publisher.url("/list"), spool, max_bytes=1000)
    assert spool.size <= 1000


def test_redirects_are_followed_and_headers_stay_with_their_host(
    publisher: ObjectServer, spool: Spool
) -> None:
    secret = {"Authorization": Secret("Bearer hidden")}
    publisher.objects["/here"] = fake.redirects("/list")
    publisher.objects["/there"] = fake.redirects(publisher.url("/list", "localhost"))
    fetch(publisher.url("/here"), spool, headers=secret)
    fetch(publisher.url("/there"), spool, headers=secret)
    given = [(asked.path, asked.headers.get("Authorization")) for asked in publisher.log]
    assert given == [
        ("/here", "Bearer hidden"),
        ("/list", "Bearer hidden"),
        ("/there", "Bearer hidden"),
        ("/list", None),
    ]


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://localhost/x", "/again"])
def test_redirects_end_and_lead_to_no_file(publisher: ObjectServer, spool: Spool, to: str) -> None:
    publisher.objects["/again"] = fake.redirects(to)
    with pytest.raises((Refused, Unreachable)):
        fetch(publisher.url("/again"), spool)
    assert spool.size == 0
    assert len(publisher.log) <= 12


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """A server whose certificate is valid for localhost, and for this test alone."""
    pem = tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(pem), "-out", str(tmp_path / "public.pem")]
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost", *files],
        check=True,
        capture_output=True,
        timeout=60,
    )
    public = (tmp_path / "public.pem").read_text()
    pem.write_text(pem.read_text() + public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "public.pem"))
    with serving(context) as running:
        yield running


def test_a_secure_server_is_believed_by_its_certificate(
    secure: ObjectServer, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure.objects["/list"] = LIST
    url = f"https://localhost:{secure.port}/list"
    assert fetch(url, spool).modified
    assert held(spool) == LIST
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(Refused, match="certificate of localhost"):
        fetch(url, spool)
    assert [asked.path for asked in secure.log] == ["/list"]


def test_no_redirect_leads_from_a_secure_place_to_one_that_anybody_can_forge(
    secure: ObjectServer, publisher: ObjectServer, spool: Spool
) -> None:
    secure.objects["/list"] = fake.redirects(publisher.url("/list"))
    with pytest.raises(Refused, match="to an insecure URL"):
        fetch(f"https://localhost:{secure.port}/list", spool)
    assert publisher.log == []


def test_a_slow_secure_server_is_cut_off_too(secure: ObjectServer, spool: Spool) -> None:
    secure.objects["/list"] = fake.drips
    started = time.monotonic()
    with pytest.raises(TimedOut):
        fetch(f"https://localhost:{secure.port}/list", spool, timeout=0.4)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_a_file_of_this_machine(tmp_path: Path, spool: Spool, form: str) -> None:
    (tmp_path / "list").write_bytes(LIST)
    assert fetch(form.format(tmp_path / "list"), spool) == Answer(modified=True)
    assert held(spool) == LIST
    spool.clear()
    with pytest.raises(Refused, match="1000"):
        fetch(form.format(tmp_path / "list"), spool, max_bytes=1000)


def test_what_is_no_file_is_refused(tmp_path: Path, spool: Spool) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(Refused, match="not a regular file"):
            fetch(str(path), spool)
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(Unreachable, match="cannot be read"):
            fetch(str(path), spool)
