# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of checks in the machine: what they need beside them, and what they tell of each check."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.lab.layout import CHECKOUT
from tests.vm import access
from tests.vm.layout import THIN_POOL, VOLUME_GROUP, ZPOOL

VOLUMES = CHECKOUT / "tests" / "volumes"
HERE = Path(__file__).parent
PROGRAMS = "/root/programs"
FILES = (
    *(
        VOLUMES / f"{name}.py"
        for name in (
            "bad_cases",
            "boot_sector",
            "boots",
            "contract",
            "guest",
            "http_server",
            "interruptions",
        )
    ),
    *(
        HERE / f"{name}.py"
        for name in ("device_cases", "golden_times", "lvm_contract", "spare_disk", "zfs_contract")
    ),
)
POOLS = {"lvm": VOLUME_GROUP, "lvm_thin": f"{VOLUME_GROUP}/{THIN_POOL}", "zfs": ZPOOL}
CODE = "/usr/share/ansible/collections"
TIMEOUT = 3600
"""Seconds for a program that runs beside the tests."""
CLEARING = 60
"""Seconds for one to clear up after its last check."""

Case = tuple[str, str, str]
"""Kind of the pool, program, check."""


def bring() -> None:
    """Bring the programs into the machine, and on its disk, so that a reset does not lose them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file in FILES:
            archive.add(file, file.name)
    words = f"mkdir -p {PROGRAMS} && tar -x --no-same-owner -C {PROGRAMS} && sync"
    access.run(words, stdin=packed.getvalue())


def start_libvirt() -> None:
    """Debian's package without its units, as the machine has it, starts nothing by itself."""
    access.run("pgrep -x libvirtd || libvirtd --daemon")


def run(program: str, *words: str, timeout: float) -> str:
    """Run a program; return what it printed."""
    return access.run(_command(program, *words), timeout=timeout).stdout


def start(program: str, *words: str) -> subprocess.Popen[str]:
    """Start a program, to be listened to."""
    command = shlex.join(["timeout", str(TIMEOUT), *_command(program, *words)])
    return subprocess.Popen(
        [*access.ssh_command(), "--", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def _command(program: str, *words: str) -> list[str]:
    return [
        "env",
        f"PYTHONPATH={CODE}",
        "IMAGE_TYPE=raw",
        "python3",
        f"{PROGRAMS}/{program}",
        *words,
    ]


class Programs:
    """Those that tell of their checks one by one. Each is started once, for to start Python there takes seconds."""

    def __init__(self, wanted: Iterable[Case]) -> None:
        self._wanted: dict[tuple[str, str], list[str]] = {}
        for kind, program, check in wanted:
            self._wanted.setdefault((kind, program), []).append(check)
        self._running: dict[tuple[str, str], subprocess.Popen[str]] = {}

    def failure(self, case: Case) -> str | None:
        """Wait for what the program says of a check; they are asked for in its order."""
        kind, program, check = case
        running = self._running.get((kind, program)) or self._start(kind, program)
        assert running.stdout is not None
        line = running.stdout.readline()
        assert line, "the program has died, or its time was up"
        told = json.loads(line)
        assert told["check"] == check
        failure: str | None = told["failure"]
        return failure

    def end(self) -> None:
        for running in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(CLEARING)
            running.kill()
            running.communicate()

    def _start(self, kind: str, program: str) -> subprocess.Popen[str]:
        for other in self._running.values():
            other.wait(TIMEOUT)  # they clear up in the end, and use the same names
        names = self._wanted[kind, program]
        self._running[kind, program] = start(program, kind, POOLS[kind], *names)
        return self._running[kind, program]
