# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which PAM modules this machine has."""

from __future__ import annotations

from pathlib import Path

FOLDERS = ("usr/lib/*/security", "usr/lib/security")


class PamModules:
    """The modules that are installed."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def has(self, name: str) -> bool:
        """Return whether there is such a module."""
        return any(True for folder in FOLDERS for dummy in self._root.glob(f"{folder}/{name}"))
