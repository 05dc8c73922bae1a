# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is served to the benchmark of volumes: disks with a file system of this machine's own files. Made once."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.bench.report import FOLDER

PLACE = FOLDER / "volume"
SERVED = PLACE / "served"
GIB, MIB = 1 << 30, 1 << 20
DISK = 10 * GIB
DATA = 1300 * MIB
COMPRESSIONS = ("zlib", "zstd")
RAW_SIZES = (100 * MIB, GIB)
SOURCE = Path("/usr")
CONTENT = PLACE / "content"
"""The files' bytes one after the other: what the disk holds, for whoever wants to know how fast it can be written."""


def image(compression: str) -> Path:
    return SERVED / f"{compression}.qcow2"


def raw(size: int) -> Path:
    return SERVED / f"{size // MIB}.raw"


def make() -> None:
    """Make what is not there yet."""
    SERVED.mkdir(parents=True, exist_ok=True)
    _once(CONTENT, _write_content)
    missing = [compression for compression in COMPRESSIONS if not image(compression).exists()]
    if missing:
        disk = PLACE / "disk.raw"
        try:
            _make_disk(disk)
            for compression in missing:
                _once(image(compression), partial(_compress, disk, compression))
        finally:
            disk.unlink(missing_ok=True)
    for size in RAW_SIZES:
        _once(raw(size), partial(_cut, CONTENT, size))
    for path in sorted(SERVED.iterdir()):
        if path.suffix in (".qcow2", ".raw"):
            _once(Path(f"{path}.sha256"), partial(_publish_digest, path))


def _once(path: Path, make: Callable[[Path], object]) -> None:
    """Have a file whole, or not at all."""
    if path.exists():
        return
    print(f"  making {path}", flush=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    make(unfinished)
    unfinished.rename(path)


def _files() -> Iterator[Path]:
    """Yield this machine's own files, in an order that stays, until there are enough bytes."""
    left = DATA
    for folder, folders, names in os.walk(SOURCE):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path
                left -= path.stat().st_size
            if left <= 0:
                return


def _write_content(to: Path) -> None:
    with to.open("wb") as stream:
        for path in _files():
            stream.write(path.read_bytes())


def _make_disk(disk: Path) -> None:
    tree = PLACE / "tree"
    try:
        for path in _files():
            place = tree / path.relative_to(SOURCE)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        disk.unlink(missing_ok=True)
        _tool("truncate", f"--size={DISK}", disk)
        _tool("mkfs.ext4", "-q", "-d", tree, disk)
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _compress(disk: Path, how: str, to: Path) -> None:
    form = ("-f", "raw", "-O", "qcow2", "-o", f"compression_type={how}")
    _tool("qemu-img", "convert", "-c", "-W", *form, disk, to)


def _cut(content: Path, size: int, to: Path) -> None:
    with content.open("rb") as source, to.open("wb") as stream:
        for block in itertools.islice(iter(lambda: source.read(MIB), b""), size // MIB):
            stream.write(block)


def _publish_digest(of: Path, to: Path) -> None:
    to.write_text(_tool("sha256sum", of).split()[0] + f"  {of.name}\n")


def _tool(*words: str | Path) -> str:
    return run([str(word) for word in words])


def run(words: Sequence[str]) -> str:
    """Run a program to its end and return what it printed."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
