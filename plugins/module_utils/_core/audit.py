# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit chain: one JSON line a change, each with the SHA-256 of the line before.

Changing, removing or reordering a line breaks the chain at that place. Cutting off the newest lines does not, which
is why the head's hash is worth shipping elsewhere: :func:`verify` returns it.

A file that has grown large is renamed to one with the next number, and the first line of the new file follows from the
last one of the old. The rename is all that a rotation is: whoever is killed before or after it leaves a whole chain.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from . import settings
from .durable import private_umask, reserve, sync_folder
from .plan import Plain
from .secret import Secret

START = "0" * 64
LONGEST_VALUE = 4096
"""Bytes of a before or after that are kept whole; a longer one is kept as its size and hash."""

LINE_ROOM = 8 * LONGEST_VALUE
"""Bytes that one line needs at most, or nearly so."""
BLOCK = 65536
LOOKUP_BYTES = 16 * 2**20
"""How far back a lookup reads. What is looked up happened within the last hours."""
CLOCK_STEP = timedelta(days=1)
"""By how much the clock may have been set back between two lines."""


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


def condensed(value: Any) -> Any:
    """Return ``value`` as :func:`public` does; where it is long, its size and hash."""
    text = value.text() if isinstance(value, Plain) else json.dumps(public(value), sort_keys=True)
    if len(text) <= LONGEST_VALUE:
        return json.loads(text)
    return {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def requester() -> dict[str, str]:
    """Say who asks: the account, the account behind sudo, and the address the connection came from, as far as known."""
    number = os.geteuid()
    try:
        account = pwd.getpwuid(number).pw_name
    except KeyError:  # a container may run as a number that nobody has
        account = str(number)
    found = {"account": account, "host": socket.gethostname()}
    if sudo := os.environ.get("SUDO_USER"):
        found["sudo_from"] = sudo
    if connection := os.environ.get("SSH_CONNECTION"):
        found["address"] = connection.split()[0]
    return found


class Audit:
    """The chain in its files. Appending is exclusive across processes, and durable.

    :param largest: bytes of a file before it is rotated away.
    :param kept: how many such files are kept, beside the present one.
    """

    def __init__(
        self,
        path: Path,
        *,
        largest: int = settings.AUDIT_FILE_BYTES,
        kept: int = settings.AUDIT_FILES_KEPT,
    ) -> None:
        self.path = path
        self._largest = largest
        self._kept = kept

    def ready(self) -> None:
        """Fail now, before any change, where a line could not be written later; reserve room for it.

        :raises OSError: as the system says it.
        """
        with self._locked() as stream:
            reserve(stream.fileno(), LINE_ROOM)

    def append(
        self,
        *,
        transaction: str,
        operation: str,
        scope: str,
        result: str,
        actions: Any,
        before: Any,
        after: Any,
        error: str = "",
        who: Mapping[str, str] | None = None,
    ) -> None:
        """Write one line. ``actions``, ``before`` and ``after`` are redacted and, where long, condensed to a hash.

        :param who: the :func:`requester` of an earlier run whose line this is.
        """
        record: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "who": who or requester(),
            "transaction": transaction,
            "operation": operation,
            "scope": scope,
            "result": result,
            "actions": condensed(actions),
            "before": condensed(before),
            "after": condensed(after),
        }
        if error:
            record["error"] = error[:LONGEST_VALUE]
        with self._locked() as stream:
            last = _last_line(stream) or self._last_rotated_line()
            start = b""
            if last and not (last.endswith(b"\n") and _record(last)):
                # A writer was killed inside its line. Close it and own up to it; the chain goes on over its bytes.
                record["after_torn_line"] = True
                if not last.endswith(b"\n"):
                    start = b"\n"
            record["previous"] = hashlib.sha256(last + start).hexdigest() if last else START
            _write_all(stream, start + json.dumps(record, sort_keys=True).encode() + b"\n")
            os.fsync(stream.fileno())

    def result_of(self, transaction: str) -> str:
        """Return the last result that was written of a transaction; empty where there is none.

        :raises OSError: as the system says it.
        """
        begun = _begun(transaction)
        for block in self._newest_first():
            for line in block:
                # A few lines of many: the rest need not be decoded.
                if transaction.encode() in line and (result := _result(line, transaction)):
                    return result
            if begun and (written := _time(block[-1])) and written < begun - CLOCK_STEP:
                break  # what is older was written before the transaction began
        return ""

    def last(self, operation: str, results: Collection[str]) -> datetime | None:
        """Return when an operation last ended in one of these ways; None where it did not, as far as a lookup reads.

        :raises OSError: as the system says it.
        """
        for block in self._newest_first():
            for line in block:
                if f'"operation": "{operation}"'.encode() in line:
                    record = _record(line)
                    if record.get("operation") == operation and record["result"] in results:
                        return datetime.fromisoformat(record["time"])
        return None

    def _newest_first(self) -> Iterator[list[bytes]]:
        """Yield the lines in blocks, newest first, across files, up to :data:`LOOKUP_BYTES`."""
        left = LOOKUP_BYTES
        with contextlib.suppress(FileNotFoundError), self.path.open("rb") as stream:
            for block in _backwards(stream):
                yield block
                if (left := left - sum(map(len, block))) <= 0:
                    return
        # A file that was rotated since is read twice, and none is missed.
        for path in reversed(rotated(self.path)):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
                for block in _backwards(stream):
                    yield block
                    if (left := left - sum(map(len, block))) <= 0:
                        return

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """Open the file to append to, alone, once it was rotated where it has grown too large."""
        rotate = True
        while True:
            with self._open() as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                if not self._is_present(stream):  # another process rotated it while we waited
                    continue
                if rotate and os.fstat(stream.fileno()).st_size >= self._largest:
                    rotate = False  # where that fails, the large file is better than none
                    with contextlib.suppress(OSError):
                        self._rotate(stream)
                    continue
                yield stream
                return

    def _is_present(self, stream: BinaryIO) -> bool:
        try:
            return os.path.samestat(os.fstat(stream.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _rotate(self, stream: BinaryIO) -> None:
        last = _last_line(stream)
        if not last.endswith(b"\n"):  # torn; whoever writes the next line says so
            _write_all(stream, b"\n")
        former = rotated(self.path)
        number = _number(former[-1]) + 1 if former else 1
        os.rename(self.path, self.path.with_name(f"{self.path.name}.{number:06d}"))
        sync_folder(self.path.parent)
        for path in former[: max(0, len(former) + 1 - self._kept)]:
            path.unlink(missing_ok=True)

    def _last_rotated_line(self) -> bytes:
        """Return what the first line of a new file follows from; nothing where there was no file before."""
        former = rotated(self.path)
        if not former:
            return b""
        with former[-1].open("rb") as stream:
            return _last_line(stream)

    def _open(self) -> BinaryIO:
        if not self.path.parent.is_dir():
            with private_umask():
                self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "r+b", buffering=0)


def rotated(path: Path) -> list[Path]:
    """Return the files that were rotated away, oldest first."""
    found = path.parent.glob(f"{path.name}.[0-9]*")
    return sorted((each for each in found if each.suffix[1:].isdigit()), key=_number)


def _number(path: Path) -> int:
    return int(path.suffix[1:])


def _write_all(stream: BinaryIO, content: bytes) -> None:
    """Write it, in one call of the system where that can be."""
    while content:
        content = content[stream.write(content) :]


def _begun(transaction: str) -> datetime | None:
    """Return when a transaction began: its name holds nanoseconds since 1970."""
    nanoseconds = transaction.partition("-")[0]
    if not nanoseconds.isdigit():
        return None
    try:
        return datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC)
    except (OverflowError, ValueError):
        return None


def _time(line: bytes) -> datetime | None:
    try:
        return datetime.fromisoformat(_record(line)["time"])
    except (KeyError, ValueError, TypeError):
        return None


def _result(line: bytes, transaction: str) -> str:
    record = _record(line)
    return str(record["result"]) if record.get("transaction") == transaction else ""


def _record(line: bytes) -> dict[str, Any]:
    """Return what a line holds; nothing where it is torn."""
    try:
        record = json.loads(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _backwards(stream: BinaryIO) -> Iterator[list[bytes]]:
    """Yield a file's lines in blocks, the last line first."""
    position = stream.seek(0, os.SEEK_END)
    parts: list[bytes] = []
    while position > 0:
        step = min(BLOCK, position)
        position -= step
        stream.seek(position)
        parts.insert(0, stream.read(step))
        if position and b"\n" not in parts[0]:
            continue  # inside a line that is longer than a block
        first, *lines = b"".join(parts).splitlines(keepends=True)
        if position == 0:
            lines.insert(0, first)
        parts = [first]
        if lines:
            yield lines[::-1]


def _last_line(stream: BinaryIO) -> bytes:
    """Return the last line with its newline, without reading what is before it; nothing where there is none."""
    line = next(_backwards(stream), [b""])[0]
    stream.seek(0, os.SEEK_END)
    return line


class Fault(NamedTuple):
    """A place in the chain where it does not hold."""

    file: Path
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk found. ``head`` is the last line's hash."""

    lines: int
    head: str
    broken: tuple[Fault, ...]


def verify(path: Path, kept: int = settings.AUDIT_FILES_KEPT) -> Verdict:
    """Walk the chain from its first line, through all files that are left of it, as it was at one moment.

    A line that was interrupted by a crash is accepted only where the next line says so.

    :param kept: how many rotated files there must be before the oldest may be gone.
    :raises OSError: where a file cannot be read.
    """
    with contextlib.ExitStack() as stack:
        return _walk(path, _opened(path, stack), kept)


def _files(path: Path) -> list[Path]:
    """Return the chain's files, oldest first. Between a rotation and the next line there is no present one."""
    former = rotated(path)
    return [*former, path] if path.exists() or not former else former


def _opened(path: Path, stack: contextlib.ExitStack) -> dict[Path, tuple[BinaryIO, int]]:
    """Open all files, and return each with its size, while nobody appends or rotates.

    Writers do both under the lock of the newest file. What they do afterwards is not looked at.
    """
    while True:
        newest = _files(path)[-1]
        try:
            with newest.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
                files = _files(path)
                if os.path.samestat(os.fstat(lock.fileno()), files[-1].stat()):
                    streams = [(each, stack.enter_context(each.open("rb"))) for each in files]
                    return {each: (s, os.fstat(s.fileno()).st_size) for each, s in streams}
        except FileNotFoundError:  # a rotation came in between, or there is no chain
            if not rotated(path):
                raise


def _walk(path: Path, opened: Mapping[Path, tuple[BinaryIO, int]], kept: int) -> Verdict:
    files = [each for each in opened if each != path]
    broken = [
        Fault(after, 1, f"the file before it, number {_number(after) - 1}, is gone")
        for before, after in zip([None, *files], files, strict=False)
        if _number(after) != (_number(before) + 1 if before else 1)
        and (before or len(files) < kept)
    ]
    previous = None if files and _number(files[0]) > 1 else START
    torn: Fault | None = None
    count = 0
    for file, (stream, size) in opened.items():
        for number, line in enumerate(stream, start=1):
            if size <= 0:
                break
            size -= len(line)
            record = _record(line) if line.endswith(b"\n") else {}
            if not record:
                torn = Fault(file, number, "is not a whole line")
            else:
                if previous is not None and record.get("previous") != previous:
                    broken.append(Fault(file, number, "does not follow from the line before"))
                if torn and not record.get("after_torn_line"):
                    broken.append(torn)
                torn = None
            previous = hashlib.sha256(line).hexdigest()
            count += 1
    if torn:
        broken.append(torn._replace(what="is not a whole line, and nothing follows it"))
    return Verdict(count, previous or START, tuple(sorted(broken)))
