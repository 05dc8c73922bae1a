# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which configuration is in force."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.bind import Bind, BindFailed


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


def test_copies_hold_journal_and_zone(bind: Bind, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    assert not bind.keep_copy("z.test", folder)
    bind.zone_file("z.test").write_text("zone")
    (tmp_path / "z.test.zone.jnl").write_bytes(b"journal")
    assert bind.keep_copy("z.test", folder)
    assert (folder / "z.test.zone").read_text() == "zone"
    assert (folder / "z.test.zone.jnl").read_bytes() == b"journal"
