# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugins of this checkout, for the tests that hold them to the rules."""

from __future__ import annotations

from tests.checkout import ROOT


def sources(folder: str = "plugins") -> dict[str, str]:
    """Return path and source of every Python file below ``folder``."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
