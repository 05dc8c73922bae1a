# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests as libvirt tells of them, with a stand-in for its module; real guests are on the lab's nodes."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import TimedOut, Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._ports.virt import libvirt_host
from ansible_collections.debvisor.hci.plugins.module_utils._ports.virt.libvirt_host import (
    BEHIND,
    Guest,
    GuestProblem,
    LibvirtHost,
)


class LibvirtError(Exception):
    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code

    def get_error_code(self) -> int:
        return self.code


class Domain:
    disks = ""
    saved = False
    saved_disks = ""

    def __init__(self, name: str, state: int, autostart: int = 0, persistent: int = 1) -> None:
        self._name, self._state, self._autostart, self._persistent = (
            name,
            state,
            autostart,
            persistent,
        )
        self.done: list[object] = []

    def UUIDString(self) -> str:
        return f"uuid-{self._name}"

    def name(self) -> str:
        return self._name

    def state(self) -> list[int]:
        return [self._state, 1]

    def isActive(self) -> int:
        return int(self._state not in (5, 6))

    def hasManagedSaveImage(self, flags: int = 0) -> int:
        return int(self.saved)

    def isPersistent(self) -> int:
        return self._persistent

    def autostart(self) -> int:
        if not self._persistent:
            raise LibvirtError("cannot set autostart for transient domain")
        return self._autostart

    def XMLDesc(self) -> str:
        return f"<domain><devices>{self.disks}</devices></domain>"

    def managedSaveGetXMLDesc(self, flags: int = 0) -> str:
        return f"<domain><devices>{self.saved_disks}</devices></domain>"

    def setAutostart(self, value: int) -> None:
        self.done.append(value)

    def suspend(self) -> None:
        raise LibvirtError("domain is not running")


class Connection:
    def __init__(self, *domains: Domain) -> None:
        self.domains = domains
        self.closed = False
        self.volumes: dict[tuple[str, str], str] = {}

    def listAllDomains(self, flags: int = 0) -> list[Domain]:
        """Those that are active where that is asked for."""
        return [each for each in self.domains if not flags or each.state()[0] not in (5, 6)]

    def storagePoolLookupByName(self, pool: str) -> Any:
        def look_up(volume: str) -> Any:
            if (pool, volume) not in self.volumes:
                raise LibvirtError("no storage vol", 50)
            return SimpleNamespace(path=lambda: self.volumes[pool, volume])

        return SimpleNamespace(storageVolLookupByName=look_up)

    def lookupByUUIDString(self, uuid: str) -> Domain:
        for domain in self.domains:
            if domain.UUIDString() == uuid:
                return domain
        raise LibvirtError("domain not found")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with libvirt, and its Python module."""
    module = SimpleNamespace(
        VIR_ERR_NO_DOMAIN=42,
        VIR_ERR_NO_STORAGE_POOL=49,
        VIR_ERR_NO_STORAGE_VOL=50,
        VIR_CONNECT_LIST_DOMAINS_ACTIVE=1,
        VIR_DOMAIN_RUNNING=1,
        VIR_DOMAIN_BLOCKED=2,
        VIR_DOMAIN_PAUSED=3,
        VIR_DOMAIN_SHUTDOWN=4,
        VIR_DOMAIN_SHUTOFF=5,
        VIR_DOMAIN_CRASHED=6,
        VIR_DOMAIN_PMSUSPENDED=7,
        libvirtError=LibvirtError,
        registerErrorHandler=lambda handler, context: None,
        connection=Connection(
            *(Domain(f"d{state}", state, state % 2) for state in range(1, 8)),
            Domain("brief", 1, 0, 0),
        ),
    )
    module.open = lambda uri: module.connection
    monkeypatch.setattr(libvirt_host, "libvirt", module)
    monkeypatch.setattr(libvirt_host, "DAEMONS", ("/",))
    return module


def test_guests_are_told_with_what_matters(library: Any) -> None:
    found = LibvirtHost().guests()
    assert found[0] == Guest("uuid-brief", "brief", "running", False, False)
    assert [(guest.name, guest.state, guest.autostart) for guest in found[1:]] == [
        ("d1", "running", True),
        ("d2", "running", False),
        ("d3", "paused", True),
        ("d4", "running", False),
        ("d5", "shut off", True),
        ("d6", "shut off", False),
        ("d7", "paused", True),
    ]


def needing(path: str) -> tuple[str, ...]:
    """Return the guests, each with how it needs the disk appended."""
    return tuple(name + how for name, how in LibvirtHost().needing_disk(path))


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("rbd:volumes/web", ("d1", f"d3{BEHIND}")),
        ("rbd:volumes/web:id=volumes", ("d1", f"d3{BEHIND}")),
        ("rbd:volumes/web2", ()),
        ("/dev/null", ("d2",)),
        ("/proc/self/../../dev/null", ("d2",)),
        ("/dev/zero", ()),
    ],
)
def test_guests_that_run_are_known_by_their_disks(
    library: Any, path: str, names: tuple[str, ...]
) -> None:
    image = "<disk><source protocol='rbd' name='volumes/web'/></disk>"
    domains = {each.name(): each for each in library.connection.domains}
    domains["d1"].disks = domains["d5"].disks = image
    domains["d2"].disks = "<disk><source dev='/dev/null'/></disk>"
    domains[
        "d3"
    ].disks = f"<disk><source file='/gone'/><backingStore>{image[6:-7]}</backingStore></disk>"
    assert needing(path) == names


def test_a_change_is_made_or_the_refusal_is_told(library: Any) -> None:
    host = LibvirtHost()
    host.set_autostart("uuid-d1", False)
    assert library.connection.domains[0].done == [0]
    with pytest.raises(GuestProblem, match="domain is not running"):
        host.pause("uuid-d1")
    with pytest.raises(GuestProblem, match="domain not found"):
        host.resume("uuid-none")
    host.close()
    assert library.connection.closed


def test_letting_go_ends_and_never_fails(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(libvirt_host, "CALL_TIMEOUT", 0.1)

    def fail() -> None:
        raise LibvirtError("connection reset")

    for close in (fail, lambda: released.wait(5)):
        host = LibvirtHost()
        host.guests()
        library.connection.close = close
        began = time.monotonic()
        host.close()
        assert time.monotonic() - began < 4
    released.set()


def test_a_guest_that_goes_while_it_is_looked_at_is_gone(library: Any) -> None:
    gone, odd = library.connection.domains[0], library.connection.domains[1]

    def vanish() -> Any:
        raise LibvirtError("Domain not found", 42)

    gone.state = vanish
    assert "d1" not in [guest.name for guest in LibvirtHost().guests()]
    odd.state = odd.suspend
    with pytest.raises(Unreachable, match="not running"):
        LibvirtHost().guests()


def test_a_machine_without_libvirt_has_no_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_host, "DAEMONS", ("/nowhere/libvirtd",))
    host = LibvirtHost()
    assert host.guests() == ()
    host.close()


def test_a_machine_with_libvirt_that_does_not_tell_is_unknown(
    library: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*asked: object) -> Any:
        raise LibvirtError("Connection refused")

    library.open = refuse
    with pytest.raises(Unreachable, match="Connection refused"):
        LibvirtHost().guests()
    library.open = lambda uri: library.connection
    library.connection.listAllDomains = refuse
    with pytest.raises(Unreachable, match="Connection refused"):
        LibvirtHost().guests()
    monkeypatch.setattr(libvirt_host, "libvirt", None)
    with pytest.raises(Unreachable, match="python3-libvirt"):
        LibvirtHost().guests()


def test_a_call_that_hangs_is_left_behind(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(libvirt_host, "CALL_TIMEOUT", 0.1)
    library.connection.listAllDomains = lambda: released.wait(30)
    try:
        with pytest.raises(TimedOut, match="libvirt did not answer"):
            LibvirtHost().guests()
    finally:
        released.set()


DISKS = {
    "a file": "<disk type='file'><source file='{path}'/></disk>",
    "the same file by another name": "<disk type='file'><source file='{link}'/></disk>",
    "a device": "<disk type='block'><source dev='{path}'/></disk>",
    "a volume of a pool": "<disk type='volume'><source pool='p' volume='v'/></disk>",
    "the second disk": "<disk><source file='/elsewhere'/></disk><disk><source file='{path}'/></disk>",
}


@pytest.mark.parametrize("disks", DISKS.values(), ids=DISKS)
def test_a_guest_that_runs_with_a_disk_is_found_by_what_the_disk_is(
    library: Any, tmp_path: Path, disks: str
) -> None:
    path, link = tmp_path / "disk.raw", tmp_path / "link"
    path.touch()
    link.symlink_to(path)
    library.connection.volumes["p", "v"] = str(path)
    running, paused, off = (library.connection.domains[at] for at in (0, 2, 4))
    for domain in (running, paused, off):
        domain.disks = disks.format(path=path, link=link)
    assert needing(str(path)) == ("d1", "d3")
    assert needing(str(tmp_path / "other.raw")) == ()


BEHIND_A_DISK = {
    "below another file": (
        "<disk type='file'><source file='/elsewhere'/>"
        "<backingStore><source file='{path}'/></backingStore></disk>"
    ),
    "being copied to": (
        "<disk type='file'><source file='/elsewhere'/><mirror><source file='{path}'/></mirror></disk>"
    ),
}


@pytest.mark.parametrize("disks", BEHIND_A_DISK.values(), ids=BEHIND_A_DISK)
def test_a_guest_needs_what_is_behind_its_disk_whether_it_runs_or_not(
    library: Any, tmp_path: Path, disks: str
) -> None:
    path = tmp_path / "disk.raw"
    path.touch()
    for at in (0, 4):
        library.connection.domains[at].disks = disks.format(path=path)
    assert needing(str(path)) == (f"d1{BEHIND}", f"d5{BEHIND}")


@pytest.fixture
def overlay(library: Any, tmp_path: Path) -> Path:
    """A disk of a guest that is shut off, two links above the one that is returned; libvirt tells of the top only."""
    base, middle, top = (tmp_path / name for name in ("base.raw", "middle.qcow2", "top.qcow2"))
    base.write_bytes(bytes(1 << 20))
    for upper, lower, kind in ((middle, base, "raw"), (top, middle, "qcow2")):
        words = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(lower), "-F", kind]
        subprocess.run([*words, str(upper)], check=True)
    library.connection.domains[
        4
    ].disks = f"<disk><driver type='qcow2'/><source file='{top}'/></disk>"
    return base


def test_a_guest_that_is_shut_off_needs_what_its_disk_rests_on(
    overlay: Path, tmp_path: Path
) -> None:
    for needed in (overlay, tmp_path / "middle.qcow2"):
        assert needing(str(needed)) == (f"d5{BEHIND}",)
    for own in ("top.qcow2", "other.raw"):
        assert needing(str(tmp_path / own)) == ()


def test_a_link_that_is_gone_is_known_by_its_name(overlay: Path) -> None:
    overlay.unlink()
    assert needing(str(overlay)) == (f"d5{BEHIND}",)


def test_a_disk_that_does_not_tell_what_it_rests_on_might_rest_on_it(
    overlay: Path, tmp_path: Path
) -> None:
    (tmp_path / "top.qcow2").write_bytes(bytes(1 << 16))
    with pytest.raises(Unreachable, match="a disk of the guest d5, has an unreadable"):
        LibvirtHost().needing_disk(str(overlay))


def test_a_guest_that_was_saved_knows_the_disks_that_it_had_then(library: Any) -> None:
    off = library.connection.domains[4]
    off.saved, off.saved_disks = True, "<disk><source dev='/dev/vg/saved'/></disk>"
    off.disks = "<disk><source dev='/dev/vg/defined'/></disk>"
    assert needing("/dev/vg/saved") == (off.name(),)
    assert needing("/dev/vg/defined") == ()


def test_a_guest_that_is_shut_off_may_lack_its_disk(library: Any) -> None:
    library.connection.domains[
        4
    ].disks = "<disk><driver type='qcow2'/><source pool='p' volume='v'/></disk>"
    assert needing("/dev/vg/web") == ()


def test_a_device_that_is_gone_is_known_by_its_name(library: Any) -> None:
    library.connection.domains[0].disks = "<disk><source dev='/dev/vg/gone'/></disk>"
    assert needing("/dev/vg/gone") == ("d1",)


def test_drives_without_a_medium_and_guests_that_end_have_no_disk(library: Any) -> None:
    first, second = library.connection.domains[:2]
    first.disks = "<disk device='cdrom'/><disk><source protocol='nbd' name='x'/></disk>"

    def gone() -> str:
        raise LibvirtError("Domain not found", 42)

    second.XMLDesc = gone
    assert needing("/dev/vg/web") == ()


def test_a_guest_whose_disks_are_not_told_might_have_it(library: Any) -> None:
    library.connection.domains[0].disks = "<disk type='volume'><source pool='p' volume='v'/></disk>"
    with pytest.raises(Unreachable, match="no storage vol"):
        LibvirtHost().needing_disk("/dev/vg/web")


def test_a_machine_without_libvirt_has_no_guest_with_a_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(libvirt_host, "DAEMONS", ("/nowhere/libvirtd",))
    assert needing("/dev/vg/web") == ()
