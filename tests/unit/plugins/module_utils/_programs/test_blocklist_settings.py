# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the blocklist's programs read, and that it is what the modules would make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._programs import blocklist_settings

from tests.architecture.rules import documentation
from tests.checkout import ROOT


def documented(module: str) -> dict[str, Any]:
    source = (ROOT / f"plugins/modules/{module}.py").read_text()
    options: dict[str, Any] = documentation(source)["DOCUMENTATION"]["options"]
    return options


def read(path: Path, content: Any) -> blocklist_settings.Settings:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return blocklist_settings.read(path)


def test_feeds_and_lists_are_filled_in(tmp_path: Path) -> None:
    found = read(
        tmp_path / "x",
        {
            "feeds": [{"name": "drop", "url": "https://lists.example.org/a", "min_share": 10}],
            "nft_blocklist": {"lists": [{"name": "all", "files": ["/a"]}], "protected": ["::1"]},
        },
    )
    feed = found.feeds["drop"]
    assert feed["dest"] == str(settings.feeds_dir() / "drop.txt")
    assert (feed["min_share"], feed["max_bytes"]) == (10, 100_000_000)
    assert found.loading["lists"] == [
        {"name": "all", "action": "block", "files": ["/a"], "entries": []}
    ]
    assert (found.loading["protected"], found.loading["max_share"]) == (["::1"], 10)


SAID = {
    "bool": ("yes", True),
    "float": ("0.25", 0.25),
    "int": ("7", 7),
    "list": ("/a,/b", ["/a", "/b"]),
}
"""What an inventory may say for an option of a kind, and what a module makes of it."""


def test_what_the_modules_take_is_taken_alike(tmp_path: Path) -> None:
    feed, loading = documented("blocklist_feed"), documented("nft_blocklist")
    told: list[dict[str, Any]] = []
    for options in (feed, loading, loading["lists"]["suboptions"]):
        kinds = {name: option["type"] for name, option in options.items() if name != "lists"}
        told.append({name: SAID[kind][0] for name, kind in kinds.items() if kind in SAID})
    asked = {
        "feeds": [{"name": "a", "url": "https://x.example.org/", **told[0]}],
        "nft_blocklist": {**told[1], "lists": [{"name": "b", **told[2]}]},
    }
    found = read(tmp_path / "x", asked)
    for said, options, got in zip(
        told,
        (feed, loading, loading["lists"]["suboptions"]),
        (found.feeds["a"], found.loading, found.loading["lists"][0]),
        strict=True,
    ):
        assert said
        assert {name: got[name] for name in said} == {
            name: SAID[options[name]["type"]][1] for name in said
        }


@pytest.mark.parametrize(
    "content",
    [
        "torn {",
        "[]",
        {},
        {"feeds": [{"url": "x"}], "nft_blocklist": {}},
        {"feeds": [{"name": "../x"}], "nft_blocklist": {}},
        {"feeds": [{"name": "x", "adress": "y"}], "nft_blocklist": {}},
        {"feeds": [], "nft_blocklist": {"list": []}},
        {"feeds": [], "nft_blocklist": {"lists": ["x"]}},
        {"feeds": [], "nft_blocklist": {"max_share": "much"}},
        {"feeds": [], "nft_blocklist": {"strict": "perhaps"}},
    ],
)
def test_what_the_role_would_not_write_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(DebvisorError, match="is not what the role"):
        read(tmp_path / "x", content)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DebvisorError, match="none cannot be read"):
        blocklist_settings.read(tmp_path / "none")
