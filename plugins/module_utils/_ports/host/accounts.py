# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts and groups of this machine."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..._core.errors import DebvisorError
from .command import run

KEYS = ".ssh/authorized_keys"
SHUT = ("/nologin", "/false", "/sync")
"""How shells end that let nobody work."""


@dataclass(frozen=True, slots=True)
class Account:
    """What decides who somebody is once logged in."""

    name: str
    uid: int
    groups: frozenset[str]
    usable: bool
    """Whether the shell lets its owner work."""
    home: str = ""


class Accounts:
    """The name services of this machine."""

    def __init__(self, shadow: Path = Path("/etc/shadow")) -> None:
        self._shadow = shadow

    def find(self, name: str) -> Account | None:
        """Return the account, or None where there is none."""
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            return None
        groups = {_group(number) for number in os.getgrouplist(name, found.pw_gid)}
        usable = not found.pw_shell.endswith(SHUT)
        return Account(name, found.pw_uid, frozenset(groups), usable, found.pw_dir)

    def members(self, group: str) -> tuple[str, ...] | None:
        """Return who belongs to a group, be it as their first one; None where there is no such group."""
        try:
            found = grp.getgrnam(group)
        except KeyError:
            return None
        first = [each.pw_name for each in pwd.getpwall() if each.pw_gid == found.gr_gid]
        return tuple(sorted({*found.gr_mem, *first}))

    def people(self) -> tuple[str, ...]:
        """Return the accounts that somebody may log in as.

        Those are root, and those that are no system's own, where their shell lets somebody work; and all that have a
        password or keys, as those of backups, or of file transfers, for which a shell is not asked.
        """
        return tuple(sorted(each.pw_name for each in pwd.getpwall() if self._enters(each)))

    def _enters(self, each: pwd.struct_passwd) -> bool:
        person = each.pw_uid == 0 or 1000 <= each.pw_uid < 65534
        if person and not each.pw_shell.endswith(SHUT):
            return True
        return self.has_password(each.pw_name) or os.path.isfile(f"{each.pw_dir}/{KEYS}")

    def has_password(self, name: str) -> bool:
        """Tell whether some password is the account's (shadow(5)). One whose password is kept elsewhere has one."""
        return not self._stored.get(name, "elsewhere").startswith(("!", "*"))

    @cached_property
    def _stored(self) -> Mapping[str, str]:
        """What is stored of passwords here, by account; nothing where that cannot be read."""
        try:
            lines = self._shadow.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return {}
        entries = (
            line.split(":") for line in reversed(lines) if ":" in line
        )  # the first one counts
        return {name: stored for name, stored, *_rest in entries}

    def becomes_root(self, name: str) -> bool:
        """Tell whether sudo can make the account root: it has a password to give, or sudo asks for none."""
        if self.has_password(name):
            return True
        try:
            told = run(["sudo", "-n", "-l", "-U", name]).stdout
        except DebvisorError:
            return False
        return "NOPASSWD:" in told or "!authenticate" in told


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
