# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's root: Debian 13 with LVM, ZFS and libvirt, made by mmdebstrap as an ext4 file system.

Debian has ZFS as source only, to be compiled for the kernel at hand. That is done here, natively, in a second root
that has the compiler; only the modules get into the machine's.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab.host import Host
from tests.lab.image import bootstrap
from tests.lab.report import Stopwatch, say
from tests.vm.layout import ROOT_GIB, STATE

COMPONENTS = "--components=main,contrib"


@dataclass(frozen=True, slots=True)
class Recipe:
    suite: str
    packages: tuple[str, ...]
    initrd_modules: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    masked: tuple[str, ...]
    """Units that only cost time in a machine that lives for minutes."""

    @property
    def hooks(self) -> tuple[str, ...]:
        """Run by mmdebstrap with the new root as $1."""
        return (
            f"--setup-hook={_write('etc/initramfs-tools/conf.d/vm', 'MODULES=list')}",
            f"--setup-hook={_write('usr/share/initramfs-tools/modules.d/vm', chr(10).join(self.initrd_modules))}",
            *(f"--customize-hook={_write(path, text)}" for path, text in self.files),
            f'--customize-hook=systemctl --root="$1" mask {" ".join(self.masked)}',
            '--customize-hook=systemctl --root="$1" enable systemd-networkd.service',
            # It starts when it is asked.
            '--customize-hook=systemctl --root="$1" disable libvirtd.service',
            '--customize-hook=systemctl --root="$1" set-default multi-user.target',
            # Not the first boot of this system, and nothing to bring up to date: either would take a while.
            '--customize-hook=touch "$1"/etc/.updated "$1"/var/.updated',
            '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',  # the machine is given its own
        )

    @property
    def arguments(self) -> list[str]:
        """For mmdebstrap, before SUITE and TARGET. No mirror: the tool's default."""
        return [
            "--mode=root",
            "--variant=apt",
            COMPONENTS,
            "--include=" + ",".join(self.packages),
            *self.hooks,
        ]

    @property
    def key(self) -> str:
        text = json.dumps([asdict(self), self.arguments, ROOT_GIB], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _write(path: str, text: str) -> str:
    target = f'"$1"/{shlex.quote(path)}'
    return f"mkdir -p \"$(dirname {target})\"; printf '%s\\n' {shlex.quote(text)} > {target}"


NETWORK = """\
[Match]
Name=e*
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
"""
"""The addresses of QEMU's user network: 10.0.2.2 is the host, .3 its resolver."""

PATIENCE = """\
[Manager]
DefaultTimeoutStartSec=10min
DefaultDeviceTimeoutSec=10min
"""
"""An emulated machine on a busy host is slow."""

RECIPE = Recipe(
    suite="trixie",
    packages=(
        "ca-certificates",
        "curl",
        "dbus",
        "dmsetup",
        "e2fsprogs",
        "gdisk",
        "iproute2",
        "kmod",
        "less",
        "libnbd-bin",
        "libvirt-clients",
        "libvirt-daemon",
        "libvirt-daemon-driver-qemu",
        "libvirt-daemon-driver-storage-disk",
        "libvirt-daemon-driver-storage-logical",
        "libvirt-daemon-system",
        "linux-image-amd64",
        "lvm2",
        "netbase",
        "nftables",
        "openssh-server",
        "procps",
        "python3",
        "python3-apt",
        "python3-dnspython",
        "python3-libvirt",
        "python3-nacl",
        "qemu-system-x86",
        "qemu-utils",
        "rsync",
        "systemd",
        "systemd-sysv",
        "thin-provisioning-tools",
        "udev",
        "zfsutils-linux",
        "zstd",
    ),
    initrd_modules=("virtio_pci", "virtio_blk", "ext4"),
    files=(
        ("etc/hostname", "vm"),
        ("etc/machine-id", hashlib.md5(b"debvisor vm").hexdigest()),
        ("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 vm.debvisor.test vm"),
        ("etc/fstab", "LABEL=root / ext4 defaults,noatime 0 1"),
        ("etc/resolv.conf", "nameserver 10.0.2.3"),
        ("etc/systemd/network/vm.network", NETWORK),
        # dmeventd extends pools; when it is late, as it is here, the boot counts as failed.
        ("etc/lvm/lvmlocal.conf", "activation { monitoring = 0 }"),
        ("etc/systemd/system.conf.d/vm.conf", PATIENCE),
        # A test opens many sessions over its one connection.
        ("etc/ssh/sshd_config.d/vm.conf", "MaxSessions 100\nUseDNS no\nHostKey /etc/ssh/host_key"),
    ),
    masked=(
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
        "e2scrub_all.timer",
        "e2scrub_reap.service",
        "fstrim.timer",
        "getty@tty1.service",
        "libvirt-guests.service",
        "lvm2-monitor.service",
        "serial-getty@ttyS0.service",
        "systemd-binfmt.service",
        "systemd-logind.service",
        "systemd-networkd-persistent-storage.service",
        "systemd-networkd-wait-online.service",
        "user@.service",
        "zfs-share.service",
    ),
)


@dataclass(frozen=True, slots=True)
class Image:
    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root.ext4"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"


def ensure(host: Host, recipe: Recipe = RECIPE) -> Image:
    """The image of this recipe, which is built if it is not there."""
    image = Image(STATE / f"image-{recipe.key}")
    if image.folder.exists():
        say("image", f"{image.folder.name} is there, its recipe is unchanged")
        return image
    watch = Stopwatch()
    STATE.mkdir(parents=True, exist_ok=True)
    unfinished = Image(STATE / "image.unfinished")
    host.run(["rm", "-rf", str(unfinished.folder)])
    unfinished.folder.mkdir()
    root = unfinished.folder / "root"
    try:
        bootstrap(recipe.suite, root, recipe.arguments, STATE / "root.log", watch)
        modules = _zfs_modules(recipe.suite, _kernel_release(root), watch)
        _add_modules(host, root, modules)
        _take_kernel(host, root, unfinished)
        say("image", f"[{watch}] making the file system")
        _make_file_system(host, root, unfinished.root)
    finally:
        host.run(["rm", "-rf", str(root)])
    _forget_older()
    unfinished.folder.rename(image.folder)
    say("image", f"{image.folder.name} built in {watch}")
    return image


def _kernel_release(root: Path) -> str:
    """Of the one kernel that a root has."""
    (release,) = (entry.name for entry in (root / "usr/lib/modules").iterdir())
    return release


def _zfs_modules(suite: str, release: str, watch: Stopwatch) -> Path:
    """A tar archive of ZFS's modules for a kernel, compiled if it is not there."""
    archive = STATE / f"zfs-{release}.tar"
    if archive.exists():
        return archive
    say("image", f"[{watch}] compiling ZFS for {release} (some minutes)")
    unfinished = archive.with_suffix(".unfinished")
    # Installed after the headers: it compiles itself for those that it finds.
    install = "apt-get --yes --no-install-recommends install zfs-dkms"
    arguments = [
        "--mode=root",
        "--variant=apt",
        COMPONENTS,
        # They bring the kernel itself along, and with it an initrd that nobody needs: make it a small one.
        f"--setup-hook={_write('etc/initramfs-tools/conf.d/vm', 'MODULES=list')}",
        f"--include=linux-headers-{release},dkms,gcc,libc6-dev,make",
        f'--customize-hook=chroot "$1" env DEBIAN_FRONTEND=noninteractive {install}',
        f'--customize-hook=test -d "$1"/usr/lib/modules/{release}/updates/dkms',
        f'--customize-hook=tar -C "$1" -cf {shlex.quote(str(unfinished))} usr/lib/modules/{release}/updates',
    ]
    # The root itself is not wanted.
    bootstrap(suite, Path("/dev/null"), arguments, STATE / "zfs.log", watch)
    unfinished.rename(archive)
    return archive


def _add_modules(host: Host, root: Path, archive: Path) -> None:
    release = _kernel_release(root)
    host.run(["tar", "-C", str(root), "-xf", str(archive)])
    # Unpacked here rather than at every boot, by an emulated processor.
    updates = str(root / "usr/lib/modules" / release / "updates")
    host.run(["find", updates, "-name", "*.xz", "-exec", "unxz", "{}", "+"])
    host.run(["chroot", str(root), "depmod", release])
    host.run(["chroot", str(root), "modinfo", "-k", release, "zfs"])


def _take_kernel(host: Host, root: Path, image: Image) -> None:
    release = _kernel_release(root)
    for source, target in (
        (f"vmlinuz-{release}", image.kernel),
        (f"initrd.img-{release}", image.initrd),
    ):
        host.run(["cp", str(root / "boot" / source), str(target)])
        host.run(["chmod", "0644", str(target)])


def _make_file_system(host: Host, root: Path, target: Path) -> None:
    host.run(
        [
            "mke2fs",
            "-q",
            *("-t", "ext4"),
            *("-L", "root"),
            # Else the kernel would go on with that at every boot.
            *("-E", "assume_storage_prezeroed=1"),
            *("-d", str(root)),
            str(target),
            f"{ROOT_GIB}G",
        ],
        timeout=600,
    )
    host.run(["chown", f"{os.getuid()}:{os.getgid()}", str(target)])


def _forget_older() -> None:
    for folder in STATE.glob("image-*"):
        shutil.rmtree(folder)
