# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an RBD pool must do besides, checked on a real one. Runs on a node, beside ``contract.py``, in the same way."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

import contract
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import rbd_pool
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.rbd_pool import RbdPool
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Backend,
    Marks,
)
from contract import MIB, SIZE, TOKEN, expect, name, present, refused, volume

contract.CHECKS.clear()
check = contract.check


def ceph(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=60)


def image(backend: Backend, called: str) -> str:
    return f"{backend.pool.rpartition('@')[2]}/{called}"


def unreachable(backend: Backend, *told: str) -> None:
    try:
        backend.find(name())
    except Unreachable as error:
        expect(all(part in str(error) for part in told), f"it is not said: {error}")
    else:
        raise AssertionError("a cluster that does not answer was taken for an empty pool")


@check
def killed_before_it_is_marked_it_is_still_its_runs(backend: Backend) -> None:
    token, called = "0123beef", name()
    child = os.fork()
    if child == 0:
        rbd_pool._write_marks = lambda *_given: os.kill(os.getpid(), signal.SIGKILL)
        RbdPool(backend.pool).create(called, SIZE, Marks(token=token))
    status = os.waitpid(child, 0)[1]
    expect(os.WIFSIGNALED(status), "the run was not killed")
    left = present(backend, called)
    expect(left.marks == Marks(token=token) and left in backend.owned(), f"{left}")
    expect(bool(backend.name_fault(left.name)), "an operator could give a volume this name")
    with refused("a second volume of one name"):
        backend.create(called, SIZE, Marks(token=token))
    backend.remove(left)
    expect(backend.find(called) is None, "it is still there")


@check
def a_failure_leaves_nothing_unmarked(backend: Backend) -> None:
    before = backend.owned()
    with volume(backend) as made, refused("a second volume of one name"):
        backend.create(made.name, SIZE, Marks(token=TOKEN))
    expect(backend.owned() == before, f"left behind: {backend.owned()}")


@check
def an_image_of_others_is_found_and_not_owned(backend: Backend) -> None:
    called = name()
    ceph("rbd", "create", image(backend, called), "--size", "8M")
    try:
        found = present(backend, called)
        expect(found.marks is None and found.size == 8 * MIB, f"{found}")
        expect(found not in backend.owned(), "it is taken for ours")
    finally:
        ceph("rbd", "rm", image(backend, called))


@check
def snapshots_of_others_protect_an_image(backend: Backend) -> None:
    with volume(backend) as made:
        snapshot = f"{image(backend, made.name)}@backup"
        ceph("rbd", "snap", "create", snapshot)
        try:
            found = present(backend, made.name)
            expect(found.special == "origin of snapshots", f"{found}")
            with refused("removing what has snapshots"):
                backend.remove(found)
        finally:
            ceph("rbd", "snap", "rm", snapshot)


@check
def a_lock_of_others_is_a_user(backend: Backend) -> None:
    with volume(backend) as made:
        ceph("rbd", "lock", "add", image(backend, made.name), "backup")
        [user] = backend.users(made)
        expect(str(user).startswith("lock client."), str(user))
        locks = json.loads(
            subprocess.check_output(
                ["rbd", "lock", "ls", image(backend, made.name), "--format", "json"]
            )
        )
        ceph("rbd", "lock", "rm", image(backend, made.name), "backup", locks[0]["locker"])
        expect(backend.users(made) == (), f"{backend.users(made)}")


@check
def a_quota_is_heeded(backend: Backend) -> None:
    pool = image(backend, "").strip("/")
    ceph("ceph", "osd", "pool", "set-quota", pool, "max_bytes", str(64 * MIB))
    try:
        expect(backend.space().free <= 64 * MIB, f"{backend.space()}")
    finally:
        ceph("ceph", "osd", "pool", "set-quota", pool, "max_bytes", "0")


@check
def bindings_that_are_missing_are_named(backend: Backend) -> None:
    bindings, rbd_pool.rbd = rbd_pool.rbd, None
    try:
        unreachable(backend, "python3-rbd")
    finally:
        rbd_pool.rbd = bindings


@check
def a_cluster_that_cannot_be_reached_is_an_error(backend: Backend) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("[global]\nmon host = 192.0.2.1\n")
        file.flush()
        rbd_pool.CONFIGURATION = file.name
        rbd_pool.LIMITS["client_mount_timeout"] = "2"
        unreachable(RbdPool(backend.pool), backend.pool, "ceph --id")


@check
def disks_that_do_not_answer_are_an_error(backend: Backend) -> None:
    rbd_pool.LIMITS["rados_osd_op_timeout"] = "3"
    patient = RbdPool(backend.pool)
    patient.find(name())
    ceph("systemctl", "stop", "ceph-osd@0")
    try:
        unreachable(patient, "does not answer")
    finally:
        ceph("systemctl", "reset-failed", "ceph-osd@0")
        ceph("systemctl", "start", "ceph-osd@0")
        end = time.monotonic() + 120
        while True:
            try:
                expect(patient.find(name()) is None, "it found what is not there")
                break
            except Unreachable:
                if time.monotonic() > end:
                    raise


@check
def little_memory_is_used(backend: Backend) -> None:
    with volume(backend, size=4096 * MIB) as made:
        backend.zero(made, 0, made.size, lambda: None)
        backend.sync(made)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    expect(used < 100 * 1024, f"{used} KiB")


if __name__ == "__main__":
    sys.exit(contract.main())
