# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a rotation: for people a few lines, for machines a file and metrics."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..._core import file_backup
from ..._core.metrics import Family, sample, single
from ..._core.plan import Action, Difference, Operation, Plan, Receipt
from ..._core.ports import Clock, Files
from ..._core.spec import Spec
from .keyring import Keyring

SPEC = Spec(
    {
        "path": {"type": "path", "required": True},
        "mode": {"type": "str", "required": True},
        "canaries": {"type": "dict", "default": {}},
        "dropped": {"type": "list", "elements": "str", "default": []},
        "waiting": {"type": "dict", "default": {}},
        "missing": {"type": "list", "elements": "str", "default": []},
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The file, and what it is to say."""

    path: str
    outcome: Mapping[str, Any]


class RotationReport(Operation[Wanted, int]):
    """Write the report of a rotation. What is observed is the time."""

    name = "tsig_rotation_report"

    def __init__(self, files: Files, clock: Clock) -> None:
        self._files = files
        self._clock = clock

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        return Wanted(params["path"], {key: params[key] for key in params if key != "path"})

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{wanted.path}"

    def observe(self, wanted: Wanted) -> int:
        return int(self._clock.wall())

    def plan(self, observed: int, wanted: Wanted) -> Plan:
        outcome = wanted.outcome
        losses = losses_of(outcome["canaries"])
        complete = not outcome["waiting"] and not outcome["missing"] and not losses
        record = {**outcome, "ended": observed, "complete": complete}
        lines = summary(outcome)
        content = json.dumps(record, indent=1, sort_keys=True).encode() + b"\n"
        return Plan(
            actions=(Action("write", wanted.path, lines[0], payload=content),),
            differences=[Difference(wanted.path, "", content.decode())],
            after={"complete": complete},
            facts={"summary": lines, "complete": complete, "losses": losses},
        )

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        return file_backup.keep(self._files, wanted.path)

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        self._files.write(wanted.path, action.payload, mode=0o640, uid=-1, gid=-1)

    def undo(self, receipt: Receipt) -> None:
        file_backup.restore(self._files, receipt)

    def commit(self, receipt: Receipt) -> None:
        file_backup.forget(self._files, receipt)


def losses_of(canaries: Mapping[str, Any]) -> int:
    """Return how many updates and transfers failed, over all hosts."""
    return sum(
        report[work]["failed"]
        for report in canaries.values()
        if report
        for work in ("updates", "transfers")
    )


def summary(outcome: Mapping[str, Any]) -> list[str]:
    """Return the lines that an operator reads."""
    lines = [f"{outcome['mode']}: {_listed(outcome['dropped'], 'no key')} went"]
    for host, report in sorted(outcome["canaries"].items()):
        if not report:
            lines.append(f"{host}: its canary left no report")
            continue
        updates, transfers = report["updates"], report["transfers"]
        lines.append(
            f"{host}: {updates['made']} updates made, {updates['failed']} failed"
            f" (slowest {updates['slowest_ms']:g} ms); {transfers['made']} transfers made,"
            f" {transfers['failed']} failed"
        )
        lines += [f"{host}: {error}" for error in (*updates["errors"], *transfers["errors"])]
    lines += [f"{name} waits: {why}" for name, why in sorted(outcome["waiting"].items())]
    if outcome["missing"]:
        lines.append(
            f"not reached: {', '.join(sorted(outcome['missing']))}. What such a host has is out of date: run"
            " debvisor.hci.site on it when it is back"
        )
    return lines


def _listed(names: Iterable[str], nothing: str) -> str:
    return ", ".join(sorted(names)) or nothing


def families(ring: Keyring, last: Mapping[str, Any], now: int) -> list[Family]:
    """Return metrics of the keys.

    :param last: when a rotation last came to its end (``success``), and how the last run ended (``result``, 0 is well).
    """
    return [
        single(
            "debvisor_tsig_rotation_last_success_timestamp_seconds",
            "gauge",
            "When a rotation of TSIG keys last came to its end, in seconds since 1970; 0 is never.",
            last.get("success", 0),
        ),
        single(
            "debvisor_tsig_rotation_last_run_failed",
            "gauge",
            "Whether the last run of the rotation failed.",
            int(bool(last.get("result", 0))),
        ),
        Family(
            "debvisor_tsig_key_age_seconds",
            "gauge",
            "Age of the generation that clients sign with.",
            [sample(max(0, now - c.current.created), **{"class": n}) for n, c in _sorted(ring)],
        ),
        Family(
            "debvisor_tsig_key_generations",
            "gauge",
            "Generations that servers accept; more than one means that a rotation is under way.",
            [sample(len(c.generations), **{"class": n}) for n, c in _sorted(ring)],
        ),
    ]


def _sorted(ring: Keyring) -> list[tuple[str, Any]]:
    return sorted((name, each) for name, each in ring.classes.items() if each.used)
