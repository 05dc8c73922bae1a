# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode foretells exactly what the run then does, and a converged cluster has nothing left to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.node.control_node import ControlNode, PlaybookRun

CHANGE = {
    "debvisor_dns_ttl": 240,
    "debvisor_dns_allow_query": ["10.0.0.0/8", "fd00::/8", "localhost"],
}
"""A change that touches rendered configuration and registered records, on every node."""


def site(control: ControlNode, log: Path, *arguments: str) -> PlaybookRun:
    run = control.ansible(
        "debvisor.hci.site",
        "--diff",
        *arguments,
        log=log,
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
    )
    assert run.status == 0, run.output[-4000:]
    return run


def changes(run: PlaybookRun) -> dict[tuple[str, str], Any]:
    """Return (host, task) -> what differs, for everything that changed, or would."""
    return {key: texts(result) for key, result in run.results().items() if result.get("changed")}


def texts(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Return before and after of each diff in a result, a loop's included. Headers name temporary files: left out."""
    diffs = result.get("diff") or []
    own = [
        (str(diff.get("before", "")), str(diff.get("after", "")))
        for diff in (diffs if isinstance(diffs, list) else [diffs])
    ]
    return own + [pair for item in result.get("results", ()) for pair in texts(item)]


@pytest.fixture
def put_back(control: ControlNode, tmp_path: Path) -> Iterator[None]:
    """Converge to the inventory again; then check mode must foretell nothing."""
    yield
    site(control, tmp_path / "back.log")
    assert changes(site(control, tmp_path / "settled.log", "--check")) == {}


@pytest.mark.usefixtures("put_back")
def test_check_mode_foretells_the_run(control: ControlNode, tmp_path: Path) -> None:
    change = f"--extra-vars={json.dumps(CHANGE)}"
    foretold = changes(site(control, tmp_path / "check.log", "--check", change))
    assert foretold, "the change changes nothing: the test would prove nothing"
    done = changes(site(control, tmp_path / "run.log", change))
    assert set(foretold) == set(done)
    assert foretold == done
