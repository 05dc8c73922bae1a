# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupt ``volume_image`` everywhere, where the volumes are, with all its real parts; and look at what is left.

Runs without pytest: ``python3 interruptions.py KIND POOL HOW [golden|in_place]``. A child process fills
a volume that holds one image with another one, and is interrupted; what is left is then taken back as a boot
would, and the volume must hold either image, whole, and nothing else may be left. That is done for every stage, and
before and after every change that the backend makes, however many these are. One line of JSON is printed for each.

HOW is ``kill`` (SIGKILL), ``term``, ``cancel`` (a request, as volume_job makes it) or ``fail`` (the change is refused).
``hold`` is for whoever wants to reset the machine: many runs, each of a volume of its own, stand in one stage each, and
between the two renames; it says so, and waits. ``check`` looks at what is left of these, and clears it away.
"""

from __future__ import annotations

import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, "/usr/share/ansible/collections")

from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import (
    Outcome,
    Records,
    execute,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.locking import locked
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._core.waiting import SystemClock
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.backends import (
    open_backend,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs import volume_recover
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_run import JobRun
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_operation import (
    VolumeImage,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volume_request import (
    SPEC,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import Volume
from ansible_collections.debvisor.hci.plugins.module_utils._wiring.jobs import job_files, job_run
from ansible_collections.debvisor.hci.plugins.module_utils._wiring.storage import (
    image_at,
    volume_ports,
)

WRITES = ("create", "clone", "seal", "mark", "rename", "remove", "zero", "sync")
"""What a backend changes."""
NAME = "interrupted"
WORK = Path("/var/tmp/interruptions")
IMAGE_TYPE = os.environ.get("IMAGE_TYPE", "qcow2")
"""``raw`` where the machine is emulated: it takes seconds there to read samples out of a qcow2 image."""
STANDING = WORK / "standing.json"
"""At which points runs stood when the machine was reset."""
DISK, DATA, VOLUME = 4 << 20, 3 << 19, "8M"
PATIENCE = 60
DEFAULTS: dict[str, Any] = {
    "overwrite": "different",
    "timeout": PATIENCE,
    "queue_timeout": PATIENCE,
    "cache_path": str(WORK / "cache"),
    "image_type": IMAGE_TYPE,
    "volume_name": NAME,
    "size": VOLUME,
}


class Interruption:
    """Happens once, at its point."""

    def __init__(self, at: str = "", how: str = "", job_id: str = "", told: int = -1) -> None:
        self._at = at
        self._how = how
        self._job_id = job_id
        self._told = told
        """What a byte is written to where the run stands at the point."""
        self.points: list[str] = []

    def reached(self, point: str) -> None:
        """Note the point, and let it happen where it was asked for."""
        if point in self.points:
            return
        self.points.append(point)
        if point != self._at:
            return
        match self._how:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "term":
                os.kill(os.getpid(), signal.SIGTERM)
            case "cancel":
                job_files().request_cancel(self._job_id, "the test")
            case "fail":
                raise Refused("the test wanted this to fail")
            case "hold":
                os.write(self._told, b"!")
                signal.pause()


class CountedBackend:
    """A backend whose changes are points. Those of a rollback are not interrupted: they happen after the point."""

    def __init__(self, backend: Any, interruption: Interruption) -> None:
        self._backend = backend
        self._interruption = interruption
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if name not in WRITES:
            return found

        def counted(*arguments: Any) -> Any:
            self._count += 1
            self._interruption.reached(f"before change {self._count}: {name}")
            result = found(*arguments)
            self._interruption.reached(f"after change {self._count}: {name}")
            return result

        return counted


def provision(params: dict[str, Any], interruption: Interruption) -> Outcome:
    """Run the operation as the module does."""
    clock, lock = SystemClock(), partial(locked, settings.lock_dir())
    limits = {"timeout": params["timeout"], "queue_timeout": params["queue_timeout"]}
    work = job_run("volume_image", clock, {"account": "test"}, **limits)
    stage = JobRun.stage

    def staged(self: JobRun, name: str, total: int = 0) -> None:
        stage(self, name, total)
        interruption.reached(f"stage {name}")

    JobRun.stage = staged  # type: ignore[method-assign]
    cache = params["cache_path"]
    # Caches of their own, as those have that stand at the same time, have locks of their own.
    ports = volume_ports(image_at(params), work, clock, lock, Path(f"{cache}.locks"), cache)

    def backend(kind: str, pool: str) -> Any:
        return CountedBackend(open_backend(kind, pool), interruption)

    object.__setattr__(ports, "backend", backend)
    return execute(VolumeImage(ports), params, Records.default())


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and keeps silent."""

    def log_message(self, format: str, *words: Any) -> None:
        pass


class Images:
    """Two images, served on the loopback address."""

    def __init__(self) -> None:
        self.raw = {name: WORK / f"{name}.raw" for name in "ab"}
        for name, raw in self.raw.items():
            if not raw.exists():
                make_image(name, raw)
        handler = partial(QuietHandler, directory=str(WORK))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.handle_error = lambda *connection: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{name}.{IMAGE_TYPE}"


def make_image(name: str, raw: Path) -> None:
    """Make a disk with data at both ends and in the middle, its image, and the image's checksum."""
    chance = random.Random(name)
    WORK.mkdir(parents=True, exist_ok=True)
    with raw.open("wb") as stream:
        stream.truncate(DISK)
        for offset in (0, DISK // 2, DISK - DATA // 3):
            stream.seek(offset)
            stream.write(chance.randbytes(DATA // 3))
    image = raw.with_suffix(f".{IMAGE_TYPE}")
    if image != raw:
        subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", raw, image], check=True)
    digest = subprocess.run(
        ["sha256sum", image.name], cwd=WORK, check=True, capture_output=True, text=True
    ).stdout
    Path(f"{image}.sha256").write_text(digest)
    os.sync()  # the machine may be reset


def holds(path: str, raw: Path) -> bool:
    """Tell whether the volume has this disk, and zeros beyond it."""
    words = ["qemu-img", "compare", "-f", "raw", "-F", "raw", str(raw), path]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def in_child(work: Any) -> int:
    """Do it in a process of its own; return its status, negative for the signal that ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        except BaseException:
            traceback.print_exc()
            os._exit(70)
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"did not end within {PATIENCE} s")


def what_is_left(
    kind: str, pool: str, images: Images, replace: str = "beside", name: str = NAME
) -> tuple[list[str], str]:
    """Return what must not be, and which image the volume holds.

    What is overwritten in place may be lost, and must then not be marked as good.
    """
    backend = open_backend(kind, pool)
    faults, held = [], ""
    volume = backend.find(name)
    if volume is None or volume.marks is None:
        faults.append(f"the volume is gone, or not ours: {volume}")
    else:
        held = next((which for which, raw in images.raw.items() if holds(volume.path, raw)), "")
        proved = bool(volume.marks.image)
        if not proved and replace == "in_place":
            held = ""
        elif not held or not proved:
            faults.append(f"the volume holds {held or 'neither image'}; marked as proved: {proved}")
    for each in backend.owned():
        if not each.name.startswith(NAME) and not _golden(each):
            faults.append(f"left behind: {each.name}")
        if ".new-" in each.name or ".old-" in each.name:
            faults.append(f"left behind: {each.name}")
    faults += [f"journal: {path.name}" for path in settings.journal_dir().glob("*.json")]
    return faults, held


class Rounds:
    """One after the other, each at its own point."""

    def __init__(self, kind: str, pool: str, how: str, options: dict[str, Any]) -> None:
        self.kind, self.pool, self.how = kind, pool, how
        self.images = Images()
        self.params = filled(SPEC.options, {**DEFAULTS, **options, "backend": kind, "pool": pool})
        Path(self.params["cache_path"]).mkdir(parents=True, exist_ok=True)
        self.held = ""

    def params_for(self, image: str, job_id: str, **others: Any) -> dict[str, Any]:
        url = self.images.url(image)
        return {**self.params, "image_url": url, "job_id": job_id, **others}

    def fill(self, image: str, **others: Any) -> None:
        """Fill the volume without an interruption."""

        def work() -> int:
            outcome = provision(self.params_for(image, "filling", **others), Interruption())
            if outcome.failure is not None:
                print(f"not filled: {outcome.failure}", file=sys.stderr)
            return int(outcome.failure is not None)

        if in_child(work) != 0:
            raise SystemExit("the volume could not be filled")
        self.held = image

    def points(self) -> list[str]:
        """Return every point of an undisturbed run; the image comes from the server, as in the rounds."""
        self.fill("a")
        self.forget_image("b")
        noted = WORK / "points.json"

        def work() -> int:
            interruption = Interruption()
            outcome = provision(self.params_for("b", "points"), interruption)
            noted.write_text(json.dumps(interruption.points))
            return int(outcome.failure is not None)

        if in_child(work) != 0:
            raise SystemExit("the undisturbed run failed")
        self.held = "b"
        return list(json.loads(noted.read_text()))

    def forget_image(self, name: str) -> None:
        """Drop what the cache and the pool keep of an image, so that every stage comes again."""
        digest = Path(f"{WORK}/{name}.{IMAGE_TYPE}.sha256").read_text()[:64]
        for path in Path(self.params["cache_path"]).rglob(f"*{digest}*"):
            path.unlink()
        if not self.params["golden"]:
            return
        backend = open_backend(self.kind, self.pool)
        for each in backend.owned():
            if _golden(each) and digest in each.marks.image:
                try:
                    backend.remove(each)
                except Refused:  # it has clones: they need it
                    return

    def interrupt(self, number: int, point: str) -> None:
        """Interrupt one run at a point, clean up as a boot does, and look."""
        wanted = "a" if self.held == "b" else "b"
        self.forget_image(wanted)
        job_id = f"round-{self.how}-{number}"

        def work() -> int:
            outcome = provision(
                self.params_for(wanted, job_id), Interruption(point, self.how, job_id)
            )
            if outcome.rollback_errors and self.params["replace"] != "in_place":
                print(f"rollback: {outcome.rollback_errors}", file=sys.stderr)
                return 71
            return int(outcome.failure is not None)

        status = in_child(work)
        # Of others nothing may be left, but the word that a volume was overwritten.
        if self.how in ("kill", "fail") or self.params["replace"] == "in_place":
            in_child(lambda: volume_recover.main([]))
        faults, held = what_is_left(self.kind, self.pool, self.images, self.params["replace"])
        if not held and not faults:
            self.fill(wanted)
        if status not in (0, 1, -signal.SIGKILL):
            faults.append(f"the run ended with {status}")
        if status == 0 and held != wanted:
            faults.append("the run succeeded, and the volume does not hold the image")
        self.held = held or self.held
        tell(point, status, held, held == wanted, faults)

    def hold(self) -> None:
        """Let a run stand at each of the points at which the power is to fail."""
        points = self.points()
        renames = [point for point in points if point.endswith("rename")]
        standing = [*(point for point in points if point.startswith("stage ")), *renames[1:3]]
        for number, point in enumerate(standing):
            name = f"{NAME}-{number}"
            self.fill("a", volume_name=name)
            self._stand(point, volume_name=name, cache_path=f"{WORK}/cache-{number}")
        STANDING.write_text(json.dumps(standing))
        os.sync()
        print(json.dumps({"standing": standing}), flush=True)
        signal.pause()

    def _stand(self, point: str, **others: Any) -> None:
        """Begin a run, and return once it stands there."""
        stands, told = os.pipe()
        if os.fork() == 0:
            job_id = f"standing-{others['volume_name']}"
            provision(
                self.params_for("b", job_id, **others), Interruption(point, "hold", job_id, told)
            )
            os._exit(70)
        os.close(told)
        if os.read(stands, 1) != b"!":
            raise SystemExit(f"no run stands at {point}")
        os.close(stands)

    def check(self) -> None:
        """Look at the volumes of those that stood."""
        for number, point in enumerate(json.loads(STANDING.read_text())):
            name = f"{NAME}-{number}"
            faults, held = what_is_left(self.kind, self.pool, self.images, name=name)
            tell(point, 0, held, held == "b", faults)

    def clear(self) -> None:
        """Leave no volume: in a volume group, thick and thin ones have their names from one and the same set."""
        backend = open_backend(self.kind, self.pool)
        ours = [each for each in backend.owned() if each.name.startswith(NAME) or _golden(each)]
        for volume in sorted(ours, key=_golden):  # which goes once it has no clones
            backend.remove(volume)


def _golden(volume: Volume) -> bool:
    return volume.marks is not None and volume.marks.golden


def tell(point: str, status: int, held: str, new: bool, faults: list[str]) -> None:
    """Print how a round went."""
    told = {"point": point, "status": status, "held": held, "new": new, "faults": faults}
    print(json.dumps(told), flush=True)


def main() -> int:
    """Interrupt at every point, or do what else HOW says."""
    kind, pool, how, *rest = sys.argv[1:]
    [mode] = rest or [""]
    options = {
        "golden": mode == "golden",
        **({"replace": "in_place"} if mode == "in_place" else {}),
    }
    rounds = Rounds(kind, pool, how, options)
    if how == "hold":
        rounds.hold()
    elif how == "check":
        rounds.check()
    else:
        for number, point in enumerate(rounds.points()):
            if how != "fail" or point.startswith("before change"):
                rounds.interrupt(number, point)
    rounds.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
