# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``quarantine_host``: keep evidence, cut off, stop the guests; and take all of that back."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from .._core import file_backup
from .._core.errors import Conflict, DebvisorError, VerificationFailed
from .._core.plan import Action, Operation, Plain, Plan, Receipt
from .._core.ports import Clock, Files
from . import evidence, quarantine, quarantine_options
from .ports import Nft, Probe
from .quarantine_guests import GuestControl, Hypervisor
from .quarantine_options import Wanted
from .quarantine_plan import (
    Gathered,
    KeepEvidence,
    Observed,
    QuarantinePaths,
    Remember,
    SetAutostart,
    SetBoot,
    StopGuests,
    Switch,
    WakeGuests,
    WriteFile,
    cutting_off,
    forbidden_peers,
    letting_back,
    rules,
    shown,
)
from .quarantine_record import Guest, decode
from .ruleset import MARK, is_ours

PROBED_PORT = 22
"""A refusal is an answer, too, so nearly any port would do; this one is the least likely to be filtered."""


class Log(Protocol):
    """The system's log."""

    def note(self, line: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world. ``client`` tells who is at the other end of our SSH session, and at which port of ours."""

    nft: Nft
    files: Files
    hypervisor: Hypervisor
    recorder: evidence.Recorder
    probe: Probe
    log: Log
    client: Callable[[], tuple[str, int] | None]
    clock: Clock


class QuarantineHost(Operation[Wanted, Observed]):
    """Cut the host off, or let it back."""

    name = "quarantine_host"

    def __init__(self, ports: Ports, folder: str) -> None:
        self._ports = ports
        self._guests = GuestControl(ports.hypervisor, ports.clock)
        self._paths = QuarantinePaths(
            posixpath.join(folder, "quarantine.json"),
            posixpath.join(folder, "quarantine.nft"),
            posixpath.join(folder, "evidence"),
        )

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        return quarantine_options.parse(params)

    def scope(self, wanted: Wanted) -> str:
        return self.name

    def observe(self, wanted: Wanted) -> Observed:
        guests, unknown = self._known_guests(wanted)
        record = self._content(self._paths.record)
        client = self._ports.client()
        return Observed(
            tables=self._tables(),
            rehearsed=self._rehearsed(client, wanted),
            record=None if record is None else decode(record, self._paths.record),
            boot=self._text(self._paths.boot),
            metric=self._text(wanted.metrics_file),
            guests=guests,
            guests_unknown=unknown,
            client=client,
            answering=self._answering(client, wanted),
        )

    def _answering(self, client: tuple[str, int] | None, wanted: Wanted) -> frozenset[str]:
        return self._ports.probe.answering(forbidden_peers(client, wanted), PROBED_PORT)

    def _content(self, path: str) -> bytes | None:
        return None if self._ports.files.facts(path) is None else self._ports.files.read(path)

    def _text(self, path: str) -> str | None:
        content = self._content(path)
        return None if content is None else content.decode(errors="replace")

    def _tables(self) -> dict[str, str]:
        """Return our tables, by family.

        :raises Conflict: where one has our name and another program made it.
        """
        found = {}
        for family in quarantine.FAMILIES:
            listing = self._ports.nft.listing(family, quarantine.TABLE)
            if listing is None:
                continue
            if not is_ours(listing):
                raise Conflict(
                    f"the table {family} {quarantine.TABLE} is not ours",
                    why=f"it has no comment that begins with {MARK}",
                    hint="Find out which program made it, and rename or delete it",
                )
            found[family] = listing
        return found

    def _rehearsed(self, client: tuple[str, int] | None, wanted: Wanted) -> dict[str, str]:
        """Return the tables that are wanted, as this kernel would have them."""
        if not wanted.quarantined:
            return {}
        script = rules(client, wanted)
        return {
            family: self._ports.nft.rehearsed([script], family, quarantine.TABLE)
            for family in quarantine.families(script)
        }

    def _known_guests(self, wanted: Wanted) -> tuple[Sequence[Guest], str]:
        """Return the guests, or why they cannot be told: unknown means stop, unless they are to be left alone."""
        try:
            return self._ports.hypervisor.guests(), ""
        except DebvisorError as cause:
            if wanted.guests != "leave":
                raise
            return (), f"The guests stay as they are, and so does their autostart. {cause}"

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        course = (cutting_off if wanted.quarantined else letting_back)(
            observed, wanted, self._paths
        )
        return Plan(
            before=shown(observed.record),
            after=Plain(lambda: shown(course.record and course.gathered.completing(course.record))),
            actions=course.actions,
            differences=course.differences,
            warnings=course.warnings,
            facts={"forbidden_peers": forbidden_peers(observed.client, wanted)},
            confirm_within=wanted.confirm_within if course.switches else 0,
        )

    # One step: what its undo needs, its effect, and its undo

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        match action.payload:
            case Switch(back=back):
                return {"kind": "rules", "host": wanted.host, "back": back}
            case SetBoot(script):
                path = self._paths.boot
                return {"kind": "boot", "path": path, "staged": f"{path}.next" if script else None}
            case Remember():
                return self._keep_file(self._paths.record)
            case WriteFile(path):
                return self._keep_file(path)
            case SetAutostart(guests, on):
                return {
                    "kind": "autostart",
                    "guests": [uuid for uuid, _name in guests],
                    "was": not on,
                }
            case StopGuests(guests) | WakeGuests(guests):
                states = {guest.uuid: guest.state for guest in self._ports.hypervisor.guests()}
                was = {guest.uuid: states[guest.uuid] for guest in guests if guest.uuid in states}
                return {"kind": "guests", "was": was}
        return {"kind": "evidence"}

    def _keep_file(self, path: str) -> Receipt:
        """Look for the folder now: where it is missing, not even undo could do its work."""
        if not self._ports.files.has_folder(path):
            raise DebvisorError(f"there is no folder for {path}", hint="Make it and run again")
        return {"kind": "file", "kept": file_backup.keep(self._ports.files, path)}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> str | None:
        match action.payload:
            case KeepEvidence(guests, gathered):
                self._keep_evidence(guests, gathered, wanted)
            case Remember(record, gathered):
                content = gathered.completing(record).encode()
                self._write(self._paths.record, content, mode=0o600)
            case Switch(script=script, line=line):
                self._ports.nft.load([script])
                self._ports.log.note(line)
            case SetBoot(script) if script:
                self._write(receipt["staged"], script.encode(), mode=0o600)
            case WriteFile(path, content) if content is not None:
                self._write(path, content.encode(), mode=0o644)
            case WriteFile(path):
                self._ports.files.remove(path)
            case SetAutostart(guests, on):
                self._guests.set_autostart((uuid for uuid, _name in guests), on)
            case StopGuests(guests):
                self._guests.stop(guests)
            case WakeGuests(guests):
                return ". ".join(self._guests.wake([guest.uuid for guest in guests])) or None
        return None

    def _write(self, path: str, content: bytes, *, mode: int) -> None:
        self._ports.files.write(path, content, mode=mode, uid=-1, gid=-1)

    def _keep_evidence(self, guests: Sequence[Guest], gathered: Gathered, wanted: Wanted) -> None:
        now = self._ports.clock.wall()
        time = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        known = [
            {
                "uuid": guest.uuid,
                "name": guest.name,
                "state": guest.state,
                "autostart": guest.autostart,
            }
            for guest in guests
        ]
        members = evidence.collect(
            self._ports.recorder, self._ports.clock, wanted.journal_minutes, known
        )
        path = posixpath.join(self._paths.evidence, f"{time}.tar.gz")
        digest = self._ports.recorder.pack(path, members, time=now)
        gathered.since, gathered.files = time, {"path": path, "sha256": digest}

    def undo(self, receipt: Receipt) -> str | None:
        match receipt["kind"]:
            case "rules":
                self._ports.nft.load([receipt["back"]])
                self._ports.log.note(
                    f"QUARANTINE of {receipt['host']}: the last change is rolled back"
                )
            case "boot" if receipt["staged"]:
                self._ports.files.remove(receipt["staged"])
            case "file":
                file_backup.restore(self._ports.files, receipt["kept"])
            case "autostart":
                self._guests.set_autostart(receipt["guests"], receipt["was"])
            case "guests":
                return self._guests.bring_back(receipt["was"])
        return None

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        """Read back. Where the host is cut off, no forbidden peer may answer."""
        client = self._ports.client()
        if self._tables() != self._rehearsed(client, wanted):
            raise VerificationFailed(
                "the rules of the quarantine are not as planned",
                hint="Another program changes them; find and stop it, then run again",
            )
        if not wanted.quarantined:
            return {}
        if answering := self._answering(client, wanted):
            raise VerificationFailed(
                "the host is not cut off",
                why=f"it still reaches {', '.join(sorted(answering))}",
                hint="Find out what carries its packets past nftables",
            )
        return {}

    def commit(self, receipt: Receipt) -> None:
        """What the next boot finds is decided only here: an unconfirmed change does not outlive a restart."""
        match receipt["kind"]:
            case "boot" if receipt["staged"]:
                self._ports.files.bring_back(
                    receipt["staged"], receipt["path"], mode=0o600, uid=-1, gid=-1
                )
            case "boot":
                self._ports.files.remove(receipt["path"])
            case "file":
                file_backup.forget(self._ports.files, receipt["kept"])

    def close(self) -> None:
        self._ports.hypervisor.close()
