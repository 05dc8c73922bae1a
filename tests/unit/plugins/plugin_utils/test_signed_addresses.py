# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin: what it hands to the module, and when it does not run it at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.debvisor.hci.plugins.plugin_utils.signed_addresses import SignedAddresses

S3 = {"endpoint": "https://s3.test", "access_key": "OPEN", "secret_key": "hidden-key"}


class Plugin(SignedAddresses):
    def __init__(self, *, async_val: int = 0, **args: Any) -> None:
        self._task = SimpleNamespace(args=args, async_val=async_val)
        shell = SimpleNamespace(tmpdir="/tmp/a")
        self._connection = SimpleNamespace(has_native_async=False, _shell=shell)
        self.calls: list[tuple[dict[str, Any], bool]] = []
        self.removed: list[str] = []

    def _execute_module(
        self, module_args: Any = None, task_vars: Any = None, wrap_async: bool = False
    ) -> dict[str, Any]:
        self.calls.append((module_args, wrap_async))
        return {"changed": True}

    def _remove_tmp_path(self, path: str) -> None:
        self.removed.append(path)


@pytest.fixture(autouse=True)
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


def test_the_host_gets_signed_addresses_and_no_keys() -> None:
    plugin = Plugin(image_url="s3://images/a", s3=S3, volume_name="web1")
    assert plugin.run() == {"changed": True}
    [(options, detached)] = plugin.calls
    assert set(options) == {"image_url", "volume_name", "signed_urls"}
    image = options["signed_urls"]["image"]
    assert image.startswith("https://s3.test/images/a?")
    assert "X-Amz-Expires=21600&" in image, "the default"
    assert not detached
    assert plugin.removed == ["/tmp/a"]


def test_a_task_that_is_not_waited_for_goes_on_by_itself() -> None:
    plugin = Plugin(async_val=60, image_url="https://web.test/a")
    plugin.run()
    assert plugin.calls == [({"image_url": "https://web.test/a"}, True)]
    assert plugin.removed == [], "the module is still there to be run"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"s3": {"endpoint": "https://s3.test"}}, "access_key"),
        ({"s3": {**S3, "addressing": "other"}}, "addressing"),
        ({"s3": {**S3, "typo": 1}}, "typo"),
        ({}, "need endpoint"),
    ],
)
def test_the_module_is_not_run_with_what_is_wrong(given: dict[str, Any], told: str) -> None:
    plugin = Plugin(image_url="s3://images/a", **given)
    result = plugin.run()
    assert result["failed"]
    assert told in result["msg"]
    assert "hidden-key" not in result["msg"]
    assert plugin.calls == []
