# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's image: a plain Debian 13 root with systemd and sshd, made by mmdebstrap.

The packages that our roles install are only downloaded into the image's apt cache, so that installing them in a node is
quick and needs no network, while the node itself stays as plain as a freshly installed machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab.host import Host
from tests.lab.layout import BUILD
from tests.lab.report import LabError, Stopwatch, say

REPOSITORY = "localhost/debvisor-lab"
BUILD_TIMEOUT = 1200.0


@dataclass(frozen=True, slots=True)
class Recipe:
    suite: str
    installed: tuple[str, ...]
    downloaded: tuple[str, ...]
    """With what they recommend."""
    downloaded_bare: tuple[str, ...]
    """Without."""

    @property
    def hooks(self) -> tuple[str, ...]:
        """Run by mmdebstrap after installation, with the new root as $1."""
        return (
            'chroot "$1" apt-get clean',
            'chroot "$1" apt-get --yes --download-only -o APT::Install-Recommends=true install '
            + " ".join(self.downloaded),
            'chroot "$1" apt-get --yes --download-only -o APT::Install-Recommends=false install '
            + " ".join(self.downloaded_bare),
            'rm -f "$1"/etc/ssh/ssh_host_*',  # each node gets its own
            'touch "$1"/var/lib/apt/lists',  # so that cache_valid_time of the apt module counts from the build
        )

    @property
    def arguments(self) -> list[str]:
        """For mmdebstrap, before SUITE and TARGET.  No mirror: the tool's default."""
        return [
            "--variant=apt",
            "--include=" + ",".join(self.installed),
            "--skip=cleanup/apt",  # keep the package lists and the downloaded packages
            *(f"--customize-hook={hook}" for hook in self.hooks),
        ]

    @property
    def tag(self) -> str:
        text = json.dumps([asdict(self), self.arguments], sort_keys=True)
        return f"{REPOSITORY}:{hashlib.sha256(text.encode()).hexdigest()[:12]}"


RECIPE = Recipe(
    suite="trixie",
    installed=(
        "ca-certificates",
        "dbus",
        "iproute2",
        "iputils-ping",
        "less",
        "netbase",
        "openssh-server",
        "procps",
        "python3",
        "python3-apt",
        "sudo",
        "systemd",
        "systemd-sysv",
        "udev",
    ),
    downloaded=(
        "bind9",
        "bind9-dnsutils",
        "bind9-utils",
        "keepalived",
        "nftables",
        "python3-dnspython",
        "python3-netaddr",
        "rsync",
    ),
    # The least that runs a guest, that is a Ceph cluster with an object gateway, and that asks for a second factor.
    downloaded_bare=(
        "ceph-common",
        "ceph-mgr",
        "ceph-mon",
        "ceph-osd",
        "curl",
        "gpg",
        "libpam-google-authenticator",
        "libvirt-daemon",
        "libvirt-daemon-driver-qemu",
        "pamtester",
        "python3-libvirt",
        "python3-lxml",
        "python3-pyotp",
        "python3-qrcode",
        "python3-rados",
        "python3-rbd",
        "qemu-block-extra",
        "qemu-system-x86",
        "qemu-utils",
        "radosgw",
    ),
)


def exists(host: Host, recipe: Recipe = RECIPE) -> bool:
    return host.podman("image", "exists", recipe.tag, check=False).returncode == 0


def ensure(host: Host, recipe: Recipe = RECIPE) -> str:
    """The tag of the image for this recipe, which is built if it is not there."""
    if exists(host, recipe):
        say("image", f"{recipe.tag} is there, its recipe is unchanged")
        return recipe.tag
    watch = Stopwatch()
    folder = BUILD / "image"
    folder.mkdir(parents=True, exist_ok=True)
    root = folder / f"{recipe.tag.rpartition(':')[2]}.tar"
    try:
        bootstrap(recipe.suite, root, recipe.arguments, folder / "build.log", watch)
        say("image", f"[{watch}] giving the root to podman")
        host.podman("import", "--change=CMD=/sbin/init", str(root), recipe.tag, timeout=300)
    finally:
        root.unlink(missing_ok=True)
    _forget_older(host, recipe)
    say("image", f"{recipe.tag} built in {watch}")
    return recipe.tag


def bootstrap(
    suite: str, target: Path, arguments: Sequence[str], log: Path, watch: Stopwatch
) -> None:
    """Make a Debian root with mmdebstrap; the target's name says in which form."""
    say(
        "image",
        f"[{watch}] making a Debian {suite} root with mmdebstrap (needs the network, about a minute)",
    )
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    # TMPDIR: the root does not fit a /tmp in memory, nor may it be mounted nodev.
    command = [
        *sudo,
        "env",
        "TMPDIR=/var/tmp",
        "mmdebstrap",
        *arguments,
        suite,
        str(target),
    ]
    with log.open("w", encoding="utf-8") as record:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            record.write(line)
            if line.startswith("I: ") and not line.startswith("I: running --"):
                say("image", f"[{watch}] {line[3:].strip().rstrip('.')}")
        code = process.wait(timeout=BUILD_TIMEOUT)
    if code != 0:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
        raise LabError(
            f"mmdebstrap failed with exit code {code}",
            tail,
            f"the whole log is {log}; if it could not download, check that this host reaches a Debian mirror",
        )


def remove_all(host: Host) -> int:
    tags = _tags(host)
    for tag in tags:
        host.podman("rmi", "--force", tag, check=False)
    return len(tags)


def _tags(host: Host) -> list[str]:
    listing = host.podman("images", "--format={{.Repository}}:{{.Tag}}", REPOSITORY)
    return sorted(set(listing.stdout.split()))


def _forget_older(host: Host, recipe: Recipe) -> None:
    """Remove images of former recipes, except those a container still uses (podman refuses those)."""
    for tag in _tags(host):
        if tag != recipe.tag:
            host.podman("rmi", tag, check=False)
