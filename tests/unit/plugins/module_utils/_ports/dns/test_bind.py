# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which configuration is in force, and BIND's own judgement of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns import bind as bind_port
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.bind import Bind, BindFailed

from tests.bind.conftest import program


@pytest.fixture
def bind(tmp_path: Path) -> Bind:
    for name in ("follower", "writer", "pull-n2"):
        (tmp_path / f"named-{name}.conf").write_text("")
    return Bind(tmp_path / "named.conf", tmp_path)


def test_the_link_tells_the_role(bind: Bind) -> None:
    assert bind.in_force() == ""
    for name in ("follower", "writer", "pull-n2"):
        bind.point_to(name)
        assert bind.in_force() == name
        assert bind.link.read_text() == ""
    assert len(list(bind.link.parent.iterdir())) == 4


def test_a_plain_file_is_replaced(bind: Bind) -> None:
    bind.link.write_text("stock")
    assert bind.in_force() == ""
    bind.point_to("follower")
    assert bind.link.is_symlink()


def test_nothing_points_to_a_missing_configuration(bind: Bind) -> None:
    bind.point_to("follower")
    with pytest.raises(BindFailed, match="no configuration"):
        bind.point_to("pull-n9")
    assert bind.in_force() == "follower"


def test_a_disk_that_takes_no_writes_is_said_so(
    bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object, **_options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(bind_port, "link_whole", refuse)
    with pytest.raises(BindFailed, match="Read-only file system"):
        bind.point_to("follower")


def test_a_journal_that_changes_has_another_mark(bind: Bind, tmp_path: Path) -> None:
    assert bind.journal_marks(["z.test"]) == ((0, 0),)
    (tmp_path / "z.test.zone.jnl").write_bytes(b"journal")
    [(size, _time)] = bind.journal_marks(["z.test"])
    assert size == 7


def test_copies_hold_journal_and_zone(bind: Bind, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    assert not bind.keep_copy("z.test", folder)
    bind.zone_file("z.test").write_text("zone")
    (tmp_path / "z.test.zone.jnl").write_bytes(b"journal")
    assert bind.keep_copy("z.test", folder)
    assert (folder / "z.test.zone").read_text() == "zone"
    assert (folder / "z.test.zone.jnl").read_bytes() == b"journal"


def test_one_of_our_configurations_is_a_link(bind: Bind) -> None:
    assert not bind.is_ours()
    bind.link.write_text("stock")
    assert not bind.is_ours()
    bind.point_to("follower")
    assert bind.is_ours()


def test_a_text_is_judged_before_it_is_in_its_place(
    bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bind_port, "CHECKCONF", program("named-checkconf"))
    bind.check_text('acl "a" { none; };\n')
    for wrong in ('acl "a" { none; }\n', 'acl "a" { key "unknown"; };\nnonsense;\n', "{"):
        with pytest.raises(BindFailed, match="named-checkconf"):
            bind.check_text(wrong)


def test_a_tool_that_is_missing_is_told(bind: Bind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind_port, "CHECKCONF", "/nowhere/named-checkconf")
    with pytest.raises(BindFailed, match="cannot be run"):
        bind.check_text("")
