# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``dns_canary``: let a canary run on this host, or end it and tell what it counted."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .._core.errors import InvalidInput, Problem, VerificationFailed
from .._core.plan import Action, Difference, Operation, Plan, Receipt
from .._core.waiting import Clock, wait_until
from .places import check_address

FIRST_UPDATE = 15.0
"""Seconds within which a canary must have made its first update."""


class Units(Protocol):
    """Programs that run beside the play."""

    def is_active(self, name: str) -> bool: ...

    def start(self, name: str, program: Sequence[str], limit: float) -> None: ...

    def stop(self, name: str) -> None: ...


class Files(Protocol):
    """The files of the machine."""

    def facts(self, path: str) -> Any: ...

    def read(self, path: str) -> bytes: ...

    def remove(self, path: str) -> None: ...


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
            for number, address in enumerate(params["transfer_from"]):
                check_address(f"transfer_from[{number}]", address, problems)
            for option in ("transfer_zone", "transfer_key_file"):
                if params["transfer_from"] and not params[option]:
                    problems.append(Problem(option, "is missing, and transfer_from needs it"))
            for option in ("interval", "transfer_interval", "limit"):
                if not 0.001 <= params[option] <= 86400:
                    problems.append(Problem(option, f"{params[option]} is not from 0.001 to 86400"))
        if problems:
            raise InvalidInput(problems)
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
            words += [f"--transfer-from={address}" for address in params["transfer_from"]]
            for option in ("transfer_zone", "transfer_key_file", "transfer_interval"):
                words.append(f"--{option.replace('_', '-')}={params[option]}")
        return words

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{wanted.unit}"

    def observe(self, wanted: Wanted) -> bool:
        return self._units.is_active(wanted.unit)

    def plan(self, observed: bool, wanted: Wanted) -> Plan:
        verbs = []
        if observed and (not wanted.running or wanted.afresh):
            verbs.append("stop")
        if wanted.running and (not observed or wanted.afresh):
            verbs.append("start")
        if not verbs:
            return Plan()
        state = {True: "running", False: "stopped"}
        return Plan(
            before={wanted.unit: state[observed]},
            after={wanted.unit: state[wanted.running]},
            actions=tuple(Action(verb, wanted.unit) for verb in verbs),
            differences=[
                Difference(wanted.unit, state[observed] + "\n", state[wanted.running] + "\n")
            ],
        )

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        return {"unit": wanted.unit, "started": action.verb == "start"}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        if action.verb == "start":
            self._files.remove(wanted.report)
            self._units.start(wanted.unit, wanted.program, wanted.limit)
        else:
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
