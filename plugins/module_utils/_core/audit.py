# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit chain: one JSON line a change, each with the SHA-256 of the line before.

Changing, removing or reordering a line breaks the chain at that place. Cutting off the newest lines does not, which
is why the head's hash is worth shipping elsewhere: :func:`verify` returns it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from .durable import private_umask
from .plan import Plain
from .secret import Secret

START = "0" * 64
LONGEST_VALUE = 4096
"""Bytes of a before or after that are kept whole; a longer one is kept as its size and hash."""


def public(value: Any) -> Any:
    """Return ``value`` as plain JSON data with every secret replaced by its fingerprint."""
    kind = type(value)
    if kind is str or kind is int or value is None or kind is bool or kind is float:
        return value  # first, and by exact type: nearly all values are these, and there may be many
    if kind is Plain:
        return value.content
    if kind is dict:
        return {str(key): public(item) for key, item in value.items()}
    if kind is list:
        return [public(item) for item in value]
    if isinstance(value, Secret):
        return value.fingerprint
    if isinstance(value, Mapping):
        return {str(key): public(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [public(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def _condensed(value: Any) -> Any:
    text = value.text() if isinstance(value, Plain) else json.dumps(public(value), sort_keys=True)
    if len(text) <= LONGEST_VALUE:
        return json.loads(text)
    return {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def requester() -> dict[str, str]:
    """Say who asks: the account, the account behind sudo, and the address the connection came from, as far as known."""
    account = pwd.getpwuid(os.geteuid()).pw_name
    found = {"account": account, "host": socket.gethostname()}
    if sudo := os.environ.get("SUDO_USER"):
        found["sudo_from"] = sudo
    if connection := os.environ.get("SSH_CONNECTION"):
        found["address"] = connection.split()[0]
    return found


class Audit:
    """The chain in one file. Appending is exclusive across processes, and durable."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ready(self) -> None:
        """Fail now, before any change, where a line could not be written later.

        :raises OSError: as the system says it.
        """
        with self._open():
            pass

    def append(
        self,
        *,
        transaction: str,
        operation: str,
        scope: str,
        result: str,
        actions: list[dict[str, str]],
        before: Any,
        after: Any,
        error: str = "",
    ) -> None:
        """Write one line. ``actions``, ``before`` and ``after`` are redacted and, where long, condensed to a hash."""
        record: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "who": requester(),
            "transaction": transaction,
            "operation": operation,
            "scope": scope,
            "result": result,
            "actions": _condensed(actions),
            "before": _condensed(before),
            "after": _condensed(after),
        }
        if error:
            record["error"] = error[:LONGEST_VALUE]
        with self._open() as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            last = _last_line(stream)
            if last and not last.endswith(b"\n"):
                # A writer was killed inside its line. Close it and own up to it; the chain goes on over its bytes.
                stream.write(b"\n")
                last += b"\n"
                record["after_torn_line"] = True
            record["previous"] = hashlib.sha256(last).hexdigest() if last else START
            stream.write(json.dumps(record, sort_keys=True).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def result_of(self, transaction: str) -> str:
        """Return the last result that was written of a transaction; empty where there is none.

        :raises OSError: as the system says it.
        """
        result = ""
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as stream:
            for line in stream:
                if (
                    transaction.encode() in line
                ):  # a few lines of many: the rest need not be decoded
                    result = _result(line, transaction) or result
        return result

    def last(self, operation: str, results: Collection[str]) -> datetime | None:
        """Return when an operation last ended in one of these ways; None where it never did.

        :raises OSError: as the system says it.
        """
        found = None
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as stream:
            for line in stream:
                if f'"operation": "{operation}"'.encode() in line:
                    record = _record(line)
                    if record.get("operation") == operation and record["result"] in results:
                        found = datetime.fromisoformat(record["time"])
        return found

    def _open(self) -> BinaryIO:
        if not self.path.parent.is_dir():
            with private_umask():
                self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "r+b", buffering=0)


def _result(line: bytes, transaction: str) -> str:
    record = _record(line)
    return str(record["result"]) if record.get("transaction") == transaction else ""


def _record(line: bytes) -> dict[str, Any]:
    """Return what a line holds; nothing where it is torn."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


def _last_line(stream: BinaryIO) -> bytes:
    """Return the last line with its newline, reading backwards so that a long chain costs nothing."""
    position = end = stream.seek(0, os.SEEK_END)
    tail = b""
    while position > 0:
        step = min(65536, position)
        position -= step
        stream.seek(position)
        tail = stream.read(step) + tail
        start = tail.rfind(b"\n", 0, len(tail) - 1)
        if start >= 0:
            tail = tail[start + 1 :]
            break
    stream.seek(end)
    return tail


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk found: ``broken`` as (line number, what is wrong there), ``head`` as the last line's hash."""

    lines: int
    head: str
    broken: tuple[tuple[int, str], ...]


def verify(path: Path) -> Verdict:
    """Walk the chain from its first line.

    A line that was cut off by a crash is accepted only where the next line says so.

    :raises OSError: where the file cannot be read.
    """
    broken: list[tuple[int, str]] = []
    previous = START
    torn = 0
    number = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                record = None
            if not isinstance(record, dict):
                torn = number
            else:
                if record.get("previous") != previous:
                    broken.append((number, "does not follow from the line before"))
                if torn and not record.get("after_torn_line"):
                    broken.append((torn, "is not a whole line"))
                torn = 0
            previous = hashlib.sha256(line).hexdigest()
    if torn:
        broken.append((torn, "is not a whole line, and nothing follows it"))
    return Verdict(number, previous, tuple(sorted(broken)))
