# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real files, with writes that are refused, or with something happening at one of them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import Operation
from ansible_collections.debvisor.hci.plugins.module_utils._core.ports import (
    ReadsFiles,
    WritesFiles,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.operation_contract import Case, Wire
from tests.fakes.switchboard import calls, methods_of


def read_only(protocol: type, real: type) -> type:
    """Return a class like ``real`` that refuses every method of a protocol of writes."""

    def refuse(self: Any, *args: object, **options: object) -> None:
        raise AssertionError("a write")

    return type(f"ReadOnly{real.__name__}", (real,), dict.fromkeys(methods_of(protocol), refuse))


ReadOnlyFiles = read_only(WritesFiles, Files)


class HookedFiles(Files):
    """The real files; ``hook`` is called before or after each call of ``at`` for a path that ends in ``to``."""

    def __init__(
        self, hook: Callable[[], object], at: str, to: str = "", after: bool = False
    ) -> None:
        self.hook, self.at, self.to, self.after = hook, at, to, after

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith("_") or name in {"hook", "at", "to", "after"} or name != self.at:
            return found

        def hooked(*args: Any, **options: Any) -> Any:
            applies = not self.to or any(str(each).endswith(self.to) for each in args[:2])
            if applies and not self.after:
                self.hook()
            result = found(*args, **options)
            if applies and self.after:
                self.hook()
            return result

        return hooked


def content_of(*folders: Path, aside: bool = False) -> dict[str, tuple[bytes | str, int]]:
    """Return all files and links below folders with content and mode; those kept for undo alone where ``aside``."""
    return {
        str(path): (os.readlink(path), 0) if path.is_symlink() else _content(path)
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.name.endswith(".before") is aside and (path.is_symlink() or path.is_file())
    }


def _content(path: Path) -> tuple[bytes, int]:
    return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)


def files_case(
    operation: Callable[[Wire], Operation[Any, Any]],
    params: Mapping[str, Any],
    *folders: Path,
    reads: Collection[str] = (),
    **about: Any,
) -> Case:
    """Return a case whose state is the files below folders; the port of files is wired as ``files``."""
    return Case(
        operation,
        params,
        lambda: content_of(*folders),
        reads=calls("files", ReadsFiles).union(reads),
        aside=lambda: content_of(*folders, aside=True),
        **about,
    )
