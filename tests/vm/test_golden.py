# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second volume of a golden image is a clone: nothing is fetched, nothing is converted."""

from __future__ import annotations

import json

import pytest

from tests.vm import programs
from tests.vm.layout import STATE
from tests.vm.programs import POOLS


@pytest.mark.usefixtures("brought")
@pytest.mark.parametrize("kind", ["lvm_thin", "zfs"])
def test_the_second_volume_is_a_clone(kind: str) -> None:
    text = programs.run("golden_times.py", kind, POOLS[kind], timeout=600)
    (STATE / f"golden-{kind}.json").write_text(text, encoding="utf-8")  # for docs/volumes.md
    told = json.loads(text)
    first, *others = told["volumes"]
    assert first["steps"] == ["fetch", "make golden", "clone", "publish"]
    assert others
    for each in told["volumes"]:
        assert each["origin"] == told["golden"]
        assert each["holds"] == "b"
    for each in others:
        assert each["steps"] == ["clone", "publish"]
        assert each["asked"] == 0, "the image was asked for"
