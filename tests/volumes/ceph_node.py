# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node: make it a whole Ceph cluster with an RBD pool and an object gateway, or bring up what is there.

One monitor, one manager, one OSD, one gateway. The OSD keeps its data in a sparse file, as that goes with the node; a
loop device would be the host's. What there is to do is read from the disk and from the cluster, so a run that was cut
short can be repeated. Standard input has the files to write.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = [
    "ceph-common",
    "ceph-mgr",
    "ceph-mon",
    "ceph-osd",
    "curl",
    "python3-rados",
    "python3-rbd",
    "qemu-block-extra",
    "qemu-utils",
    "radosgw",
]
FSID = "0d6f5f3c-2f1c-4a53-9d0e-5b8f0c6f7a11"
OSD = "7c1d2b54-64a4-4c36-8a7b-3a1f6a1de0f2"
CAPS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "mgr": "allow *", "osd": "allow *", "mds": "allow *"},
    "mgr.{node}": {"mon": "allow profile mgr", "osd": "allow *", "mds": "allow *"},
    "osd.0": {"mon": "allow profile osd", "mgr": "allow profile osd", "osd": "allow *"},
    "client.rgw.{node}": {"mon": "allow rw", "osd": "allow rwx"},
    "client.{pool}": {
        "mon": "profile rbd",
        "mgr": "profile rbd pool={pool}",
        "osd": "profile rbd pool={pool}",
    },
}
KEYRING = Path("/etc/ceph/ceph.keyring")
NODE = os.uname().nodename


def run(*command: str) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


def succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def install() -> None:
    """From the packages that the node's image brings along."""
    if shutil.which("radosgw") and shutil.which("curl"):
        return
    # It looks for NVMe over fabrics, which no node has, and fails.
    run("systemctl", "mask", "nvmf-autoconnect.service")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    options = ["--no-install-recommends", "-o", "Dpkg::Options::=--force-unsafe-io"]
    run("apt-get", "--quiet", "--yes", *options, "install", *PACKAGES)


def write(files: dict[str, str]) -> bool:
    """Write what has changed, and tell whether anything has."""
    changed = False
    for name, text in files.items():
        file = Path(name)
        if not file.exists() or file.read_text() != text:
            file.touch(0o600)
            file.write_text(text)
            shutil.chown(file, "ceph", "ceph")
            changed = True
    return changed


def secret() -> str:
    """A key as Ceph writes it: its kind, when it was made, how long it is, and the key."""
    return base64.b64encode(
        struct.pack("<hIIh", 1, int(time.time()), 0, 16) + os.urandom(16)
    ).decode()


def entry(name: str, caps: dict[str, str], key: str) -> str:
    lines = [f'caps {kind} = "{text}"' for kind, text in caps.items()]
    return "\n\t".join([f"[{name}]", f"key = {key}", *lines]) + "\n"


def make_keys(pool: str) -> None:
    """Every key at once, so that the monitor starts with them and none has to be asked for."""
    if KEYRING.exists():
        return
    text = "".join(
        entry(
            name.format(node=NODE, pool=pool),
            {kind: cap.format(pool=pool) for kind, cap in caps.items()},
            secret(),
        )
        for name, caps in CAPS.items()
    )
    own = text[text.index(f"[client.{pool}]") :]
    write({f"/etc/ceph/ceph.client.{pool}.keyring": own, str(KEYRING): text})


def as_ceph(*command: str) -> None:
    run(*command, "--setuser", "ceph", "--setgroup", "ceph")


def monitor(address: str) -> None:
    if not Path(f"/var/lib/ceph/mon/ceph-{NODE}/store.db").exists():
        addresses = f"[v2:{address}:3300,v1:{address}:6789]"
        fresh = ("--create", "--clobber", "--fsid", FSID)
        run("monmaptool", *fresh, "--addv", NODE, addresses, "/run/ceph/monmap")
        shutil.chown("/run/ceph/monmap", "ceph", "ceph")
        starting = ("--monmap", "/run/ceph/monmap", "--keyring", str(KEYRING))
        as_ceph("ceph-mon", "--mkfs", "--id", NODE, *starting)
    folder = Path(f"/var/lib/ceph/mgr/ceph-{NODE}")
    folder.mkdir(exist_ok=True)
    shutil.chown(folder, "ceph", "ceph")
    run("systemctl", "enable", "--now", f"ceph-mon@{NODE}", f"ceph-mgr@{NODE}")


def osd() -> None:
    folder = Path("/var/lib/ceph/osd/ceph-0")
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.chown(folder, "ceph", "ceph")
        run("ceph", "--connect-timeout", "30", "osd", "new", OSD, "0")
        as_ceph("ceph-osd", "--mkfs", "--id", "0", "--osd-uuid", OSD)
    run("systemctl", "enable", "--now", "ceph-osd@0")


def pool(name: str) -> None:
    if not succeeds("ceph", "osd", "pool", "get", name, "size"):
        run("ceph", "osd", "pool", "create", name)
    run("rbd", "pool", "init", name)


def gateway(user: dict[str, str], *, changed: bool) -> None:
    name = f"ceph-radosgw@rgw.{NODE}"
    run("systemctl", "enable", name)
    run("systemctl", "restart" if changed else "start", name)
    if not succeeds("radosgw-admin", "user", "info", f"--uid={user['name']}"):
        keys = (f"--access-key={user['access_key']}", f"--secret-key={user['secret_key']}")
        named = (f"--uid={user['name']}", f"--display-name={user['name']}")
        run("radosgw-admin", "user", "create", *named, *keys)


def main() -> None:
    wanted = json.load(sys.stdin)
    install()
    changed = write(wanted["files"])
    make_keys(wanted["pool"])
    monitor(wanted["address"])
    osd()
    pool(wanted["pool"])
    gateway(wanted["user"], changed=changed)


if __name__ == "__main__":
    main()
