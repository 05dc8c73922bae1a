# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept comes back at boot, and a table of somebody else stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import bans
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.bans import Ban
from ansible_collections.debvisor.hci.plugins.module_utils._programs import firewall_load

from tests.fakes.nft_sets import FakeNft, FakeTable


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNft:
    """Return the kernel of a machine that keeps its state below a folder of the test."""
    monkeypatch.setattr(settings, "state_dir", lambda: tmp_path)
    monkeypatch.setattr(settings, "lock_dir", lambda: tmp_path / "lock")
    settings.firewall_dir().mkdir()
    found = FakeNft(tmp_path / "kernel")
    monkeypatch.setattr(firewall_load, "Nft", lambda: found)
    return found


def ban(network: str) -> None:
    settings.ban_book().write_bytes(bans.encode({network: Ban(network, 1, 0, "test")}))


def test_bans_come_back(kernel: FakeNft) -> None:
    ban("203.0.113.7")
    assert firewall_load.main(["bans"]) == 0
    assert kernel.elements(bans.TABLE) == {"v4_32": {"203.0.113.7"}}


@pytest.mark.parametrize("what", ["bans", "blocklist"])
def test_nothing_kept_is_nothing_loaded(kernel: FakeNft, what: str) -> None:
    assert firewall_load.main([what]) == 0
    assert kernel.tables == {}


@pytest.mark.parametrize("what", ["bans", "blocklist"])
def test_a_table_of_somebody_else_stays(
    kernel: FakeNft, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ban("203.0.113.7")
    theirs = {f"debvisor_{what}": FakeTable(comment="theirs")}
    kernel.tables = theirs
    assert firewall_load.main([what]) == 1
    assert "belongs to another program" in capsys.readouterr().err
    assert kernel.tables == theirs


def test_what_is_torn_is_told(kernel: FakeNft, capsys: pytest.CaptureFixture[str]) -> None:
    settings.blocklist_store().write_bytes(b"torn")
    assert firewall_load.main(["blocklist"]) == 1
    assert "made anew" in capsys.readouterr().err
