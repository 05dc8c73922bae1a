# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ZFS's volumes must do besides, checked on a real kernel. Runs in the machine, beside ``contract.py``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import contract
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.backends import (
    open_backend,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Backend,
    Marks,
)
from contract import MIB, TOKEN, expect, mounted, name, present, refused, volume
from spare_disk import tool

contract.CHECKS.clear()
check = contract.check


def full(backend: Backend, called: str) -> str:
    return f"{backend.pool}/{called}"


@contextlib.contextmanager
def dataset(backend: Backend, *words: str) -> Iterator[str]:
    """A dataset that somebody else made."""
    called = name()
    tool("zfs", "create", *words, full(backend, called))
    try:
        yield called
    finally:
        tool("zfs", "destroy", "-r", full(backend, called))


@check
def a_file_system_is_no_plain_volume(backend: Backend) -> None:
    with dataset(backend) as called:
        found = present(backend, called)
        expect(found.special == "file system" and found.marks is None, f"{found}")
        with refused("removing a file system"):
            backend.remove(found)


@check
def inherited_marks_make_nothing_ours(backend: Backend) -> None:
    """User properties are inherited; a volume of others below a dataset that carries ours stays theirs."""
    with dataset(backend, "-o", "debvisor:owner=debvisor.hci") as parent:
        below = open_backend("zfs", full(backend, parent))
        with dataset(below, "-V", "8m") as called:
            expect(present(below, called).marks is None, "it is taken for ours")
            expect(below.owned() == (), f"{below.owned()}")


@check
def volumes_further_down_are_not_of_this_pool(backend: Backend) -> None:
    with dataset(backend) as parent:
        below = open_backend("zfs", full(backend, parent))
        with volume(below) as made:
            expect(made in below.owned(), "it is not listed")
            expect(
                made.identity not in {each.identity for each in backend.owned()},
                "it is listed above",
            )


@check
def snapshots_of_others_protect_a_volume(backend: Backend) -> None:
    with volume(backend) as made:
        snapshot = f"{full(backend, made.name)}@backup"
        tool("zfs", "snapshot", snapshot)
        try:
            found = present(backend, made.name)
            expect(found.special == "origin of snapshots", f"{found}")
            with refused("removing what has snapshots"):
                backend.remove(found)
        finally:
            tool("zfs", "destroy", snapshot)


@check
def a_mounted_volume_is_in_use(backend: Backend) -> None:
    with volume(backend) as made, mounted(made.path):
        expect(backend.users(made) != (), "a mount is not seen")


@check
def partitions_of_guests_are_not_looked_at(backend: Backend) -> None:
    with volume(backend) as made:
        tool("sgdisk", "--new=1:0:0", made.path)
        tool("udevadm", "settle")
        expect(not os.path.exists(f"{made.path}-part1"), "the host has a guest's partition")


@check
def a_quota_is_heeded(backend: Backend) -> None:
    with dataset(backend, "-o", f"quota={64 * MIB}") as parent:
        below = open_backend("zfs", full(backend, parent))
        expect(below.space().free <= 64 * MIB, f"{below.space()}")
        with refused("a volume larger than the quota"):
            below.create(name(), 128 * MIB, Marks(token=TOKEN))
        expect(below.owned() == (), "something was left behind")


@check
def a_pool_that_lost_a_disk_says_so(backend: Backend) -> None:
    files = [f"/root/{name()}" for _side in range(2)]
    for file in files:
        with open(file, "wb") as stream:
            stream.truncate(128 * MIB)
    tool("zpool", "create", "ailing", "mirror", *files)
    try:
        other = open_backend("zfs", "ailing")
        expect(other.space().troubles == (), f"{other.space()}")
        tool("zpool", "offline", "ailing", files[0])
        [trouble] = other.space().troubles
        expect("DEGRADED" in trouble, trouble)
    finally:
        tool("zpool", "destroy", "ailing")
        for file in files:
            os.unlink(file)


if __name__ == "__main__":
    sys.exit(contract.main())
