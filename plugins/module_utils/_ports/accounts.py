# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts and groups of this machine."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

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
        """Return the accounts that somebody can work with: root, and those that are no system's own."""
        return tuple(
            sorted(
                each.pw_name
                for each in pwd.getpwall()
                if (each.pw_uid == 0 or 1000 <= each.pw_uid < 65534)
                and not each.pw_shell.endswith(SHUT)
            )
        )


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
