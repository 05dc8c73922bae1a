# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``quarantine_host``: keep evidence, cut off, stop the guests; and take all of that back."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from .._core import kept_file
from .._core.errors import Conflict, DebvisorError, TimedOut, VerificationFailed
from .._core.plan import Action, Operation, Plain, Plan, Receipt
from .._core.waiting import Clock, wait_until
from . import evidence, quarantine, quarantine_options
from .quarantine_options import Wanted
from .quarantine_plan import (
    KeepEvidence,
    Observed,
    Places,
    Remember,
    SetAutostart,
    SetBoot,
    StopGuests,
    Switch,
    WakeGuests,
    WriteFile,
    cutting_off,
    letting_back,
    rules,
    shown,
    strangers,
)
from .quarantine_record import PAUSED, RUNNING, SHUT_OFF, Guest, Record, Stopped, decode
from .ruleset import MARK, is_ours

SHUTDOWN_TIMEOUT = 60.0
"""Seconds for all guests to shut down. One that does not is paused: it may be in the hands of others."""
STRANGERS_PORT = 22
"""A refusal is an answer, too, so nearly any port would do; this one is the least likely to be filtered."""
SETTLE_TIMEOUT = 10.0
"""Seconds for guests to be paused, to go on, or to start."""


class Nft(Protocol):
    """The packet filter of the machine."""

    def listing(self, family: str, name: str) -> str | None: ...

    def rehearsed(self, script: Iterable[str], family: str, name: str) -> str: ...

    def load(self, script: Iterable[str]) -> None: ...


class Files(kept_file.Files, Protocol):
    """The files of the machine."""

    def read(self, path: str) -> bytes: ...

    def has_folder(self, path: str) -> bool: ...

    def write(self, path: str, content: bytes, *, mode: int, uid: int, gid: int) -> None: ...


class Hypervisor(Protocol):
    """The guests of the machine; none where it has no hypervisor."""

    def guests(self) -> Sequence[Guest]: ...

    def set_autostart(self, uuid: str, wanted: bool) -> None: ...

    def pause(self, uuid: str) -> None: ...

    def resume(self, uuid: str) -> None: ...

    def shut_down(self, uuid: str) -> None: ...

    def start(self, uuid: str) -> None: ...

    def close(self) -> None: ...


class Probe(Protocol):
    """Finds out who answers."""

    def answering(self, addresses: Collection[str], port: int) -> frozenset[str]: ...


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
        self._places = Places(
            posixpath.join(folder, "quarantine.json"),
            posixpath.join(folder, "quarantine.nft"),
            posixpath.join(folder, "evidence"),
        )
        self._kept: tuple[str, Mapping[str, str]] | None = None
        """When this run gathered evidence, and what tells of it."""
        self._told: list[str] = []
        """What resisted on the way, and is no reason to take all back."""

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        return quarantine_options.parse(params)

    def scope(self, wanted: Wanted) -> str:
        return self.name

    def observe(self, wanted: Wanted) -> Observed:
        guests, unknown = self._guests(wanted)
        record = self._content(self._places.record)
        client = self._ports.client()
        return Observed(
            tables=self._tables(),
            rehearsed=self._rehearsed(client, wanted),
            record=None if record is None else decode(record, self._places.record),
            boot=self._text(self._places.boot),
            metric=self._text(wanted.metrics_file),
            guests=guests,
            guests_unknown=unknown,
            client=client,
            answering=self._answering(client, wanted),
        )

    def _answering(self, client: tuple[str, int] | None, wanted: Wanted) -> frozenset[str]:
        return self._ports.probe.answering(strangers(client, wanted), STRANGERS_PORT)

    def _content(self, path: str) -> bytes | None:
        return None if self._ports.files.facts(path) is None else self._ports.files.read(path)

    def _text(self, path: str) -> str | None:
        content = self._content(path)
        return None if content is None else content.decode(errors="replace")

    def _tables(self) -> dict[str, str]:
        """Return our tables, by family.

        :raises Conflict: where one has our name and somebody else made it.
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
                    hint="Find out who made it, and rename or delete it",
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

    def _guests(self, wanted: Wanted) -> tuple[Sequence[Guest], str]:
        """Return the guests, or why they cannot be told: unknown means stop, unless they are to be left alone."""
        try:
            return self._ports.hypervisor.guests(), ""
        except DebvisorError as cause:
            if wanted.guests != "leave":
                raise
            return (), f"The guests stay as they are, and so does their autostart. {cause}"

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        course = (cutting_off if wanted.quarantined else letting_back)(
            observed, wanted, self._places
        )
        return Plan(
            before=shown(observed.record),
            after=Plain(lambda: shown(self._with_evidence(course.record))),
            actions=course.actions,
            differences=course.differences,
            warnings=course.warnings,
            facts={"strangers": strangers(observed.client, wanted)},
            confirm_within=wanted.confirm_within if course.switches else 0,
        )

    def _with_evidence(self, record: Record | None) -> Record | None:
        """Complete a record with what was found out on the way."""
        if record is None or self._kept is None:
            return record
        since, kept = self._kept
        return replace(record, since=since, evidence=kept)

    # One step: what its undo needs, its effect, and its undo

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        match action.payload:
            case Switch(_script, back):
                return {"kind": "rules", "host": wanted.host, "back": back}
            case SetBoot(script):
                path = self._places.boot
                return {"kind": "boot", "path": path, "staged": f"{path}.next" if script else None}
            case Remember():
                return self._keep_file(self._places.record)
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
        return {"kind": "file", "kept": kept_file.keep(self._ports.files, path)}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        match action.payload:
            case KeepEvidence(guests):
                self._keep_evidence(guests, wanted)
            case Remember(record):
                content = (self._with_evidence(record) or record).encode()
                self._write(self._places.record, content, mode=0o600)
            case Switch(script, _back, line):
                self._ports.nft.load([script])
                self._ports.log.note(line)
            case SetBoot(script) if script:
                self._write(receipt["staged"], script.encode(), mode=0o600)
            case WriteFile(path, content) if content is not None:
                self._write(path, content.encode(), mode=0o644)
            case WriteFile(path):
                self._ports.files.remove(path)
            case SetAutostart(guests, on):
                self._set_autostart((uuid for uuid, _name in guests), on)
            case StopGuests(guests):
                self._stop(guests)
            case WakeGuests(guests):
                self._told += self._wake([guest.uuid for guest in guests])

    def _write(self, path: str, content: bytes, *, mode: int) -> None:
        self._ports.files.write(path, content, mode=mode, uid=-1, gid=-1)

    def _keep_evidence(self, guests: Sequence[Guest], wanted: Wanted) -> None:
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
        path = posixpath.join(self._places.evidence, f"{time}.tar.gz")
        digest = self._ports.recorder.pack(path, members, time=now)
        self._kept = time, {"path": path, "sha256": digest}

    def _stop(self, guests: Sequence[Stopped]) -> None:
        """Stop those that still run. One that ignores that it is to shut down is paused.

        A guest may end by itself at any moment, and whoever is in it may choose the moment: that must stop nothing.
        """
        states = self._states()
        running = [guest for guest in guests if states.get(guest.uuid) == RUNNING]
        going = [guest.uuid for guest in running if guest.how == SHUT_OFF]
        self._pause(guest.uuid for guest in running if guest.how == PAUSED)
        for uuid in going:
            self._halt(uuid, self._ports.hypervisor.shut_down)
        try:
            self._wait_stopped(going, SHUTDOWN_TIMEOUT)
        except TimedOut:
            states = self._states()
            self._pause(uuid for uuid in going if states.get(uuid) == RUNNING)

    def _pause(self, uuids: Iterable[str]) -> None:
        pausing = list(uuids)
        for uuid in pausing:
            self._halt(uuid, self._ports.hypervisor.pause)
        self._wait_stopped(pausing, SETTLE_TIMEOUT)

    def _halt(self, uuid: str, act: Callable[[str], None]) -> None:
        """Stop one guest; a refusal is none where it does not run any more."""
        try:
            act(uuid)
        except DebvisorError:
            if self._states().get(uuid) == RUNNING:
                raise

    def _wait_stopped(self, uuids: Sequence[str], timeout: float) -> None:
        def settled() -> tuple[bool, str]:
            states = self._states()
            left = [uuid for uuid in uuids if states.get(uuid) == RUNNING]
            return not left, f"{', '.join(left)} still run"

        if uuids:
            wait_until(settled, what="the guests", timeout=timeout, clock=self._ports.clock)

    def _wake(self, uuids: Collection[str]) -> list[str]:
        """Let guests run as well as possible, and return what to tell about those that resist."""
        guests = self._ports.hypervisor.guests()
        states = {guest.uuid: guest.state for guest in guests}
        names = {guest.uuid: guest.name for guest in guests}
        told: dict[str, str] = {}
        for uuid in uuids:
            try:
                if states.get(uuid) == PAUSED:
                    self._ports.hypervisor.resume(uuid)
                elif states.get(uuid) == SHUT_OFF:
                    self._ports.hypervisor.start(uuid)
            except DebvisorError as cause:
                told[uuid] = str(cause)

        def settled() -> tuple[bool, dict[str, str]]:
            now = self._states()
            left = {
                uuid: now.get(uuid, "gone")
                for uuid in uuids
                if uuid not in told and now.get(uuid) != RUNNING
            }
            return not left, left

        with contextlib.suppress(TimedOut):
            wait_until(settled, what="the guests", timeout=SETTLE_TIMEOUT, clock=self._ports.clock)
        told.update({uuid: f"it is {state}" for uuid, state in settled()[1].items()})
        return [
            f"The guest {names.get(uuid, uuid)} does not run again: {why}"
            for uuid, why in told.items()
        ]

    def _set_autostart(self, uuids: Iterable[str], wanted: bool) -> None:
        """Set it where the guest is still there. One that is not persistent never starts with the machine."""
        for uuid in uuids:
            if not self._differs(uuid, wanted):
                continue
            try:
                self._ports.hypervisor.set_autostart(uuid, wanted)
            except DebvisorError:
                if self._differs(uuid, wanted):
                    raise

    def _differs(self, uuid: str, wanted: bool) -> bool:
        return any(
            guest.uuid == uuid and guest.persistent and guest.autostart != wanted
            for guest in self._ports.hypervisor.guests()
        )

    def _states(self) -> dict[str, str]:
        return {guest.uuid: guest.state for guest in self._ports.hypervisor.guests()}

    def undo(self, receipt: Receipt) -> str | None:
        match receipt["kind"]:
            case "rules":
                self._ports.nft.load([receipt["back"]])
                self._ports.log.note(
                    f"QUARANTINE of {receipt['host']}: the last change is taken back"
                )
            case "boot" if receipt["staged"]:
                self._ports.files.remove(receipt["staged"])
            case "file":
                kept_file.restore(self._ports.files, receipt["kept"])
            case "autostart":
                self._set_autostart(receipt["guests"], receipt["was"])
            case "guests":
                return self._bring_back(receipt["was"])
        return None

    def _bring_back(self, was: Mapping[str, str]) -> str | None:
        """Bring guests back to what they were, as well as possible: what cannot be must not stand in the way for good.

        One that was shut off before it was started is paused instead. One that was paused and is shut off now, after a
        restart of the host perhaps, is left.
        """
        states = self._states()
        other = {uuid: state for uuid, state in was.items() if states.get(uuid) != state}
        stopping = [
            uuid
            for uuid, state in other.items()
            if state != RUNNING and states.get(uuid) in (RUNNING, PAUSED)
        ]
        self._pause(uuid for uuid in stopping if states[uuid] == RUNNING)
        notes = self._wake(
            [uuid for uuid, state in other.items() if state == RUNNING and uuid in states]
        )
        if paused := sorted(uuid for uuid in stopping if was[uuid] == SHUT_OFF):
            notes.append(f"Guests that were shut off are paused: {', '.join(paused)}")
        if lost := sorted(
            uuid
            for uuid, state in other.items()
            if state == PAUSED and states.get(uuid) == SHUT_OFF
        ):
            notes.append(
                f"Guests that were paused are shut off, and are left so: {', '.join(lost)}"
            )
        if gone := sorted(uuid for uuid in other if uuid not in states):
            notes.append(f"Guests are gone: {', '.join(gone)}")
        return ". ".join(notes) or None

    def notes(self) -> Sequence[str]:
        return self._told

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        """Read back. Where the host is cut off, no stranger may answer."""
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
                hint="Look what carries its packets past nftables",
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
                kept_file.forget(self._ports.files, receipt["kept"])

    def close(self) -> None:
        self._ports.hypervisor.close()
