# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS against a converged lab: bulk updates against nsupdate and its Ansible wrapper, and outages of the VIP.

The clients run on this machine, the servers are the lab's. Ours and the peer take turns, and every round starts from
the same zone: what a round added is removed, unmeasured, and the followers have caught up before the next one begins.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import tsig

from tests.bench import outages, wire
from tests.bench.report import Aim, Row, seconds_of
from tests.lab.control_node import ControlNode
from tests.lab.layout import DOMAIN

RECORDS = 10_000
LOOP_RECORDS = 100
ROUNDS = 5
BATCH = 1_000
"""Records a message of nsupdate: 1,000 of ours fill about 50 of the 64 KiB that a message may have."""
SETTLE_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Bench:
    """A converged lab, a key that may change the zone, and a folder for the round's files."""

    control: ControlNode
    key_file: Path
    folder: Path

    @property
    def server(self) -> str:
        return str(self.control.lab.vip4)

    @contextlib.contextmanager
    def clean_zone(self, count: int) -> Iterator[None]:
        """Give a round its start: none of the bench's names, and all servers at one serial."""
        self.remove(count)
        self.settle()
        yield
        self.remove(count)

    def remove(self, count: int) -> None:
        lines = [f"update delete {name}.{DOMAIN}. A" for name, _address in records(count)]
        self.nsupdate(lines, BATCH)

    def settle(self) -> None:
        deadline = time.monotonic() + SETTLE_TIMEOUT
        addresses = [self.server, *(str(node.address4) for node in self.control.nodes)]
        while len({serial(address) for address in addresses}) != 1:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the servers did not agree on a serial in {SETTLE_TIMEOUT} s")
            time.sleep(0.2)

    def nsupdate(self, lines: Sequence[str], batch: int) -> float:
        """Feed nsupdate over one run and TCP; return its seconds."""
        script = [f"server {self.server}", f"zone {DOMAIN}."]
        for start in range(0, len(lines), batch):
            script += [*lines[start : start + batch], "send"]
        started = time.monotonic()
        done = subprocess.run(
            ["nsupdate", "-v", "-k", str(self.key_file)],
            input="\n".join(script) + "\n",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        seconds = time.monotonic() - started
        if done.returncode != 0:
            raise RuntimeError(f"nsupdate failed: {done.stderr}")
        return seconds

    def play(self, tasks: list[dict[str, Any]]) -> tuple[dict[str, Any], float]:
        """Run one local play; return its last task (results and times) and the seconds of the whole command."""
        playbook = self.folder / "play.json"
        playbook.touch(mode=0o600)
        playbook.write_text(
            json.dumps(
                [
                    {
                        "hosts": "localhost",
                        "connection": "local",
                        "gather_facts": False,
                        "tasks": tasks,
                    }
                ]
            )
        )
        started = time.monotonic()
        run = self.control.ansible(
            "--extra-vars=ansible_python_interpreter={{ansible_playbook_python}}",
            str(playbook),
            log=self.folder / "play.log",
            ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
        )
        seconds = time.monotonic() - started
        if run.status != 0:
            raise RuntimeError(f"the play failed: {run.output[-3000:]}")
        plays = json.loads(run.output[run.output.index("{") :])["plays"]
        return plays[-1]["tasks"][-1], seconds


def records(count: int) -> list[tuple[str, str]]:
    """Return ``count`` names, relative to the zone, each with an address of its own."""
    return [
        (f"r{number:05d}.bench", f"10.200.{number >> 8 & 255}.{number & 255}")
        for number in range(count)
    ]


def serial(address: str) -> str:
    done = subprocess.run(
        ["dig", "+short", "+time=2", "+tries=2", f"@{address}", DOMAIN, "SOA"],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.split()[2]


def fetch_key(control: ControlNode, folder: Path) -> Path:
    """Copy the key for bulk changes here, for this run only, readable by us alone."""
    path = folder / "admin.key"
    path.touch(mode=0o600)
    path.write_text(control.on(control.nodes[0], "cat /etc/debvisor/keys/debvisor-admin.key"))
    return path


def bulk_task(bench: Bench, count: int) -> dict[str, Any]:
    return {
        "debvisor.hci.dns_record_sets": {
            "zone": DOMAIN,
            "server": bench.server,
            "key_file": str(bench.key_file),
            "wait_for": "primary",
            "records": [
                {"name": name, "type": "A", "value": [address], "ttl": 300}
                for name, address in records(count)
            ],
        }
    }


def bulk_rows(bench: Bench) -> list[Row]:
    added: list[float] = []
    whole: list[float] = []
    unchanged: list[float] = []
    peer: list[float] = []
    for number in range(ROUNDS):
        print(f"  bulk of {RECORDS:,}: round {number + 1} of {ROUNDS}", flush=True)
        with bench.clean_zone(RECORDS):
            task, seconds = bench.play([bulk_task(bench, RECORDS)])
            result = task["hosts"]["localhost"]
            if not result["changed"]:
                raise RuntimeError("the bulk call changed nothing: there is nothing to measure")
            added.append(result["duration"])
            whole.append(seconds)
            again, _seconds = bench.play([bulk_task(bench, RECORDS)])
            if again["hosts"]["localhost"]["changed"]:
                raise RuntimeError("the second bulk call changed something")
            unchanged.append(again["hosts"]["localhost"]["duration"])
        with bench.clean_zone(RECORDS):
            lines = [
                f"update add {name}.{DOMAIN}. 300 A {address}" for name, address in records(RECORDS)
            ]
            peer.append(bench.nsupdate(lines, BATCH))
    return [
        Row(
            f"{RECORDS:,} new RRsets in one call",
            "records/s",
            [RECORDS / seconds for seconds in added],
            f"nsupdate -v, {BATCH:,} a message",
            [RECORDS / seconds for seconds in peer],
            aim=Aim("at least 0.8 of nsupdate", lambda ours, ratio: (ratio or 0) >= 0.8),
            note="the module's own duration: read, plan, update, journal, audit, verify on the writer",
        ),
        Row(
            f"{RECORDS:,} new RRsets, the whole ansible-playbook command",
            "records/s",
            [RECORDS / seconds for seconds in whole],
            f"nsupdate -v, {BATCH:,} a message",
            [RECORDS / seconds for seconds in peer],
            note="with Ansible's own start and its handling of 10,000 options and results",
        ),
        Row(
            f"no change over {RECORDS:,} RRsets, relative to the first run",
            "of its time",
            [again / first for again, first in zip(unchanged, added, strict=True)],
            better="less",
        ),
    ]


def loop_row(bench: Bench) -> Row:
    """Compare the time a record takes: ours in one bulk call, community.general.nsupdate in a loop."""
    key = tsig.parse(bench.key_file.read_bytes(), str(bench.key_file))
    ours: list[float] = []
    peer: list[float] = []
    for number in range(3):
        print(f"  loop of {LOOP_RECORDS}: round {number + 1} of 3", flush=True)
        with bench.clean_zone(RECORDS):
            task, _seconds = bench.play([bulk_task(bench, RECORDS)])
            ours.append(seconds_of(task) / RECORDS * 1000)
        with bench.clean_zone(LOOP_RECORDS):
            looped = {
                "community.general.nsupdate": {
                    "server": bench.server,
                    "zone": DOMAIN,
                    "record": "{{ item[0] }}",
                    "value": "{{ item[1] }}",
                    "type": "A",
                    "ttl": 300,
                    "protocol": "tcp",
                    "key_name": key.name,
                    "key_algorithm": key.algorithm,
                    "key_secret": tsig.encode_secret(key.secret),
                },
                "loop": records(LOOP_RECORDS),
            }
            task, _seconds = bench.play([looped])
            peer.append(seconds_of(task) / LOOP_RECORDS * 1000)
    return Row(
        "one record, in one bulk call",
        "ms/record",
        ours,
        f"community.general.nsupdate, a loop of {LOOP_RECORDS}",
        peer,
        better="less",
        aim=Aim("at least 200 times the loop", lambda ours, ratio: (ratio or 0) >= 200),
        note="the task's time on both sides, Ansible included",
    )


def measure() -> Iterator[list[Row]]:
    """Yield the rows of one part after another."""
    yield from wire.measure()
    control = ControlNode()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(control, fetch_key(control, Path(folder)), Path(folder))
        yield bulk_rows(bench)
        yield from outages.measure()
        yield [loop_row(bench)]
