# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook ``provision_volume`` and a guest: its first disk, the same again, another one, and ones that fail."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.cluster import eventually
from tests.lab.control_node import ControlNode, PlaybookRun
from tests.volumes.gateway import Gateway
from tests.volumes.guest import NAME
from tests.volumes.hypervisor import PROGRAMS

FOLDER = "/var/lib/reprovisioned"
PORT = 8098
UNIT = "reprovision-images"
URL = f"http://127.0.0.1:{PORT}"


@dataclass(frozen=True, slots=True)
class Guest:
    """The guest, and its operator."""

    host: Gateway
    logs: Path

    def look(self) -> dict[str, Any]:
        return dict(json.loads(self._do("look")))

    def does(self, what: str) -> None:
        """Have something done that reprovisioned.py knows."""
        self._do(what)

    def disk(self) -> str:
        """Return the digest of what the guest was given first."""
        digests = self.host.cluster.run(self.host.node, f"sha256sum {FOLDER}/pool/{NAME}.raw")
        return digests.split()[0]

    def provision(self, system: str, *options: str, **variables: Any) -> PlaybookRun:
        """Have its disk filled from the image of a system."""
        given = {
            "debvisor_target": self.host.node,
            "debvisor_volume_backend": "directory",
            "debvisor_volume_pool": f"{FOLDER}/pool",
            "debvisor_image_cache_path": f"{FOLDER}/cache",
            "debvisor_volume_image_url": f"{URL}/{system}.qcow2",
            "debvisor_volume_name": NAME,
            "debvisor_volume_size": "8M",
            "debvisor_volume_guest": NAME,
            **{f"debvisor_volume_{name}": value for name, value in variables.items()},
        }
        return ControlNode(self.host.cluster.lab).ansible(
            *options,
            "--extra-vars",
            json.dumps(given),
            "debvisor.hci.provision_volume",
            log=self.logs / "run.log",
            ANSIBLE_LOG_PATH=str(self.log),
        )

    @contextlib.contextmanager
    def goes_down_once_the_log_says(self, task: str) -> Iterator[None]:
        """Have it go down while a task of the playbook that runs in this block waits for it."""
        self.log.write_text("")

        def watch() -> None:
            eventually("the task begins", lambda: task in self.log.read_text(), 120)
            self.does("stop")

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            yield
            watching.result()

    @property
    def log(self) -> Path:
        """Where a run tells what it does while it does that."""
        return self.logs / "ansible.log"

    def caches(self, system: str) -> bool:
        [digest, *_name] = self.host.cluster.run(
            self.host.node, f"cat {FOLDER}/site/{system}.qcow2.sha256"
        ).split()
        return digest in self.host.cluster.run(self.host.node, f"ls {FOLDER}/cache")

    def says(self, text: str) -> bool:
        return text in self.look()["said"]

    def _do(self, what: str) -> str:
        return self.host.cluster.run(
            self.host.node, f"python3 {PROGRAMS}/reprovisioned.py {what} {FOLDER}"
        )


@pytest.fixture
def guest(hypervisor: Gateway, tmp_path: Path) -> Iterator[Guest]:
    """Give a guest whose disk is yet to come."""
    found = Guest(hypervisor, tmp_path)
    serve = f"systemd-run --quiet --collect --unit={UNIT} python3 -m http.server --bind 127.0.0.1"
    try:
        found.does("prepare")
        hypervisor.cluster.run(hypervisor.node, f"{serve} --directory {FOLDER}/site {PORT}")
        asked = f"curl --silent --fail --output /dev/null {URL}/first.qcow2 && echo yes || true"
        eventually("the images are served", lambda: hypervisor.cluster.run(hypervisor.node, asked))
        yield found
    finally:
        hypervisor.cluster.run(hypervisor.node, f"systemctl stop {UNIT} || true")
        found.does("clear")


def ends_well(run: PlaybookRun, changed: int) -> None:
    assert run.status == 0, run.output[-4000:]
    [told] = re.findall(r"^node\d.* changed=(\d+) ", run.output, re.MULTILINE)
    assert int(told) == changed, run.output[-4000:]


def fails(run: PlaybookRun, *told: str) -> None:
    assert run.status != 0, run.output[-4000:]
    said = " ".join(run.output.split())
    assert not [each for each in told if each not in said], run.output[-4000:]


def test_a_guest_gets_its_disk_and_another_one(guest: Guest) -> None:
    ends_well(guest.provision("first", start=True), changed=2)
    eventually("the first system runs", lambda: guest.says("the first system"))
    assert guest.caches("first")
    running = guest.look()
    different = {"overwrite": "different", "shut_down": True, "start": True}

    ends_well(guest.provision("first", **different), changed=0)
    fails(guest.provision("second", shut_down=True), "holds something else")
    fails(guest.provision("second", overwrite="different"), "Shut it down, or say")
    fails(guest.provision("absent", **different), "404 Not Found")
    fails(guest.provision("second", **different, size="1G"), "has another size")
    fails(guest.provision("other", **different), "is not the expected image")
    ends_well(guest.provision("second", "--check", **different), changed=3)
    assert guest.look() == running, "it was shut down for nothing"

    ends_well(guest.provision("second", **different), changed=4)
    assert guest.caches("second")
    eventually("the second system runs", lambda: guest.says("the second system"))
    running = guest.look()

    fails(guest.provision("damaged", overwrite="different", shut_down=True), "is damaged")
    eventually("its disk is as it was, so it runs again", lambda: guest.look()["id"] >= 0)
    assert guest.look()["id"] != running["id"], "its disk cannot have been filled while it ran"
    eventually("it is the second system", lambda: guest.says("the second system"))


def test_a_disk_that_another_one_rests_on_stays(guest: Guest) -> None:
    ends_well(guest.provision("first", start=True), changed=2)
    eventually("the first system runs", lambda: guest.says("the first system"))
    guest.does("snapshot")
    running, disk = guest.look(), guest.disk()
    different = {"overwrite": "different", "shut_down": True, "start": True}

    behind = f"is in use: guest {NAME} (behind its disk)"
    fails(guest.provision("second", **different), behind, "would not change that")
    assert guest.look() == running, "it was shut down for nothing"
    guest.does("stop")
    fails(guest.provision("second", **different), behind)
    assert guest.disk() == disk


def test_a_guest_that_goes_down_late_is_started_again(guest: Guest) -> None:
    ends_well(guest.provision("deaf", start=True), changed=2)
    eventually("the deaf system runs", lambda: guest.says("the deaf system"))
    running, disk = guest.look(), guest.disk()
    late = {"overwrite": "different", "shut_down": True, "shut_down_timeout": 4}

    fails(guest.provision("second", **late), "has not done so", "It may still shut down")
    assert guest.look() == running
    with guest.goes_down_once_the_log_says("Read how the job ended"):
        fails(guest.provision("second", **late), "Wait until the guest is down")
    assert guest.look()["id"] > running["id"]
    assert guest.disk() == disk
