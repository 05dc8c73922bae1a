# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins by the real OpenSSH client, each over a connection of its own, and what came of them.

A code goes to ssh through SSH_ASKPASS, from a file that is ours alone. It is in no argument and no variable.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ALONE = ("ControlMaster=no", "ControlPath=none", "IdentitiesOnly=yes", "NumberOfPasswordPrompts=1")
REFUSAL = "Permission denied"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a login came to. One that is neither accepted nor refused never got as far."""

    accepted: bool
    refused: bool
    said: str = ""
    printed: str = ""
    """What the command printed on the server."""


@dataclass(frozen=True, slots=True)
class SshClient:
    """A server, and the options that lead there. ``folder`` is for us alone."""

    host: str
    folder: Path
    options: Sequence[str] = field(default_factory=tuple)
    program: str = "ssh"

    def attempt(
        self,
        user: str,
        methods: str,
        *,
        key: Path | None = None,
        answer: str | None = None,
        agent: bool = False,
        command: str = "true",
        timeout: float = 10,
    ) -> Attempt:
        """Log in, run a command, and leave.

        :param methods: what to offer the server, as PreferredAuthentications has it.
        :param answer: what to give whatever is asked; without it, nobody answers.
        :param agent: keys may also come from the user's agent.
        """
        settings = [
            *ALONE,
            f"PreferredAuthentications={methods}",
            f"BatchMode={'yes' if answer is None else 'no'}",
            f"IdentityFile={key or 'none'}",
            f"ConnectTimeout={max(1, int(timeout))}",
            "LogLevel=ERROR",
            *(() if agent else ("IdentityAgent=none",)),
        ]
        words = [self.program, *(word for each in settings for word in ("-o", each))]
        words += [*self.options, "-l", user, "--", self.host, command]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env=self._environment(answer),
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Attempt(False, False, f"no end within {timeout:.0f} s")
        said = done.stderr.strip()
        return Attempt(done.returncode == 0, REFUSAL in said, said, done.stdout)

    def _environment(self, answer: str | None) -> dict[str, str]:
        environment = {**os.environ, "LC_ALL": "C"}
        if answer is None:
            return environment
        told, asked = self.folder / "answer", self.folder / "askpass"
        told.touch(mode=0o600)
        told.write_text(f"{answer}\n", encoding="utf-8")
        asked.write_text(f"#!/bin/sh\nexec cat {shlex.quote(str(told))}\n", encoding="utf-8")
        asked.chmod(0o700)
        return {**environment, "SSH_ASKPASS": str(asked), "SSH_ASKPASS_REQUIRE": "force"}
