# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of updates that only a former writer has: kept, compared, written down, replayed."""

from __future__ import annotations

import contextlib
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
from .._core.durable import write_whole
from .._core.errors import Conflict, DebvisorError
from .._dns import divergence, epoch
from .._dns.divergence import Change, Content, Delta, Merge, Record
from .._dns.serials import ahead
from .._ports import bind as tools
from .._ports.bind import Bind
from .._ports.dns_writer import Exact, Server, Signer, canonical
from .dns_settings import Settings


def keep(bind: Bind, config: Settings) -> None:
    """Copy every zone and its journal, before the server becomes a follower and may overwrite them."""
    stamp = (
        time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03d}"
    )
    aside = config.former / f".{stamp}"
    aside.mkdir(parents=True, mode=0o700)
    kept = [zone for zone in config.zones if bind.keep_copy(zone, aside)]
    if not kept:
        shutil.rmtree(aside)
        return
    os.replace(aside, config.former / stamp)


class Mender:
    """A thread that compares kept copies with what is served, once a younger epoch is seen."""

    def __init__(
        self,
        config: Settings,
        bind: Bind,
        transition: threading.Lock,
        stop: threading.Event,
        log: Callable[[str], None],
        read_key: Callable[[Path], Signer],
    ) -> None:
        self._config = config
        self._bind = bind
        self._transition = transition
        self._stop = stop
        self._log = log
        self._read_key = read_key
        self._server = Server(config.vips[0], config.port)
        self._said: dict[str, str] = {}

    def start(self) -> None:
        threading.Thread(target=self._work, daemon=True).start()

    def summary(self) -> dict[str, Any]:
        """Say what waits and what was reported."""
        return {
            "waiting": len(self._waiting()),
            "reports": [str(path) for path in self._reports()[-5:]],
        }

    def _waiting(self) -> list[Path]:
        if not self._config.former.is_dir():
            return []
        return sorted(path for folder in self._folders() for path in folder.glob("*.zone.jnl"))

    def _folders(self) -> list[Path]:
        return sorted(
            path for path in self._config.former.iterdir() if not path.name.startswith(".")
        )

    def _reports(self) -> list[Path]:
        return sorted(
            self._config.unshared.glob("*.report.json"), key=lambda path: path.stat().st_mtime
        )

    def _work(self) -> None:
        while not self._stop.wait(0.5):
            for journal in self._waiting():
                try:
                    if self.compare(journal):
                        self._forget(journal)
                except (DebvisorError, OSError, ValueError) as trouble:
                    self._complain(journal, str(trouble))

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
        """Compare one kept zone; tell whether it is settled."""
        zone = journal.name.removesuffix(".zone.jnl")
        theirs = epoch.parse(self._server.texts(epoch.owner(zone), 1.0))
        ours = _zone_records(zone, journal.with_suffix(""))
        history = epoch.parse(
            record.data.strip('"')
            for record in ours
            if record.kind == "TXT" and record.name == _absolute(epoch.owner(zone))
        )
        fork = epoch.fork(history, theirs)
        if fork is None:
            return False
        deltas = divergence.journal(tools.journal_text(journal), _absolute(zone))
        extra = divergence.unshared(deltas, fork.base) if fork.base is not None else None
        if extra == ():
            return True
        if extra is None and fork.base is not None and not _beyond(ours, fork.base):
            return True
        self._fetch_afresh(zone)
        merged = self._merge(zone, ours, extra)
        if merged.empty:
            return True
        self._report(zone, journal, fork, extra, merged)
        return True

    def _fetch_afresh(self, zone: str) -> None:
        with self._transition:
            if self._bind.in_force() == "follower":
                self._bind.retransfer(zone)

    def _merge(self, zone: str, ours: Sequence[Record], extra: tuple[Delta, ...] | None) -> Merge:
        key = self._read_key(self._config.transfer_key)
        theirs = divergence.content(
            Record(*plain) for plain in self._server.transfer(zone, key, 30.0)
        )
        final: Content = divergence.content(ours)
        skip = (_absolute(epoch.owner(zone)),)
        if extra is None:
            return divergence.compare(final, theirs, skip=skip)
        canonical_deltas = [_canonical(delta) for delta in extra]
        return divergence.merge(
            divergence.rewind(final, canonical_deltas), final, theirs, skip=skip
        )

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
        header = (
            f"Updates of {zone} that only {self._config.node} had accepted when {fork.successor.node} took over",
            f"at serial {fork.successor.start} (epoch {fork.successor.number}). Replay: nsupdate -k KEY THIS-FILE",
        )
        script = divergence.script(zone, self._config.vips[0], changes, header)
        write_whole(folder / f"{name}.nsupdate", script.encode())
        applied, conflicts = self._replay(zone, merged)
        report = {
            "zone": zone,
            "node": self._config.node,
            "successor": fork.successor.text(),
            "base_known": extra is not None,
            "updates": len(extra or ()),
            "applied": [_told(change) for change in applied],
            "already": [_told(change) for change in merged.already],
            "conflicts": [_told(change) for change in conflicts],
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
                    {"verb": "replay", "target": f"{change.key.name} {change.key.kind}"}
                    for change in applied
                ],
                before=None,
                after=report,
            )

    def _replay(self, zone: str, merged: Merge) -> tuple[list[Change], list[Change]]:
        """Send what may be replayed. A change that meets another one is a conflict; silence is tried again."""
        key = self._read_key(self._config.role_key)
        applied: list[Change] = []
        conflicts = list(merged.conflicts)
        deadline = time.monotonic() + 30.0
        for change in merged.apply:
            exact = Exact(
                change.key.name,
                change.key.kind,
                change.ours.ttl,
                change.base.data,
                change.ours.data,
            )
            while True:
                try:
                    self._server.replace(zone, key, exact, 1.0)
                    applied.append(change)
                    break
                except Conflict:
                    # It may be our own message, answered too late the first time: then all is well.
                    conflicts.append(change)
                    break
                except DebvisorError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
        return applied, conflicts


def _told(change: Change) -> dict[str, Any]:
    return {
        "name": change.key.name,
        "type": change.key.kind,
        "ttl": change.ours.ttl,
        "base": sorted(change.base.data),
        "ours": sorted(change.ours.data),
        "theirs": sorted(change.theirs.data),
    }


def _absolute(name: str) -> str:
    return name.rstrip(".").lower() + "."


def _canonical(delta: Delta) -> Delta:
    def all_of(records: Sequence[Record]) -> tuple[Record, ...]:
        return tuple(Record(*canonical(*record)) for record in records)

    return Delta(delta.start, delta.end, all_of(delta.removed), all_of(delta.added))


def _zone_records(zone: str, file: Path) -> list[Record]:
    """Return what a kept copy holds with its journal applied."""
    records = []
    for line in tools.zone_text(zone, file).splitlines():
        fields = line.split(None, 4)
        if len(fields) == 5 and not line.startswith(";"):
            name, ttl, _klass, kind, data = fields
            records.append(Record(*canonical(name, kind, int(ttl), data)))
    return records


def _beyond(ours: Sequence[Record], base: int) -> bool:
    """Tell whether our serial went past ``base``."""
    serial = next(int(record.data.split()[2]) for record in ours if record.kind == "SOA")
    return ahead(serial, base) > 0
