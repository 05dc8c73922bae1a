# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where lists are written: files, which are read as a stream, and lines among the options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .._core.errors import Conflict
from .._core.ports import ReadsFiles
from . import lists
from .blocklist_options import Wanted, WantedList
from .lists import Reading
from .protection import Protected
from .store import ALLOW, BLOCK, KeptList, Store


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or the lines in the options: what it was like, and, where it had to be read, what it holds."""

    where: str
    sha256: str
    reading: Reading | None = None
    inline: bool = False

    def place(self, line: int) -> str:
        """Say where a line stands."""
        return f"{self.where}[{line - 1}]" if self.inline else f"{self.where}:{line}"


class ListReader:
    """Reads the lists. One whose sources, and the allow lists, are as they were is taken from the store, unread."""

    def __init__(self, files: ReadsFiles) -> None:
        self._files = files

    def sources(
        self, wanted: Wanted, store: Store | None, secured: Sequence[Protected]
    ) -> dict[str, Sequence[Source]]:
        """Read every list that has to be: its own sources changed, or what is allowed did."""
        digests = {each.name: self._digests(each) for each in wanted.lists}
        allowed = allowed_digest(wanted, digests, secured)
        found: dict[str, Sequence[Source]] = {}
        for each in wanted.lists:
            kept = store.list(each.name) if store else None
            fresh = (
                wanted.strict or kept is None or _changed(each, kept, digests[each.name], allowed)
            )
            found[each.name] = [
                Source(where, digest, self._read(each, where, digest) if fresh else None, not path)
                for (where, path), digest in zip(_places(each), digests[each.name], strict=True)
            ]
        return found

    def _read(self, each: WantedList, where: str, digest: str) -> Reading:
        """Read a source whose digest is known.

        :raises Conflict: where it is another one by now.
        """
        seen = hashlib.sha256()

        def watched() -> Iterator[bytes]:
            for block in self._content(each, where):
                seen.update(block)
                yield block

        reading = lists.read(watched())
        if reading.whole and seen.hexdigest() != digest:
            raise Conflict(f"{where} changed while it was read", hint="Run again")
        return reading

    def _content(self, each: WantedList, where: str) -> Iterable[bytes]:
        return self._files.blocks(where) if where in each.files else [_inline(each)]

    def _digests(self, each: WantedList) -> list[str]:
        found = []
        for where, _path in _places(each):
            digest = hashlib.sha256()
            for block in self._content(each, where):
                digest.update(block)
            found.append(digest.hexdigest())
        return found


def allowed_digest(
    wanted: Wanted, digests: Mapping[str, Sequence[str]], secured: Iterable[Protected]
) -> str:
    """Return what stands for everything that is taken out of the block lists."""
    allowed = [
        [each.name, list(digests[each.name])] for each in wanted.lists if each.action == ALLOW
    ]
    protected = sorted({each.text for each in secured})
    return hashlib.sha256(json.dumps([allowed, protected]).encode()).hexdigest()


def _places(each: WantedList) -> list[tuple[str, bool]]:
    """Return where the list is written: what to call each source, and whether it is a file."""
    inline = [(f"{each.option}.entries", False)] if each.inline else []
    return [(path, True) for path in each.files] + inline


def _inline(each: WantedList) -> bytes:
    return "\n".join(each.inline).encode(errors="surrogateescape")


def _changed(each: WantedList, kept: KeptList, digests: Sequence[str], allowed: str) -> bool:
    known = [(source["where"], source["sha256"]) for source in kept.sources]
    present = [
        (where, digest) for (where, _path), digest in zip(_places(each), digests, strict=True)
    ]
    return (
        known != present
        or kept.action != each.action
        or (each.action == BLOCK and (not kept.sources or kept.sources[0]["allowed"] != allowed))
    )
