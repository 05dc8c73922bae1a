# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oldest ansible-core that is promised is the one that everything is tested with."""

from __future__ import annotations

import re

import pytest

from tests.checkout import ROOT

TESTED = r"^ansible-core>=(\d+\.\d+),"


def stated(path: str, pattern: str) -> list[str]:
    return re.findall(pattern, (ROOT / path).read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("README.md", r"ansible-core (\d+\.\d+) or later"),
        ("meta/runtime.yml", r"^requires_ansible: '>=(\d+\.\d+)\.0'$"),
        *(
            (path.relative_to(ROOT).as_posix(), r'^  min_ansible_version: "(\d+\.\d+)"$')
            for path in sorted(ROOT.glob("roles/*/meta/main.yml"))
        ),
    ],
)
def test_the_oldest_ansible_is_said_alike_everywhere(path: str, pattern: str) -> None:
    tested = stated("requirements/control-node.in", TESTED)
    assert len(tested) == 1
    assert stated(path, pattern) == tested
