# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What LVM's volumes must do besides, checked on a real kernel. Runs in the machine, beside ``contract.py``."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator

import contract
import spare_disk
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import lvm
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.backends import (
    open_backend,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Backend,
    Marks,
)
from contract import MIB, SIZE, TOKEN, cleared, expect, mounted, name, present, refused, volume
from spare_disk import tool

contract.CHECKS.clear()
check = contract.check

NOTHING = ("", "-", "x" * 200, "snapshot1", "pvmove0")
HIDDEN = ("a_tdata", "a_tmeta", "a_rimage_0", "a_mlog", "lvol0_pmspare")


def group(backend: Backend) -> str:
    return backend.pool.partition("/")[0]


@contextlib.contextmanager
def logical_volume(backend: Backend, *words: str) -> Iterator[str]:
    """A volume that somebody else made."""
    called = name()
    tool("lvcreate", "--yes", "--name", called, *words)
    try:
        yield called
    finally:
        tool("lvremove", "--yes", f"{group(backend)}/{called}")


@check
def names_that_lvm_keeps_are_refused(backend: Backend) -> None:
    for bad in (*NOTHING, *HIDDEN):
        expect(backend.name_fault(bad) != "", f"{bad!r} is taken for a good name")
    dashes = "-".join("a" * 40)
    expect(backend.name_fault(dashes) != "", "dashes count twice in device-mapper")


@check
def a_thin_pool_is_no_plain_volume(backend: Backend) -> None:
    found = present(backend, "thin")
    expect(found.special == "thin pool" and found.marks is None, f"{found}")
    with refused("removing a thin pool"):
        backend.remove(found)
    with refused("renaming a thin pool"):
        backend.rename(found, name())
    with refused("marking a thin pool"):
        backend.mark(found, Marks(token=TOKEN))


@check
def a_volume_of_another_kind_is_no_plain_one(backend: Backend) -> None:
    words = {
        "lvm": ("--type", "thin", "--virtualsize", "8m", "--thinpool", "thin", group(backend)),
        "lvm_thin": ("--size", "8m", group(backend)),
    }
    with logical_volume(backend, *words[backend.kind]) as called:
        found = present(backend, called)
        expect(found.special != "", f"{found}")
        expect(found not in backend.owned(), "it is taken for ours")


@check
def snapshots_of_others_protect_a_volume(backend: Backend) -> None:
    with volume(backend) as made:
        size = ("--size", "8m") if backend.kind == "lvm" else ()
        origin = f"{group(backend)}/{made.name}"
        with logical_volume(backend, "--snapshot", *size, origin) as called:
            found = present(backend, made.name)
            expect(found.special == "origin of snapshots", f"{found}")
            expect(present(backend, called).special == "snapshot", f"{present(backend, called)}")
            with refused("removing what has snapshots"):
                backend.remove(found)
        expect(present(backend, made.name).special == "", "it stays special")


@check
def old_signatures_stop_nothing(backend: Backend) -> None:
    """LVM asks whether to wipe what it finds in reused extents; nobody is there to answer."""
    for _round in range(2):
        with volume(backend) as made:
            tool("mke2fs", "-q", "-F", made.path)
            backend.sync(made)


@check
def a_mounted_volume_is_in_use(backend: Backend) -> None:
    with volume(backend) as made, mounted(made.path):
        expect(backend.users(made) != (), "a mount is not seen")
        with refused("removing a mounted volume"):
            backend.remove(made)


@check
def a_device_on_top_is_a_user(backend: Backend) -> None:
    with volume(backend) as made:
        table = f"0 {made.size // 512} linear {made.path} 0"
        tool("dmsetup", "create", "on-top", "--table", table)
        try:
            expect(backend.users(made) != (), "a device on top is not seen")
        finally:
            tool("dmsetup", "remove", "--retry", "on-top")
        expect(backend.users(made) == (), f"{backend.users(made)}")


@check
def a_user_by_another_node_is_seen(backend: Backend) -> None:
    """As a guest has it: libvirt gives each a /dev of its own."""
    with volume(backend) as made:
        node = f"/dev/{made.name}"
        os.mknod(node, 0o600 | 0o060000, os.stat(made.path).st_rdev)
        try:
            with open(node, "rb"):
                expect(backend.users(made) != (), "nobody is seen, though we have it open")
        finally:
            os.unlink(node)


@check
def a_volume_just_written_to_can_go(backend: Backend) -> None:
    """udev opens a volume that was written to, to look at it; that must not stop us."""
    for _round in range(5):
        made = backend.create(name(), SIZE, Marks(token=TOKEN))
        with open(made.path, "r+b") as stream:
            stream.write(b"x" * 4096)
        backend.remove(made)
        expect(backend.find(made.name) is None, "it is still there")


@check
def an_inactive_volume_is_found_and_goes(backend: Backend) -> None:
    with volume(backend) as made:
        tool("lvchange", "--activate", "n", f"{group(backend)}/{made.name}")
        found = present(backend, made.name)
        expect(found == made, f"{found}")
        expect(backend.users(found) == (), f"{backend.users(found)}")


@check
def a_pool_without_room_refuses(backend: Backend) -> None:
    if backend.kind == "lvm_thin":
        return  # it promises more than it has, as thin pools do
    called, before = name(), backend.owned()
    with refused("a volume larger than the group"):
        backend.create(called, backend.space().free + (64 << 20), Marks(token=TOKEN))
    expect(backend.find(called) is None and backend.owned() == before, "something was left behind")


@check
def thin_pools_tell_their_troubles(backend: Backend) -> None:
    if backend.kind != "lvm_thin":
        return
    full, lvm.FULL = lvm.FULL, 0.1
    try:
        [trouble] = backend.space().troubles
        expect("metadata" in trouble, trouble)
    finally:
        lvm.FULL = full
    with volume(backend) as made:
        before = backend.space().free
        contract.write(made.path, 0, 16 * MIB, 0xA5)
        expect(backend.space().free <= before - 8 * MIB, "what is written does not count")


@check
def a_pool_that_does_not_zero_promises_nothing(backend: Backend) -> None:
    if backend.kind != "lvm_thin":
        return
    words = ("--type", "thin-pool", "--size", "64m", "--zero", "n", group(backend))
    with logical_volume(backend, *words) as called:
        other = open_backend("lvm_thin", f"{group(backend)}/{called}")
        expect(not other.fresh_is_zero and not other.can_clone, "it promises zeros")
    expect(backend.fresh_is_zero and backend.can_clone, "the other one does not")


@check
def zeros_get_no_blocks(backend: Backend) -> None:
    if backend.kind != "lvm_thin":
        return
    with volume(backend) as made:
        backend.zero(made, 0, made.size, lambda: None)
        share = tool("lvs", "--noheadings", "-o", "data_percent", f"{group(backend)}/{made.name}")
        expect(float(share) == 0, f"{share.strip()} % of it have blocks")


@check
def killed_at_any_moment_all_is_whole(backend: Backend) -> None:
    """A killed run leaves a marked volume, or none: whoever looks next sees which, as LVM goes on to its end."""
    chance = random.Random(7)
    for _round in range(8):
        called, token = name(), "0123beef"
        child = os.fork()
        if child == 0:
            made = backend.create(called, SIZE, Marks(token=token))
            backend.rename(made, f"{called}.moved")
            os._exit(0)
        time.sleep(chance.uniform(0.1, 4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        left = [found for each in (called, f"{called}.moved") if (found := backend.find(each))]
        expect(len(left) <= 1, f"{left}")
        for each in left:
            expect(each.marks == Marks(token=token) and each.size == SIZE, f"{each}")
            cleared(backend, each.identity)
        expect(token not in {each.marks and each.marks.token for each in backend.owned()}, "late")
    suspended = tool("dmsetup", "info", "--columns", "--noheadings", "-o", "suspended")
    expect("Suspended" not in suspended, suspended)


@check
def a_write_that_failed_comes_to_light(backend: Backend) -> None:
    """The page cache took the bytes, the disk then did not."""
    if backend.kind == "lvm_thin":
        return  # the same code
    with spare_disk.pool(backend.kind) as pool:
        other = open_backend(backend.kind, pool)
        made = other.create(name(), SIZE, Marks(token=TOKEN))
        with open(made.path, "r+b", buffering=0) as stream:
            stream.write(b"x" * MIB)
            spare_disk.fail()
            with refused("to call it stable"):
                other.sync(made)
            with refused("to call it zeroed"):
                other.zero(made, 0, made.size, lambda: None)
        spare_disk.mend()
        other.remove(made)


@check
def refusals_say_what_lvm_said(backend: Backend) -> None:
    with volume(backend) as made:
        try:
            backend.create(made.name, SIZE, Marks(token=TOKEN))
        except Refused as refusal:
            expect("already exists" in refusal.why, f"{refusal}")
        else:
            raise AssertionError("a second volume of one name")


if __name__ == "__main__":
    sys.exit(contract.main())
