# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The question behind ``tcp_probe_info``: which addresses this host reaches."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from .._core.checks import check_range, refuse_any
from .._core.errors import Problem
from .._core.spec import Spec
from .ports import Probe

SPEC = Spec(
    {
        "addresses": {"type": "list", "elements": "str", "required": True},
        "port": {"type": "int", "required": True},
        "timeout": {"type": "float", "default": 2},
    }
)
OPEN, REFUSED, SILENT = "open", "refused", "silent"
"""What an address answers. A refusal, too, came all the way."""


class Reachability:
    """Tries addresses."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what each address answered."""
        problems = []
        for number, address in enumerate(params["addresses"]):
            try:
                ip_address(address)
            except ValueError as cause:
                problems.append(Problem(f"addresses[{number}]", str(cause)))
        check_range("port", params["port"], 1, 65535, problems)
        if not 0 < params["timeout"] <= 60:
            problems.append(
                Problem("timeout", f"{params['timeout']:g} is not above 0 and up to 60")
            )
        refuse_any(problems)
        found = self._probe.answers(params["addresses"], params["port"], params["timeout"])
        return {"addresses": [_result(address, found[address]) for address in params["addresses"]]}


def _result(address: str, answer: str) -> dict[str, Any]:
    tried = answer in (OPEN, REFUSED, SILENT)
    return {
        "address": address,
        "tried": tried,
        "reachable": answer in (OPEN, REFUSED),
        "answer": answer if tried else "",
        "problem": "" if tried else answer,
    }
