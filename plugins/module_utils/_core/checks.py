# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is checked of options beyond their specification. Every problem is collected, and all are reported at once."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from .errors import InvalidInput, Problem


def check_file_path(where: str, path: str, problems: list[Problem]) -> None:
    """Check that a path can be that of a file."""
    if not posixpath.isabs(path) or path.endswith("/") or "\0" in path:
        problems.append(Problem(where, "is not the absolute path of a file"))


def check_range(
    where: str, value: float | None, least: float, most: float, problems: list[Problem]
) -> None:
    """Check a number, where one is given."""
    if value is not None and not least <= value <= most:
        problems.append(Problem(where, f"{value} is not from {least} to {most}"))


def refuse_any(problems: Sequence[Problem], *, hint: str = "") -> None:
    """Go on only where there are no problems.

    :raises InvalidInput: with all of them.
    """
    if problems:
        raise InvalidInput(problems, hint=hint)
