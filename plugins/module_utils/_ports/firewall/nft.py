# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet filter of this machine, through nft(8). Every call is bounded; a script is one kernel transaction."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import IO, Any

from ..._core.errors import DebvisorError, TimedOut
from ..host import command

NFT = "/usr/sbin/nft"
UNSHARE = "/usr/bin/unshare"
LOOK_TIMEOUT = 30.0
LOAD_TIMEOUT = 300.0
"""Seconds for one transaction: a million elements take a few, on a slow machine with little memory many."""

_LOCATION = re.compile(r"^[^:\s]*:(\d+):\d+(?:-\d+)?: Error: (.*)")


class NftFailed(DebvisorError):
    """nft cannot be run, or refused a script; then nothing of the script is in force."""


class NoSuchObject(NftFailed):
    """What a script or a question names is not there."""


class Nft:
    """The rule sets of the kernel, seen and changed through the tool."""

    def table(
        self, family: str, name: str, *, elements: bool = False
    ) -> list[dict[str, Any]] | None:
        """Return what a table holds, as libnftables-json(5) describes it, or None where there is none.

        :param elements: also what its sets hold; without it they come empty, however many elements they have.
        """
        try:
            found = self._listed("table", family, name, terse=not elements)
        except NoSuchObject:
            return None
        return [item for item in found if "metainfo" not in item]

    def listing(self, family: str, name: str) -> str | None:
        """Return a table as text, whole but without counts, or None where there is none."""
        words = [NFT, "--stateless", "list", "table", family, name]
        try:
            return self._run(words, timeout=LOOK_TIMEOUT).decode()
        except NoSuchObject:
            return None

    def load(self, script: Iterable[str]) -> None:
        """Make a script's commands take effect, all of them or none.

        :raises NftFailed: where nft refuses it; ``details["line"]`` is the line of the script, where nft names one.
        """
        self._load([NFT, "--file", "-"], script)

    def rehearsed(self, script: Iterable[str], family: str, name: str) -> str:
        """Rehearse a script that makes a table, and return that as :meth:`listing` would after :meth:`load`.

        :raises NftFailed: as :meth:`load`.
        """
        both = f'{NFT} --file - && exec {NFT} --stateless list table "$0" "$1"'
        return self._load([UNSHARE, "--net", "/bin/sh", "-c", both, family, name], script).decode()

    def _listed(self, *what: str, terse: bool = True) -> list[dict[str, Any]]:
        options = ["--json", "--terse"] if terse else ["--json"]
        answer = self._run([NFT, *options, "list", *what], timeout=LOOK_TIMEOUT)
        try:
            found: list[dict[str, Any]] = json.loads(answer)["nftables"]
        except (ValueError, KeyError, TypeError) as cause:
            raise NftFailed("nft returned invalid output", why=str(cause)) from cause
        return found

    def _load(self, words: Sequence[str], script: Iterable[str]) -> bytes:
        # Streamed through a file, for a list may be large; in memory, for a full disk shall not stop an undo.
        with os.fdopen(os.memfd_create("nft"), "w+b") as given:
            for piece in script:
                given.write(piece.encode())
            given.seek(0)
            return self._run(words, timeout=LOAD_TIMEOUT, given=given)

    def _run(
        self, words: Sequence[str], *, timeout: float, given: bytes | IO[bytes] = b""
    ) -> bytes:
        try:
            ended = command.attempt(words, timeout=timeout, input=given)
        except TimedOut as late:
            late.hint = "Check whether another program loads a large set, then run again"
            raise
        except command.ProgramFailed as cause:
            raise _not_run(words[0], cause.why) from cause
        if ended.status == command.MISSING:
            raise _not_run(NFT, os.strerror(errno.ENOENT))
        if ended.status != 0:
            raise _refusal(ended.complained.decode(errors="replace"), ended.status)
        return ended.printed


def _not_run(program: str, why: str) -> NftFailed:
    return NftFailed(f"{program} cannot be run", why=why, hint="Install the package nftables")


def _refusal(said: str, code: int) -> NftFailed:
    """Make nft's first complaint an error with its line, and say what the usual reasons mean."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    located = next((found for line in lines if (found := _LOCATION.match(line))), None)
    why = located[2] if located else (lines[0] if lines else f"exit code {code}")
    hint = ""
    if "Operation not permitted" in why:
        hint = "Run it as root"
    elif "Operation not supported" in why or "Protocol not supported" in why:
        hint = "This kernel lacks a feature that the rules need: check for nf_tables and nft_* among its modules"
    elif "No buffer space" in why or "Cannot allocate memory" in why:
        hint = "The kernel has no room for it: give the machine memory, or list less"
    elif "No such file or directory" in why:
        hint = "Something that it names is not there: a table, a set, or a feature of this kernel (nf_tables, nft_*)"
    details = {"line": int(located[1])} if located else {}
    kind = NoSuchObject if "No such file or directory" in why else NftFailed
    what = "nft refused the rules; nothing of them is in force"
    return kind(what, why=why, hint=hint, details=details)
