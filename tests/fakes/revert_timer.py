# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A revert timer that waits until a test lets it fire. Its state is on disk: the process that armed it may die."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError


class FakeRevertTimer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.broken = ""

    @property
    def armed(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def arm(self, operation: str, transaction: str, seconds: float) -> None:
        if self.broken == "arm":
            raise DebvisorError("systemd-run failed")
        (self.folder / transaction).write_text(f"{operation} {seconds:g}")

    def is_armed(self, transaction: str) -> bool:
        return (self.folder / transaction).exists()

    def disarm(self, transaction: str) -> None:
        if self.broken == "disarm":
            raise DebvisorError("the timer does not stop")
        (self.folder / transaction).unlink(missing_ok=True)

    def reboot(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
