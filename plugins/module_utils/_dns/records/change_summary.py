# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of a plan for people. They cost as much as the rest of the plan, so they are made when needed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ..._core.plan import Difference, Plain
from ..protocol.rrset import Change, as_plain

Described: TypeAlias = "tuple[str, dict[str, Any] | None, dict[str, Any] | None]"


class ChangeSummary:
    """What is before and after, by the title of each changed record set."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self.before = Plain(lambda: {title: was for title, was, _will in self.entries if was})
        self.after = Plain(lambda: {title: will for title, _was, will in self.entries if will})

    @functools.cached_property
    def entries(self) -> list[Described]:
        """For each change its title, and what is before and after."""
        return [
            (
                change.title,
                as_plain(change.rdtype, change.before),
                as_plain(change.rdtype, change.after),
            )
            for change in self._changes
        ]

    def write(self) -> None:
        """Make all of it now."""
        self.before.text()
        self.after.text()

    def __len__(self) -> int:
        return len(self._changes)


class Differences(Sequence[Difference]):
    """The diff, one entry a record set, made only where it is read."""

    def __init__(self, summary: ChangeSummary) -> None:
        self._summary = summary

    def __len__(self) -> int:
        return len(self._summary)

    def __getitem__(self, index: Any) -> Any:
        found = self._summary.entries[index]
        return (
            [_difference(*entry) for entry in found]
            if isinstance(index, slice)
            else _difference(*found)
        )

    def __iter__(self) -> Iterator[Difference]:
        return iter([_difference(*entry) for entry in self._summary.entries])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Differences) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def _difference(
    title: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Difference:
    return Difference(title, _lines(before), _lines(after))


def _lines(plain: Mapping[str, Any] | None) -> str:
    if plain is None:
        return ""
    return "".join([f"{plain['ttl']} {text}\n" for text in plain["value"]])
