# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The revert timer's timer, through stand-ins for systemd's programs that keep their state in files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.revert_timer import (
    TransientTimer,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.transient_unit import (
    UnitFailed,
)

RUN = """#!/bin/sh
printf '%s\\n' "$@" > "$STAND/asked"
[ ! -e "$STAND/broken" ] || { echo "Failed to connect to bus" >&2; exit 1; }
for word; do case $word in --unit=*) echo active > "$STAND/${word#--unit=}.timer";; esac; done
"""
CTL = """#!/bin/sh
verb=$1
[ ! -e "$STAND/broken" ] || { echo "Failed to connect to bus" >&2; exit 1; }
for word; do case $verb/$word in
  stop/*.timer|stop/*.service) [ -e "$STAND/immortal" ] || rm -f "$STAND/$word" ;;
  show/*.timer|show/*.service) cat "$STAND/$word" 2>/dev/null || echo inactive; echo ;;
esac; done
"""


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("systemd-run", RUN), ("systemctl", CTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "revert-change").write_text('#!/bin/sh\n[ "$1 $2" = "nft_ruleset 1-2" ]\n')
    (tmp_path / "revert-change").chmod(0o755)
    monkeypatch.setenv("STAND", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_it_is_armed_and_stopped(stand: Path) -> None:
    revert_timer = TransientTimer(str(stand))
    assert not revert_timer.is_armed("1-2")
    revert_timer.arm("nft_ruleset", "1-2", 60)
    asked = (stand / "asked").read_text().splitlines()
    assert asked[-3:] == [f"{stand}/revert-change", "nft_ruleset", "1-2"]
    assert {
        "--unit=debvisor-revert-1-2",
        "--on-active=60s",
        "--timer-property=AccuracySec=100ms",
    } <= set(asked)
    assert revert_timer.is_armed("1-2")
    assert not revert_timer.is_armed("1-3")
    revert_timer.disarm("1-2")
    assert not revert_timer.is_armed("1-2")
    revert_timer.disarm("1-2")


@pytest.mark.parametrize(("state", "armed"), [("activating", True), ("failed", False)])
def test_a_service_that_is_about_to_run_counts(stand: Path, state: str, armed: bool) -> None:
    (stand / "debvisor-revert-1-2.service").write_text(state)
    assert TransientTimer("/libexec").is_armed("1-2") is armed


def test_one_that_does_not_stop_is_told(stand: Path) -> None:
    revert_timer = TransientTimer(str(stand))
    revert_timer.arm("nft_ruleset", "1-2", 60)
    (stand / "immortal").write_text("")
    with pytest.raises(UnitFailed, match="does not stop"):
        revert_timer.disarm("1-2")


def test_systemd_that_says_no_is_told(stand: Path) -> None:
    (stand / "broken").write_text("")
    revert_timer = TransientTimer(str(stand))
    for ask in (
        lambda: revert_timer.arm("nft_ruleset", "1-2", 60),
        lambda: revert_timer.is_armed("1-2"),
    ):
        with pytest.raises(UnitFailed, match="connect to bus"):
            ask()


@pytest.mark.parametrize("operation", ["nft_ruleset", "unknown"])
def test_a_program_that_cannot_roll_back_is_found_out_before(stand: Path, operation: str) -> None:
    revert_timer = TransientTimer(str(stand / "none" if operation == "nft_ruleset" else stand))
    with pytest.raises(UnitFailed, match="revert-change"):
        revert_timer.arm(operation, "1-2", 60)
    assert not (stand / "asked").exists()
