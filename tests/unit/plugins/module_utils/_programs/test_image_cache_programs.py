# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""image-cache-maintenance and the metrics of a real cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._programs import image_cache_maintenance

from tests.fakes.collecting import CollectingHost
from tests.fakes.images import CONTENT, NAME, CachingHost, MemoryImage


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CachingHost:
    for place in ("state_dir", "log_dir", "lock_dir"):
        monkeypatch.setattr(settings, place, lambda: tmp_path / "state")
    host = CachingHost(tmp_path)
    host.store(MemoryImage(CONTENT))
    return host


def options(host: CachingHost, **told: object) -> list[str]:
    path = host.root.parent / "image_cache.json"
    path.write_text(json.dumps({"path": str(host.root), **told}))
    return ["--settings", str(path)]


def test_the_cache_is_pruned(host: CachingHost, capsys: pytest.CaptureFixture[str]) -> None:
    assert image_cache_maintenance.main(["pruned", *options(host, max_bytes="1M")]) == 0
    assert capsys.readouterr().out == "0 images removed, 0 bytes freed\n"
    assert (
        image_cache_maintenance.main(["pruned", *options(host, max_bytes="1K", timeout=9.0)]) == 0
    )
    assert capsys.readouterr().out.startswith("1 images removed, ")
    assert host.images() == []


def test_a_limit_that_cannot_be_kept_is_a_failure(
    host: CachingHost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert image_cache_maintenance.main(["pruned", *options(host, min_free="1024T")]) == 1
    assert "less than min_free" in capsys.readouterr().err


def test_a_damaged_image_is_a_failure(
    host: CachingHost, capsys: pytest.CaptureFixture[str]
) -> None:
    assert image_cache_maintenance.main(["verified", *options(host)]) == 0
    assert capsys.readouterr().out == "1 images are good, 0 damaged\n"
    (host.root / NAME).write_bytes(b"bad")
    assert image_cache_maintenance.main(["verified", *options(host)]) == 1
    told = capsys.readouterr()
    assert told.out == "0 images are good, 1 damaged\n"
    assert NAME in told.err
    assert host.images() == []


@pytest.mark.parametrize("content", ["", "[1]", '{"command": 1}', '{"path": '])
def test_bad_settings_are_told(
    host: CachingHost, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = host.root.parent / "bad.json"
    path.write_text(content)
    where = ["--settings", str(path)]
    assert image_cache_maintenance.main(["pruned", *where]) == 2
    assert CollectingHost(path.parent).collect("image_cache", settings=path) == 2
    assert "Run the role again" in capsys.readouterr().err
    path.unlink()
    assert image_cache_maintenance.main(["pruned", *where]) == 2


def test_what_fails_is_told(host: CachingHost, capsys: pytest.CaptureFixture[str]) -> None:
    assert image_cache_maintenance.main(["pruned", *options(host, min_free="much")]) == 3
    assert "min_free" in capsys.readouterr().err


def test_metrics_are_written(host: CachingHost, tmp_path: Path) -> None:
    collecting, [_option, place] = CollectingHost(tmp_path), options(host)
    assert collecting.collect("image_cache", settings=place) == 0
    assert collecting.values()["libvirt_volume_provisioner_cache_images"] == 1
    assert collecting.output.stat().st_mode & 0o777 == 0o644
    assert collecting.collect("image_cache", settings=place, output=tmp_path / "none" / "x") == 2
