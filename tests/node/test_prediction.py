# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode foretells exactly what the run then does, and a converged cluster has nothing left to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.control_node import ControlNode, PlaybookRun

CHANGE = {
    "debvisor_dns_ttl": 240,
    "debvisor_dns_allow_query": ["10.0.0.0/8", "fd00::/8", "localhost"],
}
"""A change that touches rendered configuration and registered records, on every node."""


SITE = ("debvisor.hci.site",)
CHANGED = ("debvisor.hci.dns_ha", "debvisor.hci.node_register", "--skip-tags=install")
"""What of the site heeds the change. The rest has nothing to do, as the long test shows."""


def played(
    control: ControlNode, log: Path, playbooks: Sequence[str], *arguments: str
) -> PlaybookRun:
    run = control.ansible(
        *playbooks,
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
def put_back(
    request: pytest.FixtureRequest, control: ControlNode, tmp_path: Path
) -> Iterator[None]:
    """Converge to the inventory again, where nothing that comes later in this session does so anyhow."""
    yield
    if not any(item.path.name == "test_secrets.py" for item in request.session.items):
        played(control, tmp_path / "back.log", CHANGED)


@pytest.mark.long
def test_check_mode_foretells_nothing_where_nothing_is_to_be_done(
    control: ControlNode, tmp_path: Path
) -> None:
    assert changes(played(control, tmp_path / "settled.log", SITE, "--check")) == {}


@pytest.mark.long
@pytest.mark.usefixtures("put_back")
def test_check_mode_plans_the_run(control: ControlNode, tmp_path: Path) -> None:
    change = f"--extra-vars={json.dumps(CHANGE)}"
    foretold = changes(played(control, tmp_path / "check.log", CHANGED, "--check", change))
    assert foretold, "the change changes nothing: the test would prove nothing"
    done = changes(played(control, tmp_path / "run.log", CHANGED, change))
    assert set(foretold) == set(done)
    assert foretold == done
