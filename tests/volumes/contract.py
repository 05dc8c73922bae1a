# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every backend of volumes must do, checked on a real one.

Runs where the pool is, without pytest: ``python3 contract.py KIND POOL`` prints a line of JSON for each check. The
tests name the checks one by one, from :data:`CHECKS`.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace

sys.path.insert(0, "/usr/share/ansible/collections")

from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    DebvisorError,
    Refused,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.backends import (
    open_backend,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.virt.qemu_img import QemuImg
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import (
    Backend,
    Marks,
    Volume,
)

MIB = 1 << 20
SIZE = 32 * MIB
SPAN = 4096
TOKEN = secrets.token_hex(4)
IMAGE = "sha256:" + "ab" * 32

Check = Callable[[Backend], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Make the function one of the checks."""
    CHECKS[function.__name__] = function
    return function


def expect(truth: bool, what: str) -> None:
    """Fail the check where this does not hold. (An assert would vanish with -O.)"""
    if not truth:
        raise AssertionError(what)


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """Expect the backend to refuse, by an error of ours."""
    try:
        yield
    except Refused as refusal:
        expect(len(str(refusal)) > 10, "the refusal says nothing")
        return
    raise AssertionError(f"not refused: {what}")


def name(suffix: str = "") -> str:
    """A name that nothing else has."""
    return f"contract-{secrets.token_hex(3)}{suffix}"


@contextlib.contextmanager
def volume(backend: Backend, marks: Marks | None = None, size: int = SIZE) -> Iterator[Volume]:
    """A volume for the time of a check."""
    made = backend.create(name(), size, marks or Marks(token=TOKEN))
    try:
        yield made
    finally:
        cleared(backend, made.identity)


def cleared(backend: Backend, identity: str) -> None:
    for each in backend.owned():
        if each.identity == identity:
            backend.remove(each)


@contextlib.contextmanager
def mounted(device: str) -> Iterator[None]:
    """A file system on a device, mounted in a mount namespace of its own: nothing in ours shows it."""
    with tempfile.TemporaryDirectory(dir="/run") as folder:
        script = f"mke2fs -q -F {device}; mount {device} {folder}; echo; exec sleep 600"
        words = ["unshare", "--mount", "sh", "-ec", script]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as holder:
            try:
                expect(holder.stdout is not None and holder.stdout.readline() != b"", "not mounted")
                yield
            finally:
                holder.kill()


def write(place: str, offset: int, length: int, byte: int) -> None:
    words = [
        "qemu-io",
        "-f",
        "raw",
        "-c",
        f"write -P {byte} {offset} {length}",
        "-c",
        "flush",
        place,
    ]
    subprocess.run(words, check=True, capture_output=True)


def content(place: str, *offsets: int) -> dict[int, bytes]:
    return QemuImg().read(place, "raw", offsets, SPAN, lambda: None)


def present(backend: Backend, called: str) -> Volume:
    found = backend.find(called)
    expect(found is not None, f"{called} is not found")
    return found  # type: ignore[return-value]


@check
def a_name_that_is_free_is_not_found(backend: Backend) -> None:
    expect(backend.find(name()) is None, "found what nobody made")


@check
def the_pool_tells_its_room(backend: Backend) -> None:
    space = backend.space()
    expect(space.free > SIZE, f"only {space.free} bytes are free")
    expect(space.granule >= 1 and not space.troubles, f"{space}")


@check
def a_pool_that_is_not_there_is_an_error(backend: Backend) -> None:
    parts = backend.pool.split("/")
    missing = "/".join([*parts[:-1], f"{parts[-1]}-missing"])
    for look in (lambda b: b.space(), lambda b: b.find(name()), lambda b: b.owned()):
        try:
            look(open_backend(backend.kind, missing))
        except DebvisorError as error:
            expect(parts[-1] in str(error), f"the error does not name the pool: {error}")
        else:
            raise AssertionError("a pool that is not there was taken for an empty one")


@check
def names_are_judged(backend: Backend) -> None:
    expect(
        backend.name_fault("vm-root_1.a+b" if backend.kind != "zfs" else "vm-root_1.a") == "",
        "a good name is refused",
    )
    for bad in ("", ".", "..", "../up", "a/b", "-dash", "a b", "a@b", "ümlaut", "a\n", "x" * 300):
        expect(backend.name_fault(bad) != "", f"{bad!r} is taken for a good name")


@check
def a_volume_is_made_with_its_marks(backend: Backend) -> None:
    marks = Marks(image=IMAGE, token=TOKEN, at="2026-01-31T12:00:00Z", virtual_size=7 * MIB)
    with volume(backend, marks) as made:
        found = present(backend, made.name)
        expect(found == made, f"made {made}, found {found}")
        expect(found.marks == marks, f"{found.marks}")
        expect(SIZE <= found.size < SIZE + max(backend.space().granule, 1), f"{found.size} bytes")
        expect(found.special == "" and bool(found.identity), f"{found}")
        expect(found in backend.owned(), "it is not listed")


@check
def sizes_are_rounded_up(backend: Backend) -> None:
    with volume(backend, size=SIZE + 1) as made:
        expect(made.size > SIZE and made.size % backend.space().granule == 0, f"{made.size} bytes")


@check
def a_taken_name_is_refused(backend: Backend) -> None:
    with volume(backend) as made:
        write(made.path, 0, SPAN, 0x5A)
        with refused("a second volume of one name"):
            backend.create(made.name, SIZE, Marks(token=TOKEN))
        expect(content(made.path, 0)[0] == b"\x5a" * SPAN, "the first one was harmed")


@check
def what_is_promised_to_be_zero_is_zero(backend: Backend) -> None:
    """Old data of a volume that was removed must not show in one that is said to be zeros."""
    if not backend.fresh_is_zero:
        return
    with volume(backend) as first:
        for offset in range(0, SIZE, 4 * MIB):
            write(first.path, offset, MIB, 0xA5)
    with volume(backend) as second:
        read = content(second.path, 0, 4 * MIB, SIZE - SPAN)
        expect(set(read.values()) == {bytes(SPAN)}, "a fresh volume shows old data")


@check
def zeroing_is_zeroing(backend: Backend) -> None:
    ticks: list[int] = []
    with volume(backend) as made:
        write(made.path, 0, SIZE, 0xA5)
        backend.zero(made, 8 * MIB, made.size - 8 * MIB, lambda: ticks.append(1))
        backend.sync(made)
        read = content(made.path, 8 * MIB - SPAN, 8 * MIB, made.size - SPAN)
        expect(read[8 * MIB - SPAN] == b"\xa5" * SPAN, "too much was zeroed")
        expect(read[8 * MIB] == read[made.size - SPAN] == bytes(SPAN), "it is not zeros")
        write(made.path, 0, SIZE, 0xA5)
        backend.zero(made, SPAN, 2 * MIB, lambda: ticks.append(1))
        read = content(made.path, 0, SPAN, 2 * MIB, 2 * MIB + SPAN)
        expect(
            read[0] == read[2 * MIB + SPAN] == b"\xa5" * SPAN, "too much was zeroed in the middle"
        )
        expect(read[SPAN] == read[2 * MIB] == bytes(SPAN), "it is not zeros in the middle")
        expect(present(backend, made.name).size == made.size, "the size changed")


@check
def marks_are_replaced(backend: Backend) -> None:
    with volume(backend, Marks(token=TOKEN)) as made:
        marks = Marks(image=IMAGE, token="0123abcd", at="2026-01-31T12:00:00Z", virtual_size=MIB)
        expect(backend.mark(made, marks).marks == marks, "the answer has other marks")
        expect(present(backend, made.name).marks == marks, "other marks are found")
        backend.mark(made, Marks(token=TOKEN))
        expect(present(backend, made.name).marks == Marks(token=TOKEN), "an old mark stayed")


@check
def a_renamed_volume_is_the_same(backend: Backend) -> None:
    with volume(backend, Marks(image=IMAGE, token=TOKEN)) as made:
        write(made.path, 0, SPAN, 0x5A)
        renamed = backend.rename(made, name(".new-01234567"))
        expect(renamed.identity == made.identity and renamed.marks == made.marks, f"{renamed}")
        expect(backend.find(made.name) is None, "the old name is there, too")
        expect(content(renamed.path, 0)[0] == b"\x5a" * SPAN, "the content is another")


@check
def a_rename_replaces_nothing(backend: Backend) -> None:
    with volume(backend) as one, volume(backend) as other:
        with refused("a rename to a taken name"):
            backend.rename(one, other.name)
        expect(present(backend, other.name).identity == other.identity, "it was replaced")
        expect(present(backend, one.name).identity == one.identity, "it is gone")


@check
def another_volume_of_the_name_is_left_alone(backend: Backend) -> None:
    with volume(backend) as made:
        stranger = replace(made, identity="something else")
        with refused("removing another volume than was meant"):
            backend.remove(stranger)
        with refused("renaming another volume than was meant"):
            backend.rename(stranger, name())
        expect(present(backend, made.name).identity == made.identity, "it is gone")


@check
def removing_twice_is_well(backend: Backend) -> None:
    with volume(backend) as made:
        backend.remove(made)
        expect(backend.find(made.name) is None, "it is still there")
        backend.remove(made)


@check
def a_user_is_seen(backend: Backend) -> None:
    with volume(backend) as made:
        expect(backend.users(made) == (), f"used by {backend.users(made)}")
        holder = subprocess.Popen(
            ["qemu-io", "-f", "raw", made.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            if holder.stdin is None or holder.stdout is None:
                raise AssertionError("no pipes")
            holder.stdin.write(b"read 0 512\n")
            holder.stdin.flush()
            holder.stdout.readline()
            expect(backend.users(made) != (), "nobody is seen, though a program has it open")
        finally:
            holder.kill()
            holder.communicate()


@check
def a_clone_is_a_copy(backend: Backend) -> None:
    if not backend.can_clone:
        with refused("a clone"), volume(backend) as made:
            backend.clone(made, name(), SIZE, Marks(token=TOKEN))
        return
    golden = backend.create(name(".new-0"), SIZE, Marks(token=TOKEN))
    clone = None
    try:
        write(golden.path, 0, SPAN, 0x11)
        write(golden.path, golden.size - SPAN, SPAN, 0x22)
        backend.sync(golden)
        golden = backend.mark(
            golden, Marks(image=IMAGE, token=TOKEN, golden=True, virtual_size=SIZE)
        )
        backend.seal(golden)
        backend.seal(golden)
        golden = backend.rename(golden, name("-golden"))
        clone = backend.clone(golden, name(), 2 * SIZE, Marks(token=TOKEN))
        expect(clone.size >= 2 * SIZE and clone.special == "", f"{clone}")
        expect(clone.marks == Marks(token=TOKEN), f"marks were inherited: {clone.marks}")
        read = content(clone.path, 0, golden.size - SPAN, golden.size, clone.size - SPAN)
        expect(
            read[0] == b"\x11" * SPAN and read[golden.size - SPAN] == b"\x22" * SPAN,
            "the content is another",
        )
        expect(
            read[golden.size] == read[clone.size - SPAN] == bytes(SPAN),
            "what is beyond it is not zeros",
        )
        write(clone.path, 0, SPAN, 0x33)
        expect(
            content(golden.path, 0)[0] == b"\x11" * SPAN,
            "writing to a clone changed the golden volume",
        )
        expect(
            clone in backend.owned() or present(backend, clone.name) in backend.owned(),
            "it is not listed",
        )
        clone = backend.rename(clone, name())
        backend.mark(clone, Marks(image=IMAGE, token=TOKEN))
        expect(present(backend, clone.name).special == "", "a clone is not plain")
    finally:
        if clone is not None:
            cleared(backend, clone.identity)
        cleared(backend, golden.identity)


@check
def a_golden_volume_that_has_clones_can_go_or_is_refused(backend: Backend) -> None:
    """With LVM, the clone outlives it; else it stays. The clone's data are there in both cases."""
    if not backend.can_clone:
        return
    golden = backend.create(name(), SIZE, Marks(token=TOKEN))
    write(golden.path, 0, SPAN, 0x11)
    golden = backend.mark(golden, Marks(image=IMAGE, token=TOKEN, golden=True))
    backend.seal(golden)
    clone = backend.clone(golden, name(), SIZE, Marks(token=TOKEN))
    try:
        try:
            backend.remove(golden)
        except Refused as refusal:
            expect(clone.name in str(refusal), f"the clone is not named: {refusal}")
            expect(present(backend, golden.name).special == "", "a golden volume is not plain")
        else:
            expect(backend.kind == "lvm_thin", "what has clones was removed")
        expect(content(clone.path, 0)[0] == b"\x11" * SPAN, "the clone lost its data")
    finally:
        cleared(backend, clone.identity)
        cleared(backend, golden.identity)


def main() -> int:
    """Run every check, or those named, and print how each went."""
    kind, pool, *names = sys.argv[1:]
    failed = 0
    for called in names or CHECKS:
        try:
            CHECKS[called](open_backend(kind, pool))
        except Exception:
            failed += 1
            print(json.dumps({"check": called, "failure": traceback.format_exc()}), flush=True)
        else:
            print(json.dumps({"check": called, "failure": None}), flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
