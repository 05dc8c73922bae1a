# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of the machine begin with one that is up; `make vm` sees to that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vm import deploy, programs
from tests.vm.__main__ import require_running
from tests.vm.programs import Programs


@pytest.fixture(scope="session")
def vm() -> None:
    """The machine, with today's code."""
    require_running()
    deploy.collection()


@pytest.fixture(scope="session")
def brought(vm: None) -> None:
    """The programs are there, and libvirt runs."""
    programs.bring()
    programs.start_libvirt()


@pytest.fixture(name="programs", scope="module")
def running_programs(brought: None, request: pytest.FixtureRequest) -> Iterator[Programs]:
    """Those that run the checks that this session selected of a module."""
    selected = [item for item in request.session.items if item.path == request.path]
    found = Programs(item.callspec.params["case"] for item in selected)  # type: ignore[attr-defined]
    yield found
    found.end()
