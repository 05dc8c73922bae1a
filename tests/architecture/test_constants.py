# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Constants stand once, and every file says whose it is."""

from __future__ import annotations

import pytest

from tests.architecture import rules
from tests.architecture.tree import sources

SOURCES = sources()
EVERYTHING = {**SOURCES, **sources("tests")}
PORT = "plugins/module_utils/_ports/x.py"
LICENCES = (
    "# SPDX-License-Identifier: GPL-3.0-or-later",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
)


def test_there_is_something_to_check() -> None:
    assert rules.SETTINGS in SOURCES
    assert any(place in SOURCES[rules.SETTINGS] for place in rules.PLACES)


@pytest.mark.parametrize("path", SOURCES)
def test_places_are_spelled_out_once(path: str) -> None:
    assert rules.stray_places(path, SOURCES[path]) == []


def names_its_licence(source: str) -> bool:
    return not source.strip() or any(line in LICENCES for line in source.splitlines()[:6])


@pytest.mark.parametrize("path", EVERYTHING)
def test_file_names_its_licence(path: str) -> None:
    assert names_its_licence(EVERYTHING[path])


def test_a_missing_licence_is_found() -> None:
    assert names_its_licence("#!/usr/bin/python\n# Copyright: somebody\n" + LICENCES[0])
    assert not names_its_licence("# Copyright: somebody\nX = 1\n")
    assert not names_its_licence("X = 1\n" * 10 + LICENCES[0])


@pytest.mark.parametrize("place", rules.PLACES)
@pytest.mark.parametrize(
    "line",
    ["X = {!r}", "X = Path({!r})", "X = {!r} + '/more'", "X = f'{{a}}{}/more'", "f(at={!r})"],
)
def test_a_stray_place_is_found(line: str, place: str) -> None:
    source = line.format(place)
    assert rules.stray_places(PORT, source)
    assert rules.stray_places(rules.SETTINGS, source) == []


@pytest.mark.parametrize("place", rules.PLACES)
@pytest.mark.parametrize(
    "line", ['"""Lives in {}."""', 'X = 1\n"""Below {}."""', "DOCUMENTATION = '{}'", "# {}"]
)
def test_documentation_may_name_a_place(line: str, place: str) -> None:
    assert rules.stray_places(PORT, line.format(place)) == []
