# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at this machine that are kept: programs within bounds of time and size, files, and the archive of both."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from ..._core.durable import private_umask, write_whole
from ..._core.errors import DebvisorError
from ..host import command


class CannotKeep(DebvisorError):
    """The archive cannot be written."""


class EvidenceRecorder:
    """Never fails on a look: it returns what it saw, and what is wrong with that (empty where nothing is)."""

    def run(self, program: Sequence[str], *, timeout: float, most: int) -> tuple[bytes, str]:
        """Return what the program printed, its complaints included."""
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        try:
            ended = command.attempt(
                program, timeout=timeout, output_limit=most + 1, environment=environment
            )
        except command.DidNotEnd as late:
            return _bounded(late.printed, most, f"ended after {timeout:g} s")
        except command.ProgramFailed as cause:
            return b"", cause.why
        except OSError as cause:
            return b"", cause.strerror or str(cause)
        return _bounded(ended.printed, most, f"exit code {ended.status}" if ended.status else "")

    def read(self, path: str, *, most: int) -> tuple[bytes, str]:
        """Return what is in the file."""
        try:
            with open(path, "rb") as stream:
                return _bounded(stream.read(most + 1), most, "")
        except OSError as cause:
            return b"", cause.strerror or str(cause)

    def pack(self, path: str, members: Sequence[tuple[str, bytes]], *, time: float) -> str:
        """Write a compressed tar archive for our account alone, and return its SHA-256."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as archive:
            for name, content in members:
                about = tarfile.TarInfo(name)
                about.size, about.mode, about.mtime = len(content), 0o600, int(time)
                archive.addfile(about, io.BytesIO(content))
        content = packed.getvalue()
        try:
            with private_umask():
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(Path(path), content)
        except OSError as cause:
            raise CannotKeep(
                f"the evidence {path} cannot be written",
                why=cause.strerror or str(cause),
                hint="Make room on its file system and run again",
            ) from cause
        return hashlib.sha256(content).hexdigest()


def _bounded(content: bytes, most: int, trouble: str) -> tuple[bytes, str]:
    if len(content) > most:
        return content[:most], trouble or f"cut off after {most} bytes"
    return content, trouble
