# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A refresh fetches every feed, whatever becomes of the others, and loads the lists after them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._ports.http import web
from ansible_collections.debvisor.hci.plugins.module_utils._programs import blocklist_refresh
from ansible_collections.debvisor.hci.plugins.module_utils._wiring import firewall

from tests.fakes import object_server as fake
from tests.fakes.drawers import FillDrawers
from tests.fakes.object_server import ObjectServer, serving


class Lists(FillDrawers):
    """What is loaded into the packet filter: here, into a drawer."""

    def parse(self, params: Mapping[str, Any]) -> Mapping[str, str]:
        content = "".join(
            Path(path).read_text() for each in params["lists"] for path in each["files"]
        )
        if "192.0.2.66" in content:
            raise DebvisorError("nft refused the rules")
        return {"set": content}


class World:
    def __init__(self, base: Path, publisher: ObjectServer) -> None:
        self.publisher = publisher
        self.kernel = base / "kernel"
        self.kernel.mkdir()
        self.settings = base / "blocklist.json"
        self.feeds = settings.feeds_dir()
        self.feeds.mkdir(parents=True)

    def write(self, *names: str, **options: Any) -> None:
        feeds = [{"name": name, "url": self.publisher.url(f"/{name}"), **options} for name in names]
        files = [str(self.feeds / f"{name}.txt") for name in names]
        lists = [{"name": "all", "files": files}]
        self.settings.write_text(json.dumps({"feeds": feeds, "nft_blocklist": {"lists": lists}}))

    def run(self) -> int:
        return blocklist_refresh.main(["--settings", str(self.settings)])

    @property
    def loaded(self) -> str:
        return (self.kernel / "set").read_text()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(web, "PAUSE", 0.01)
    monkeypatch.setattr(settings, "state_dir", lambda: tmp_path / "state")
    monkeypatch.setattr(settings, "log_dir", lambda: tmp_path / "log")
    monkeypatch.setattr(settings, "lock_dir", lambda: tmp_path / "lock")
    (tmp_path / "log").mkdir()
    with serving() as publisher:
        made = World(tmp_path, publisher)
        monkeypatch.setattr(firewall, "nft_blocklist", lambda: Lists(made.kernel))
        publisher.objects["/one"] = b"192.0.2.1\n"
        publisher.objects["/two"] = b"198.51.100.1\n"
        made.write("one", "two")
        yield made


def test_feeds_are_fetched_and_then_loaded(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run() == 0
    assert world.loaded == "192.0.2.1\n198.51.100.1\n"
    assert capsys.readouterr().out.splitlines() == [
        "one: fetched, 1 entries, 1 came, 0 went",
        "two: fetched, 1 entries, 1 came, 0 went",
        "nft: set: hold 23 characters",
    ]
    assert world.run() == 0
    assert capsys.readouterr().out.splitlines() == [
        "one: not_modified, 1 entries",
        "two: not_modified, 1 entries",
        "nft: nothing changed",
    ]


def test_one_that_fails_holds_up_no_other(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.run()
    world.publisher.objects["/one"] = fake.answers(500)
    world.publisher.objects["/two"] = b"198.51.100.2\n"
    capsys.readouterr()
    assert world.run() == 0, "the copy is kept, and that is said"
    said = capsys.readouterr()
    assert "one: " in said.err
    assert "answered 500" in said.err
    assert "one: kept, 1 entries" in said.out
    assert world.loaded == "192.0.2.1\n198.51.100.2\n"


def test_one_without_a_good_copy_fails_the_run_and_the_rest_is_loaded(world: World) -> None:
    world.run()
    world.publisher.objects["/one"] = fake.answers(500)
    world.publisher.objects["/two"] = b"198.51.100.2\n"
    world.write("one", "two", max_age=1e-9)
    record = world.feeds / "one.txt.json"
    record.write_text(record.read_text().replace('"confirmed": ', '"confirmed": -'))
    assert world.run() == 1
    assert world.loaded == "192.0.2.1\n198.51.100.2\n"


def test_lists_that_cannot_be_loaded_are_worse(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.publisher.objects["/one"] = b"192.0.2.66\n"
    assert world.run() == 3
    assert "nft: nft refused the rules" in capsys.readouterr().err


def test_bad_settings_stop_it(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.settings.write_text("{}")
    assert world.run() == 2
    assert "blocklist.json is not what the role" in capsys.readouterr().err
    assert world.publisher.log == []
