# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts and groups, against those of the machine that runs the tests."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import command
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.accounts import (
    KEYS,
    Accounts,
)


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


def test_only_those_who_could_log_in_are_people() -> None:
    people = Accounts().people()
    assert "root" in people
    assert "daemon" not in people
    daemon = Accounts().find("daemon")
    assert daemon
    assert not daemon.usable


def test_a_systems_account_with_a_password_or_keys_is_logged_in_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry(name: str, uid: int, shell: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", uid, 100, "", str(tmp_path / name), shell))

    everybody = [
        entry("root", 0, "/bin/bash"),
        entry("daemon", 1, "/usr/sbin/nologin"),
        entry("backup", 34, "/usr/sbin/nologin"),
        entry("git", 998, "/usr/bin/git-shell"),
        entry("service", 997, "/bin/sh"),
        entry("anna", 1000, "/bin/bash"),
        entry("left", 1001, "/usr/sbin/nologin"),
        entry("nobody", 65534, "/bin/sh"),
    ]
    monkeypatch.setattr(pwd, "getpwall", lambda: everybody)
    names = [each.pw_name for each in everybody]
    shadow = tmp_path / "shadow"
    shadow.write_text(
        "".join(f"{name}:{'$y$' if name == 'backup' else '*'}:1::::::\n" for name in names)
    )
    keys = tmp_path / "git" / KEYS
    keys.parent.mkdir(parents=True)
    keys.touch()
    assert Accounts(shadow).people() == ("anna", "backup", "git", "root")


@pytest.mark.parametrize(
    ("stored", "has"),
    [("*", False), ("!", False), ("!$y$x", False), ("$y$x", True), ("", True), (None, True)],
)
def test_whether_somebody_has_a_password(tmp_path: Path, stored: str | None, has: bool) -> None:
    shadow = tmp_path / "shadow"
    shadow.write_text("root:*:1::\n" + ("" if stored is None else f"anna:{stored}:1::\n"))
    assert Accounts(shadow).has_password("anna") is has


def test_where_passwords_cannot_be_read_nobody_is_without(tmp_path: Path) -> None:
    assert Accounts(tmp_path / "none").has_password("anna")


@pytest.mark.parametrize(
    ("told", "status", "becomes"),
    [
        ("    (ALL : ALL) NOPASSWD: ALL", 0, True),
        ("Matching Defaults entries: !authenticate\n    (ALL : ALL) ALL", 0, True),
        ("    (ALL : ALL) ALL", 0, False),
        ("unknown user", 1, False),
    ],
)
def test_without_a_password_sudo_has_to_ask_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, status: int, becomes: bool
) -> None:
    shadow = tmp_path / "shadow"
    shadow.write_text("anna:*:1::\nben:$y$x:1::\n")
    program = tmp_path / "sudo"
    program.write_text(f'#!/bin/sh\n[ "$*" = "-n -l -U anna" ] && echo "{told}"\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert Accounts(shadow).becomes_root("anna") is becomes
    assert Accounts(shadow).becomes_root("ben")


def test_where_there_is_no_sudo_it_helps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shadow").write_text("anna:*:1::\n")
    monkeypatch.setattr(command, "MOURNER", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not Accounts(tmp_path / "shadow").becomes_root("anna")
