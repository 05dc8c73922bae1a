# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is blocked as metrics, from the files that say so and the kernel's counters."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._core.metrics import text
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import (
    bans,
    feed,
    list_metrics,
    store,
)
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.list_metrics import Feed, Hits
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.networks import V4
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.packed import pack
from ansible_collections.debvisor.hci.plugins.module_utils._programs import firewall_collectors

from tests.fakes.collecting import CollectingHost


def counter(name: str, packets: int) -> dict[str, Any]:
    return {"counter": {"name": name, "packets": packets, "bytes": packets * 100}}


class Nft:
    """A kernel with counters, or one that cannot be asked."""

    fails = False

    def table(self, family: str, name: str) -> list[dict[str, Any]] | None:
        if self.fails:
            raise DebvisorError("/usr/sbin/nft cannot be run")
        return {
            "debvisor_blocklist": [
                {"table": {"name": name}},
                counter("a_list_v4", 7),
                counter("a_list_v6", 0),
                counter("odd", 1),
            ],
            "debvisor_bans": None,
        }[name]


class World:
    def __init__(self, base: Path) -> None:
        self.host = CollectingHost(base)
        self.output = self.host.output
        self.settings = base / "blocklist.json"
        feeds = [{"name": name, "url": "https://x.example/", "max_age": 1e12} for name in "fg"]
        self.settings.write_text(json.dumps({"feeds": feeds, "nft_blocklist": {}}))
        settings.feeds_dir().mkdir(parents=True)

    def run(self) -> int:
        return self.host.collect("blocklist", settings=self.settings)

    def values(self) -> dict[str, float]:
        return self.host.values()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(settings, "state_dir", lambda: tmp_path / "state")
    monkeypatch.setattr(firewall_collectors, "Nft", Nft)
    return World(tmp_path)


def test_a_host_without_anything_has_its_zeros(world: World) -> None:
    assert world.run() == 0
    values = world.values()
    assert values["debvisor_blocked_ips"] == 0
    assert values['debvisor_blocklist_feed_confirmed_timestamp_seconds{feed="f"}'] == 0
    assert values['debvisor_blocklist_feed_failing{feed="f"}'] == 1


def test_everything_is_told(world: World) -> None:
    kept = store.KeptList("a_list", store.BLOCK)
    kept.sets[V4] = {
        32: store.Content(pack(V4, [1, 2]), array("I", [0, 0])),
        24: store.Content(pack(V4, [256]), array("I", [0])),
    }
    whole = b"".join(store.encode(store.Store([kept])))
    (settings.firewall_dir() / "blocklist").write_bytes(whole)
    book = {
        "192.0.2.1": bans.Ban("192.0.2.1", 1, 0),
        "192.0.2.2": bans.Ban("192.0.2.2", 1, 2),
    }
    (settings.firewall_dir() / "bans.json").write_bytes(bans.encode(book))
    for name, trouble in (("f", None), ("g", feed.Trouble(5, "why"))):
        record = feed.Record("o", "s", 12, 100, 200, trouble=trouble)
        (settings.feeds_dir() / f"{name}.txt.json").write_bytes(record.dump())
    assert world.run() == 0
    values = world.values()
    assert values == {
        'debvisor_blocklist_entries{list="a_list",family="v4"}': 3,
        'debvisor_blocklist_entries{list="a_list",family="v6"}': 0,
        'debvisor_blocklist_hit_packets_total{list="a_list",family="v4"}': 7,
        'debvisor_blocklist_hit_packets_total{list="a_list",family="v6"}': 0,
        'debvisor_blocklist_hit_bytes_total{list="a_list",family="v4"}': 700,
        'debvisor_blocklist_hit_bytes_total{list="a_list",family="v6"}': 0,
        "debvisor_blocked_ips": 1,
        'debvisor_blocklist_feed_confirmed_timestamp_seconds{feed="f"}': 200,
        'debvisor_blocklist_feed_confirmed_timestamp_seconds{feed="g"}': 200,
        'debvisor_blocklist_feed_entries{feed="f"}': 12,
        'debvisor_blocklist_feed_entries{feed="g"}': 12,
        'debvisor_blocklist_feed_failing{feed="f"}': 0,
        'debvisor_blocklist_feed_failing{feed="g"}': 1,
    }


def test_what_cannot_be_known_is_not_written(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Nft, "fails", True)
    assert world.run() == 2
    assert "nft cannot be run" in capsys.readouterr().err
    monkeypatch.setattr(Nft, "fails", False)
    (settings.firewall_dir() / "blocklist").write_bytes(b"rubbish")
    assert world.run() == 2
    assert not world.output.exists()


def test_labels_are_escaped_and_old_copies_fail() -> None:
    record = feed.Record("o", "s", 1, 0, 100)
    feeds = [Feed('a"b\\c\nd', record, 50.0)]
    for now, failing in ((150, 0), (151, 1)):
        told = text(list_metrics.families(None, [Hits("x", "v4", 1, 2)], 0, feeds, now))
        assert f'debvisor_blocklist_feed_failing{{feed="a\\"b\\\\c\\nd"}} {failing}\n' in told
    for line in told.splitlines():
        assert line.startswith(("# HELP debvisor_", "# TYPE debvisor_", "debvisor_"))
