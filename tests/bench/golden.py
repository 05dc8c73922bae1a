# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second volume of an image, cloned from its golden volume, against one that is filled from the cache: on Ceph.

Ours runs on the lab's node with Ceph, as a whole process, from the start of Python to its end, in turn with the other.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import volume_run
from tests.bench.report import Aim, Row
from tests.lab.cluster import Cluster, eventually
from tests.volumes.gateway import POOL, Gateway

RUNS = 5
FOLDER = "/var/lib/golden-bench"
PORT = 8097
UNIT = "golden-bench-images"
URL = f"http://127.0.0.1:{PORT}/image.qcow2"
DATA = 256
"""MiB, which no compression makes smaller."""
PROGRAM = f"{FOLDER}/run.py"
PREPARE = f"""
set -e
rm -rf {FOLDER}; mkdir -p {FOLDER}/site {FOLDER}/cache; cd {FOLDER}
head -c {DATA}M /dev/urandom > disk; truncate -s 2G disk
qemu-img convert -f raw -O qcow2 disk site/image.qcow2; rm disk
sha256sum site/image.qcow2 > site/image.qcow2.sha256
systemd-run --quiet --collect --unit={UNIT} python3 -m http.server --bind 127.0.0.1 --directory {FOLDER}/site {PORT}
"""


class Node:
    """The node with Ceph, with an image that it serves itself."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    @contextmanager
    def prepared(self) -> Iterator[None]:
        self.gateway.ensure()
        self.gateway.deploy()
        self.gateway.empty_pool()
        asked = f"curl --silent --fail --output /dev/null {URL}.sha256 && echo yes || true"
        try:
            self.run(PREPARE)
            self.gateway.feed(f"cat > {PROGRAM}", Path(volume_run.__file__).read_text())
            eventually("the image is served", lambda: self.run(asked))
            yield
        finally:
            self.run(f"systemctl stop {UNIT} || true; rm -rf {FOLDER}")
            self.gateway.empty_pool()

    def seconds(self, name: str, *, golden: bool) -> float:
        """Make a volume; return how long that took, by the node's clock."""
        options = {
            "image_url": URL,
            "volume_name": name,
            "size": "2G",
            "backend": "rbd",
            "pool": f"{POOL}@{POOL}",
            "golden": golden,
            "job_id": name,
            "cache_path": f"{FOLDER}/cache",
            "records": f"{FOLDER}/records",
        }
        words = f"PYTHONPATH=/usr/share/ansible/collections python3 {PROGRAM}"
        begin, end = self.run(
            f"date +%s.%N; {words} {shlex.quote(json.dumps(options))} >/dev/null || exit; date +%s.%N"
        ).split()
        return float(end) - float(begin)

    def run(self, command: str) -> str:
        return self.gateway.cluster.run(self.gateway.node, command, 300)


def measure() -> Iterator[list[Row]]:
    """Yield the one row."""
    node = Node(Gateway(Cluster.of_lab()))
    with node.prepared():
        node.seconds("first", golden=True)
        mine, filled = [], []
        for number in range(RUNS):
            mine.append(node.seconds(f"cloned-{number}", golden=True))
            filled.append(node.seconds(f"filled-{number}", golden=False))
    yield [
        Row(
            "second volume from a golden image, rbd",
            "s",
            mine,
            f"filling it with {DATA} MiB from the cache",
            filled,
            better="less",
            aim=Aim("under 1 s", lambda seconds, _ratio: seconds < 1),
        )
    ]
