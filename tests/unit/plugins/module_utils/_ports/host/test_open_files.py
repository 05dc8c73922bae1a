# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a file open: real processes, and loop devices as the kernel tells of them."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import open_files

HOLDER = "import sys; held = open(sys.argv[1], 'rb'); print('up', flush=True); input()"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "disk.raw"
    made.touch()
    return made


@pytest.fixture
def holder(path: Path) -> Iterator[int]:
    """A process that has the file open."""
    words = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_a_file_that_nobody_uses_has_no_holders(path: Path) -> None:
    assert open_files.holders(str(path)) == ()


def test_who_has_it_open_is_named_by_any_name_of_the_file(path: Path, holder: int) -> None:
    name = Path(f"/proc/{holder}/comm").read_text().strip()
    link, also = path.with_name("link"), path.with_name("also")
    link.symlink_to(path)
    os.link(path, also)
    for each in (path, link, also):
        assert open_files.holders(str(each)) == (("process", str(holder), name),)
    path.with_name("other").touch()
    assert open_files.holders(str(path.with_name("other"))) == ()


def test_a_file_stays_open_under_a_new_name(path: Path, holder: int) -> None:
    moved = path.rename(path.with_name("moved"))
    path.touch()
    assert open_files.holders(str(path)) == ()
    assert len(open_files.holders(str(moved))) == 1


def test_we_are_seen_ourselves(path: Path) -> None:
    with path.open("rb"), path.open("ab"):
        [found] = open_files.holders(str(path))
    assert found[:2] == ("process", str(os.getpid()))


def test_a_file_that_is_only_mapped_is_in_use(path: Path) -> None:
    path.write_bytes(bytes(mmap.PAGESIZE))
    with path.open("r+b") as stream:
        descriptor = stream.fileno()
        # Python's own mapping keeps a descriptor.
        library = ctypes.CDLL(None, use_errno=True)
        library.mmap.restype = ctypes.c_void_p
        size, both, shared = mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED
        address = library.mmap(
            None, ctypes.c_size_t(size), both, shared, descriptor, ctypes.c_long(0)
        )
    try:
        assert open_files.holders(str(path)) == (open_files.WRITER,)
    finally:
        library.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))
    assert open_files.holders(str(path)) == ()


def test_a_file_behind_a_loop_device_is_in_use(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_files, "BLOCK_DEVICES", tmp_path / "block")
    for number, backing in ((3, f"{path}\n"), (4, f"{tmp_path}/gone (deleted)\n")):
        folder = tmp_path / "block" / f"loop{number}" / "loop"
        folder.mkdir(parents=True)
        (folder / "backing_file").write_text(backing)
    (tmp_path / "block" / "loop5").mkdir()
    assert open_files.holders(str(path)) == (("loop device", "loop3", ""),)


def test_processes_that_end_meanwhile_do_no_harm(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = tmp_path / "proc"
    (proc / "7" / "fd").mkdir(parents=True)
    (proc / "7" / "fd" / "3").symlink_to(path)
    (proc / "7" / "fd" / "4").symlink_to("/nowhere")
    (proc / "8").mkdir()
    (proc / "self").mkdir()
    monkeypatch.setattr(open_files, "PROC", proc)
    assert open_files.holders(str(path)) == (("process", "7", "ended"),)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_files.holders(str(tmp_path / "missing"))
