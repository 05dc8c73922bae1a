# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An object in parts: which there are, which have come, and what a server says that it sends."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from ..jobs.job_protocols import RemoteImage

_CONTENT_RANGE = re.compile(r"bytes +(?:(\d+)-(\d+)|\*)/(\d+)", re.IGNORECASE)


class Span(NamedTuple):
    """Some bytes of an object; ``end`` is the first one that is not among them."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def asked(self) -> str:
        """As a request names it (RFC 9110, section 14.1.2)."""
        return f"bytes={self.start}-{self.end - 1}"


class Delivered(NamedTuple):
    """What ``Content-Range`` says: which bytes come, None where none do, and of how many."""

    span: Span | None
    size: int

    @classmethod
    def read(cls, value: str | None) -> Delivered | None:
        """Return what the header says, or None where it makes no sense or has no size."""
        match = _CONTENT_RANGE.fullmatch((value or "").strip())
        if not match:
            return None
        first, last, size = match.groups()
        span = None if first is None else Span(int(first), int(last) + 1)
        return cls(span, int(size))


@dataclass(frozen=True, slots=True)
class Parts:
    """How an object is cut. All parts have the same size, but for the last."""

    size: int
    part_size: int
    done: frozenset[int] = field(default=frozenset())
    """Those that are there already."""

    @property
    def count(self) -> int:
        return -(-self.size // self.part_size)

    def span(self, index: int) -> Span:
        start = index * self.part_size
        return Span(start, min(start + self.part_size, self.size))

    def written(self, image: RemoteImage, done: frozenset[int]) -> str:
        """Return the map: which parts have come, and of which version of the object."""
        return json.dumps(
            {
                "size": self.size,
                "version": image.version,
                "part_size": self.part_size,
                "done": sorted(done),
            }
        )

    @classmethod
    def read(cls, text: str, image: RemoteImage) -> Parts | None:
        """Return what a map says, or None where it is of another version of the object, or makes no sense.

        Where nothing distinguishes one version from another, no map is ever of this one.
        """
        try:
            found = json.loads(text)
            parts = cls(found["size"], found["part_size"], frozenset(found["done"]))
            sound = parts.part_size > 0 and all(0 <= index < parts.count for index in parts.done)
            same = (parts.size, found["version"]) == (image.size, image.version)
        except (ValueError, TypeError, KeyError):
            return None
        return parts if sound and same and image.version else None


class Arrivals:
    """How far each part has come. Not for several threads at once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._reached = [
            parts.span(index).length if index in parts.done else 0 for index in range(parts.count)
        ]
        self._first = 0
        self.received = sum(self._reached)
        """Bytes that are there."""

    def rest(self, index: int) -> Span:
        """What is missing of a part."""
        span = self._parts.span(index)
        return Span(span.start + self._reached[index], span.end)

    def note(self, index: int, count: int) -> None:
        """Take note of the next bytes of a part."""
        self._reached[index] += count
        self.received += count

    def front(self) -> int:
        """Return where the first byte is missing; the size of the object where none is."""
        while self._first < self._parts.count and not self.rest(self._first).length:
            self._first += 1
        return (
            self._parts.size if self._first == self._parts.count else self.rest(self._first).start
        )

    def done(self) -> frozenset[int]:
        """Return the parts that are whole."""
        return frozenset(i for i in range(self._parts.count) if not self.rest(i).length)
