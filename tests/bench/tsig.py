# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG rotation on a converged lab: how long each phase takes, what it loses against the naive way, what a host costs.

The peer is what people do without overlap: give the servers another secret under the same name, and the clients three
seconds later. It lives here and nowhere else.
"""

from __future__ import annotations

import base64
import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.report import Aim, Row, seconds_of
from tests.lab.cluster import PRIMARIES, SECONDARY, Cluster
from tests.lab.rotations import KEYS, Driver, Witness

ROUNDS = 3
CLIENTS = 1_000
CLASS = "debvisor-vm"
HEAD_START = 3.0
"""Seconds between the servers and the clients in the naive way."""

PHASES = {
    "introduce": ("Introduce a new", "Start the host's canary", "Accept both generations"),
    "prove": ("Prove that every server",),
    "promote": ("Promote the proved", "Sign with the new"),
    "wait for silence (grace of 2 s)": ("Wait until old keys",),
    "retire": ("Retire the unused", "Refuse the retired"),
    "report": ("Stop the host's canary", "Write the rotation"),
}
"""Each phase and the tasks that begin a stretch of it."""


def phase_rows(driver: Driver) -> list[Row]:
    """Time a rotation of all classes, by phase."""
    times: dict[str, list[float]] = {name: [] for name in PHASES}
    whole: list[float] = []
    for number in range(ROUNDS):
        print(f"  rotation: round {number + 1} of {ROUNDS}", flush=True)
        began: list[tuple[str, float]] = []
        started = time.monotonic()
        driver.rotate(on_task=lambda task, began=began: began.append((task, time.monotonic())))
        ended = time.monotonic()
        whole.append(ended - started)
        spent = dict.fromkeys(PHASES, 0.0)
        phase = ""
        for (task, at), until in zip(began, [*(at for _task, at in began[1:]), ended], strict=True):
            phase = next((p for p, heads in PHASES.items() if task.startswith(heads)), phase)
            if phase:
                spent[phase] += until - at
        for name, seconds in spent.items():
            times[name].append(seconds)
    return [
        Row("rotation of all classes, 3 nodes", "s", whole, better="less"),
        *(Row(f"- {name}", "s", runs, better="less") for name, runs in times.items()),
    ]


def revoke_row(driver: Driver) -> Row:
    runs = []
    for number in range(ROUNDS):
        print(f"  revocation: round {number + 1} of {ROUNDS}", flush=True)
        started = time.monotonic()
        ended = driver.play("revoke_tsig", debvisor_tsig_only=CLASS)
        if ended.status != 0:
            raise RuntimeError(f"the revocation failed: {ended.output[-2000:]}")
        runs.append(time.monotonic() - started)
    return Row(
        "revocation of one class, the whole command",
        "s",
        runs,
        better="less",
        aim=Aim("worst under 10 s", lambda ours, ratio: max(runs) < 10),
    )


def loss_row(driver: Driver) -> Row:
    """Count what a client without any patience loses: ours against the naive way, in turn."""
    ours: list[float] = []
    naive: list[float] = []
    for number in range(ROUNDS):
        print(f"  losses: round {number + 1} of {ROUNDS}", flush=True)
        witness = _witness(driver.cluster)
        witness.start()
        driver.play(debvisor_tsig_only=CLASS, debvisor_tsig_rotation="now")
        witness.stop()
        ours.append(100 * witness.failed / (witness.made + witness.failed))
        witness = _witness(driver.cluster)
        witness.start()
        time.sleep(3)
        replace_naively(driver.cluster)
        time.sleep(3)
        witness.stop()
        naive.append(100 * witness.failed / (witness.made + witness.failed))
        driver.play("revoke_tsig", debvisor_tsig_only=CLASS)
    return Row(
        "updates that fail during a rotation, one client that tries each once",
        "% of all",
        ours,
        f"another secret at once, clients {HEAD_START:g} s later",
        naive,
        better="less",
        aim=Aim("none", lambda mine, ratio: max(ours) == 0),
    )


def _witness(cluster: Cluster) -> Witness:
    return Witness(
        cluster, SECONDARY, zone=f"vm.{cluster.zone}", key=f"{KEYS}/{CLASS}.key", patience=0
    )


def replace_naively(cluster: Cluster) -> None:
    """Put another secret under the same name: on the servers, then on the client."""
    path = cluster.run(PRIMARIES[0], f"readlink -f {KEYS}/{CLASS}.key").strip()
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    change = f'sed -i \'s#secret ".*"#secret "{secret}"#\' {path}'
    for name in PRIMARIES:
        cluster.run(name, f"{change} && rndc reconfig")
    time.sleep(HEAD_START)
    cluster.run(SECONDARY, change)


def scale_rows(driver: Driver) -> list[Row]:
    """Carry keys to many simulated clients, which are folders on the lab's nodes, and say what each costs."""
    nodes = driver.cluster.lab.nodes
    hosts = {
        f"client{number:04d}": {
            "ansible_host": str(nodes[number % len(nodes)].address4),
            "bench_folder": f"/var/tmp/bench/client{number:04d}",
        }
        for number in range(CLIENTS)
    }
    with tempfile.TemporaryDirectory() as folder:
        inventory = Path(folder) / "clients.json"
        inventory.write_text(json.dumps({"debvisor": {"children": {"clients": {"hosts": hosts}}}}))
        playbook = Path(folder) / "play.json"
        playbook.write_text(json.dumps(_scale_play()))
        print(f"  {CLIENTS:,} clients", flush=True)
        run = driver.control.ansible(
            f"--inventory={inventory}",
            "--forks=20",
            str(playbook),
            log=Path(folder) / "log",
            ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
        )
        if run.status != 0:
            raise RuntimeError(f"the play failed: {run.output[-3000:]}")
    tasks = {
        task["task"]["name"]: seconds_of(task)
        for play in json.loads(run.output[run.output.index("{") :])["plays"]
        for task in play["tasks"]
    }
    for node in nodes:
        driver.cluster.run(node.name, "rm -rf /var/tmp/bench")
    return [
        Row(
            f"{CLIENTS:,} clients: {what}", "ms/host", [1000 * tasks[task] / CLIENTS], better="less"
        )
        for what, task in {
            "seal the keys of each, on the keyring's host": "Seal",
            "learn each public key, Ansible included": "Pair",
            "hold the keys on each, Ansible included": "Hold",
        }.items()
    ]


def _scale_play() -> list[dict[str, Any]]:
    clients = {"hosts": "clients", "gather_facts": False}
    return [
        {
            **clients,
            "tasks": [
                {
                    "name": "Folder",
                    "ansible.builtin.file": {"path": "{{ bench_folder }}", "state": "directory"},
                },
                {
                    "name": "Pair",
                    "debvisor.hci.tsig_recipient": {"path": "{{ bench_folder }}/recipient"},
                    "register": "pair",
                },
                {
                    "name": "Seal",
                    "debvisor.hci.tsig_keyring": {
                        "path": "/var/tmp/bench/keyring.json",
                        "classes": [
                            {"name": name, "clients": "{{ ansible_play_hosts }}"}
                            for name in ("bench-one", "bench-two")
                        ],
                        "recipients": "{{ dict(ansible_play_hosts | zip(ansible_play_hosts"
                        " | map('extract', hostvars, ['pair', 'public']))) }}",
                    },
                    "delegate_to": "node1",
                    "run_once": True,
                    "register": "step",
                },
                {
                    "name": "Hold",
                    "debvisor.hci.tsig_keys": {
                        "sealed": "{{ step.sealed[inventory_hostname] }}",
                        "private_key": "{{ bench_folder }}/recipient",
                        "folder": "{{ bench_folder }}",
                    },
                },
            ],
        }
    ]


def measure() -> Iterator[list[Row]]:
    """Yield the rows of one part after another."""
    cluster = Cluster.of_lab()
    cluster.whole()
    with tempfile.TemporaryDirectory() as folder:
        driver = Driver(cluster, Path(folder))
        driver.current()
        yield phase_rows(driver)
        yield [revoke_row(driver)]
        yield [loss_row(driver)]
        yield scale_rows(driver)
