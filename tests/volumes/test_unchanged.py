# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode sends no write, and a second run changes nothing: in a folder, and on RBD."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.cluster import eventually
from tests.lab.control_node import ControlNode
from tests.volumes.gateway import POOL, Gateway

FOLDER = "/var/lib/unchanged"
PORT = 8099
UNIT = "unchanged-images"
POOLS = {"directory": f"{FOLDER}/pool", "rbd": f"{POOL}@{POOL}"}
KEPT = (
    f"{FOLDER} /var/lib/debvisor/journal /var/lib/debvisor/jobs /var/lib/debvisor/job-counters.json"
)
LOOK = f"""
find {KEPT} -printf '%p %y %i %s %m %T@ %C@\\n' | sort
find {KEPT} -type f -exec sha256sum {{}} + | sort
grep -c volume_image /var/log/debvisor/audit.jsonl
for image in $(rbd ls {POOL}); do
  rbd info {POOL}/$image; rbd image-meta list {POOL}/$image;
  rbd export --no-progress {POOL}/$image - | sha256sum
done
"""
PREPARE = f"""
set -e
mkdir -p {FOLDER}/pool {FOLDER}/cache {FOLDER}/site /var/lib/debvisor/jobs /var/lib/debvisor/journal
cd {FOLDER}/site
dd if=/dev/urandom of=disk bs=1M count=8 status=none
qemu-img convert -f raw -O qcow2 disk image.qcow2
sha256sum image.qcow2 > image.qcow2.sha256
systemd-run --quiet --collect --unit={UNIT} python3 -m http.server --bind 127.0.0.1 --directory {FOLDER}/site {PORT}
"""


def test_check_mode_writes_nothing_and_a_second_run_changes_nothing(
    gateway: Gateway, tmp_path: Path
) -> None:
    gateway.cluster.run(gateway.node, PREPARE)
    url = f"http://127.0.0.1:{PORT}/image.qcow2"
    asked = (
        f"python3 -c \"import urllib.request; urllib.request.urlopen('{url}')\" && echo yes || true"
    )
    given = {"target": gateway.node, "folder": FOLDER, "url": url, "pools": POOLS, "look": LOOK}
    try:
        eventually("the image is served", lambda: gateway.cluster.run(gateway.node, asked))
        run = ControlNode(gateway.cluster.lab).ansible(
            "--extra-vars",
            json.dumps(given),
            str(Path(__file__).with_name("unchanged.yml")),
            log=tmp_path / "run.log",
            ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
        )
    finally:
        gateway.cluster.run(gateway.node, f"systemctl stop {UNIT}; rm -rf {FOLDER}")
    assert run.status == 0, run.output[-4000:]
    told = {task: result for (_host, task), result in run.results().items()}
    assert told["Look after"]["stdout"] == told["Look before"]["stdout"]
    changed = {
        task: [each["changed"] for each in told[task]["results"]]
        for task in ("Foretell", "Fill", "Fill again", "Remove")
    }
    assert changed == {
        "Foretell": [True, True],
        "Fill": [True, True],
        "Fill again": [False, False],
        "Remove": [True, True],
    }
