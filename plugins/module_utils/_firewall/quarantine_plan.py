# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is and what is wanted to the steps of a quarantine, or of its end. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

from .._core.errors import InvalidInput, Problem
from .._core.plan import Action, Difference, Undo
from . import quarantine
from .quarantine import Flow
from .quarantine_options import Wanted
from .quarantine_record import Guest, Record, Stopped, to_autostart, to_stop, to_wake


@dataclass(frozen=True, slots=True)
class Observed:
    """What is. Tables are as nft(8) lists them, by family; ``rehearsed`` are those that are wanted.

    ``answering`` holds the forbidden peers that answer.
    """

    tables: Mapping[str, str]
    rehearsed: Mapping[str, str]
    record: Record | None
    boot: str | None
    metric: str | None
    guests: Sequence[Guest]
    guests_unknown: str
    """Why the guests are unknown; empty where they are known."""
    client: tuple[str, int] | None
    """Who is at the other end of our SSH session, and the port of ours that it came to."""
    answering: frozenset[str]


@dataclass(frozen=True, slots=True)
class QuarantinePaths:
    """The files of a quarantine."""

    record: str
    boot: str
    evidence: str


@dataclass(slots=True)
class Gathered:
    """The evidence that this run gathered: a record holds when, and what it is. Empty until it is packed."""

    since: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    def completing(self, record: Record) -> Record:
        """Return the record with this evidence."""
        return replace(record, since=self.since, evidence=self.files) if self.since else record


@dataclass(frozen=True, slots=True)
class KeepEvidence:
    """Examine the host, and pack what was seen."""

    guests: Sequence[Guest]
    gathered: Gathered


@dataclass(frozen=True, slots=True)
class Remember:
    """Write the record."""

    record: Record
    gathered: Gathered


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write a file for everybody to read, or remove it."""

    path: str
    content: str | None


@dataclass(frozen=True, slots=True)
class Switch:
    """Load rules. ``back`` brings back those of before; ``line`` is for the log."""

    script: str
    back: str
    line: str


@dataclass(frozen=True, slots=True)
class SetBoot:
    """Say what is loaded at boot; None for nothing."""

    script: str | None


@dataclass(frozen=True, slots=True)
class SetAutostart:
    """Say whether guests start with the machine."""

    guests: tuple[tuple[str, str], ...]
    wanted: bool


@dataclass(frozen=True, slots=True)
class StopGuests:
    """Pause guests or shut them down."""

    guests: Sequence[Stopped]


@dataclass(frozen=True, slots=True)
class WakeGuests:
    """Let guests run again."""

    guests: Sequence[Stopped]


@dataclass(frozen=True, slots=True)
class Course:
    """The steps, and what they lead to. ``record`` is that of the quarantine, None after its end."""

    actions: tuple[Action, ...]
    record: Record | None
    gathered: Gathered
    script: str | None
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
    switches: bool = False
    """Whether the host is about to be cut off, or to be cut off otherwise than it is."""


def cutting_off(observed: Observed, wanted: Wanted, paths: QuarantinePaths) -> Course:
    """Plan a quarantine; nothing to do where it is as wanted."""
    script = rules(observed.client, wanted)
    metric = quarantine.metric(wanted.host, wanted.reason)
    stopping = to_stop(observed.guests, wanted.guests)
    starting = [guest for guest in observed.guests if guest.autostart]
    before = observed.record or Record("", wanted.reason, wanted.requester)
    record = replace(before, reason=wanted.reason).with_guests(stopping, starting)

    actions = []
    gathered = Gathered()
    if observed.record is None:
        evidence = KeepEvidence(observed.guests, gathered)
        actions.append(_action("keep", "evidence", evidence, Undo.COMPENSABLE))
    if record != observed.record:
        actions.append(_action("remember", paths.record, Remember(record, gathered)))
    if starting:
        named = tuple((guest.uuid, guest.name) for guest in starting)
        actions.append(
            _action("switch autostart off", _names(starting), SetAutostart(named, False))
        )
    if stopping:
        actions.append(_action("stop", _names(stopping), StopGuests(stopping), Undo.COMPENSABLE))
    if observed.boot != script:
        actions.append(_action("load at boot", paths.boot, SetBoot(script)))
    if observed.metric != metric:
        actions.append(
            _action("write", wanted.metrics_file, WriteFile(wanted.metrics_file, metric))
        )
    # Last, so that it is undone first, whatever becomes of the guests. And theirs may be storage in the network.
    if observed.tables != observed.rehearsed:
        line = f"QUARANTINE of {wanted.host} begins: reason={wanted.reason!r} requester={wanted.requester!r}"
        switch = Switch(script, quarantine.restoring(observed.tables), line)
        actions.append(_action("cut off", wanted.host, switch))

    warnings = [observed.guests_unknown]
    if not observed.tables and wanted.forbidden_peers and not observed.answering:
        warnings.append(
            "No forbidden peer answers now, so their silence afterwards will prove nothing"
        )
    return Course(
        tuple(actions),
        record,
        gathered,
        script,
        _differences(observed, paths, script, record),
        tuple(filter(None, warnings)),
        observed.tables != observed.rehearsed,
    )


def letting_back(observed: Observed, wanted: Wanted, paths: QuarantinePaths) -> Course:
    """Plan the end of a quarantine; nothing to do where there is none."""
    record = observed.record or Record("", "", "")
    waking, warnings = to_wake(record, observed.guests)
    starting = to_autostart(record, observed.guests)
    if observed.guests_unknown:
        left = {guest.name for guest in record.stopped} | {name for _uuid, name in record.autostart}
        warnings = [
            f"{observed.guests_unknown}. It concerns {', '.join(sorted(left)) or 'none of them'}"
        ]

    actions = []
    if observed.tables:
        line = f"QUARANTINE of {wanted.host} ends: reason was {record.reason!r}"
        switch = Switch(quarantine.restoring({}), quarantine.restoring(observed.tables), line)
        actions.append(_action("let back", wanted.host, switch))
    if observed.boot is not None:
        actions.append(_action("load nothing at boot", paths.boot, SetBoot(None)))
    if starting:
        named = tuple((guest.uuid, guest.name) for guest in starting)
        actions.append(_action("switch autostart on", _names(starting), SetAutostart(named, True)))
    if waking:
        actions.append(_action("wake", _names(waking), WakeGuests(waking), Undo.COMPENSABLE))
    if observed.metric is not None:
        actions.append(_action("remove", wanted.metrics_file, WriteFile(wanted.metrics_file, None)))
    if observed.record is not None:
        actions.append(_action("forget", paths.record, WriteFile(paths.record, None)))
    return Course(
        tuple(actions),
        None,
        Gathered(),
        None,
        _differences(observed, paths, None, None),
        tuple(warnings),
    )


def shown(record: Record | None) -> dict[str, Any]:
    """Return a quarantine, or that there is none, as the result shows it."""
    if record is None:
        return {"state": "released"}
    return {
        "state": "quarantined",
        "since": record.since,
        "reason": record.reason,
        "requester": record.requester,
        "stopped": [guest.name for guest in record.stopped],
        "autostart_off": [name for _uuid, name in record.autostart],
        "evidence": record.evidence,
    }


def forbidden_peers(client: tuple[str, int] | None, wanted: Wanted) -> list[str]:
    """Return the forbidden peers that no named path leads to or from."""
    named = [network for flow in _named(client, wanted) for network in flow.networks]
    return [
        str(address)
        for address in wanted.forbidden_peers
        if not any(address in network for network in named)
    ]


def _named(client: tuple[str, int] | None, wanted: Wanted) -> list[Flow]:
    """Return the named paths, and first the one that we came by."""
    if client is None:
        return list(wanted.flows)
    address, port = client
    return [Flow((ip_network(address),), (port,)), *wanted.flows]


def rules(client: tuple[str, int] | None, wanted: Wanted) -> str:
    """Return the script that cuts the host off.

    :raises InvalidInput: where no path for its management would be left.
    """
    flows = _named(client, wanted)
    if all(flow.outbound for flow in flows):
        raise InvalidInput(
            [
                Problem(
                    "management",
                    "is empty, and there is no SSH session to learn the manager of this host from",
                )
            ],
            hint="Name the networks that it is managed from",
        )
    return quarantine.script(flows, wanted.shared)


def _action(verb: str, target: str, payload: object, undo: Undo = Undo.REVERSIBLE) -> Action:
    return Action(verb, target, undo=undo, payload=payload)


def _names(guests: Sequence[Guest] | Sequence[Stopped]) -> str:
    return ", ".join(guest.name for guest in guests)


def _differences(
    observed: Observed, paths: QuarantinePaths, script: str | None, record: Record | None
) -> tuple[Difference, ...]:
    all_of_it = (
        Difference(paths.boot, observed.boot or "", script or ""),
        Difference.of("quarantine", shown(observed.record), shown(record)),
    )
    return tuple(each for each in all_of_it if each.before != each.after)
