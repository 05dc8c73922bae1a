# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every backend must do, and what LVM and ZFS must do besides, on a real kernel."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.lab.layout import CHECKOUT
from tests.vm import access
from tests.vm.layout import THIN_POOL, VOLUME_GROUP, ZPOOL
from tests.volumes.test_contract import checks

VOLUMES = CHECKOUT / "tests" / "volumes"
PROGRAMS = "/root/contract"
POOLS = {"lvm": VOLUME_GROUP, "lvm_thin": f"{VOLUME_GROUP}/{THIN_POOL}", "zfs": ZPOOL}
OF_LVM, OF_ZFS = (
    Path(__file__).with_name("lvm_contract.py"),
    Path(__file__).with_name("zfs_contract.py"),
)
TIMEOUT = 3600
"""Seconds for all checks of a program."""

Case = tuple[str, str, str]
"""Kind of the pool, program, check."""
CASES: list[Case] = [
    (kind, program.name, check)
    for kind, program in (
        *((kind, VOLUMES / "contract.py") for kind in POOLS),
        ("lvm", OF_LVM),
        ("lvm_thin", OF_LVM),
        ("zfs", OF_ZFS),
    )
    for check in checks(str(program))
]


class Programs:
    """The programs of checks in the machine. Each is started once, for to start Python there takes seconds."""

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
            running.kill()
            running.communicate()

    def _start(self, kind: str, program: str) -> subprocess.Popen[str]:
        names = self._wanted[kind, program]
        words = (
            f"timeout {TIMEOUT} python3 {PROGRAMS}/{program} {kind} {POOLS[kind]} {' '.join(names)}"
        )
        command = [*access.ssh_command(), "--", words]
        self._running[kind, program] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        return self._running[kind, program]


@pytest.fixture(scope="module")
def programs(vm: None, request: pytest.FixtureRequest) -> Iterator[Programs]:
    """Bring the programs into the machine; they will run the checks that this session selected."""
    access.run(f"mkdir -p {PROGRAMS}")
    for program in (VOLUMES / "contract.py", OF_LVM, OF_ZFS):
        access.write(f"{PROGRAMS}/{program.name}", program.read_bytes())
    selected = [item for item in request.session.items if item.path == request.path]
    found = Programs(item.callspec.params["case"] for item in selected)  # type: ignore[attr-defined]
    yield found
    found.end()


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_contract(programs: Programs, case: Case) -> None:
    failure = programs.failure(case)
    assert failure is None, failure
