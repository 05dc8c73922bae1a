# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices, as far as no real one is needed; with real ones: tests/vm."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused, Unreachable
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import command
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage import block_device
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 1 << 30), st.integers(0, 1 << 26), st.sampled_from([1 << 20, 1 << 24]))
def test_steps_cover_a_range_once(start: int, length: int, step: int) -> None:
    at = start
    for begin, count in block_device._steps(start, length, step):
        assert begin == at
        assert 0 < count <= step
        assert begin // step == (begin + count - 1) // step
        at += count
    assert at == start + length


def test_a_file_in_a_devices_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "device"
    path.write_bytes(b"data")
    with pytest.raises(Refused, match="not a block device"):
        block_device.zero(str(path), 0, 4, lambda: None)
    with pytest.raises(Refused, match="not a block device"):
        block_device.sync(str(path))
    assert path.read_bytes() == b"data"


def test_a_device_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "device")
    monkeypatch.setattr(command, "run", lambda words: None)
    assert block_device.users(path) == ()
    with pytest.raises(Unreachable, match="not there"):
        block_device.sync(path)
    with pytest.raises(Unreachable, match="does not appear"):
        block_device.wait_for(path)
