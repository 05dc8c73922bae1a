# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image of 10 GiB with 1.3 GiB of data, from a server on this machine to a volume: cold, warm, and what bounds it.

Runs on this machine, as root, needs qemu-utils, nginx and curl; nbdcopy is a peer where libnbd-bin is there. All fill a
sparse file on the same file system. Caches are dropped before each run, but what the server sends is in memory, as it
would be another machine; a run ends when the volume is on disk. Ours and the peers take turns.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import volume_images as images
from tests.bench.report import Aim, Row
from tests.bench.volume_images import GIB, MIB, PLACE

RUNS = 3
VOLUME = 11 * GIB
TARGET = PLACE / "target"
CACHE = PLACE / "cache"
RECORDS = PLACE / "records"
FETCHED = PLACE / "fetched.qcow2"
PEER = TARGET / "peer.raw"
OURS = TARGET / "ours.raw"
CAP = "60m"
TUNED = "qemu-img convert -n -W -t none -T none -m 8 --target-is-zero -f qcow2 -O raw {image} {to}"
PLAIN = "qemu-img convert -f qcow2 -O raw {image} {to}"
NBDCOPY = "nbdcopy --destination-is-zero -- [ qemu-nbd -r -f qcow2 {image} ] {to}"
CURL = "curl --silent --show-error --fail --output {image} {url}"
LIMIT = "dd if={content} of={to} bs=4M oflag=direct conv=notrunc status=none"
ENTRIES = (10, 10_000)
LOOK_UPS = 2000

Contenders = Mapping[str, Callable[[], float]]


class Server:
    """nginx with the images, once as it is and once with a limit for each connection."""

    def __init__(self) -> None:
        self.ports = {"": _free_port(), CAP: _free_port()}

    @contextmanager
    def running(self) -> Iterator[None]:
        folder = (PLACE / "nginx").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        sites = "\n".join(
            f"server {{ listen 127.0.0.1:{port}; root {images.SERVED.absolute()};"
            f" {f'limit_rate {cap};' if cap else ''} }}"
            for cap, port in self.ports.items()
        )
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"user root; daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{ access_log off; sendfile on; client_body_temp_path {folder};\n{sites} }}\n"
        )
        words = ["nginx", "-p", str(folder), "-c", str(configuration)]
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *words], stderr=subprocess.DEVNULL
        )
        try:
            for port in self.ports.values():
                _await_listener(port)
            yield
        finally:
            process.terminate()
            process.wait(10)

    def url(self, path: Path, cap: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[cap]}/{path.name}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _await_listener(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


class Ours:
    """Runs of ``volume_image``, and what they tell of themselves."""

    def __init__(self, server: Server, image: Path, cap: str = "", *, warm: bool = False) -> None:
        self._url = server.url(image, cap)
        self._sent = () if warm else (image,)
        self._image_type = image.suffix.removeprefix(".")
        self._warm = warm
        self.told: list[dict[str, Any]] = []

    def __call__(self) -> float:
        OURS.unlink(missing_ok=True)
        if not self._warm:
            shutil.rmtree(CACHE, ignore_errors=True)
        CACHE.mkdir(exist_ok=True)
        options = {
            "image_url": self._url,
            "image_type": self._image_type,
            "volume_name": OURS.stem,
            "pool": str(TARGET.absolute()),
            "size": str(VOLUME),
            "cache_path": str(CACHE.absolute()),
            "records": str(RECORDS.absolute()),
            "job_id": f"run-{len(self.told)}-{time.monotonic_ns()}",
        }
        words = [sys.executable, "-m", "tests.bench.volume_run", json.dumps(options)]
        return settled(lambda: self.told.append(json.loads(images.run(words))), *self._sent)

    def lasted(self, stage: str) -> list[float]:
        """Return how long a stage took in each run, up to the next one."""
        taken = []
        for each in self.told:
            begun = each["begun"]
            following = [at for at in begun.values() if at > begun[stage]]
            taken.append(min(following) - begun[stage])
        return taken


def shell(line: str, *sent: Path, url: str = "") -> Callable[[], float]:
    """Return a peer: a line of shell that fills ``{to}``, a fresh sparse file, which is then put on disk.

    :param sent: what it does not read from disk.
    """
    script = line.format(to=PEER, image=FETCHED, content=images.CONTENT, url=url)
    script += f" && sync {PEER}"

    def run() -> float:
        PEER.unlink(missing_ok=True)
        with PEER.open("wb") as stream:
            stream.truncate(VOLUME)
        words = ["sh", "-ec", script]
        return settled(lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL), *sent)

    return run


def settled(work: Callable[[], object], *sent: Path) -> float:
    """Return how many seconds it takes from a machine at rest: nothing to be written, caches empty but for ``sent``."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")
    for path in sent:
        _read_into_memory(path)
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _read_into_memory(path: Path) -> None:
    with path.open("rb", buffering=0) as stream:
        block = bytearray(MIB)
        while stream.readinto(block):
            pass


def in_turn(contenders: Contenders, runs: int = RUNS) -> dict[str, list[float]]:
    """Let all run once, then all once more."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _round in range(runs):
        for name, run in contenders.items():
            taken[name].append(run())
            print(f"    {name}: {taken[name][-1]:.2f} s", flush=True)
    return taken


def at_least(times: float) -> Aim:
    return Aim(
        f"at least {times:g} times as fast",
        lambda mine, ratio: ratio is not None and ratio >= times,
    )


def at_most(times: float) -> Aim:
    return Aim(
        f"at most {times:g} times", lambda mine, ratio: ratio is not None and ratio >= 1 / times
    )


def rows_of(what: str, taken: Mapping[str, list[float]], aims: Mapping[str, Aim]) -> Iterator[Row]:
    """Yield a row for each peer."""
    for peer, runs in taken.items():
        if peer != "ours":
            row = Row(what, "s", taken["ours"], peer, runs, "less", aims.get(peer), _load())
            yield row


def _load() -> str:
    return "load {:.1f} {:.1f} {:.1f}".format(*os.getloadavg())


def warm_rows(server: Server) -> Iterator[Row]:
    """The image is in the cache; peers have it as a file."""
    for compression in images.COMPRESSIONS:
        print(f"  warm, {compression}", flush=True)
        path = images.image(compression)
        Ours(server, path)()
        ours = Ours(server, path, warm=True)
        FETCHED.write_bytes(path.read_bytes())
        contenders: dict[str, Callable[[], float]] = {
            "ours": ours,
            "qemu-img convert, plain": shell(PLAIN),
            "qemu-img convert, tuned": shell(TUNED),
            "writing the data in sequence": shell(LIMIT, images.CONTENT),
        }
        if shutil.which("nbdcopy"):
            contenders["nbdcopy"] = shell(NBDCOPY)
        taken = in_turn(contenders)
        what = f"warm, {compression}: convert, sync and prove"
        yield from rows_of(what, taken, {"qemu-img convert, tuned": at_most(1.1)})
        yield Row("- of it, the conversion", "s", ours.lasted("converting"), better="less")
        yield Row("- of it, the proof", "s", ours.lasted("verifying_volume"), better="less")
    FETCHED.unlink()


def cold_rows(server: Server) -> Iterator[Row]:
    """The image is on the server. The peers prove nothing, and the second does not even verify."""
    for cap, times in ((CAP, 2.0), ("", 1.3)):
        for compression in images.COMPRESSIONS:
            print(f"  cold, {compression}, {cap or 'no'} limit", flush=True)
            path = images.image(compression)
            url = server.url(path, cap)
            taken = in_turn(
                {
                    "ours": Ours(server, path, cap),
                    "curl; sha256sum; qemu-img convert": shell(
                        f"{CURL} && sha256sum {{image}} && {PLAIN}", path, url=url
                    ),
                    "curl; qemu-img convert, tuned": shell(f"{CURL} && {TUNED}", path, url=url),
                }
            )
            limit = "60 MB/s per connection" if cap else "no limit"
            what = f"cold, {compression}, {limit}: fetch, verify, convert, sync and prove"
            yield from rows_of(what, taken, {"curl; sha256sum; qemu-img convert": at_least(times)})
    FETCHED.unlink()


def memory_rows(server: Server) -> Iterator[Row]:
    print("  memory", flush=True)
    for size in images.RAW_SIZES:
        ours = Ours(server, images.raw(size))
        ours()
        yield Row(
            f"peak memory of our process, image of {size // MIB} MiB",
            "MB",
            [ours.told[-1]["mb"]],
            better="less",
            aim=Aim("under 100 MB", lambda mine, ratio: mine < 100),
        )


def look_up_rows(server: Server) -> Iterator[Row]:
    """How long it takes to find an image among few and among many."""
    print("  look-ups in the cache", flush=True)
    few, many = (look_ups(count) for count in ENTRIES)
    yield Row(
        f"find an image among {ENTRIES[1]:,}",
        "us",
        many,
        f"among {ENTRIES[0]}",
        few,
        better="less",
        aim=at_most(1.5),
    )


def look_ups(count: int) -> list[float]:
    """Return the microseconds of one look-up, as medians of some hundred, in a cache of so many images."""
    from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
    from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.image_folder import (
        ImageFolder,
    )
    from ansible_collections.debvisor.hci.plugins.module_utils._ports.virt.libvirt_pool import (
        LibvirtPool,
    )
    from ansible_collections.debvisor.hci.plugins.module_utils._storage.images import cache
    from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.cache_directory import (
        CacheDirectory,
    )

    place = PLACE / "entries"
    shutil.rmtree(place, ignore_errors=True)
    (place / cache.HIDDEN).mkdir(parents=True)
    try:
        digests = [f"{number:064x}" for number in range(count)]
        for digest in digests:
            image = place / cache.file_name(digest, "raw")
            image.write_bytes(b"image")
            found = image.stat()
            record = cache.Record("", "", found.st_ino, found.st_size, found.st_mtime_ns, 0, 0)
            (place / cache.record_of(image.name)).write_bytes(record.written())
        folder = ImageFolder(str(place), RECORDS)
        looked = CacheDirectory(folder, LibvirtPool("none"), SystemClock())
        taken = []
        for number in range(LOOK_UPS):
            began = time.perf_counter()
            if looked.find(digests[number * 7919 % count], "raw") is None:
                raise LookupError(digests[number % count])
            taken.append(1e6 * (time.perf_counter() - began))
        return [statistics.median(taken[part::5]) for part in range(5)]
    finally:
        shutil.rmtree(place)


def measure() -> Iterator[list[Row]]:
    """Yield the rows, part by part."""
    if os.geteuid() != 0 or not shutil.which("nginx"):
        raise SystemExit("needs root (to drop caches) and nginx, such as Debian's nginx-light")
    images.make()
    server = Server()
    TARGET.mkdir(exist_ok=True)
    try:
        with server.running():
            for part in (look_up_rows, memory_rows, cold_rows, warm_rows):
                yield list(part(server))
    finally:
        for folder in (TARGET, CACHE, RECORDS):
            shutil.rmtree(folder, ignore_errors=True)
        FETCHED.unlink(missing_ok=True)
