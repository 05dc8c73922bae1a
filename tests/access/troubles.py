# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong on real hosts: a clock that is off, a root that became read-only, a disk that is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.access.people import STORE, People
from tests.lab.cluster import eventually

SERVER, CLIENT = "dv-ntp-server", "dv-ntp-client"
CHRONY = "/run/dv-chrony"
PORT = 1123
READ_ONLY = "/run/systemd/system/ssh.service.d/dv-read-only.conf"
WRITABLE = "/dev /proc /run /tmp /var/log/journal"
"""What is a file system of its own, and goes on being written while the root is not."""


@contextmanager
def clock_off(people: People, seconds: float) -> Iterator[None]:
    """Have chrony find the clock off by so much. It must not set it (-x): all nodes and this machine have only one."""
    apt = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends"
    people.on("systemctl --quiet mask chrony.service chrony-wait.service")
    people.on(f"{apt} chrony >/dev/null", timeout=300)
    people.on(f"install -d -m 0700 -o _chrony -g _chrony {CHRONY}")
    options = {
        SERVER: f"local stratum 1\nallow 127.0.0.1\nbindcmdaddress /\ncmdport 0\nport {PORT}\n",
        CLIENT: f"server 127.0.0.1 port {PORT} iburst minpoll 0 maxpoll 0 offset {seconds}\n",
    }
    try:
        for name, text in options.items():
            path = f"{CHRONY}/{name}"
            people.on(f"printf %s '{text}pidfile {path}.pid\n' > {path}")
            people.on(f"systemd-run --quiet --collect --unit={name} chronyd -x -d -f {path}")
        tracking = "chronyc -c tracking || true"
        eventually("chrony follows its server", lambda: ",Normal" in people.on(tracking), 60)
        yield
    finally:
        people.on(f"systemctl stop {CLIENT} {SERVER} 2>/dev/null; rm -rf {CHRONY}")


@contextmanager
def read_only_root(people: People) -> Iterator[None]:
    """Have whoever comes in by sshd, and sshd itself, find the root read-only."""
    text = f"[Service]\\nReadOnlyPaths=/\\nReadWritePaths={WRITABLE}\\n"
    people.on(f"mkdir -p {READ_ONLY.rpartition('/')[0]}; printf '{text}' > {READ_ONLY}")
    again = "systemctl daemon-reload && systemctl restart ssh"
    people.on(f"systemd-run --quiet --wait sh -c '{again}'")
    try:
        assert people.on("touch /root/x 2>&1 || true").endswith("Read-only file system\n")
        yield
    finally:
        people.on(f"systemd-run --quiet --wait sh -c 'rm {READ_ONLY}; {again}'")


@contextmanager
def full_disk(people: People) -> Iterator[None]:
    """Put all our state on a small file system, without a free block."""
    state = STORE.rpartition("/")[0]
    people.on("mkdir -p /run/dv-full; mount -t tmpfs -o size=2m,mode=0755 none /run/dv-full")
    people.on(f"cp -a {state}/. /run/dv-full/; mount --bind /run/dv-full {state}")
    try:
        people.on(f"cat /dev/zero > {state}/fill 2>/dev/null || true")
        yield
    finally:
        people.on(f"umount {state} /run/dv-full; rmdir /run/dv-full")
