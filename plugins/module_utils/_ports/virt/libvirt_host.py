# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests of this machine, through libvirt-python. Every call is bounded; where there is no libvirt, no guests."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from xml.etree import ElementTree

from ..._core.errors import DebvisorError, TimedOut, Unreachable
from ..host import command
from .qemu_img import backing_chain

try:
    import libvirt
except ImportError:
    libvirt = None

Result = TypeVar("Result")
DiskIdentity = tuple[object, ...]
"""What makes two names of one disk equal."""

DAEMONS = ("/usr/sbin/libvirtd", "/usr/sbin/virtqemud")
"""Either of them makes a machine one that may have guests."""
URI = "qemu:///system"
BEHIND = "behind its disk"
CALL_TIMEOUT = 20.0
"""Seconds for one call. A guest whose monitor is stuck holds its calls up for long."""


class GuestProblem(DebvisorError):
    """libvirt understood and refused, or there is no such guest."""


@dataclass(frozen=True, slots=True)
class Guest:
    """A domain. ``state`` is ``running``, ``paused`` or ``shut off``; one that is not persistent ends for good."""

    uuid: str
    name: str
    state: str
    autostart: bool
    persistent: bool


@dataclass(frozen=True, slots=True)
class _Disk:
    """A disk of a guest. Behind it is what it rests on, or is being copied to."""

    guest: str
    awake: bool
    """It runs, is paused or saved: its memory knows the disk."""
    path: str
    identity: DiskIdentity
    behind: tuple[DiskIdentity, ...]
    followed: bool
    """All that is behind it is reported."""
    image_type: str


def has_libvirt() -> bool:
    """Return whether this machine may have guests."""
    return any(os.path.exists(daemon) for daemon in DAEMONS)


def connect() -> Any:
    """Return a new connection to the local hypervisor. It is not bounded; use it inside :func:`bounded`.

    :raises Unreachable: where libvirt does not answer.
    """
    if libvirt is None:
        raise Unreachable(
            "this machine's libvirt cannot be asked",
            why="Python has no module for it",
            hint="Install the package python3-libvirt",
        )
    libvirt.registerErrorHandler(lambda context, error: None, None)  # it prints otherwise
    try:
        return libvirt.open(URI)
    except libvirt.libvirtError as cause:
        raise Unreachable(
            "libvirt does not answer",
            why=str(cause),
            hint="See systemctl status libvirtd",
        ) from cause


class Hypervisor:
    """The local one. Connects when it is first asked."""

    def __init__(self) -> None:
        self._connection: Any = None

    def close(self) -> None:
        """Let go of the connection. Nothing depends on how that ends."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                bounded(connection.close)

    def _hypervisor(self) -> Any:
        if self._connection is None:
            self._connection = connect()
        return self._connection


class LibvirtHost(Hypervisor):
    """The guests of this machine."""

    def guests(self) -> tuple[Guest, ...]:
        """Return every guest, by name.

        :raises Unreachable: where this machine has libvirt and it does not answer.
        """
        if not has_libvirt():
            return ()
        found = bounded(lambda: [_guest(domain) for domain in self._hypervisor().listAllDomains()])
        there = [guest for guest in found if guest is not None]
        return tuple(sorted(there, key=lambda guest: (guest.name, guest.uuid)))

    def state(self, uuid: str) -> str | None:
        """Return the state of one guest, or None where it is gone."""
        return next((guest.state for guest in self.guests() if guest.uuid == uuid), None)

    def needing_disk(self, path: str) -> tuple[tuple[str, str], ...]:
        """Name the guests that this disk must not change under: a device, a file, or ``rbd:pool/image``; and say how.

        They run, are paused or saved, and have it as a disk. Or it is behind a disk of theirs; then it does not matter
        whether they run. What libvirt says is compared by what it leads to, as one device has many names.
        """
        if not has_libvirt():
            return ()
        wanted = _identity(path)
        found = set()
        for disk in bounded(lambda: _disks(self._hypervisor())):
            if disk.awake and disk.identity == wanted:
                found.add((disk.guest, ""))
            elif wanted in disk.behind or wanted in map(_identity, _chain(disk)):
                found.add((disk.guest, BEHIND))
        return tuple(sorted(found))

    def set_autostart(self, uuid: str, wanted: bool) -> None:
        """Say whether the guest starts with the machine."""
        self._do(uuid, lambda domain: domain.setAutostart(int(wanted)))

    def pause(self, uuid: str) -> None:
        """Stop the guest's processors; it stays in memory."""
        self._do(uuid, lambda domain: domain.suspend())

    def resume(self, uuid: str) -> None:
        """Let a paused guest go on."""
        self._do(uuid, lambda domain: domain.resume())

    def shut_down(self, uuid: str) -> None:
        """Ask the guest to shut down. It may take its time, or ignore it."""
        self._do(uuid, lambda domain: domain.shutdown())

    def start(self, uuid: str) -> None:
        """Start a guest that is shut off."""
        self._do(uuid, lambda domain: domain.create())

    def _do(self, uuid: str, act: Callable[[Any], object]) -> None:
        def call() -> None:
            hypervisor = self._hypervisor()
            try:
                act(hypervisor.lookupByUUIDString(uuid))
            except libvirt.libvirtError as cause:
                raise GuestProblem(f"libvirt refused to change {uuid}", why=str(cause)) from cause

        bounded(call)


def _guest(domain: Any) -> Guest | None:
    """Return what is known of a guest, or None where it went since it was listed: it may end at any moment."""
    try:
        return _told(domain)
    except libvirt.libvirtError as cause:
        if cause.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None


def _told(domain: Any) -> Guest:
    state, _reason = domain.state()
    names = {
        libvirt.VIR_DOMAIN_RUNNING: "running",
        libvirt.VIR_DOMAIN_BLOCKED: "running",
        libvirt.VIR_DOMAIN_SHUTDOWN: "running",  # on its way down, and not there yet
        libvirt.VIR_DOMAIN_PAUSED: "paused",
        libvirt.VIR_DOMAIN_PMSUSPENDED: "paused",
    }
    persistent = bool(domain.isPersistent())
    autostart = persistent and bool(domain.autostart())
    return Guest(
        domain.UUIDString(), domain.name(), names.get(state, "shut off"), autostart, persistent
    )


def _disks(connection: Any) -> list[_Disk]:
    """Return the disks of all guests; none of one that ended meanwhile."""
    found = []
    for domain in connection.listAllDomains():
        with _unless_gone(libvirt.VIR_ERR_NO_DOMAIN):
            found += _disks_of(connection, domain)
    return found


def _disks_of(connection: Any, domain: Any) -> list[_Disk]:
    runs = bool(domain.isActive())
    saved = not runs and bool(domain.hasManagedSaveImage())
    # A guest that was saved has the disks that it had then, whatever its definition says.
    told = domain.managedSaveGetXMLDesc() if saved else domain.XMLDesc()

    def path(source: ElementTree.Element | None) -> str:
        if source is None:
            return ""
        if runs or saved:
            return _path_of(connection, source)
        with _unless_gone(libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_STORAGE_VOL):
            return _path_of(connection, source)
        return ""

    found = []
    for disk in ElementTree.fromstring(told).iterfind("./devices/disk"):
        own, driver = disk.find("./source"), disk.find("./driver")
        own_path = path(own)
        behind = [path(source) for source in disk.iterfind(".//source") if source is not own]
        found.append(
            _Disk(
                guest=domain.name(),
                awake=runs or saved,
                path=own_path,
                identity=_identity(own_path),
                behind=tuple(_identity(each) for each in behind if each),
                followed=runs,
                image_type="raw" if driver is None else driver.get("type", "raw"),
            )
        )
    return found


@contextlib.contextmanager
def _unless_gone(*codes: int) -> Iterator[None]:
    """Leave this block where libvirt says that what it is about is gone."""
    try:
        yield
    except libvirt.libvirtError as cause:
        if cause.get_error_code() not in codes:
            raise


def _chain(disk: _Disk) -> Iterator[str]:
    """Name what a disk's file rests on: libvirt follows that itself only for a guest that runs.

    :raises Unreachable: where that cannot be known.
    """
    if disk.followed or not disk.path:
        return
    try:
        yield from backing_chain(disk.path, disk.image_type)
    except command.ProgramFailed as cause:
        raise Unreachable(
            f"{disk.path}, a disk of the guest {disk.guest}, has an unreadable backing chain",
            why=cause.why,
            hint=f"Fix that disk, or undefine the guest {disk.guest}, and run again",
        ) from cause


def _path_of(connection: Any, source: ElementTree.Element) -> str:
    """Return what a source element names (libvirt's format of domains, "Hard drives, floppy disks, CDROMs")."""
    if source.get("protocol") == "rbd":
        return f"rbd:{source.get('name')}"
    if pool := source.get("pool"):
        volume = connection.storagePoolLookupByName(pool).storageVolLookupByName(
            source.get("volume")
        )
        return str(volume.path())
    return source.get("file") or source.get("dev") or ""


def _identity(path: str) -> DiskIdentity:
    """Return what makes two names of one disk equal: the number of a device, the place of a file, the RBD image.

    QEMU's name of an image may go on with options: ``rbd:pool/image:id=client``.
    """
    if path.startswith("rbd:"):
        return ("image", path.split(":")[1])
    try:
        status = os.stat(path)
    except OSError:
        return ("name", path)
    if stat.S_ISBLK(status.st_mode):
        return ("device", status.st_rdev)
    return ("file", status.st_dev, status.st_ino)


def bounded(call: Callable[[], Result]) -> Result:
    """Run a call in a thread that is left behind where it does not end: libvirt has no timeouts of its own."""
    results: list[Result] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as failure:  # handed over to the caller's thread
            failures.append(failure)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(CALL_TIMEOUT)
    if failures:
        failure = failures[0]
        if libvirt is not None and isinstance(failure, libvirt.libvirtError):
            raise Unreachable("libvirt returned an error", why=str(failure)) from failure
        raise failure
    if not results:
        raise TimedOut(
            "libvirt did not answer",
            why=f"waited {CALL_TIMEOUT:g} s",
            hint="See systemctl status libvirtd",
        )
    return results[0]
