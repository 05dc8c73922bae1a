# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them."""

from __future__ import annotations

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs import sizes
from ansible_collections.debvisor.hci.plugins.module_utils._storage.jobs.sizes import Size
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("512", 512),
        ("4K", 4096),
        ("4KiB", 4096),
        ("10M", 10 * 1024**2),
        (" 20 G ", 20 * 1024**3),
        ("20GiB", 20 * 1024**3),
        ("2T", 2 * 1024**4),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert sizes.parse(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "G", "10GB", "10g", "1.5G", "-1G", "+1", "1e3", "10iB", "10 P", "1 2", "1_0", "9" * 20],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        sizes.parse(text)


@pytest.mark.parametrize("text", ["0", "0G"])
def test_nothing_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        sizes.parse(text)


@given(st.integers(0, 1 << 60), st.integers(1, 1 << 30))
def test_rounding_up_gives_the_next_multiple(size: int, granule: int) -> None:
    rounded = sizes.rounded_up(size, granule)
    assert rounded % granule == 0
    assert 0 <= rounded - size < granule


@pytest.mark.parametrize(
    ("present", "fits"), [(949, False), (950, True), (1000, True), (1050, True), (1051, False)]
)
def test_five_percent_either_way_are_tolerated(present: int, fits: bool) -> None:
    assert sizes.fits(present, 1000) is fits


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (20 << 30, "20 GiB"),
        (5 << 40, "5 TiB"),
    ],
)
def test_a_size_is_shown(size: int, shown: str) -> None:
    assert str(Size(size)) == shown
