# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transient units, through stand-ins for systemd's programs that keep their state in files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import TimedOut
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import transient_unit
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.transient_unit import (
    TransientUnits,
    UnitFailed,
)

RUN = """#!/bin/sh
printf '%s\\n' "$@" > "$STAND/asked"
[ ! -e "$STAND/broken" ] || { echo "Unit x.service already exists." >&2; exit 1; }
for word; do case $word in --unit=*) : > "$STAND/unit-${word#--unit=}";; esac; done
"""
CTL = """#!/bin/sh
case $1 in
  is-active) [ -e "$STAND/unit-$3" ] ;;
  stop) [ -e "$STAND/immortal" ] || { [ -e "$STAND/unit-$2" ] && rm "$STAND/unit-$2"; } ;;
esac
"""


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("systemd-run", RUN), ("systemctl", CTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("STAND", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_a_program_is_started_and_ended(stand: Path) -> None:
    units = TransientUnits()
    assert not units.is_active("x")
    units.start("x", ["/program", "--option=a b", "$HOME"], 900)
    asked = (stand / "asked").read_text().splitlines()
    assert asked[-3:] == ["/program", "--option=a b", "$HOME"]
    assert {"--unit=x", "--collect", "--property=RuntimeMaxSec=930"} <= set(asked)
    assert units.is_active("x")
    units.stop("x")
    assert not units.is_active("x")
    units.stop("x")


def test_systemd_that_says_no_is_told(stand: Path) -> None:
    (stand / "broken").write_text("")
    with pytest.raises(UnitFailed, match="already exists"):
        TransientUnits().start("x", ["/program"], 1)


def test_a_program_that_does_not_end_is_told(stand: Path) -> None:
    units = TransientUnits()
    units.start("x", ["/program"], 1)
    (stand / "immortal").write_text("")
    with pytest.raises(UnitFailed, match="does not stop"):
        units.stop("x")


def test_without_systemd_and_with_one_that_hangs(
    stand: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stand / "systemctl").write_text("#!/bin/sh\nexec sleep 5\n")
    monkeypatch.setattr(transient_unit, "CALL_TIMEOUT", 0.1)
    with pytest.raises(TimedOut, match="systemctl did not end"):
        TransientUnits().is_active("x")
    monkeypatch.setenv("PATH", str(stand / "none"))
    with pytest.raises(UnitFailed, match="cannot be run"):
        TransientUnits().is_active("x")
