# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``blocklist_feed``: a file holds the last good copy of a feed.

A feed that fails, or that delivers what is not fit, leaves the copy as it is, and that is a warning; it is an error
once the copy is older than ``max_age``, or where there is none. What comes in is streamed to a nameless file and judged
there, so that check mode can report everything and a killed run leaves nothing behind.

The record beside the copy is a note, as an audit line is, and no part of what is wanted: that a publisher confirmed the
copy, or failed, is written to it without being a change.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from .._core import file_backup
from .._core.errors import DebvisorError, Refused, TimedOut, Unreachable, VerificationFailed
from .._core.plan import Action, Operation, Plan, Receipt
from .._core.ports import Clock, Files
from .._core.secret import Secret
from . import feed, feed_options, lists, networks
from .feed import BadFeed, Record
from .feed_options import Wanted
from .feed_plan import (
    Delivery,
    FeedPlan,
    Observed,
    Spool,
    WriteCopy,
    check_fit,
    networks_of,
    planned,
)

MODE = 0o644
PROOF_MAX_BYTES = 1 << 20
"""Of a list of checksums or a signature."""
TROUBLES = (Unreachable, Refused, TimedOut, BadFeed)
"""The publisher's faults. Those of this machine, such as a full disk, are errors at once."""


class Answer(Protocol):
    """What a publisher said."""

    @property
    def modified(self) -> bool: ...

    @property
    def etag(self) -> str: ...

    @property
    def last_modified(self) -> str: ...


class Web(Protocol):
    """Where content comes from."""

    def fetch(
        self,
        place: str,
        into: Any,
        *,
        max_bytes: int,
        timeout: float,
        headers: Mapping[str, Secret],
        marks: tuple[str, str],
    ) -> Answer: ...


class OpenPgp(Protocol):
    """Signatures."""

    def verify(self, content: Any, signature: Any, keyring: str) -> None: ...


class BlocklistFeed(Operation[Wanted, Observed]):
    """Keep the last good copy of a feed."""

    name = "blocklist_feed"

    def __init__(
        self,
        files: Files,
        web: Web,
        openpgp: OpenPgp,
        spool: Callable[[str], Spool],
        clock: Clock,
    ) -> None:
        self._files = files
        self._web = web
        self._openpgp = openpgp
        self._make_spool = spool
        self._clock = clock
        self._opened = contextlib.ExitStack()

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        return feed_options.parse(params)

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{wanted.dest}"

    def observe(self, wanted: Wanted) -> Observed:
        held = self._held(wanted)
        now = int(self._clock.wall())
        if held and wanted.pinned:
            return Observed(now, held)
        try:
            delivery = self._deliver(wanted, held)
        except TROUBLES as trouble:
            return Observed(now, held, trouble=trouble)
        if delivery is None or (held and delivery.content.sha256 == held.sha256):
            return Observed(now, _marked(held, delivery))
        return Observed(now, held, delivery, present=self._present(wanted))

    def _held(self, wanted: Wanted) -> Record | None:
        """Return the record of a copy that is what the record says, and comes from where this one is to come from."""
        path = feed.record_path(wanted.dest)
        if self._files.facts(wanted.dest) is None or self._files.facts(path) is None:
            return None
        record = feed.load_record(self._files.read(path))
        if record is None or record.origin != wanted.origin:
            return None
        return record if self._digest(wanted.dest) == record.sha256 else None

    def _digest(self, path: str) -> str:
        digest = hashlib.sha256()
        for block in self._files.blocks(path):
            digest.update(block)
        return digest.hexdigest()

    def _present(self, wanted: Wanted) -> Mapping[networks.Family, frozenset[int]] | None:
        if self._files.facts(wanted.dest) is None:
            return None
        return networks_of(lists.read(self._files.blocks(wanted.dest)))

    def _deliver(self, wanted: Wanted, held: Record | None) -> Delivery | None:
        """Return what the publisher has now, proved and read; None where it is what we hold."""
        headers = {}
        if wanted.header_file:
            headers = feed.headers_in(self._files.read(wanted.header_file), wanted.header_file)
        content, answer = self._fetch(wanted, wanted.place, wanted.max_bytes, headers, held)
        if not answer.modified:
            return None
        self._prove(wanted, content, headers)
        plain = self._unpacked(wanted, content)
        reading = lists.read(plain.blocks())
        check_fit(wanted, held, reading)
        return Delivery(plain, reading, answer.etag, answer.last_modified)

    def _fetch(
        self,
        wanted: Wanted,
        place: str,
        max_bytes: int,
        headers: Mapping[str, Secret],
        held: Record | None = None,
    ) -> tuple[Spool, Answer]:
        spool = self._spool(wanted)
        same_host = urlsplit(place).netloc == urlsplit(wanted.place).netloc
        answer = self._web.fetch(
            place,
            spool,
            max_bytes=max_bytes,
            timeout=wanted.timeout,
            headers=headers if same_host else {},
            marks=(held.etag, held.last_modified) if held else ("", ""),
        )
        return spool, answer

    def _prove(self, wanted: Wanted, content: Spool, headers: Mapping[str, Secret]) -> None:
        if wanted.checksum:
            expected = wanted.pinned
            if not expected:
                sums, _answer = self._fetch(wanted, wanted.checksum, PROOF_MAX_BYTES, headers)
                expected = feed.checksum_in(b"".join(sums.blocks()), feed.file_name(wanted.place))
            if content.sha256 != expected:
                raise BadFeed(
                    "its checksum is another one",
                    why=f"SHA-256 is {content.sha256}, expected {expected}",
                )
        if wanted.signature:
            signature, _answer = self._fetch(wanted, wanted.signature, PROOF_MAX_BYTES, headers)
            self._openpgp.verify(content, signature, wanted.keyring)

    def _unpacked(self, wanted: Wanted, content: Spool) -> Spool:
        if not next(content.blocks(), b"").startswith(feed.GZIP):
            return content
        plain = self._spool(wanted)
        for block in feed.unpacked(content.blocks(), wanted.max_bytes):
            plain.write(block)
        return plain

    def _spool(self, wanted: Wanted) -> Spool:
        made = self._make_spool(posixpath.dirname(wanted.dest))
        return self._opened.enter_context(contextlib.closing(made))

    def close(self) -> None:
        self._opened.close()

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        return planned(observed, wanted)

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        if not self._files.has_folder(wanted.dest):
            raise DebvisorError(
                f"the folder of {wanted.dest} does not exist", hint="Make it, and run again"
            )
        copy = file_backup.keep(self._files, wanted.dest)
        try:
            return {
                "copy": copy,
                "record": file_backup.keep(self._files, feed.record_path(wanted.dest)),
            }
        except BaseException:
            file_backup.forget(self._files, copy)
            raise

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        match action.payload:
            case WriteCopy(delivery, record):
                content = delivery.content.blocks()
                self._files.write_blocks(wanted.dest, content, mode=MODE, uid=-1, gid=-1)
                self._note(wanted, record)

    def _note(self, wanted: Wanted, record: Record) -> None:
        path = feed.record_path(wanted.dest)
        self._files.write(path, record.dump(), mode=MODE, uid=-1, gid=-1)

    def undo(self, receipt: Receipt) -> None:
        file_backup.restore(self._files, receipt["copy"])
        file_backup.restore(self._files, receipt["record"])

    def commit(self, receipt: Receipt) -> None:
        file_backup.forget(self._files, receipt["copy"])
        file_backup.forget(self._files, receipt["record"])

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if not isinstance(plan, FeedPlan) or plan.record is None:
            return {}
        if not plan.actions:
            self._note(wanted, plan.record)
        elif self._digest(wanted.dest) != plan.record.sha256:
            raise VerificationFailed(f"{wanted.dest} does not hold what was written")
        return {}


def _marked(held: Record | None, delivery: Delivery | None) -> Record | None:
    """Return the record with the marks that the same content has by now."""
    if held is None or delivery is None:
        return held
    return replace(held, etag=delivery.etag, last_modified=delivery.last_modified)
