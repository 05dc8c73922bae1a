# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small stateful world for the grammar of change: drawers on disk, and an operation that fills them.

It is on disk, not in memory, because half of what must be proved is what a killed process leaves behind.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._core.audit import Audit
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    InvalidInput,
    Problem,
    VerificationFailed,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.executor import Records
from ansible_collections.debvisor.hci.plugins.module_utils._core.journal import Journal
from ansible_collections.debvisor.hci.plugins.module_utils._core.plan import (
    Action,
    Difference,
    Operation,
    Plan,
    Receipt,
)

Hook = Callable[[str, str], None]
"""Called with a stage (prepare, apply, applied, undo, verify, commit) and a drawer's name; may raise or exit."""

KILLED = 137
BEFORE = {"a": "old", "z": "untouched"}


def no_hook(stage: str, name: str) -> None:
    """Do nothing."""


def kill_at(stage: str, name: str) -> Hook:
    """Return a hook that ends the process at once, as SIGKILL would: no clean-up, no buffers, no exit handlers."""

    def hook(now_stage: str, now_name: str) -> None:
        if (now_stage, now_name) == (stage, name):
            os._exit(KILLED)

    return hook


def die(what: Callable[[], object]) -> None:
    """Do it in a process that dies in it."""
    child = os.fork()
    if child == 0:
        try:
            what()
        finally:
            os._exit(0)
    _pid, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == KILLED, "the process was to die, and did not"


def fail_at(stage: str, name: str, error: BaseException) -> Hook:
    """Return a hook that raises ``error`` at one point."""

    def hook(now_stage: str, now_name: str) -> None:
        if (now_stage, now_name) == (stage, name):
            raise error

    return hook


class FillDrawers(Operation[Mapping[str, str], Mapping[str, str]]):
    """Make the files of a folder hold what is wanted. One action a file."""

    name = "fill_drawers"

    def __init__(
        self,
        folder: Path,
        hook: Hook = no_hook,
        *,
        writable: bool = True,
        confirm_within: float = 0,
    ) -> None:
        self.folder = folder
        self.hook = hook
        self.writable = writable
        self.confirm_within = confirm_within
        self.verified = 0

    def parse(self, params: Mapping[str, Any]) -> Mapping[str, str]:
        bad = [
            Problem(f"drawers.{key}", "is not text")
            for key, value in params["drawers"].items()
            if not isinstance(value, str)
        ]
        if bad:
            raise InvalidInput(bad)
        return dict(params["drawers"])

    def scope(self, wanted: Mapping[str, str]) -> str:
        return f"drawers:{self.folder}"

    def observe(self, wanted: Mapping[str, str]) -> Mapping[str, str]:
        return {path.name: path.read_text() for path in sorted(self.folder.iterdir())}

    def plan(self, observed: Mapping[str, str], wanted: Mapping[str, str]) -> Plan:
        changes = {key: text for key, text in wanted.items() if observed.get(key) != text}
        return Plan(
            before={key: observed.get(key) for key in changes},
            after=changes,
            actions=tuple(
                Action("fill", key, f"hold {len(text)} characters", payload=text)
                for key, text in changes.items()
            ),
            differences=tuple(
                Difference(key, observed.get(key, ""), text) for key, text in changes.items()
            ),
            confirm_within=self.confirm_within,
        )

    def prepare(self, action: Action, wanted: Mapping[str, str]) -> Receipt:
        self.hook("prepare", action.target)
        path = self.folder / action.target
        return {"drawer": action.target, "held": path.read_text() if path.exists() else None}

    def apply(self, action: Action, receipt: Receipt, wanted: Mapping[str, str]) -> None:
        self.hook("apply", action.target)
        self._write(action.target, action.payload)
        self.hook("applied", action.target)

    def undo(self, receipt: Receipt) -> None:
        self.hook("undo", receipt["drawer"])
        if receipt["held"] is None:
            self._check_writable()
            (self.folder / receipt["drawer"]).unlink(missing_ok=True)
        else:
            self._write(receipt["drawer"], receipt["held"])

    def verify(self, plan: Plan, wanted: Mapping[str, str]) -> Mapping[str, Any]:
        self.hook("verify", "")
        self.verified += 1
        if any(self.observe(wanted).get(key) != text for key, text in wanted.items()):
            raise VerificationFailed("a drawer does not hold what was put in")
        return {"count": len(wanted)}

    def commit(self, receipt: Receipt) -> None:
        self.hook("commit", receipt["drawer"])

    def _check_writable(self) -> None:
        if not self.writable:
            raise PermissionError("this fake refuses every write")

    def _write(self, name: str, text: str) -> None:
        self._check_writable()
        (self.folder / name).write_text(text)


class DrawerWorld:
    """Drawers that hold something, and the records of who changed it."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "drawers"
        self.folder.mkdir()
        for name, text in BEFORE.items():
            (self.folder / name).write_text(text)
        self.records = Records(
            Journal(base / "journal"), Audit(base / "log" / "audit.jsonl"), base / "lock"
        )

    @property
    def state(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.iterdir()}

    @property
    def open_transactions(self) -> list[Path]:
        return list(self.records.journal.folder.glob("*"))

    @property
    def audit_lines(self) -> list[dict[str, Any]]:
        path = self.records.audit.path
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def results(self) -> list[str]:
        return [line["result"] for line in self.audit_lines]
