# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of updates that only a former writer has: kept, compared, written down, replayed."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._core import settings
from .._core.audit import Audit
from .._core.durable import sync_folder, write_whole
from .._core.errors import Conflict, DebvisorError
from .._core.waiting import SystemClock
from .._dns.protocol import names, rdata, signing, wire, zone_file
from .._dns.protocol.client import Client
from .._dns.protocol.incremental import Delta
from .._dns.protocol.retrying import retry_transient
from .._dns.protocol.rrset import Sets
from .._dns.protocol.serials import ahead
from .._dns.records.packing import pack
from .._dns.records.updates import apply_changes
from .._dns.writer import divergence, epoch, takeover
from .._dns.writer.divergence import Change, Merge
from .._ports.dns import bind as tools
from .._ports.dns.bind import Bind
from .dns_settings import Settings

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between two tries to compare a copy: the writer may be back in a moment, or a file damaged for good."""


class NotKept(DebvisorError):
    """There is no copy of what was written here, so nothing may overwrite it."""


def keep(bind: Bind, config: Settings) -> None:
    """Copy every zone and its journal, before the server becomes a follower and may overwrite them.

    :raises NotKept: where that fails; nothing is left of it then.
    """
    stamp = (
        time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03d}"
    )
    aside = config.former / f".{stamp}"
    try:
        aside.mkdir(parents=True, mode=0o700)
        kept = [zone for zone in config.zones if bind.keep_copy(zone, aside)]
        if kept:
            for copy in (
                aside.iterdir()
            ):  # all are copied by now, so that the first one takes the others along
                with copy.open("rb") as stream:
                    os.fsync(stream.fileno())
            sync_folder(aside)
            os.replace(aside, config.former / stamp)
            sync_folder(config.former)
    except OSError as cause:
        raise NotKept(
            "what was written here could not be copied",
            why=cause.strerror or str(cause),
            hint=f"Make room on {config.former}",
        ) from cause
    finally:
        shutil.rmtree(aside, ignore_errors=True)


class Mender:
    """A thread that compares kept copies with what is served, once a younger epoch is seen."""

    def __init__(
        self,
        config: Settings,
        bind: Bind,
        transition: threading.Lock,
        stop: threading.Event,
        log: Callable[[str], None],
    ) -> None:
        self._config = config
        self._bind = bind
        self._transition = transition
        self._stop = stop
        self._log = log
        self._said: dict[str, str] = {}
        self._pauses: dict[Path, float] = {}
        self._due: dict[Path, float] = {}
        self._waits_since: float | None = None

    def start(self) -> None:
        threading.Thread(target=self._work, daemon=True).start()

    def summary(self) -> dict[str, Any]:
        """Say what waits and what was reported."""
        waiting, at = len(self._waiting()), time.monotonic()
        if not waiting:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = at
        return {
            "waiting": waiting,
            "waiting_for": 0.0 if self._waits_since is None else round(at - self._waits_since, 2),
            "reports": [str(path) for path in self._reports()[-5:]],
        }

    def _waiting(self) -> list[Path]:
        if not self._config.former.is_dir():
            return []
        try:
            return sorted(path for folder in self._folders() for path in folder.glob("*.zone.jnl"))
        except OSError as trouble:
            self._complain(self._config.former, str(trouble))
            return []

    def _folders(self) -> list[Path]:
        return sorted(
            path for path in self._config.former.iterdir() if not path.name.startswith(".")
        )

    def _reports(self) -> list[Path]:
        found = []
        for path in self._config.unshared.glob("*.report.json"):
            with contextlib.suppress(FileNotFoundError):  # an operator removed it just now
                found.append((path.stat().st_mtime, path))
        return [path for _time, path in sorted(found)]

    def _work(self) -> None:
        while not self._stop.wait(0.5):
            for journal in self._waiting():
                if time.monotonic() < self._due.get(journal, 0.0):
                    continue
                try:
                    if self.compare(journal):
                        self._forget(journal)
                except (DebvisorError, OSError, ValueError) as trouble:
                    self._complain(journal, str(trouble))
                    pause = self._pauses.get(journal, FIRST_PAUSE)
                    self._due[journal] = time.monotonic() + pause
                    self._pauses[journal] = min(2 * pause, LONGEST_PAUSE)

    def _complain(self, journal: Path, trouble: str) -> None:
        if self._said.get(str(journal)) != trouble:
            self._said[str(journal)] = trouble
            self._log(f"cannot compare {journal} yet: {trouble}")

    def _forget(self, journal: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            journal.with_suffix("").unlink()
        journal.unlink()
        with contextlib.suppress(OSError):
            journal.parent.rmdir()

    def compare(self, journal: Path) -> bool:
        """Compare one kept zone; return whether it is settled."""
        zone = journal.name.removesuffix(".zone.jnl")
        apex = names.parse(f"{zone}.")
        with self._config.vip(1.0) as server:
            theirs = takeover.history(server, apex)
        ours = zone_file.read_raw(tools.raw_zone(zone, journal.with_suffix("")))
        history = _history(ours, apex)
        if (last := epoch.latest(history)) is not None and last.node != self._config.node:
            return (
                True  # a BIND that was slow to answer followed already: this is the other writer's
            )
        fork = epoch.fork(history, theirs)
        if fork is None:
            return False
        deltas = divergence.journal(tools.journal_text(journal), f"{zone.lower()}.", _to_wire)
        extra = divergence.unshared(deltas, fork.base) if fork.base is not None else None
        if extra == ():
            return True
        if extra is None and fork.base is not None and not _beyond(ours, apex, fork.base):
            return True
        self._fetch_afresh(zone)
        merged = self._merge(apex, ours, extra)
        if merged.empty:
            return True
        self._report(zone, journal, fork, extra, merged)
        return True

    def _fetch_afresh(self, zone: str) -> None:
        with self._transition:
            if self._bind.in_force() == "follower":
                self._bind.retransfer(zone)

    def _merge(self, apex: bytes, ours: Sets, extra: tuple[Delta, ...] | None) -> Merge:
        with self._config.vip(30.0, self._config.transfer_key) as server:
            _serial, theirs = server.transfer(apex)
        skip = (epoch.owner(apex),)
        if extra is None:
            return divergence.compare(ours, theirs, skip=skip)
        return divergence.merge(divergence.rewind(ours, extra), ours, theirs, skip=skip)

    def _report(
        self,
        zone: str,
        journal: Path,
        fork: epoch.Fork,
        extra: Sequence[Delta] | None,
        merged: Merge,
    ) -> None:
        """Write down first, replay then, and say what became of each."""
        folder = self._config.unshared
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        name = f"{zone}-{fork.successor.number}-{journal.parent.name}"
        changes = (*merged.apply, *merged.already, *merged.conflicts)
        described = divergence.described(changes, _to_text)
        text_of = {change.key: text for change, text in zip(changes, described, strict=True)}
        header = (
            f"Updates of {zone} that only {self._config.node} had accepted when {fork.successor.node} took over",
            f"at serial {fork.successor.start} (epoch {fork.successor.number}). Replay: nsupdate -k KEY THIS-FILE",
        )
        script = divergence.script(zone, self._config.vips[0], described, header)
        write_whole(folder / f"{name}.nsupdate", script.encode())
        applied, conflicts = self._replay(names.parse(f"{zone}."), merged)
        report: dict[str, Any] = {
            "zone": zone,
            "node": self._config.node,
            "successor": fork.successor.text(),
            "base_known": extra is not None,
            "updates": len(extra or ()),
            "applied": [text_of[change.key] for change in applied],
            "already": [text_of[change.key] for change in merged.already],
            "conflicts": [text_of[change.key] for change in conflicts],
        }
        write_whole(folder / f"{name}.report.json", json.dumps(report, indent=1).encode() + b"\n")
        summary = (
            f"{zone}: {len(applied)} unshared changes replayed, {len(merged.already)} already there,"
            f" {len(conflicts)} in conflict: {folder / name}.report.json"
        )
        self._log(summary)
        with contextlib.suppress(OSError):
            Audit(settings.audit_file()).append(
                transaction=name,
                operation="dns_role",
                scope=f"zone:{zone}",
                result="conflicts" if conflicts else "replayed",
                actions=[
                    {"verb": "replay", "target": f"{change['name']} {change['type']}"}
                    for change in report["applied"]
                ],
                before=None,
                after=report,
            )

    def _replay(self, apex: bytes, merged: Merge) -> tuple[list[Change], list[Change]]:
        """Send what may be replayed. A change that meets another one is a conflict; silence is tried again."""
        applied: list[Change] = []
        conflicts = list(merged.conflicts)
        clock = SystemClock()
        deadline = clock.monotonic() + 30.0
        with self._config.vip(1.0, self._config.role_key) as server:
            for change in merged.apply:
                into = retry_transient(
                    functools.partial(_replay_one, server, apex, change, applied, conflicts),
                    deadline - clock.monotonic(),
                    clock,
                    (DebvisorError,),
                    first=0.1,
                )
                into.append(change)
        return applied, conflicts


def _replay_one(
    server: Client, apex: bytes, change: Change, applied: list[Change], conflicts: list[Change]
) -> list[Change]:
    """Send one change; return which of the two lists it belongs to."""
    try:
        batches = pack(apex, [change.update], signing.LONGEST_SIGNATURE)
        apply_changes(server, batches, 1.0, SystemClock())
    except Conflict:
        return conflicts
    return applied


def _to_wire(texts: Sequence[zone_file.Texts]) -> list[zone_file.Typed]:
    return zone_file.to_wire(texts, tools.to_raw)


def _to_text(records: Sequence[zone_file.Typed]) -> list[zone_file.Texts]:
    return zone_file.to_text(records, tools.to_full)


def _history(ours: Sets, apex: bytes) -> frozenset[epoch.Epoch]:
    """Return the epochs that a kept copy knows."""
    return epoch.held(ours.get((epoch.owner(apex), rdata.TXT), divergence.EMPTY).data)


def _beyond(ours: Sets, apex: bytes, base: int) -> bool:
    """Return whether our serial went past ``base``."""
    [soa] = ours[apex, rdata.SOA].data
    return ahead(wire.read_soa(soa).serial, base) > 0
