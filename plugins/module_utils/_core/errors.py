# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, said the same way everywhere: what, where, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the input: ``where`` is an option path or a file and line, ``what`` a sentence."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class DebvisorError(Exception):
    """The root of our errors. ``what`` happened, ``why`` as far as known, and a ``hint`` on what to do next."""

    def __init__(
        self,
        what: str,
        *,
        why: str = "",
        hint: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        sentence = f"{self.what}: {self.why}" if self.why else self.what
        return f"{sentence}. {self.hint}" if self.hint else sentence


class InvalidInput(DebvisorError):
    """The input is wrong; ``problems`` names every fault found, not only the first."""

    def __init__(self, problems: Iterable[Problem], *, hint: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        what = f"{count} problem{'s' if count != 1 else ''} in the input"
        super().__init__(
            what,
            why="; ".join(str(problem) for problem in self.problems[:20])
            + (f"; and {count - 20} more" if count > 20 else ""),
            hint=hint,
            details={"problems": [{"where": p.where, "what": p.what} for p in self.problems]},
        )


class Conflict(DebvisorError):
    """The world changed between our look and our write; nothing of the refused step was written."""


class Refused(DebvisorError):
    """The other side understood us and said no."""


class Unreachable(DebvisorError):
    """The other side did not answer, or its answer made no sense: its state is unknown, and unknown means stop."""


class TimedOut(DebvisorError):
    """A bounded wait ended; ``why`` says what was last seen."""


class CannotRecord(DebvisorError):
    """Journal, audit file or lock cannot be written or read: without them nothing is changed."""


class VerificationFailed(DebvisorError):
    """What was read back is not what was written."""
