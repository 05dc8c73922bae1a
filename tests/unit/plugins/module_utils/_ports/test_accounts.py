# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts and groups, against those of the machine that runs the tests."""

from __future__ import annotations

import grp
import os
import pwd

from ansible_collections.debvisor.hci.plugins.module_utils._ports.accounts import Accounts


def test_an_account_and_its_groups() -> None:
    mine = pwd.getpwuid(os.geteuid())
    found = Accounts().find(mine.pw_name)
    assert found
    assert (found.name, found.uid) == (mine.pw_name, mine.pw_uid)
    assert grp.getgrgid(mine.pw_gid).gr_name in found.groups
    assert mine.pw_name in (Accounts().members(grp.getgrgid(mine.pw_gid).gr_name) or ())


def test_what_is_not_there() -> None:
    assert Accounts().find("nobody-has-this-name") is None
    assert Accounts().members("nobody-has-this-name") is None


def test_only_those_who_could_work_are_people() -> None:
    people = Accounts().people()
    assert "root" in people
    assert "daemon" not in people
    daemon = Accounts().find("daemon")
    assert daemon
    assert not daemon.usable
