# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with volumes: images, servers, disks, guests and other controllers, all of them real.

Runs where the volumes are, without pytest: ``python3 bad_cases.py GROUP`` prints a line of JSON for each case of the
group. Each begins with a volume that holds image ``a``. It ends with that volume as it was and an error that helps, or
with the new image, compared byte by byte; and in both cases nothing is left behind.

``run`` instead of a group makes it one controller of many: it says that it is ready, waits for its options on standard
input, and tells how that went.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import secrets
import shutil
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import interruptions
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.locking import locked
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._ports.http.retries import (
    Limits,
    Retry,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.backends import (
    open_backend,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.image_source import (
    HEAD_BYTES,
    ImageAddress,
    WebImage,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images import cache
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_operation import (
    VolumeImage,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_request import (
    SPEC,
)
from ansible_collections.debvisor.hci.plugins.module_utils._wiring.jobs import job_files, job_run
from ansible_collections.debvisor.hci.plugins.module_utils._wiring.storage import volume_ports
from guest import libvirt_guest, qemu_guest
from http_server import HttpServer, Refusal, Request, Served

MIB = 1 << 20
FOLDER = Path("/var/lib/bad-cases")
CACHE = FOLDER / "cache"
POOLS = {"directory": str(FOLDER / "pool"), "rbd": "volumes@volumes"}
NAME = "bad-case"
IMAGE, SUM = "/image.qcow2", "/image.qcow2.sha256"
DISK = 8 * MIB
"""Of an image: all of it is data, so its file is as large, and comes in several parts."""
SIZE = "10M"
PATIENCE = 60.0
PART = 2 * MIB
STALL = 20.0
"""Seconds: an emulated machine takes its time."""
HASTE = Retry(attempts=3, first=0.05)
DEFAULTS = {
    **interruptions.DEFAULTS,
    "volume_name": NAME,
    "size": SIZE,
    "cache_path": str(CACHE),
    "backend": "directory",
}

Case = Callable[[], None]
GROUPS: dict[str, dict[str, Case]] = {}


def case(group: str) -> Callable[[Case], Case]:
    """Make the function one of the group's cases."""

    def note(function: Case) -> Case:
        GROUPS.setdefault(group, {})[function.__name__] = function
        return function

    return note


def expect(truth: bool, what: str) -> None:
    """Fail the case where this does not hold. (An assert would vanish with -O.)"""
    if not truth:
        raise AssertionError(what)


# Images --------------------------------------------------------------------------------------------------------------


def raw(name: str) -> Path:
    """Return the disk that an image of this name has."""
    return FOLDER / f"{name}.raw"


def image(name: str) -> bytes:
    return raw(name).with_suffix(f".{interruptions.IMAGE_TYPE}").read_bytes()


def make_images() -> None:
    Path(POOLS["directory"]).mkdir(parents=True, exist_ok=True)
    for name in "abc":
        if not raw(name).exists():
            raw(name).write_bytes(os.urandom(DISK))
            convert(raw(name), raw(name).with_suffix(".qcow2"))


def convert(disk: Path, into: Path) -> None:
    tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk), str(into))


def made(*options: str) -> bytes:
    """Return an image that qemu-img creates."""
    path = FOLDER / "made.qcow2"
    path.unlink(missing_ok=True)
    tool("qemu-img", "create", "-f", "qcow2", *options, str(path), str(DISK))
    return path.read_bytes()


def tool(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
    expect(done.returncode == 0, f"{words}: {done.stderr or done.stdout}")
    return done.stdout


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def site(content: bytes, checksum: str | None = None, **faults: Any) -> dict[str, Served]:
    """Return what a server has: the image with its faults, and the checksum, which is right where none is given."""
    told = f"{digest(content)}  image.qcow2\n" if checksum is None else checksum
    return {IMAGE: Served(content, **faults), SUM: Served(told.encode())}


# Runs ----------------------------------------------------------------------------------------------------------------


def provision(url: str, **options: Any) -> Outcome:
    """Run the operation as the module does; but wait for servers as long as tests do."""
    job_id = f"bad-{secrets.token_hex(4)}"
    stall, retry = options.pop("stall_seconds", STALL), options.pop("retry", HASTE)
    given = {**DEFAULTS, "image_url": url, "job_id": job_id, **options}
    params = filled(SPEC.options, {"pool": POOLS[given["backend"]], **given})
    limits = Limits(part_size=PART, stall_seconds=stall, retry=retry)
    source = WebImage(ImageAddress(Secret(url.encode()), limits=limits))
    clock, lock = SystemClock(), partial(locked, settings.lock_dir())
    patience = {"timeout": params["timeout"], "queue_timeout": params["queue_timeout"]}
    work = job_run("volume_image", clock, {"account": "test"}, **patience)
    ports = volume_ports(source, work, clock, lock, settings.lock_dir(), params["cache_path"])
    return execute(VolumeImage(ports), params, Records.default(), lock_timeout=PATIENCE)


def fill(name: str = "a", **options: Any) -> None:
    """Let the volume hold an image, by the operation itself."""
    with HttpServer(site(image(name))) as server:
        options = {"cache_path": str(FOLDER / "filling"), **options}
        Path(options["cache_path"]).mkdir(exist_ok=True)
        outcome = provision(server.url + IMAGE, **options)
    expect(outcome.failure is None, f"not filled: {outcome.failure}")


def state(kind: str = "directory", name: str = NAME, pool: str = "") -> tuple[str, Any]:
    """Return which image the volume holds, compared byte by byte, and the volume with its marks."""
    volume = open_backend(kind, pool or POOLS[kind]).find(name)
    if volume is None:
        return "", None
    held = (each for each in "abc" if holds(volume.path, raw(each)))
    return next(held, "something"), volume


def holds(path: str, disk: Path) -> bool:
    """Tell whether the volume has this disk, and zeros beyond it."""
    if path.startswith("rbd:"):
        return interruptions.holds(path, disk)
    return Path(path).read_bytes().rstrip(b"\0") == disk.read_bytes().rstrip(b"\0")


def left(kind: str = "directory", pool: str = "") -> list[str]:
    """Return what must not be."""
    found = [each.name for each in open_backend(kind, pool or POOLS[kind]).owned()]
    if kind == "directory":
        found += os.listdir(pool or POOLS[kind])
    faults = [f"volume {name}" for name in found if ".new-" in name or ".old-" in name]
    for path in settings.journal_dir().glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # others work on this host, too
            faults += [f"journal {path.name}"] * (NAME in path.read_text())
    for path in CACHE.iterdir() if CACHE.exists() else ():
        known = cache.named(path.name)
        if known and digest(path.read_bytes()) != known[0]:
            faults.append(f"the cache has another image as {path.name}")
    return faults


def refused(
    objects: dict[str, Served], *told: str, kind: str = "directory", **options: Any
) -> HttpServer:
    """Expect an error that helps, the old volume as it was, and nothing else. Return the server, which has its log."""
    before = state(kind, pool=options.get("pool", ""))
    with HttpServer(objects) as server:
        outcome = provision(server.url + IMAGE, backend=kind, **options)
    helps(outcome, *told)
    after = state(kind, pool=options.get("pool", ""))
    expect(after == before, f"the volume was {before} and is {after}")
    expect(not left(kind, options.get("pool", "")), f"left: {left(kind)}")
    return server


def helps(outcome: Outcome, *told: str) -> None:
    """Expect a failure that says what, where and what to do, in one line, and is taken back."""
    failure = outcome.failure
    expect(failure is not None, "it was not refused")
    expect(isinstance(failure, DebvisorError), f"this is no error of ours: {failure!r}")
    expect(outcome.nothing_left and not outcome.changed, f"not taken back: {outcome}")
    text = str(failure)
    expect("\n" not in text and len(text) < 600, f"more than a line: {text}")
    expect(bool(failure.hint), f"it does not say what to do: {text}")  # type: ignore[union-attr]
    for part in told:
        expect(part in text, f"{part!r} is not said: {text}")
    expect("Traceback" not in text, text)


def succeeds(
    objects: dict[str, Served], name: str = "b", kind: str = "directory", **options: Any
) -> HttpServer:
    """Expect the new image on the volume, and nothing else."""
    with HttpServer(objects) as server:
        outcome = provision(server.url + IMAGE, backend=kind, **options)
    expect(outcome.failure is None, f"it failed: {outcome.failure}")
    held, volume = state(kind, pool=options.get("pool", ""))
    expect(held == name, f"the volume holds {held}")
    expect(volume.marks.image == f"sha256:{digest(image(name))}", f"it is marked as {volume.marks}")
    expect(not left(kind, options.get("pool", "")), f"left: {left(kind)}")
    return server


def asked(server: HttpServer, path: str = IMAGE) -> list[Request]:
    return [each for each in server.requests if each.path == path]


# What is published ---------------------------------------------------------------------------------------------------


@case("checksum")
def there_is_no_checksum() -> None:
    server = refused({IMAGE: Served(image("b"))}, "no checksum", "image.qcow2")
    expect(server.sent <= HEAD_BYTES, "the image was fetched all the same")


@case("checksum")
def there_is_neither_image_nor_checksum() -> None:
    refused({}, "404", "image.qcow2 answered", "Check whether the address is right")


@case("checksum")
def the_checksum_is_malformed() -> None:
    for text in ("<html>Not here</html>", "", "\0\1\2", "ab" * 20 + "\n"):
        server = refused(site(image("b"), text), "checksum")
        expect(not asked(server), "the image was asked for all the same")


@case("checksum")
def the_checksum_is_of_another_file() -> None:
    refused(site(image("b"), f"{digest(image('b'))}  other.qcow2\n"), "another file", "other.qcow2")


@case("checksum")
def the_checksum_is_of_another_image() -> None:
    refused(site(image("b"), f"{digest(image('c'))}  image.qcow2\n"), digest(image("b"))[:12])
    expect(not list(CACHE.rglob("*.part")), "the wrong image is kept")


# What is in an image -------------------------------------------------------------------------------------------------


@case("image")
def it_is_truncated() -> None:
    """The server has half of it, and the checksum of the whole."""
    half = image("b")[: len(image("b")) // 2]
    refused(site(half, f"{digest(image('b'))}  image.qcow2\n"), digest(half)[:12])


@case("image")
def it_was_truncated_before_its_checksum_was_made() -> None:
    refused(site(image("b")[: len(image("b")) // 2]), "image")


@case("image")
def it_is_larger_than_the_volume() -> None:
    server = refused(site(image("b")), "does not fit", str(DISK), volume_name="small", size="4M")
    expect(server.sent < 2 * 65536, "it was downloaded to find that out")
    expect(open_backend("directory", POOLS["directory"]).find("small") is None, "it was made")


def outside(content: bytes, *told: str) -> None:
    """Expect an image to be refused by its first bytes; and where it is in the cache already, too."""
    server = refused(site(content), "cannot be used", *told)
    expect(server.sent < 2 * 65536, "it was downloaded to find that out")
    # It shows another head when it is looked at than when it is downloaded, and nobody published its checksum.
    harmless = image("b")[:65536] + bytes(max(0, len(content) - 65536))
    hidden = Served(harmless, etag=False, changes_to=content)
    refused({IMAGE: hidden}, *told, checksum="none")


@case("image")
def it_has_a_backing_file() -> None:
    outside(made("-u", "-F", "raw", "-b", "/etc/shadow"), "backing file")


@case("image")
def its_data_are_in_another_file() -> None:
    outside(made("-o", f"data_file={FOLDER}/elsewhere,data_file_raw=on"), "another file")


@case("image")
def it_is_encrypted() -> None:
    key = "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10"
    outside(made("--object", "secret,id=key,data=open", "-o", key), "encrypted")


@case("image")
def it_is_marked_as_corrupt() -> None:
    content = bytearray(image("b"))
    struct.pack_into(">Q", content, 72, 2)
    outside(bytes(content), "corrupt")


@case("image")
def its_tables_lead_out_of_it() -> None:
    """Its head is in order, and its data are said to be beyond its end."""
    content = bytearray(image("b"))
    first_table = struct.unpack_from(">Q", content, 40)[0]
    struct.pack_into(">Q", content, first_table, 1 << 63 | 1 << 40)
    refused(site(bytes(content)))


@case("image")
def it_is_no_image() -> None:
    refused(site(b"<html>Please log in</html>" * 99), "not a qcow2 image")
    refused(site(image("b")), "not a raw disk", image_type="raw")


# How it comes --------------------------------------------------------------------------------------------------------


@case("server")
def it_changes_between_two_parts() -> None:
    """The first part is of b, the next would be of c: it is fetched afresh."""
    objects = site(image("c"))
    objects[IMAGE] = Served(image("b"), changes_to=image("c"), changes_after=2)
    server = succeeds(objects, "c")
    expect(412 in [each.status for each in asked(server)], "no part was refused")


class Restless(Served):
    """Another object after each answer."""

    @property
    def changes_to(self) -> bytes:
        return bytes(self.content) + b"\0"  # type: ignore[arg-type]

    @changes_to.setter
    def changes_to(self, content: object) -> None:
        """It stays as it is."""


@case("server")
def it_changes_all_the_time() -> None:
    refused({**site(image("b")), IMAGE: Restless(image("b"))}, "changed twice", "Run again")


@case("server")
def it_stalls_and_goes_on() -> None:
    server = succeeds(site(image("b"), stalls_after=MIB), stall_seconds=1.0)
    expect(len(asked(server)) > 5, "nothing was asked for again")


@case("server")
def it_stalls_for_good() -> None:
    refused(
        site(image("b"), stalls_after=65536), "image.qcow2", "was not delivered", stall_seconds=1.0
    )


@case("server")
def it_breaks_off_and_goes_on() -> None:
    server = succeeds(site(image("b"), cuts_after=MIB))
    expect(server.sent < len(image("b")) + 2 * 65536, "what had come was fetched again")


@case("server")
def it_does_not_know_ranges() -> None:
    server = succeeds(site(image("b"), ranges=False))
    expect({each.status for each in asked(server)} == {200}, "there was a range")


@case("server")
def it_forgets_ranges_in_between() -> None:
    class Forgetful(Served):
        looks = itertools.count()

        @property
        def ranges(self) -> bool:
            return next(self.looks) < 2  # which asks twice in an answer: for the first bytes

        @ranges.setter
        def ranges(self, value: bool) -> None:
            """It stays as it is."""

    server = succeeds({**site(image("b")), IMAGE: Forgetful(image("b"))})
    expect({each.status for each in asked(server)} == {206, 200}, "it remembered")


@case("server")
def it_forbids() -> None:
    server = refused(site(image("b"), refusals=itertools.repeat(Refusal(403))), "403")
    expect(len(asked(server)) == 1, "it was asked again")


@case("server")
def it_has_no_image() -> None:
    objects = site(image("b"))
    del objects[IMAGE]
    expect(len(asked(refused(objects, "404"))) == 1, "it was asked again")


@case("server")
def it_fails_and_recovers() -> None:
    for number in (0, 3):  # at once, or among the parts
        CACHE.joinpath(f"{digest(image('b'))}.qcow2").unlink(missing_ok=True)
        fill()
        refusals = iter([None] * number + [Refusal(500), Refusal(503, {"Retry-After": "0"})])
        server = succeeds(site(image("b"), refusals=refusals))
        expect({500, 503} <= {each.status for each in asked(server)}, "it did not fail")


@case("server")
def it_fails_for_good() -> None:
    server = refused(site(image("b"), refusals=itertools.repeat(Refusal(500))), "500")
    expect(len(asked(server)) == HASTE.attempts, "it was not asked so often")


# Room ----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small(megabytes: int) -> Iterator[Path]:
    """Give a file system that is soon full."""
    place = FOLDER / "small"
    place.mkdir(exist_ok=True)
    tool("mount", "-t", "tmpfs", "-o", f"size={megabytes}M,mode=755", "none", str(place))
    try:
        yield place
    finally:
        tool("umount", str(place))


def filling(place: Path, after: int) -> Iterator[None]:
    """Let somebody else fill the file system once the server was asked so often. Yields no refusal."""
    for number in itertools.count():
        if number == after:
            with contextlib.suppress(OSError), (place / "else").open("wb", buffering=0) as stream:
                while True:
                    stream.write(bytes(4096))
        yield None


@case("room")
def the_cache_is_full() -> None:
    with small(64) as place:
        server = refused(site(image("b")), "no room", str(place), cache_path=str(place))
        expect(server.sent < 2 * 65536, "it was downloaded in vain")
        expect(not list(place.rglob("*.part")), "a part is left")


@case("room")
def the_cache_fills_up_meanwhile() -> None:
    """Room for the image was reserved; for what is noted about it, there is none any more. Then it goes on."""
    with small(64 + 16) as place:
        objects = site(image("b"), refusals=filling(place, 2))
        refused(objects, str(place), "Make room", cache_path=str(place))
        (place / "else").unlink()
        succeeds(site(image("b")), cache_path=str(place))


@case("room")
def the_pool_is_full() -> None:
    with small(16) as place:
        fill(pool=str(place))
        server = refused(site(image("b")), "no room", "in_place", pool=str(place))
        expect(server.sent < 2 * 65536, "it was downloaded in vain")


@case("room")
def the_pool_fills_up_meanwhile() -> None:
    with small(24) as place:
        fill(pool=str(place))
        objects = site(image("b"), refusals=filling(place, 2))
        refused(objects, str(place), pool=str(place))
        (place / "else").unlink()
        succeeds(site(image("b")), pool=str(place))


# Names and targets ---------------------------------------------------------------------------------------------------

NAMES = (
    *("", ".", "..", "../bad-case", "a/b", "/etc/passwd", "-rf", ".hidden", "a b", "a\nb", "a\0b"),
    *("vólume", "\u202evolume", "a;b", "$(id)", "a%s", "a@b", "a" * 97, "volume.raw"),
    *("debvisor-image-0", "bad-case.new-01234567", "bad-case.old-01234567"),
)
"""None of them can be the name of a volume."""
ONLY_FILES = ("volume.raw",)
"""Only in a folder, where the ending is added."""


def names(kind: str) -> None:
    def listed() -> list[str]:
        if kind == "directory":
            return sorted(str(path) for path in FOLDER.rglob("*"))
        return tool("rbd", "ls", "volumes").split()

    before = listed()
    for name in NAMES:
        if kind != "directory" and name in ONLY_FILES:
            continue
        with HttpServer(site(image("b"))) as server:
            outcome = provision(server.url + IMAGE, backend=kind, volume_name=name)
        try:
            helps(outcome)
        except AssertionError as fault:
            raise AssertionError(f"{name!r}: {fault}") from fault
        expect(not server.sent, f"{name!r}: the image was asked for")
    expect(listed() == before, f"made: {set(listed()) ^ set(before)}")


@case("target")
def a_file_cannot_have_the_name() -> None:
    names("directory")


@case("target")
def an_rbd_image_cannot_have_the_name() -> None:
    names("rbd")


@case("target")
def a_file_is_not_ours() -> None:
    strange = Path(POOLS["directory"]) / "bad-case-strange.raw"
    shutil.copyfile(raw("c"), strange)
    try:
        with HttpServer(site(image("b"))) as server:
            outcome = provision(server.url + IMAGE, volume_name="bad-case-strange", size="8M")
        helps(outcome, "not ours", "adopt")
        expect(strange.read_bytes() == raw("c").read_bytes(), "it was written to")
        fill("b", volume_name="bad-case-strange", size="8M", adopt=True)
        expect(state(name="bad-case-strange")[0] == "b", "it was not adopted")
    finally:
        strange.unlink()


@case("target")
def a_link_leads_elsewhere() -> None:
    link = Path(POOLS["directory"]) / "link.raw"
    link.symlink_to(raw("c"))
    try:
        with HttpServer(site(image("b"))) as server:
            outcome = provision(server.url + IMAGE, volume_name="link", size="8M", adopt=True)
        helps(outcome, "not a plain volume")
    finally:
        link.unlink()


@case("target")
def an_rbd_image_is_not_ours() -> None:
    tool("rbd", "import", "--no-progress", str(raw("c")), "volumes/bad-case-strange")
    try:
        with HttpServer(site(image("b"))) as server:
            outcome = provision(
                server.url + IMAGE, backend="rbd", volume_name="bad-case-strange", size="8M"
            )
        helps(outcome, "not ours", "adopt")
        expect(state("rbd", "bad-case-strange")[0] == "c", "it was written to")
    finally:
        tool("rbd", "rm", "--no-progress", "volumes/bad-case-strange")


@case("target")
def it_has_another_size() -> None:
    for size in ("11M", "9M"):
        server = refused(site(image("b")), "another size", "5 %", size=size)
        expect(not server.sent or not asked(server) or server.sent < 2 * 65536, "downloaded")
    before = state()[1]
    fill(size=str(10 * MIB + 400 * 1024))
    expect(state()[1] == before, "a difference below 5 % made it another one")


# Who has it open -----------------------------------------------------------------------------------------------------


def in_use(*told: str, kind: str = "directory") -> None:
    """Expect that it is refused, whichever way it would be written to."""
    refused(site(image("b")), "in use", *told, kind=kind)
    refused(site(image("b")), "in use", *told, kind=kind, replace="in_place")


@case("users")
def a_guest_has_it() -> None:
    volume = state()[1]
    with libvirt_guest({"file": volume.path}) as guest:
        who = f"guest {guest.name()}"
        in_use(who)
        refused(site(image("a")), "in use", who, overwrite="always")
        refused(site(image("b")), "in use", who, state="absent")
        fill()  # it is right already, so nobody touches it
        guest.suspend()
        refused(site(image("b")), "in use", who)
    succeeds(site(image("b")))


@case("users")
def a_guest_has_it_by_another_name() -> None:
    volume = state()[1]
    link = FOLDER / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(volume.path)
    with libvirt_guest({"file": str(link)}) as guest:
        refused(site(image("b")), "in use", f"guest {guest.name()}")
    bound = FOLDER / "bound"
    bound.mkdir(exist_ok=True)
    tool("mount", "--bind", POOLS["directory"], str(bound))
    try:
        with libvirt_guest({"file": str(bound / Path(volume.path).name)}) as guest:
            refused(site(image("b")), "in use", f"guest {guest.name()}")
    finally:
        tool("umount", str(bound))


@case("users")
def a_guest_has_an_rbd_image() -> None:
    """On whatever host it runs: its client watches the image."""
    fill(backend="rbd")
    with qemu_guest(state("rbd")[1].path):
        in_use("client ", kind="rbd")
    succeeds(site(image("b")), kind="rbd")


@case("users")
def a_guest_of_libvirt_has_an_rbd_image() -> None:
    fill(backend="rbd")
    with libvirt_guest({"protocol": "rbd", "name": f"volumes/{NAME}"}) as guest:
        in_use(f"guest {guest.name()}", "client ", kind="rbd")


@case("users")
def it_is_mounted() -> None:
    """A file system on it is mounted through a loop device, which no process has open."""
    volume = state()[1]
    tool("mkfs.ext4", "-q", "-F", volume.path)
    place = FOLDER / "mounted"
    place.mkdir(exist_ok=True)
    tool("mount", "-o", "loop", volume.path, str(place))
    try:
        (place / "precious").write_text("data")
        tool("sync", "-f", str(place))
        refused(site(image("b")), "in use", "loop")
        expect((place / "precious").read_text() == "data", "its data are gone")
    finally:
        tool("umount", str(place))
    succeeds(site(image("b")))


@case("users")
def it_is_opened_meanwhile() -> None:
    """A program opens it when the image comes: after the first look, and before the name changes."""
    with opening(state()[1].path) as refusals:
        refused(site(image("b"), refusals=refusals), "came into use meanwhile", "Run again")


@contextlib.contextmanager
def opening(path: str) -> Iterator[Iterator[None]]:
    """Have it opened once the server was asked twice. Yields what goes on without an end, and holds no refusal."""
    opened: list[int] = []

    def refusals() -> Iterator[None]:
        for number in itertools.count():
            if number == 2:
                opened.append(os.open(path, os.O_RDONLY))
            yield None

    try:
        yield refusals()
        expect(len(opened) == 1, "nobody opened it")
    finally:
        for each in opened:
            os.close(each)


# Many at once --------------------------------------------------------------------------------------------------------


LOOKING = ("preflight", "resolving_checksum", "checking_cache")
"""Stages before a job asks for its turn: it writes nothing yet."""


class Controller:
    """Another process that does the same."""

    def __init__(self, url: str, **options: Any) -> None:
        words = [sys.executable, __file__, "run"]
        self.options = {"url": url, **options}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ready(self) -> None:
        expect(self._read() == "ready\n", "the controller did not start")

    def go(self) -> None:
        if self.process.stdin is None:
            raise AssertionError("no pipe")
        self.process.stdin.write(json.dumps(self.options) + "\n")
        self.process.stdin.flush()

    def ended(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._read())
        self.process.communicate(timeout=PATIENCE)
        return told

    def _read(self) -> str:
        if self.process.stdout is None:
            raise AssertionError("no pipe")
        return self.process.stdout.readline()


def controller() -> int:
    """Be one of them."""
    print("ready", flush=True)
    outcome = provision(**json.loads(sys.stdin.readline()))
    told = {
        "steps": len(outcome.plan.actions) if outcome.failure is None else 0,
        "failure": str(outcome.failure or ""),
        "cache_hit": outcome.facts.get("cache_hit"),
    }
    print(json.dumps(told), flush=True)
    return 0


def begun(controllers: list[Controller]) -> list[Controller]:
    """Let them begin at the same moment."""
    for each in controllers:
        each.ready()
    for each in controllers:
        each.go()
    return controllers


def at_once(controllers: list[Controller]) -> list[Any]:
    """Let them begin at the same moment; return what they tell."""
    return [each.ended() for each in begun(controllers)]


@case("together")
def two_controllers_want_the_same() -> None:
    for kind in POOLS:
        fill(backend=kind)
        shutil.rmtree(CACHE)
        CACHE.mkdir()
        with HttpServer(site(image("b"))) as server:
            options = {"url": server.url + IMAGE, "backend": kind}
            told = at_once([Controller(**options) for _number in range(2)])
        expect([each["failure"] for each in told] == ["", ""], f"{kind}: {told}")
        expect(sorted(bool(each["steps"]) for each in told) == [False, True], f"{kind}: {told}")
        expect(state(kind)[0] == "b" and not left(kind), f"{state(kind)}, left: {left(kind)}")


@case("together")
def two_controllers_want_different_images() -> None:
    """Both would make the volume: one does, and the other is told that it is there, and holds something else."""
    with HttpServer(site(image("b"))) as one, HttpServer(site(image("c"))) as other:
        options = {"volume_name": "bad-case-both", "overwrite": "never"}
        told = at_once([Controller(each.url + IMAGE, **options) for each in (one, other)])
    try:
        won = [index for index, each in enumerate(told) if each["steps"]]
        expect(len(won) == 1, f"{told}")
        expect("holds something else" in told[1 - won[0]]["failure"], f"{told}")
        expect(
            state(name="bad-case-both")[0] == "bc"[won[0]] and not left(), f"{state(name='both')}"
        )
    finally:
        fill(volume_name="bad-case-both", state="absent")


@case("together")
def five_jobs_fetch_once_and_two_work() -> None:
    files = job_files()
    known = set(files.ids())
    working: list[int] = []
    waiting: list[int] = []
    called = [f"{NAME}-{number}" for number in range(5)]
    with HttpServer(site(image("b"), rate=4.0 * MIB)) as server:
        many = begun([Controller(server.url + IMAGE, volume_name=name) for name in called])
        end = time.monotonic() + PATIENCE
        while True:
            records = [files.read(job_id) for job_id in set(files.ids()) - known]
            many_records = [each for each in records if each and each["volume_name"] in called]
            statuses = [each["status"] for each in many_records]
            stages = [
                each["progress"]["stage"] for each in many_records if each["status"] == "running"
            ]
            working.append(sum(stage not in LOOKING for stage in stages))
            waiting.append(statuses.count("queued"))
            if statuses.count("completed") + statuses.count("failed") == len(called):
                break
            expect(time.monotonic() < end, f"they do not end: {statuses}")
            time.sleep(0.005)
        told = [each.ended() for each in many]
    try:
        expect([each["failure"] for each in told] == [""] * 5, f"{told}")
        expect(max(working) == 2, f"{max(working)} worked at once")
        expect(max(waiting) >= 3, "nobody waited")
        parts = sum(each.sent for each in asked(server))
        # Each may look at the first bytes before it asks for a turn.
        expect(parts <= len(image("b")) + 5 * 65536, f"{parts} bytes of {len(image('b'))}")
        fetched = [each.headers.get("Range") for each in asked(server)]
        once = [each for each in fetched if each != "bytes=0-65535"]
        expect(len(once) == len(set(once)), f"parts came twice: {once}")
        for name in called:
            expect(state(name=name)[0] == "b", f"{name} holds {state(name=name)[0]}")
        expect(not left(), f"left: {left()}")
    finally:
        for name in called:
            fill(volume_name=name, state="absent")


# ---------------------------------------------------------------------------------------------------------------------


def prepared() -> None:
    """Begin with a volume that holds a, and with an empty cache."""
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir()
    fill()
    expect(state()[0] == "a", f"the volume holds {state()[0]} to begin with")


def cleared(kinds: Iterable[str] = ()) -> None:
    """Leave nothing of these cases on the host: in the pools of these kinds, or of all."""
    for kind in kinds or POOLS:
        backend = open_backend(kind, POOLS[kind])
        volume = backend.find(NAME)
        if volume is not None:
            backend.remove(volume)
    shutil.rmtree(FOLDER)


def main() -> int:
    """Run the cases of a group, or those named, and print how each went."""
    group, *chosen = sys.argv[1:]
    if group == "run":
        return controller()
    make_images()
    for name in chosen or GROUPS[group]:
        failure, began = None, time.monotonic()
        try:
            prepared()
            GROUPS[group][name]()
        except Exception:
            failure = traceback.format_exc()
        took = round(time.monotonic() - began, 2)
        print(json.dumps({"case": name, "failure": failure, "seconds": took}), flush=True)
    cleared()
    return 0


if __name__ == "__main__":
    sys.exit(main())
