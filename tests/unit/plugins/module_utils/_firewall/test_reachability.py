# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tcp_probe_info returns: no answer is a result, and what could not be tried is no proof."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import filled
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import reachability


class Probe:
    def answering(self, addresses: Collection[str], port: int) -> frozenset[str]:
        raise NotImplementedError

    def answers(self, addresses: Collection[str], port: int, timeout: float) -> Mapping[str, str]:
        known = ("open", "refused", "silent", "Network is unreachable")
        return dict(zip(addresses, known, strict=True))


def look(**given: Any) -> Any:
    return reachability.Reachability(Probe()).look(filled(reachability.SPEC, given))["addresses"]


def test_every_answer_is_a_result() -> None:
    found = look(addresses=["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::4"], port=22)
    assert [each["reachable"] for each in found] == [True, True, False, False]
    assert [each["tried"] for each in found] == [True, True, True, False]
    assert [each["answer"] for each in found] == ["open", "refused", "silent", ""]
    assert found[3]["problem"] == "Network is unreachable"


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        look(addresses=["192.0.2.1", "node1"], port=0, timeout=0)
    assert [each.where for each in caught.value.problems] == ["addresses[1]", "port", "timeout"]
