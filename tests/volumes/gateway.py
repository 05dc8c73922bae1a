# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with a Ceph cluster of its own: S3 over TLS from its object gateway, and an RBD pool.

What goes into a bucket is put there by curl, which signs its requests itself: a second opinion on how to sign.
"""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.lab import access
from tests.lab.cluster import Cluster, eventually
from tests.lab.layout import CHECKOUT
from tests.volumes.ceph_node import FSID
from tests.volumes.certificates import Authority

PORT = 7443
POOL = "volumes"
LOG = "/var/log/ceph/requests.jsonl"
USER = {
    "name": "tester",
    "access_key": "TESTERSACCESSKEY0001",
    "secret_key": "testers+secret/key/that+opens/nothing+else",
}
AUTHORITY = "/etc/ceph/authority.pem"
"""On the node: who certified the gateway."""
CURL = "/root/curl-s3"
CODE = "plugins/module_utils"
COLLECTION = "/usr/share/ansible/collections/ansible_collections/debvisor/hci"
PROGRAM = Path(__file__).with_name("ceph_node.py")
EMPTY_POOL = f"""
for image in $(rbd ls {POOL} | sort -r) $(rbd ls {POOL}); do
  rbd snap ls {POOL}/$image 2>/dev/null | awk 'NR > 1 {{print $2}}' | while read snapshot; do
    rbd snap unprotect {POOL}/$image@$snapshot && rbd snap rm --no-progress {POOL}/$image@$snapshot
  done
  rbd rm --no-progress {POOL}/$image
done 2>/dev/null
test -z "$(rbd ls {POOL})" || rbd ls {POOL} >&2
"""
"""Removes clones, then what they were cloned from."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as the gateway's log has it."""

    method: str
    path: str
    status: int
    sent: int
    """Bytes of the body that went out."""

    @classmethod
    def of_log(cls, line: str) -> Request:
        entry: dict[str, Any] = json.loads(line)
        method, target, _version = entry["uri"].split(" ")
        return cls(method, target.partition("?")[0], int(entry["http_status"]), entry["bytes_sent"])


@dataclass(frozen=True)
class Gateway:
    cluster: Cluster
    node: str = "node3"

    @property
    def host(self) -> str:
        return self.cluster.node(self.node).fqdn

    @property
    def url(self) -> str:
        return f"https://{self.host}:{PORT}"

    @cached_property
    def authority(self) -> Authority:
        return Authority(self.cluster.lab.state / "certificates")

    def ensure(self) -> None:
        """Make it, or bring it up again; all of it goes with the node."""
        wanted = {
            "address": self.cluster.address(self.node),
            "pool": POOL,
            "user": USER,
            "files": self._files(),
        }
        self.feed(f"python3 -c {shlex.quote(PROGRAM.read_text())}", json.dumps(wanted), 600)
        eventually("the gateway answers", self.answers, 60)

    def answers(self) -> bool:
        return (
            access.run(
                self.cluster.lab, self.cluster.node(self.node), f"curl -K {CURL} {self.url}"
            ).returncode
            == 0
        )

    def feed(self, command: str, text: str | bytes, timeout: float = 60) -> str:
        """Run a command on the node that reads its standard input."""
        node = self.cluster.node(self.node)
        done = subprocess.run(
            [*access.ssh_command(self.cluster.lab, node, "-o", "BatchMode=yes"), "--", command],
            input=text if isinstance(text, bytes) else text.encode(),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, (done.stderr or done.stdout).decode()
        return done.stdout.decode()

    def deploy(self) -> None:
        """Bring the collection's code on the node up to this checkout, in the place where the role `node` puts it."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for file in sorted((CHECKOUT / CODE).rglob("*.py")):
                archive.add(file, file.relative_to(CHECKOUT))
        unpack = f"rm -rf {COLLECTION}/{CODE} && mkdir -p {COLLECTION} && tar -x -C {COLLECTION}"
        self.feed(unpack, packed.getvalue())

    def empty_pool(self) -> None:
        """Remove every RBD image."""
        self.cluster.run(self.node, EMPTY_POOL)

    # Objects ---------------------------------------------------------------------------------------------------------

    def make_bucket(self, bucket: str) -> None:
        self._curl(f"-X PUT {self.url}/{bucket}")

    def put(self, bucket: str, key: str, content: bytes) -> str:
        """Store an object and return its URL."""
        url = f"{self.url}/{bucket}/{key}"
        self.feed(f"curl -K {CURL} -X PUT --data-binary @- {url}", content)
        return url

    def put_file(self, bucket: str, key: str, file: str) -> str:
        """Store a file of the node and return its URL."""
        url = f"{self.url}/{bucket}/{key}"
        self._curl(f"-T {shlex.quote(file)} {url}", timeout=300)
        return url

    def get(self, url: str) -> bytes:
        return self._curl(url).encode()

    def delete(self, bucket: str, key: str) -> None:
        self._curl(f"-X DELETE {self.url}/{bucket}/{key}")

    def _curl(self, options: str, timeout: float = 60) -> str:
        return self.cluster.run(self.node, f"curl -K {CURL} {options}", timeout)

    # What was asked for ----------------------------------------------------------------------------------------------

    def requests(self, path: str = "") -> list[Request]:
        """Return what was asked for so far, as far as it is in the log, of one path or of all."""
        text = self.cluster.run(self.node, f"cat {LOG}")
        found = [Request.of_log(line) for line in text.splitlines()]
        return [each for each in found if path in ("", each.path)]

    def settled_requests(self, path: str) -> list[Request]:
        """The same, when all that was asked before this call is in the log: they are written in turn."""
        mark = f"/{POOL}-mark-{len(self.requests())}"
        self.cluster.run(self.node, f"curl -K {CURL} {self.url}{mark} || true")
        eventually("the log is written", lambda: self.requests(mark))
        return self.requests(path)

    # Files of the node -----------------------------------------------------------------------------------------------

    def _files(self) -> dict[str, str]:
        address = self.cluster.address(self.node)
        short = self.cluster.node(self.node).name
        names = [f"DNS:{self.host}", f"DNS:*.{self.host}", f"DNS:{short}", f"IP:{address}"]
        issued = self.authority.issue(self.host, *names)
        return {
            "/etc/ceph/ceph.conf": _configuration(short, address, self.host),
            "/etc/ceph/gateway.pem": issued.certificate.read_text() + issued.key.read_text(),
            AUTHORITY: self.authority.certificate.read_text(),
            CURL: _curl_options(),
        }


def _curl_options() -> str:
    """Credentials go by file, never by argv; a failure shows what the gateway said."""
    return f"""\
silent
show-error
fail-with-body
aws-sigv4 = "aws:amz:default:s3"
user = "{USER["access_key"]}:{USER["secret_key"]}"
cacert = "{AUTHORITY}"
"""


def _configuration(node: str, address: str, host: str) -> str:
    """As little memory and as few threads as each daemon takes; no pool has copies."""
    return f"""\
[global]
fsid = {FSID}
mon initial members = {node}
mon host = [v2:{address}:3300,v1:{address}:6789]
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0

[mon]
auth allow insecure global id reclaim = false
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
mon data avail warn = 1

[mgr]
keyring = /etc/ceph/ceph.keyring

[osd]
keyring = /etc/ceph/ceph.keyring
bluestore block size = 6442450944
bluestore cache autotune = false
bluestore cache size = 67108864
osd memory target = 939524096
osd mclock skip benchmark = true
osd op num shards = 2

[client.rgw.{node}]
keyring = /etc/ceph/ceph.keyring
rgw frontends = beast ssl_port={PORT} ssl_certificate=/etc/ceph/gateway.pem
rgw dns name = {host}
rgw thread pool size = 32
rgw rados pool pg num min = 1
rgw run sync thread = false
rgw dynamic resharding = false
rgw enable ops log = true
rgw ops log rados = false
rgw ops log file path = {LOG}
rgw log nonexistent bucket = true
"""
