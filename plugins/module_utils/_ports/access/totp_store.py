# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of second factors, and whether PAM can write there.

pam_google_authenticator(8) writes the user's file anew at each login, beside the old one, and lets nobody in where it
cannot: on a full disk, without free inodes, on a read-only file system. So that is what has to be known before it is
asked of anybody.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

LEAST_FREE = 1 << 20
"""Bytes. A login needs one block for a moment; a system that is that full loses it in the next one."""
LEAST_FREE_INODES = 16


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether logins can be recorded in the store; ``problem`` says why not."""

    problem: str = ""
    free_bytes: int = 0


class TotpStore:
    """The store. Only reads."""

    def __init__(self, folder: Path, uid: int = 0) -> None:
        self._folder = folder
        self._uid = uid

    def condition(self) -> Condition:
        """Look, without writing anything."""
        try:
            found = os.stat(self._folder, follow_symlinks=False)
            system = os.statvfs(self._folder)
        except OSError as cause:
            return Condition(f"{self._folder} cannot be used: {cause.strerror}")
        free = system.f_bavail * system.f_frsize
        return Condition(self._problem(found, system, free), free)

    def _problem(self, found: os.stat_result, system: os.statvfs_result, free: int) -> str:
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISDIR(found.st_mode):
            return f"{self._folder} is not a folder"
        if found.st_uid != self._uid or mode & 0o077:
            return f"{self._folder} is not root's alone (mode {mode:04o})"
        if system.f_flag & os.ST_RDONLY or not os.access(self._folder, os.W_OK):
            return f"{self._folder} cannot be written: its file system is read-only"
        if free < LEAST_FREE:
            return f"{self._folder} has no room: {free} bytes are free, {LEAST_FREE} are needed"
        # A file system that makes inodes as it needs them (btrfs) says that it has none at all.
        if system.f_files and system.f_favail < LEAST_FREE_INODES:
            return f"{self._folder} has no room: {system.f_favail} inodes are free"
        return ""
