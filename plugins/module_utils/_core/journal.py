# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what an unfinished transaction has done, on disk before it does it.

One JSON file a transaction, IDENTITY.OPERATION.json. It is removed once the transaction is verified or rolled back, and
its audit line is written. So a file there belongs to a run that was interrupted (or is running: the scope's lock
tells), to a change that awaits its confirmation, or to one whose audit line is still to be written.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .durable import clear_leftovers, private_umask, recording, sync_folder, write_whole
from .errors import DebvisorError
from .plan import Action, Receipt

FORMAT = 1
NOTHING_CHANGED = "Nothing was changed"
FIX = "Free space on its file system or fix its permissions, then run again"


class JournalUnreadable(DebvisorError):
    """A journal file is not ours, or was damaged: what it began is unknown."""


@dataclass(slots=True)
class Transaction:
    """An open journal file and the steps in it, oldest first."""

    path: Path
    operation: str
    scope: str
    steps: list[dict[str, Any]]
    committed: bool = False
    awaiting_until: float | None = None
    """Seconds since 1970 until when the change, verified, awaits its confirmation; None where it does not."""
    rolling_back: bool = False
    """True once somebody began to roll back what awaited its confirmation: nobody may confirm half of it."""
    line: dict[str, Any] | None = None
    """The audit line of a run that is decided, for whoever finds it missing."""
    _receipts: list[str] = field(default_factory=list, repr=False)
    """The steps' receipts as text, each encoded once: they may be large, and the file is written at each step."""

    @property
    def identity(self) -> str:
        return self.path.name.partition(".")[0]

    @property
    def decided(self) -> bool:
        """True where nothing is left to be rolled back: only the audit line may be missing, and tidying up."""
        return self.committed or self.line is not None

    def begin(self, action: Action, receipt: Receipt) -> None:
        """Record that ``action`` is about to happen; durable on return.

        Where that fails the step is none: it must not be applied, and needs no undo.

        :raises CannotRecord: where it cannot be written.
        """
        self.steps.append(
            {
                "verb": action.verb,
                "target": action.target,
                "receipt": dict(receipt),
                "applied": False,
            }
        )
        first = len(self.steps) == 1
        done = NOTHING_CHANGED if first else "The steps before it are rolled back"
        try:
            with recording("journal", self.path, f"{done}. {FIX}"):
                self._store()
        except BaseException:
            self.steps.pop()
            del self._receipts[len(self.steps) :]
            raise

    def applied(self) -> None:
        """Record that the last step came to its end. Saves a reader's guess; undo does not rely on it."""
        self.steps[-1]["applied"] = True

    def undone(self) -> None:
        """Record that the last step was rolled back. Undo is idempotent, so a disk that is full does not stop it."""
        self.steps.pop()
        del self._receipts[len(self.steps) :]
        with contextlib.suppress(OSError):
            self._store()

    def await_confirmation(self, until: float) -> None:
        """Record that everything is verified, and is rolled back nevertheless unless somebody confirms it."""
        self.awaiting_until = until
        with recording("journal", self.path, f"The run is rolled back. {FIX}"):
            self._store()

    def begin_rollback(self) -> None:
        """Record that what awaits its confirmation is about to be rolled back; from here on nobody may confirm it.

        A disk that is full does not stop it: a host that nobody reaches matters more. Nor could a confirmation be
        recorded on such a disk, and each step that is undone tries to write again.
        """
        if self.awaiting_until is None or self.rolling_back:
            return
        self.rolling_back = True
        with contextlib.suppress(OSError):
            self._store()

    def commit(self, line: Mapping[str, Any]) -> None:
        """Record that everything is verified: from here on nothing is rolled back.

        :param line: the audit line, which the next run writes where this one cannot.
        """
        self.committed, self.line = True, dict(line)
        try:
            with recording("journal", self.path, f"The run is rolled back. {FIX}"):
                self._store()
        except BaseException:
            self.committed, self.line = False, None
            raise

    def keep(self, line: Mapping[str, Any]) -> bool:
        """Keep the audit line of a run that is rolled back until it can be written; False where that fails, too."""
        self.line = dict(line)
        try:
            self._store()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Forget the transaction.

        :raises CannotRecord: where its file cannot be removed.
        """
        with recording("journal", self.path, f"It could not be removed. {FIX}"):
            self.path.unlink(missing_ok=True)
            sync_folder(self.path.parent)

    def _store(self) -> None:
        record = {
            "format": FORMAT,
            "operation": self.operation,
            "scope": self.scope,
            "committed": self.committed,
            "line": self.line,
            "awaiting_until": self.awaiting_until,
            "reverting": self.rolling_back,
            "pid": os.getpid(),
        }
        self._receipts += [
            json.dumps(step["receipt"]) for step in self.steps[len(self._receipts) :]
        ]
        steps = [
            _with(step, "receipt", receipt)
            for step, receipt in zip(self.steps, self._receipts, strict=True)
        ]
        write_whole(self.path, _with(record, "steps", f"[{', '.join(steps)}]").encode() + b"\n")


def _with(record: Mapping[str, Any], key: str, encoded: str) -> str:
    """Encode a record with one value that is JSON already."""
    rest = json.dumps({name: value for name, value in record.items() if name != key})
    return f"{rest.removesuffix('}')}, {json.dumps(key)}: {encoded}}}"


class Journal:
    """The folder of open transactions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, identity: str, operation: str, scope: str) -> Transaction:
        """Start a transaction. Nothing is on disk before its first step.

        :raises CannotRecord: where the folder cannot be made.
        """
        with private_umask(), recording("journal", self.folder, f"{NOTHING_CHANGED}. {FIX}"):
            self.folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(self.folder)
        return Transaction(self.folder / f"{identity}.{operation}.json", operation, scope, [])

    def find(self, identity: str) -> Transaction | None:
        """Return the open transaction of that name, or None where it is closed or never was.

        :raises JournalUnreadable: for a file whose content is not a journal's.
        """
        if not re.fullmatch(r"[0-9]+-[0-9]+", identity):
            return None
        try:
            return next(map(_load, self.folder.glob(f"{identity}.*json")), None)
        except FileNotFoundError:
            return None

    def unfinished(self, operation: str, scope: str | None = None) -> Iterator[Transaction]:
        """Yield what killed runs of this operation on this scope left, youngest first: the order of rolling back.

        Without a scope it yields those of every scope, running ones too: only the scope's lock tells them apart.

        :raises JournalUnreadable: for a file whose content is not a journal's.
        """
        if not self.folder.is_dir():
            return
        # A file of earlier versions names no operation. What others left is not our business, even where it is damaged.
        for path in sorted(self.folder.glob("*.json"), reverse=True):
            if path.name.split(".")[1:-1] not in ([], [operation]):
                continue
            try:
                transaction = _load(path)
            except FileNotFoundError:  # a run on another scope ended just now
                continue
            except OSError as cause:
                with recording("journal", path, f"{NOTHING_CHANGED}. {FIX}"):
                    raise cause
            if transaction.operation == operation and scope in (None, transaction.scope):
                yield transaction


def _load(path: Path) -> Transaction:
    try:
        record = json.loads(path.read_bytes())
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']!r}, expected {FORMAT}")
        return Transaction(
            path,
            record["operation"],
            record["scope"],
            list(record["steps"]),
            record["committed"],
            record.get("awaiting_until"),
            record.get("reverting", False),
            record.get("line"),
        )
    except (ValueError, KeyError, TypeError) as cause:
        raise JournalUnreadable(
            f"the journal {path} cannot be read",
            why=str(cause),
            hint="Check what it began, correct that by hand, then remove the file",
        ) from cause
