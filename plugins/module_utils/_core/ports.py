# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several operations need of the machine. A protocol that one operation alone needs stands beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Time as a port, so that tests need not sleep."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

    def wall(self) -> float: ...


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a regular file is, beside its content. ``modified`` is in seconds since 1970."""

    uid: int
    gid: int
    owner: str
    group: str
    mode: int
    modified: float


class ReadsFiles(Protocol):
    """The file system, without anything that changes it."""

    def facts(self, path: str) -> FileFacts | None: ...

    def access(self, path: str) -> tuple[int, str, int]: ...

    def read(self, path: str) -> bytes: ...

    def blocks(self, path: str) -> Iterator[bytes]: ...

    def mapped(self, path: str) -> memoryview | None: ...

    def listing(self, folder: str) -> list[str]: ...

    def link_target(self, path: str) -> str | None: ...

    def real(self, path: str) -> str: ...

    def exposed(self, path: str) -> bool: ...

    def account(self, owner: str | None, group: str | None) -> tuple[int, int]: ...

    def has_folder(self, path: str) -> bool: ...


class WritesFiles(Protocol):
    """What changes the file system. Each change is whole and on disk on return."""

    def make_folder(self, path: str) -> None: ...

    def write(self, path: str, content: bytes, *, mode: int, uid: int, gid: int) -> None: ...

    def write_blocks(
        self, path: str, blocks: Iterable[bytes], *, mode: int, uid: int, gid: int
    ) -> None: ...

    def link(self, path: str, target: str) -> None: ...

    def set_access(self, path: str, *, mode: int, uid: int, gid: int) -> None: ...

    def copy_aside(self, path: str, aside: str) -> None: ...

    def bring_back(self, aside: str, path: str, *, mode: int, uid: int, gid: int) -> None: ...

    def remove(self, path: str) -> None: ...


class Files(ReadsFiles, WritesFiles, Protocol):
    """The file system."""
