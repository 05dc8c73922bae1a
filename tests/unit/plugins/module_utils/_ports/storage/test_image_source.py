# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from real servers on loopback, well behaved and not: what comes is whole, of one version, and never twice."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Conflict,
    DebvisorError,
    Refused,
    TimedOut,
    Unreachable,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._ports.http.http_session import Access
from ansible_collections.debvisor.hci.plugins.module_utils._ports.http.retries import (
    Limits,
    Retry,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import (
    http_ranges,
    image_source,
    thread_group,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.image_source import (
    ImageAddress,
    WebImage,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.part_file import (
    CannotKeep,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_protocols import (
    Cancelled,
)

from tests.fakes import object_server as fake
from tests.fakes.object_server import Asked, Handler, ObjectServer, serving

PART = 1 << 17
IMAGE = random.Random(5).randbytes(8 * PART + 4321)
CHANGED = random.Random(6).randbytes(len(IMAGE))
DIGEST = hashlib.sha256(IMAGE).hexdigest()
PATH = "/images/base.qcow2"
SIGNED = "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=hidden"
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
LIMITS = Limits(part_size=PART, stall_seconds=20, retry=Retry(first=0.01))
ROOT = Path(__file__).parents[6]


class Job:
    """A job that counts, and is cancelled when it is told to be."""

    def __init__(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        self.done: list[int] = []
        self._cancelled = cancelled

    def progress(self, done: int) -> None:
        self.done.append(done)

    def check(self) -> None:
        if self._cancelled():
            raise Cancelled("somebody asked")


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between the test and its server, small blocks, and no long pauses."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(thread_group, "TICK", 0.01)
    monkeypatch.setattr(http_ranges, "RECORD_SECONDS", 0.01)
    monkeypatch.setattr(http_ranges, "BLOCK", 1 << 14)
    monkeypatch.setattr(http_ranges, "HASH_BLOCK", 50_000)


@pytest.fixture
def server() -> Iterator[ObjectServer]:
    with serving() as running:
        running.objects[PATH] = IMAGE
        yield running


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "image.part"


def source(url: str, limits: Limits = LIMITS, **options: Any) -> WebImage:
    checksum = options.pop("checksum_url", None)
    return WebImage(
        ImageAddress(Secret(url), checksum and Secret(checksum), Access(**options), limits)
    )


def bring(image: WebImage, part: Path, job: Job | None = None) -> str:
    return image.download(image.look(), str(part), job or Job()).digest  # type: ignore[arg-type]


def map_of(part: Path) -> Path:
    return Path(f"{part}.map")


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


# A look


def test_a_look_tells_size_tag_and_first_bytes(server: ObjectServer) -> None:
    server.headers["Last-Modified"] = DATE
    seen = source(server.url(PATH)).look()
    assert (seen.size, seen.head, seen.ranges) == (len(IMAGE), IMAGE[: 1 << 16], True)
    assert (seen.etag, seen.modified) == (server.etag(IMAGE), DATE)
    assert [asked.headers["Range"] for asked in server.log] == ["bytes=0-65535"]
    assert server.log[0].headers["Accept-Encoding"] == "identity"


def test_a_look_at_a_small_object(server: ObjectServer) -> None:
    server.objects[PATH] = b"tiny"
    seen = source(server.url(PATH)).look()
    assert (seen.size, seen.head) == (4, b"tiny")


def test_a_look_at_a_server_without_ranges_takes_the_head_alone(server: ObjectServer) -> None:
    server.ranges = False
    server.objects[PATH] = big = IMAGE * 40
    seen = source(server.url(PATH)).look()
    assert (seen.size, seen.head, seen.ranges) == (len(big), IMAGE[: 1 << 16], False)
    assert eventually(lambda: not server.open_connections)
    assert server.log[0].sent < len(big), "nobody took the rest"


@pytest.mark.parametrize("tag", ['W/"weak"', "bare", ""])
def test_a_tag_that_is_not_strong_is_none(server: ObjectServer, tag: str) -> None:
    server.headers["ETag"] = tag
    assert source(server.url(PATH)).look().etag == ""


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Encoding": "gzip"}, "encoded as gzip"),
        ({"Content-Range": "bytes 0-65535/*"}, "how large"),
        ({"Content-Range": ""}, "how large"),
        ({"Content-Range": "bytes 100-65635/1052897"}, "how large"),
    ],
)
def test_a_look_at_what_makes_no_sense(
    server: ObjectServer, headers: dict[str, str], said: str
) -> None:
    def fault(handler: Handler, asked: Asked) -> bool:
        handler.serve(**headers)
        return True

    server.fault = fault
    with pytest.raises(Refused, match=said):
        source(server.url(PATH)).look()


@pytest.mark.parametrize("ranges", [True, False])
def test_an_empty_object_is_no_image(server: ObjectServer, ranges: bool) -> None:
    server.objects[PATH] = b""
    server.ranges = ranges
    with pytest.raises(Refused, match="is empty"):
        source(server.url(PATH)).look()


def test_a_look_has_an_end(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_source, "ASK_SECONDS", 0.3)
    server.fault = fake.stalls(100)
    with pytest.raises(TimedOut, match="too slow"):
        source(server.url(PATH)).look()
    assert eventually(lambda: threading.active_count() < 10)


# The whole


def test_an_image_comes_in_parts_over_connections_that_last(
    server: ObjectServer, part: Path
) -> None:
    job = Job()
    assert bring(source(server.url(PATH)), part, job) == DIGEST
    assert part.read_bytes() == IMAGE
    assert not map_of(part).exists(), "a whole part has no map"
    assert part.stat().st_mode & 0o777 == 0o600
    parts = server.parts()
    assert sorted(asked.start for asked in parts) == [n * PART for n in range(9)]
    assert {asked.headers["If-Match"] for asked in parts} == {server.etag(IMAGE)}
    assert len({asked.client for asked in parts}) <= 4
    assert job.done == sorted(job.done)
    assert job.done[-1] == len(IMAGE)


def test_an_image_smaller_than_a_part(server: ObjectServer, part: Path) -> None:
    server.objects[PATH] = b"tiny"
    assert bring(source(server.url(PATH)), part) == hashlib.sha256(b"tiny").hexdigest()
    assert part.read_bytes() == b"tiny"


def test_no_more_comes_than_is_soon_hashed(
    server: ObjectServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_ranges, "AHEAD", 0)
    assert bring(source(server.url(PATH)), part) == DIGEST


def test_a_date_binds_parts_where_there_is_no_tag(server: ObjectServer, part: Path) -> None:
    server.headers |= {"ETag": 'W/"weak"', "Last-Modified": DATE}
    assert bring(source(server.url(PATH)), part) == DIGEST
    assert {asked.headers["If-Unmodified-Since"] for asked in server.parts()} == {DATE}
    assert len(server.parts()) == 9


@pytest.mark.parametrize("ranges", [True, False])
def test_one_stream_where_there_are_no_ranges_or_nothing_to_bind_them(
    server: ObjectServer, part: Path, ranges: bool
) -> None:
    server.ranges = ranges
    if ranges:
        server.headers["ETag"] = ""
    assert bring(source(server.url(PATH)), part) == DIGEST
    assert [asked.headers.get("Range") for asked in server.parts()] == [None]
    assert part.read_bytes() == IMAGE
    assert not map_of(part).exists()


def test_one_stream_begins_at_zero_when_it_breaks(server: ObjectServer, part: Path) -> None:
    server.ranges = False
    server.fault = fake.on_parts(fake.breaks_off(3 * PART), times=2)
    assert bring(source(server.url(PATH)), part) == DIGEST
    assert len(server.parts()) == 3
    assert part.read_bytes() == IMAGE
    server.fault = fake.on_parts(fake.breaks_off(3 * PART))
    with pytest.raises(Unreachable, match="attempt 6 of 6"):
        bring(source(server.url(PATH)), part)


def test_a_server_that_answers_a_part_with_the_whole_gives_one_stream(
    server: ObjectServer, part: Path
) -> None:
    def fault(handler: Handler, asked: Asked) -> bool:
        server.ranges = asked.start < 4 * PART and server.ranges
        return False

    server.fault = fault
    assert bring(source(server.url(PATH)), part) == DIGEST
    assert part.read_bytes() == IMAGE
    assert "Range" not in server.log[-1].headers


def test_chunks_are_as_good_as_a_length(server: ObjectServer, part: Path) -> None:
    def fault(handler: Handler, asked: Asked) -> bool:
        if asked.is_look:
            return False
        send = handler.send

        def chunked(body: bytes) -> None:
            send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

        handler.send = chunked  # type: ignore[method-assign]
        handler.serve(**{"Content-Length": "", "Transfer-Encoding": "chunked"})
        handler.send = send  # type: ignore[method-assign]
        return True

    server.fault = fault
    assert bring(source(server.url(PATH)), part) == DIGEST


# Faults on the way


def test_a_part_goes_on_where_it_broke_off(server: ObjectServer, part: Path) -> None:
    server.fault = fake.on_parts(fake.breaks_off(PART // 2), times=3)
    assert bring(source(server.url(PATH)), part) == DIGEST
    torn = [asked for asked in server.parts() if asked.start % PART]
    assert [asked.start % PART for asked in torn] == [PART // 2] * 3
    assert server.sent < len(IMAGE) + 4 * (1 << 16), "nothing came twice"


def test_a_server_that_always_breaks_off_at_once_is_given_up(
    server: ObjectServer, part: Path
) -> None:
    server.fault = fake.on_parts(fake.breaks_off(10))
    with pytest.raises(Unreachable, match=r"ended after 10 of \d+ bytes; attempt 6 of 6"):
        bring(source(server.url(PATH)), part)


def test_a_stalled_connection_is_cut_and_made_anew(server: ObjectServer, part: Path) -> None:
    limits = Limits(part_size=PART, stall_seconds=0.5, retry=Retry(first=0.01))
    server.fault = fake.on_parts(fake.stalls(5000), times=1)
    assert bring(source(server.url(PATH), limits), part) == DIGEST


def test_a_server_that_drips_is_given_up(server: ObjectServer, part: Path) -> None:
    limits = Limits(
        part_size=PART, stall_seconds=0.3, stall_rate=100_000, retry=Retry(attempts=2, first=0.01)
    )

    def drips(handler: Handler, asked: Asked) -> bool:
        def slowly(body: bytes) -> None:
            for offset in range(len(body)):
                handler.wfile.write(body[offset : offset + 1])
                if server.stopped.wait(0.02):
                    return

        handler.send = slowly  # type: ignore[method-assign]
        return False

    server.fault = fake.on_parts(drips)
    with pytest.raises(Unreachable, match=r"fewer than 100000 bytes a second came in 0.3 s"):
        bring(source(server.url(PATH), limits), part)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_mends_is_asked_again(server: ObjectServer, part: Path, status: int) -> None:
    server.fault = fake.on_parts(fake.answers(status), times=2)
    assert bring(source(server.url(PATH)), part) == DIGEST
    statuses = [asked.status for asked in server.parts()]
    assert sorted(statuses) == [206] * 9 + [status] * 2


def test_a_look_is_repeated_too(server: ObjectServer) -> None:
    asked_before: list[Asked] = []

    def once(handler: Handler, asked: Asked) -> bool:
        asked_before.append(asked)
        return len(asked_before) < 3 and fake.answers(503)(handler, asked)

    server.fault = once
    assert source(server.url(PATH)).look().size == len(IMAGE)
    assert len(server.log) == 3


def test_a_server_is_left_alone_as_long_as_it_asks(server: ObjectServer, part: Path) -> None:
    times: list[float] = []

    def busy(handler: Handler, asked: Asked) -> bool:
        times.append(time.monotonic())
        return len(times) == 1 and fake.answers(429, Retry_After="1")(handler, asked)

    server.objects[PATH] = b"tiny"
    server.fault = fake.on_parts(busy)
    bring(source(server.url(PATH)), part)
    assert times[1] - times[0] >= 1


def test_a_server_that_asks_for_too_long_a_pause_is_given_up(
    server: ObjectServer, part: Path
) -> None:
    server.fault = fake.on_parts(fake.answers(503, Retry_After="3600"))
    with pytest.raises(Unreachable, match="answered 503 Service Unavailable; attempt 1 of 6"):
        bring(source(server.url(PATH)), part)


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "credentials"), (403, "credentials"), (404, "address"), (410, "address"), (400, "")],
)
def test_what_to_do_about_a_refusal_is_told(server: ObjectServer, status: int, hint: str) -> None:
    server.fault = fake.answers(status)
    with pytest.raises(Refused, match=f"answered {status}") as refused:
        source(server.url(PATH)).look()
    assert hint in refused.value.hint
    assert bool(refused.value.hint) == bool(hint)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        (b"Access Denied", "It is not there, or its key may not read it, or its presigned address"),
        (b"Request has expired", "A presigned address ends after some time"),
    ],
)
def test_s3_may_hide_that_an_object_is_not_there(
    server: ObjectServer, message: bytes, hint: str
) -> None:
    said = b"<Error><Code>AccessDenied</Code><Message>%b</Message></Error>"
    server.fault = fake.answers(403, said % message)
    with pytest.raises(Refused) as refused:
        source(server.url(PATH) + SIGNED).look()
    assert refused.value.hint.startswith(hint)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@pytest.mark.parametrize("when", ["looked at", "brought"])
def test_a_refusal_is_told_and_not_repeated(
    server: ObjectServer, part: Path, status: int, when: str
) -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>secret</Message></Error>"
    fault = fake.answers(status, body)
    server.fault = fault if when == "looked at" else fake.on_parts(fault)
    limits = Limits(connections=1, part_size=PART, retry=LIMITS.retry)
    with pytest.raises(Refused, match=rf"{PATH} answered {status} \w.*AccessDenied") as refused:
        bring(source(server.url(PATH) + SIGNED, limits), part)
    assert [asked.status for asked in server.log].count(status) == 1
    assert ("presigned" in str(refused.value)) == (status in (401, 403))
    assert "hidden" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_nobody_listening_is_unreachable() -> None:
    with serving() as gone:
        url = gone.url(PATH)
    with pytest.raises(Unreachable, match=r"Connection refused; attempt 6 of 6"):
        source(url).look()


def test_a_connection_that_the_server_closed_meanwhile_is_no_failure(
    server: ObjectServer, part: Path
) -> None:
    def closes(handler: Handler, asked: Asked) -> bool:
        handler.close_connection = True  # without a word of it in the answer
        return False

    server.fault = closes
    limits = Limits(part_size=PART, retry=Retry(attempts=1))
    assert bring(source(server.url(PATH), limits), part) == DIGEST


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-9/1052897"},
        {"Content-Range": ""},
        {"Content-Length": "7"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_a_part_that_is_not_what_was_asked_for_is_refused(
    server: ObjectServer, part: Path, headers: dict[str, str]
) -> None:
    def fault(handler: Handler, asked: Asked) -> bool:
        handler.close_connection = True
        handler.serve(**headers)
        return True

    server.fault = fake.on_parts(fault)
    with pytest.raises(Refused):
        bring(source(server.url(PATH)), part)


# Another version


def changes(server: ObjectServer, times: int, minds: bool = True) -> fake.Fault:
    """Put another version there whenever a certain part is asked for."""
    left = [times]
    lock = threading.Lock()

    def fault(handler: Handler, asked: Asked) -> bool:
        with lock:
            if asked.start == 5 * PART and left[0]:
                left[0] -= 1
                now = server.objects[PATH]
                server.objects[PATH] = CHANGED if now == IMAGE else IMAGE
        if not minds:
            for name in ("If-Match", "If-Unmodified-Since"):
                del handler.headers[name]
        return False

    return fault


@pytest.mark.parametrize("minds", [True, False], ids=["minds If-Match", "ignores it"])
def test_an_object_that_changes_is_begun_anew_once(
    server: ObjectServer, part: Path, minds: bool
) -> None:
    server.fault = changes(server, 1, minds)
    image = source(server.url(PATH))
    came = image.download(image.look(), str(part), Job())  # type: ignore[arg-type]
    assert came.digest == hashlib.sha256(CHANGED).hexdigest()
    assert came.image.etag == server.etag(CHANGED), "and it is told which one came"
    assert part.read_bytes() == CHANGED


def test_an_object_that_changes_again_is_a_conflict(server: ObjectServer, part: Path) -> None:
    server.fault = changes(server, 2)
    with pytest.raises(Conflict, match="changed twice"):
        bring(source(server.url(PATH)), part)


def test_an_object_that_changes_between_the_attempts_of_one_stream(
    server: ObjectServer, part: Path
) -> None:
    server.ranges = False

    def fault(handler: Handler, asked: Asked) -> bool:
        if server.objects[PATH] == CHANGED:
            return False
        server.objects[PATH] = CHANGED
        return fake.breaks_off(PART)(handler, asked) or bool(handler.serve(IMAGE)) or True

    server.fault = fake.on_parts(fault)
    assert bring(source(server.url(PATH)), part) == hashlib.sha256(CHANGED).hexdigest()


@pytest.mark.parametrize("size", [len(IMAGE) - 1, len(IMAGE) + 1, 100])
def test_an_object_of_another_size_is_another_one(
    server: ObjectServer, part: Path, size: int
) -> None:
    image = source(server.url(PATH))
    server.headers |= {"ETag": "", "Last-Modified": DATE}
    seen = image.look()
    server.objects[PATH] = other = (CHANGED + b"x")[:size]
    came = image.download(seen, str(part), Job())  # type: ignore[arg-type]
    assert came.digest == hashlib.sha256(other).hexdigest()
    assert came.image.size == size
    assert part.read_bytes() == other


# Resuming


def interrupted(server: ObjectServer, part: Path) -> set[int]:
    """Cancel a download when some parts are there, and return where those begin."""
    server.fault = lambda handler, asked: asked.start >= 5 * PART and fake.stalls(1)(handler, asked)

    def some_came() -> bool:
        return map_of(part).exists() and len(json.loads(map_of(part).read_text())["done"]) >= 4

    with pytest.raises(Cancelled):
        bring(source(server.url(PATH)), part, Job(some_came))
    done = set(json.loads(map_of(part).read_text())["done"])
    assert eventually(lambda: not server.open_connections), "what it asked last is logged by then"
    server.fault = ObjectServer.fault
    server.log.clear()
    return {index * PART for index in done}


def test_a_cancelled_download_ends_and_resumes(server: ObjectServer, part: Path) -> None:
    threads = threading.active_count()
    server_threads = 4
    there = interrupted(server, part)
    assert eventually(lambda: threading.active_count() <= threads + server_threads)
    assert len(there) >= 4
    job = Job()
    assert bring(source(server.url(PATH)), part, job) == DIGEST
    assert job.done[0] >= len(there) * PART
    asked = {asked.start for asked in server.parts()}
    assert asked == {n * PART for n in range(9)} - there
    assert part.read_bytes() == IMAGE
    assert not map_of(part).exists()


def test_a_cancelled_download_closes_its_connections(server: ObjectServer, part: Path) -> None:
    server.fault = fake.on_parts(fake.stalls(1))
    with pytest.raises(Cancelled):
        bring(source(server.url(PATH)), part, Job(lambda: len(server.parts()) >= 4))
    assert eventually(lambda: not server.open_connections)


def test_a_whole_part_is_only_hashed(server: ObjectServer, part: Path) -> None:
    image = source(server.url(PATH))
    seen = image.look()
    part.write_bytes(IMAGE)
    everything = {"size": seen.size, "version": seen.etag, "part_size": PART}
    map_of(part).write_text(json.dumps({**everything, "done": list(range(9))}))
    assert image.download(seen, str(part), Job()).digest == DIGEST  # type: ignore[arg-type]
    assert server.parts() == []


def test_a_presigned_address_may_be_another_one_when_resuming(
    server: ObjectServer, part: Path
) -> None:
    there = interrupted(server, part)
    assert bring(source(server.url(PATH) + SIGNED), part) == DIGEST
    assert len(server.parts()) == 9 - len(there)


@pytest.mark.parametrize(
    "damage", ["another version", "shorter", "no map", "broken map", "no part"]
)
def test_what_is_not_of_this_object_is_begun_anew(
    server: ObjectServer, part: Path, damage: str
) -> None:
    interrupted(server, part)
    wanted = IMAGE
    if damage == "another version":
        server.objects[PATH] = wanted = CHANGED
    elif damage == "shorter":
        os.truncate(part, PART)
    elif damage == "no map":
        map_of(part).unlink()
    elif damage == "broken map":
        map_of(part).write_bytes(b'{"size": \xff')
    else:
        part.unlink()
    assert bring(source(server.url(PATH)), part) == hashlib.sha256(wanted).hexdigest()
    assert len(server.parts()) == 9
    assert part.read_bytes() == wanted


KILLED = """
import sys, threading
import tests.conftest
from tests.unit.plugins.module_utils._ports.storage.test_image_source import *
http_ranges.RECORD_SECONDS = 0.01
bring(source(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_download_resumes(server: ObjectServer, part: Path) -> None:
    server.fault = lambda handler, asked: asked.start >= 5 * PART and fake.stalls(1)(handler, asked)
    command = [sys.executable, "-c", KILLED, server.url(PATH), str(part)]
    running = subprocess.Popen(command, cwd=ROOT)
    try:
        assert eventually(
            lambda: (
                map_of(part).exists()
                and json.loads(map_of(part).read_text())["done"] == [0, 1, 2, 3, 4]
            )
        )
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait()
    server.fault = ObjectServer.fault
    server.log.clear()
    assert bring(source(server.url(PATH)), part) == DIGEST
    assert sorted(asked.start for asked in server.parts()) == [n * PART for n in range(5, 9)]
    assert part.read_bytes() == IMAGE


# This machine


def test_a_disk_without_room_fails_before_anything_is_asked_for(
    server: ObjectServer, part: Path
) -> None:
    image = source(server.url(PATH))
    seen = image.look()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(IMAGE) - 1, before[1]))
    try:
        with pytest.raises(CannotKeep, match=f"{part} .* needs {len(IMAGE)} bytes.*Make room"):
            image.download(seen, str(part), Job())  # type: ignore[arg-type]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert part.stat().st_size == 0, "what was reserved is given back"
    assert server.parts() == []


def test_a_disk_that_fills_up_half_way(
    server: ObjectServer, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that reserves nothing, such as one with compression."""
    write = os.pwrite

    def no_reserving(handle: int, offset: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    def fills_up(handle: int, block: Any, offset: int) -> int:
        if offset >= 4 * PART:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, block, offset)

    monkeypatch.setattr(os, "posix_fallocate", no_reserving)
    monkeypatch.setattr(os, "pwrite", fills_up)
    with pytest.raises(CannotKeep, match="No space left"):
        bring(source(server.url(PATH)), part)
    monkeypatch.setattr(os, "pwrite", write)
    server.log.clear()
    assert bring(source(server.url(PATH)), part) == DIGEST
    assert len(server.parts()) < 9, "what had come was kept"


def test_a_file_that_leads_elsewhere_is_not_written_to(server: ObjectServer, part: Path) -> None:
    other = part.with_name("other")
    other.write_bytes(b"mine")
    part.symlink_to(other)
    with pytest.raises(CannotKeep):
        bring(source(server.url(PATH)), part)
    assert other.read_bytes() == b"mine"


# Checksums


@pytest.mark.parametrize("named", [True, False])
def test_the_text_of_the_checksum(server: ObjectServer, named: bool) -> None:
    server.objects["/sums" if named else f"{PATH}.sha256"] = b"text \xff\n"
    image = source(server.url(PATH), checksum_url=server.url("/sums?x") if named else None)
    assert image.checksum_text() == "text \ufffd\n"


def test_no_checksum_is_none_and_any_other_failure_is_told(server: ObjectServer) -> None:
    image = source(server.url(PATH))
    assert image.checksum_text() is None
    server.fault = fake.answers(403)
    with pytest.raises(Refused, match=rf"{PATH}.sha256 answered 403.*publish it, or give checksum"):
        image.checksum_text()


def test_a_presigned_address_says_nothing_of_its_checksum(server: ObjectServer) -> None:
    with pytest.raises(Refused, match="for one object"):
        source(server.url(PATH) + SIGNED).checksum_text()
    assert server.log == []


def test_a_checksum_that_is_too_long_or_torn(server: ObjectServer) -> None:
    server.objects[f"{PATH}.sha256"] = bytes((1 << 20) + 1)
    with pytest.raises(Refused, match="too long"):
        source(server.url(PATH)).checksum_text()
    server.objects[f"{PATH}.sha256"] = bytes(1000)
    server.fault = fake.breaks_off(10)
    with pytest.raises(Unreachable, match="after 10 of 1000"):
        source(server.url(PATH)).checksum_text()


# Who is told what


def test_no_secret_is_shown(server: ObjectServer) -> None:
    url = server.url(PATH, host="me:word@127.0.0.1") + SIGNED
    image = source(url, headers={"X-Token": Secret("token")})
    assert image.shown == server.url(PATH)
    shown = [repr(image), repr(image._address), str(image.look())]
    server.fault = fake.answers(403, b"hidden word token")
    with pytest.raises(Refused) as refused:
        image.look()
    shown += [str(refused.value), repr(refused.value), str(refused.value.details)]
    assert not [text for text in shown if any(word in text for word in ("hidden", "word", "token"))]
    given = server.log[0].headers
    assert (given["Authorization"], given["X-Token"]) == ("Basic bWU6d29yZA==", "token")


def test_a_header_that_cannot_be_sent_is_not_shown(server: ObjectServer) -> None:
    image = source(server.url(PATH), headers={"X-Token": Secret("hidden\n")})
    with pytest.raises(Refused, match=r"line's end") as refused:
        image.look()
    assert "hidden" not in "".join(traceback.format_exception(refused.value))


def test_redirects_are_followed_and_headers_stay_with_their_origin(
    server: ObjectServer, part: Path
) -> None:
    with serving() as other:
        other.objects["/mirror"] = IMAGE
        server.fault = fake.answers(302, Location=other.url("/mirror?signed"))
        image = source(server.url(PATH), headers={"Authorization": Secret("Bearer hidden")})
        assert bring(image, part) == DIGEST
        assert {asked.headers.get("Authorization") for asked in server.log} == {"Bearer hidden"}
        assert {asked.headers.get("Authorization") for asked in other.log} == {None}
        assert {asked.headers.get("If-Match") for asked in other.parts()} == {other.etag(IMAGE)}
        assert len(server.parts()) <= 4, "each connection remembers where it was led"


def test_where_a_redirect_led_may_end(server: ObjectServer, part: Path) -> None:
    with serving() as other:
        other.objects["/mirror"] = IMAGE
        refuse = threading.Event()

        def once(handler: Handler, asked: Asked) -> bool:
            if asked.start < 3 * PART or refuse.is_set():
                return False
            refuse.set()
            return fake.answers(403)(handler, asked)

        other.fault = once
        server.fault = fake.answers(307, Location=other.url("/mirror"))
        limits = Limits(connections=1, part_size=PART)
        assert bring(source(server.url(PATH), limits), part) == DIGEST
        assert len(server.parts()) == 2


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://localhost/x", PATH, "http://[", ""])
def test_redirects_end_and_lead_to_no_file(server: ObjectServer, to: str) -> None:
    server.fault = fake.answers(301, Location=to)
    with pytest.raises(Refused):
        source(server.url(PATH)).look()
    assert len(server.log) <= 6


def test_what_is_no_address_is_not_asked() -> None:
    with pytest.raises(Refused, match="must begin"):
        source("file:///etc/hidden").look()


# TLS and proxies


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that is valid for localhost; return its file and the one of its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name}"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True, timeout=60)
    return cert, key


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    return {name: certificate(tmp_path, name) for name in ("server", "client")}


@pytest.fixture
def secure(certificates: dict[str, tuple[Path, Path]]) -> Iterator[ObjectServer]:
    """A server that asks for the client's certificate and takes no offence at its absence."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates["server"])
    context.load_verify_locations(certificates["client"][0])
    context.verify_mode = ssl.CERT_OPTIONAL
    with serving(context) as running:
        running.objects[PATH] = IMAGE
        yield running


def safe_url(server: ObjectServer) -> str:
    return server.url(PATH, "localhost", "https")


def test_a_server_is_believed_by_its_authority(
    secure: ObjectServer, certificates: dict[str, tuple[Path, Path]], part: Path
) -> None:
    ca = str(certificates["server"][0])
    assert bring(source(safe_url(secure), ca=ca), part) == DIGEST
    part.unlink()
    secure.log.clear()
    for options in ({}, {"ca": str(certificates["client"][0])}):
        with pytest.raises(Refused, match=r"certificate of localhost:\d+ is not valid"):
            source(safe_url(secure), **options).look()
    with pytest.raises(Refused, match="not valid"):
        source(secure.url(PATH, scheme="https"), ca=ca).look()
    assert secure.log == []
    assert bring(source(safe_url(secure), validate_certs=False), part) == DIGEST


def test_a_torn_part_inside_tls_goes_on(
    secure: ObjectServer, certificates: dict[str, tuple[Path, Path]], part: Path
) -> None:
    secure.fault = fake.on_parts(fake.breaks_off(PART // 2), times=3)
    limits = Limits(part_size=PART, stall_seconds=0.5, retry=Retry(first=0.01))
    image = source(safe_url(secure), limits, ca=str(certificates["server"][0]))
    assert bring(image, part) == DIGEST
    secure.fault = fake.on_parts(fake.stalls(100), times=2)
    assert bring(image, part) == DIGEST


def test_a_client_certificate_is_shown_to_its_own_origin_alone(
    secure: ObjectServer, certificates: dict[str, tuple[Path, Path]]
) -> None:
    shown: list[bool] = []

    def note(handler: Handler, asked: Asked) -> bool:
        shown.append(bool(handler.connection.getpeercert(binary_form=True)))  # type: ignore[attr-defined]
        return False

    secure.fault = note
    cert, key = map(str, certificates["client"])
    ca = str(certificates["server"][0])
    source(safe_url(secure), ca=ca, cert=cert, key=key).look()
    with serving() as other:
        other.fault = fake.answers(302, Location=safe_url(secure))
        source(other.url(PATH), ca=ca, cert=cert, key=key).look()
    assert shown == [True, False]


def test_files_that_are_no_certificates_are_named(
    secure: ObjectServer, certificates: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    for options in (
        {"ca": str(tmp_path / "none")},
        {"cert": str(tmp_path / "none")},
        {"ca": str(certificates["server"][1])},
        {"cert": str(certificates["client"][0])},
    ):
        with pytest.raises(Refused, match=f"in {next(iter(options.values()))} cannot be used"):
            source(safe_url(secure), **options).look()


def test_no_redirect_leads_from_a_secure_place_to_one_that_anybody_can_forge(
    secure: ObjectServer, server: ObjectServer, certificates: dict[str, tuple[Path, Path]]
) -> None:
    secure.fault = fake.answers(302, Location=server.url(PATH))
    with pytest.raises(Refused, match="to an insecure URL"):
        source(safe_url(secure), ca=str(certificates["server"][0])).look()
    assert server.log == []


def test_plain_http_where_tls_is_wanted_is_told(server: ObjectServer) -> None:
    with pytest.raises(Refused, match="no TLS with localhost"):
        source(safe_url(server)).look()


class Proxy(Handler):
    """Connects where it is asked to, if it likes."""

    def do_CONNECT(self) -> None:
        self.asked = Asked(self.path, dict(self.headers), self.client_address[1])
        self.server_state.log.append(self.asked)
        if self.server_state.fault(self, self.asked):
            return
        port = int(self.path.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pump = threading.Thread(target=self._pump, args=(there, self.connection))
            pump.start()
            self._pump(self.connection, there)
            pump.join()
        self.close_connection = True

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while block := source.recv(1 << 16):
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


def test_a_proxy_of_the_environment_is_used(
    secure: ObjectServer,
    certificates: dict[str, tuple[Path, Path]],
    part: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(handler=Proxy) as proxy:
        proxy.objects[PATH] = IMAGE
        named = proxy.url("", host="me:word@127.0.0.1")
        monkeypatch.setenv("http_proxy", named)
        monkeypatch.setenv("https_proxy", named)
        assert bring(source("http://nowhere.example" + PATH), part) == DIGEST
        assert proxy.log[0].path == "http://nowhere.example" + PATH
        assert proxy.log[0].headers["Host"] == "nowhere.example"
        assert proxy.log[0].headers["Proxy-Authorization"] == "Basic bWU6d29yZA=="
        proxy.log.clear()
        assert bring(source(safe_url(secure), ca=str(certificates["server"][0])), part) == DIGEST
        assert {asked.path for asked in proxy.log} == {f"localhost:{secure.port}"}
        assert "Proxy-Authorization" not in secure.log[0].headers
        proxy.log.clear()
        proxy.fault = fake.answers(407)
        with pytest.raises(Refused, match="proxy does not connect"):
            source(safe_url(secure)).look()
        assert len(proxy.log) == 1
        monkeypatch.setenv("no_proxy", "localhost")
        source(safe_url(secure), ca=str(certificates["server"][0])).look()
        assert len(proxy.log) == 1


def test_all_failures_are_ours(server: ObjectServer) -> None:
    server.fault = lambda handler, asked: bool(handler.wfile.write(b"SSH-2.0-x\r\n")) or True
    with pytest.raises(DebvisorError):
        source(server.url(PATH), Limits(retry=Retry(attempts=2, first=0.01))).look()
