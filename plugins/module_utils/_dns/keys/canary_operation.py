# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``dns_canary``: let a canary run on this host, or end it and report what it counted."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..._core.checks import check_range, refuse_any
from ..._core.errors import Problem, VerificationFailed
from ..._core.plan import Action, Difference, Operation, Plan, Receipt
from ..._core.ports import Clock, Files
from ..._core.spec import Spec
from ..._core.waiting import wait_until
from ..protocol.endpoints import check_address

FIRST_UPDATE = 15.0
"""Seconds within which a canary must have made its first update."""


def spec(report: str) -> Spec:
    """Return the options.

    :param report: where the canary reports, if nothing else is wanted.
    """
    return Spec(
        {
            "name": {"type": "str", "default": "debvisor-dns-canary"},
            "state": {
                "type": "str",
                "choices": ["running", "restarted", "stopped"],
                "default": "running",
            },
            "zone": {"type": "str"},
            "record": {"type": "str"},
            "server": {"type": "str"},
            "key_file": {"type": "path", "no_log": False},
            "interval": {"type": "float", "default": 0.1},
            "limit": {"type": "float", "default": 900},
            "report": {"type": "path", "default": report},
            "transfer_from": {"type": "dict", "default": {}},
            "transfer_zone": {"type": "str"},
            "transfer_interval": {"type": "float", "default": 1},
        },
        required_if=[
            ("state", state, ["zone", "record", "server", "key_file"])
            for state in ("running", "restarted")
        ],
    )


class Units(Protocol):
    """Programs that run beside the play."""

    def is_active(self, name: str) -> bool: ...

    def start(self, name: str, program: Sequence[str], limit: float) -> None: ...

    def stop(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Stop:
    """End the canary that runs."""


@dataclass(frozen=True, slots=True)
class Start:
    """Let one run; the report of an earlier one goes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked. ``program`` is the command of the canary."""

    unit: str
    running: bool
    limit: float
    report: str
    program: tuple[str, ...]
    afresh: bool = False


class DnsCanary(Operation[Wanted, bool]):
    """Start or end a canary. What is observed is whether it runs."""

    name = "dns_canary"

    def __init__(self, units: Units, files: Files, clock: Clock, libexec: str) -> None:
        self._units = units
        self._files = files
        self._clock = clock
        self._libexec = libexec

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        running = params["state"] != "stopped"
        if running:
            check_address("server", params["server"], problems)
            for address, key_file in params["transfer_from"].items():
                check_address("transfer_from", str(address), problems)
                if not isinstance(key_file, str) or not posixpath.isabs(key_file):
                    problems.append(
                        Problem(
                            f"transfer_from[{address}]", "is not the absolute path of a key file"
                        )
                    )
            if params["transfer_from"] and not params["transfer_zone"]:
                problems.append(Problem("transfer_zone", "is missing, and transfer_from needs it"))
            for option in ("interval", "transfer_interval", "limit"):
                check_range(option, params[option], 0.001, 86400, problems)
        refuse_any(problems)
        return Wanted(
            params["name"],
            running,
            params["limit"],
            params["report"],
            tuple(self._program(params)) if running else (),
            params["state"] == "restarted",
        )

    def _program(self, params: Mapping[str, Any]) -> list[str]:
        words = [posixpath.join(self._libexec, "dns-canary")]
        for option in ("zone", "server", "key_file", "interval", "limit", "report"):
            words.append(f"--{option.replace('_', '-')}={params[option]}")
        words.append(f"--name={params['record']}")
        if params["transfer_from"]:
            words += [
                f"--transfer-from={address}={key_file}"
                for address, key_file in params["transfer_from"].items()
            ]
            for option in ("transfer_zone", "transfer_interval"):
                words.append(f"--{option.replace('_', '-')}={params[option]}")
        return words

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{wanted.unit}"

    def observe(self, wanted: Wanted) -> bool:
        return self._units.is_active(wanted.unit)

    def plan(self, observed: bool, wanted: Wanted) -> Plan:
        actions = []
        if observed and (not wanted.running or wanted.afresh):
            actions.append(Action("stop", wanted.unit, payload=Stop()))
        if wanted.running and (not observed or wanted.afresh):
            actions.append(Action("start", wanted.unit, payload=Start()))
        if not actions:
            return Plan()
        state = {True: "running", False: "stopped"}
        return Plan(
            before={wanted.unit: state[observed]},
            after={wanted.unit: state[wanted.running]},
            actions=tuple(actions),
            differences=[
                Difference(wanted.unit, state[observed] + "\n", state[wanted.running] + "\n")
            ],
        )

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        return {"unit": wanted.unit, "started": isinstance(action.payload, Start)}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        match action.payload:
            case Start():
                self._files.remove(wanted.report)
                self._units.start(wanted.unit, wanted.program, wanted.limit)
            case Stop():
                self._units.stop(wanted.unit)

    def undo(self, receipt: Receipt) -> str | None:
        if receipt["started"]:
            self._units.stop(receipt["unit"])
            return None
        return f"{receipt['unit']} stays stopped"

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if not wanted.running:
            return {"report": self._report(wanted)}

        def flying() -> tuple[bool, str]:
            report = self._report(wanted)
            if report is None:
                return False, "no report yet"
            return report["updates"]["made"] > 0, json.dumps(report["updates"])

        if plan.actions:
            wait_until(
                flying,
                what="the canary's first update",
                timeout=FIRST_UPDATE,
                clock=self._clock,
                hint="Check that the server takes updates signed with that key",
            )
        return {"report": self._report(wanted)}

    def _report(self, wanted: Wanted) -> dict[str, Any] | None:
        if self._files.facts(wanted.report) is None:
            return None
        try:
            found: dict[str, Any] = json.loads(self._files.read(wanted.report))
        except ValueError as cause:
            raise VerificationFailed(f"{wanted.report} is no report of a canary") from cause
        return found
