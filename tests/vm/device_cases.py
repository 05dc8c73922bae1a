# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with volumes on devices: names, users, pools without room, disks that fail; all of it real.

Runs in the machine, beside ``bad_cases.py``: ``python3 device_cases.py KIND POOL [CASE...]`` prints a line of JSON for
each case. As there, each begins with a volume that holds image ``a``, and ends with that or with the new one, proved.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import bad_cases
import spare_disk
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.job_run import JobRun
from bad_cases import (
    CACHE,
    DEFAULTS,
    FOLDER,
    IMAGE,
    NAME,
    NAMES,
    ONLY_FILES,
    POOLS,
    cleared,
    expect,
    fill,
    helps,
    image,
    in_use,
    left,
    make_images,
    opening,
    provision,
    refused,
    site,
    state,
    succeeds,
)
from guest import libvirt_guest, qemu_guest
from http_server import HttpServer
from spare_disk import FAILING, LOSING, give_room, take_room, tool

bad_cases.DISK = 3 << 20
DEFAULTS["size"] = "8M"
"""Two extents of LVM."""
HIDDEN = ("thin_tdata", "thin_tmeta", "lvol0_pmspare", "snapshot1", "pvmove0")
"""Names that LVM keeps for itself."""
EVERY_WAY: tuple[dict[str, object], ...] = (
    {"overwrite": "always", "adopt": True},
    {"overwrite": "always", "adopt": True, "replace": "in_place"},
    {"state": "absent", "adopt": True},
)
"""How an operator would get at what is there."""

Case = Callable[[str], None]
CASES: dict[str, Case] = {}
OWN_POOL: set[str] = set()


def case(*_kinds: str, own_pool: bool = False) -> Callable[[Case], Case]:
    """Make the function one of the cases, for these kinds of pools or for all: whoever names the cases reads that.

    :param own_pool: it needs no volume in the usual pool.
    """

    def note(function: Case) -> Case:
        CASES[function.__name__] = function
        if own_pool:
            OWN_POOL.add(function.__name__)
        return function

    return note


@contextlib.contextmanager
def at_stage(name: str, act: Callable[[], object]) -> Iterator[None]:
    """Let something happen when a run comes to this stage."""
    stage = JobRun.stage

    def staged(self: JobRun, called: str, total: int = 0) -> None:
        stage(self, called, total)
        if called == name:
            act()

    with patch.object(JobRun, "stage", staged):
        yield


# Names and targets ---------------------------------------------------------------------------------------------------


def listed(kind: str) -> str:
    """Return all that is in the pool: what it is, and whether it is in order."""
    if kind == "zfs":
        return tool(
            "zfs", "list", "-H", "-t", "all", "-o", "name,guid,volsize,readonly", "-r", POOLS[kind]
        )
    return tool(
        "lvs", "--all", "--noheadings", "-o", "lv_name,lv_uuid,lv_size,lv_permissions,lv_tags", "hv"
    )


@case("lvm", "zfs")
def it_cannot_have_the_name(kind: str) -> None:
    before = listed(kind)
    good = ONLY_FILES if kind == "zfs" else (*ONLY_FILES, ".hidden")
    names = [name for name in NAMES if name not in good]
    for name in (*names, *(HIDDEN if kind != "zfs" else ())):
        with HttpServer(site(image("b"))) as server:
            outcome = provision(server.url + IMAGE, backend=kind, volume_name=name)
        try:
            helps(outcome)
        except AssertionError as fault:
            raise AssertionError(f"{name!r}: {fault}") from fault
        expect(not server.sent, f"{name!r}: the image was asked for")
    expect(listed(kind) == before, f"it was {before}, and is {listed(kind)}")


def no_plain_volume(kind: str, name: str, what: str) -> None:
    """Expect that whoever wants it gone, or written to, is told what it is."""
    before = listed(kind)
    for way in EVERY_WAY:
        server = refused(
            site(image("b")), "not a plain volume", what, kind=kind, volume_name=name, **way
        )
        expect(server.sent < 2 * 65536, "the image was downloaded in vain")
    expect(listed(kind) == before, f"it was {before}, and is {listed(kind)}")


@case("lvm", "lvm_thin")
def a_thin_pool_has_the_name(kind: str) -> None:
    no_plain_volume(kind, "thin", "a thin pool")


@case("lvm", "lvm_thin")
def an_origin_or_its_snapshot_has_the_name(kind: str) -> None:
    size = ("--size", "8m") if kind == "lvm" else ("--setactivationskip", "n")
    tool("lvcreate", "--yes", "--snapshot", *size, "--name", "backup", f"hv/{NAME}")
    try:
        no_plain_volume(kind, NAME, "an origin of snapshots")
        no_plain_volume(kind, "backup", "a snapshot")
    finally:
        tool("lvremove", "--yes", "hv/backup")
    succeeds(site(image("b")), kind=kind)


@case("zfs")
def an_origin_has_the_name(kind: str) -> None:
    tool("zfs", "snapshot", f"{POOLS[kind]}/{NAME}@backup")
    try:
        no_plain_volume(kind, NAME, "an origin of snapshots")
    finally:
        tool("zfs", "destroy", f"{POOLS[kind]}/{NAME}@backup")
    succeeds(site(image("b")), kind=kind)


@case("zfs")
def a_file_system_has_the_name(kind: str) -> None:
    tool("zfs", "create", f"{POOLS[kind]}/files")
    try:
        no_plain_volume(kind, "files", "a file system")
    finally:
        tool("zfs", "destroy", f"{POOLS[kind]}/files")


@case("lvm", "zfs")
def it_is_not_ours(kind: str) -> None:
    strange = "bad-case-strange"
    if kind == "zfs":
        tool("zfs", "create", "-V", "8m", f"{POOLS[kind]}/{strange}")
    elif kind == "lvm":
        tool("lvcreate", "--yes", "--size", "8m", "--name", strange, "hv")
    else:
        thin = ("--type", "thin", "--virtualsize", "8m", "--thinpool", "thin")
        tool("lvcreate", "--yes", *thin, "--name", strange, "hv")
    before = listed(kind)
    refused(site(image("b")), "not ours", "adopt", kind=kind, volume_name=strange)
    refused(site(image("b")), "not ours", "adopt", kind=kind, volume_name=strange, state="absent")
    expect(listed(kind) == before, "it was changed")
    fill("b", backend=kind, volume_name=strange, adopt=True)
    expect(state(kind, strange)[0] == "b", "it was not adopted")
    fill(backend=kind, volume_name=strange, state="absent")


# Who has it open -----------------------------------------------------------------------------------------------------


@case()
def a_guest_has_it(kind: str) -> None:
    with libvirt_guest({"dev": state(kind)[1].path}) as guest:
        who = f"guest {guest.name()}"
        in_use(who, kind=kind)
        refused(site(image("a")), "in use", who, kind=kind, overwrite="always")
        refused(site(image("b")), "in use", who, kind=kind, state="absent")
        fill(backend=kind)  # it is right already, so nobody touches it
        guest.suspend()
        refused(site(image("b")), "in use", who, kind=kind)
    succeeds(site(image("b")), kind=kind)


@case("lvm", "zfs")
def a_guest_has_it_by_another_name(kind: str) -> None:
    """By that which the kernel gave the device."""
    with libvirt_guest({"dev": os.path.realpath(state(kind)[1].path)}) as guest:
        refused(site(image("b")), "in use", f"guest {guest.name()}", kind=kind)


@case()
def a_guest_without_libvirt_has_it(kind: str) -> None:
    with qemu_guest(state(kind)[1].path) as guest:
        in_use(f"process {guest.pid}", kind=kind)


@case("lvm", "zfs")
def it_is_mounted(kind: str) -> None:
    path, place = state(kind)[1].path, FOLDER / "mounted"
    tool("mkfs.ext4", "-q", "-F", path)
    place.mkdir(exist_ok=True)
    tool("mount", path, str(place))
    try:
        (place / "precious").write_text("data")
        tool("sync", "-f", str(place))
        in_use(kind=kind)
        expect((place / "precious").read_text() == "data", "its data are gone")
    finally:
        tool("umount", str(place))


@case("lvm", "zfs")
def another_device_holds_it(kind: str) -> None:
    path = state(kind)[1].path
    tool("dmsetup", "create", "on-top", "--table", f"0 8192 linear {path} 0")
    try:
        in_use(kind=kind)
    finally:
        tool("dmsetup", "remove", "--retry", "on-top")


@case("lvm", "zfs")
def it_is_opened_meanwhile(kind: str) -> None:
    """After the first look, and before the name changes."""
    with opening(state(kind)[1].path) as refusals:
        refused(
            site(image("b"), refusals=refusals), "came into use meanwhile", "Run again", kind=kind
        )


@case("lvm", "zfs")
def it_is_opened_while_the_new_one_is_filled(kind: str) -> None:
    opened: list[int] = []
    path = state(kind)[1].path
    try:
        with at_stage("verifying_volume", lambda: opened.append(os.open(path, os.O_RDONLY))):
            refused(site(image("b")), "came into use meanwhile", "Run again", kind=kind)
    finally:
        for each in opened:
            os.close(each)


# Room ----------------------------------------------------------------------------------------------------------------


def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Let something happen while the image comes: after the first look. Yields no refusal."""
    yield None
    yield None
    act()
    while True:
        yield None


@case(own_pool=True)
def the_pool_is_full(kind: str) -> None:
    with spare_disk.pool(kind) as pool:
        fill(backend=kind, pool=pool)
        take_room(kind)
        server = refused(site(image("b")), "no room", "in_place", kind=kind, pool=pool)
        expect(server.sent < 2 * 65536, "it was downloaded in vain")
        succeeds(site(image("b")), kind=kind, pool=pool, replace="in_place")


@case(own_pool=True)
def the_pool_fills_up_meanwhile(kind: str) -> None:
    with spare_disk.pool(kind) as pool:
        fill(backend=kind, pool=pool)
        objects = site(image("b"), refusals=meanwhile(partial(take_room, kind)))
        refused(objects, "no room", kind=kind, pool=pool)
        give_room(kind)
        succeeds(site(image("b")), kind=kind, pool=pool)


@case("lvm_thin", own_pool=True)
def the_thin_pool_fills_up_while_it_is_written_to(kind: str) -> None:
    """The kernel lets writers wait for room, a minute where nobody says less; then they fail."""
    patience = Path("/sys/module/dm_thin_pool/parameters/no_space_timeout")
    before = patience.read_text()
    patience.write_text("2")
    try:
        with spare_disk.pool(kind) as pool:
            fill(backend=kind, pool=pool)
            with at_stage("converting", partial(take_room, kind)):
                refused(site(image("b")), "could not be filled", kind=kind, pool=pool)
            give_room(kind)
            succeeds(site(image("b")), kind=kind, pool=pool)
    finally:
        patience.write_text(before)


@case("lvm_thin", own_pool=True)
def the_metadata_of_the_thin_pool_are_nearly_full(kind: str) -> None:
    """A pool that runs out of them is damaged, so nothing may begin."""
    with spare_disk.pool(kind) as pool:
        fill(backend=kind, pool=pool)
        spare_disk.take_metadata(91)
        refused(site(image("b")), "not fit", "metadata", kind=kind, pool=pool)
        refused(site(image("b")), "not fit", "metadata", kind=kind, pool=pool, replace="in_place")


@case("lvm_thin", own_pool=True)
def the_thin_pool_runs_out_of_metadata_while_it_is_written_to(kind: str) -> None:
    """The kernel then makes the pool read-only, so nothing can be taken back, and the old volume can be read.

    What is left stays in the journal, for the run after the pool was mended.
    """
    with spare_disk.pool(kind) as pool:
        fill(backend=kind, pool=pool)
        before = state(kind, pool=pool)
        with (
            at_stage("converting", partial(spare_disk.take_metadata, 100)),
            HttpServer(site(image("b"))) as server,
        ):
            outcome = provision(server.url + IMAGE, backend=kind, pool=pool)
        expect("could not be filled" in str(outcome.failure), f"{outcome.failure}")
        expect(not outcome.nothing_left, "it is said to have been taken back")
        expect(bool(left(kind, pool)), "nothing is left, so it was taken back")
        expect(state(kind, pool=pool) == before, f"the volume was {before}")
        # Nobody mends the pool here: it goes, and with it what is to be taken back.
        for journal in bad_cases.settings.journal_dir().glob("*.json"):
            journal.unlink()


# Disks ---------------------------------------------------------------------------------------------------------------


def spoiled(kind: str, pool: str, how: str, *told: str) -> None:
    """Expect a refusal where the disk is not well below the new volume; and that all is well once the disk is."""
    fill(backend=kind, pool=pool)

    def spoil() -> None:
        [new] = Path(f"/dev/{spare_disk.NAME}").glob(f"{NAME}.new-*")
        spare_disk.spoil(*spare_disk.unused_sectors(kind, str(new)), how)

    with at_stage("converting", spoil):
        refused(site(image("b")), *told, kind=kind, pool=pool)
    spare_disk.mend()
    succeeds(site(image("b")), kind=kind, pool=pool)


@case("lvm", "lvm_thin", own_pool=True)
def the_disk_fails_a_write(kind: str) -> None:
    with spare_disk.pool(kind) as pool:
        spoiled(kind, pool, FAILING, "could not be filled", "dmesg")


@case("lvm", "lvm_thin", own_pool=True)
def the_disk_loses_what_is_written(kind: str) -> None:
    """It says that all is done, and nothing is: that shows only where it is read back."""
    with spare_disk.pool(kind) as pool:
        spoiled(kind, pool, LOSING, "does not hold what was written", "dmesg")


@case("lvm", own_pool=True)
def the_group_has_lost_a_disk(kind: str) -> None:
    with spare_disk.pool(kind) as pool, disk_in_a_file() as other:
        fill(backend=kind, pool=pool)
        tool("vgextend", "--yes", pool, other)
        tool("losetup", "--detach", other)
        tool("udevadm", "settle")
        refused(site(image("b")), "not fit", "lacks physical volumes", kind=kind, pool=pool)
        tool("vgreduce", "--removemissing", pool)
        succeeds(site(image("b")), kind=kind, pool=pool)


@case("zfs", own_pool=True)
def the_pool_has_lost_a_disk(kind: str) -> None:
    with spare_disk.pool(kind) as pool, disk_in_a_file() as other:
        fill(backend=kind, pool=pool)
        tool("zpool", "attach", "-f", "-w", pool, spare_disk.DEVICE, other)
        tool("zpool", "offline", pool, other)
        refused(site(image("b")), "not fit", "DEGRADED", kind=kind, pool=pool)
        tool("zpool", "detach", pool, other)
        succeeds(site(image("b")), kind=kind, pool=pool)


@contextlib.contextmanager
def disk_in_a_file() -> Iterator[str]:
    """Give a second disk, as large as the spare one."""
    file = FOLDER / "disk"
    with file.open("wb") as stream:
        stream.truncate(160 << 20)
    device = tool("losetup", "--find", "--show", str(file)).strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=False, capture_output=True)
        file.unlink()


# ---------------------------------------------------------------------------------------------------------------------


def prepared(kind: str, name: str) -> None:
    """Begin with a volume that holds a, and with an empty cache."""
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir()
    if name not in OWN_POOL:
        fill(backend=kind)


def main() -> int:
    """Run the cases that are named, and print how each went."""
    kind, pool, *names = sys.argv[1:]
    del POOLS["rbd"]
    POOLS[kind] = pool
    make_images()
    for name in names:
        failure, began = None, time.monotonic()
        try:
            prepared(kind, name)
            CASES[name](kind)
            expect(not left(kind), f"left: {left(kind)}")
        except Exception:
            failure = traceback.format_exc()
        took = round(time.monotonic() - began, 2)
        print(json.dumps({"check": name, "failure": failure, "seconds": took}), flush=True)
    cleared()
    return 0


if __name__ == "__main__":
    sys.exit(main())
