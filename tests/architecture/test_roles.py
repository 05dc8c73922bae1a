# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles that bring images have in common: each goes the whole way that the inventory says, to one cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT

WAY = {"s3", "ca_path", "client_cert", "client_key"}
CACHE = {"debvisor.hci.image_cache": "path", "debvisor.hci.volume_image": "cache_path"}


def calls(node: Any, module: str) -> Iterator[dict[str, Any]]:
    """Yield the options of every task that calls a module."""
    if isinstance(node, dict):
        if module in node:
            yield node[module]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from calls(each, module)


@pytest.mark.parametrize("module", CACHE)
def test_an_image_is_brought_as_the_inventory_says(module: str) -> None:
    found = {
        (path.parts[-3], place): options
        for path in sorted(ROOT.glob("roles/*/tasks/*.yml"))
        for place, options in enumerate(calls(yaml.safe_load(path.read_text("utf-8")), module))
    }
    assert found
    for where, options in found.items():
        assert CACHE[module] in options, where
        assert "image_url" not in options or options.keys() >= WAY, where
