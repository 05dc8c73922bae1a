# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``blocklist_feed``: a file holds the last good copy of a feed.

A feed that fails, or that delivers what is not fit, leaves the copy as it is, and that is a warning; it is an error
once the copy is older than ``max_age``, or where there is none. What comes in is streamed to a nameless file and judged
there, so that check mode can foretell everything and a killed run leaves nothing behind.

The record beside the copy is a note, as an audit line is, and no part of what is wanted: that a publisher confirmed the
copy, or failed, is written to it without being a change.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from .._core import kept_file
from .._core.errors import (
    DebvisorError,
    InvalidInput,
    Problem,
    Refused,
    TimedOut,
    Unreachable,
    VerificationFailed,
)
from .._core.plan import Action, Difference, Operation, Plan, Receipt
from .._core.secret import Secret
from .._core.waiting import Clock
from . import blocklist, feed, lists, networks
from .feed import BadFeed, Record, Trouble

DEFAULTS: Mapping[str, Any] = {
    "url": None,
    "src": None,
    "checksum": None,
    "signature": None,
    "keyring": None,
    "header_file": None,
    "min_share": 0.5,
    "max_share": 0.1,
    "strict": False,
    "allow_empty": False,
    "max_bytes": 100_000_000,
    "timeout": 120.0,
    "max_age": 604800.0,
}
"""What the module's options are where nobody says otherwise; without ``dest``, which somebody must say."""
MODE = 0o644
PROOF_MAX_BYTES = 1 << 20
"""Of a list of checksums or a signature."""
DIGEST = "sha256:"
SHOWN_FAULTS = 20
SAMPLE = 20
"""Entries that a diff shows of those that came, and of those that went."""
_LEFTOVER = re.compile(r"[a-z0-9_]{8}")
"""What mkstemp puts behind a name."""
TROUBLES = (Unreachable, Refused, TimedOut, BadFeed)
"""The publisher's faults. Those of this machine, such as a full disk, are errors at once."""


class TooOld(DebvisorError):
    """The copy could not be refreshed for longer than is allowed."""


class Spool(Protocol):
    """Content on its way."""

    size: int

    @property
    def sha256(self) -> str: ...

    def write(self, block: bytes) -> None: ...

    def blocks(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


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


class Files(kept_file.Files, Protocol):
    """The files of the machine."""

    def read(self, path: str) -> bytes: ...

    def blocks(self, path: str) -> Iterator[bytes]: ...

    def listing(self, folder: str) -> list[str]: ...

    def has_folder(self, path: str) -> bool: ...

    def write(self, path: str, content: bytes, *, mode: int, uid: int, gid: int) -> None: ...

    def write_blocks(
        self, path: str, blocks: Iterable[bytes], *, mode: int, uid: int, gid: int
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked. ``place`` is an address or a path, and so are ``checksum`` and ``signature``."""

    place: str
    dest: str
    checksum: str
    signature: str
    keyring: str
    header_file: str
    min_share: float
    max_share: float
    strict: bool
    allow_empty: bool
    max_bytes: int
    timeout: float
    max_age: float

    @property
    def origin(self) -> str:
        """A digest of where the copy comes from and what proves it."""
        parts = (self.place, self.checksum, self.signature, self.keyring)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def pinned(self) -> str:
        """The one content that is wanted, as its SHA-256, or "" where it may change."""
        return self.checksum.removeprefix(DIGEST) if self.checksum.startswith(DIGEST) else ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """New content that was found fit: what the copy and its record will be."""

    content: Spool
    reading: lists.Reading
    etag: str
    last_modified: str


@dataclass(frozen=True, slots=True)
class Observed:
    """The copy, where it is a good one of this very feed, and what the publisher said now.

    Neither ``delivery`` nor ``trouble`` means that the copy is the present one. ``present`` holds the networks of the
    copy, where they are to be compared with those of a delivery.
    """

    now: int
    held: Record | None
    delivery: Delivery | None = None
    trouble: DebvisorError | None = None
    present: Mapping[networks.Family, frozenset[int]] | None = None


@dataclass(frozen=True, slots=True)
class FeedPlan(Plan):
    """A plan with the record that is to lie beside the copy."""

    record: Record | None = None


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
        self._spools: list[Spool] = []

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems = list(_problems(params))
        if problems:
            raise InvalidInput(problems)
        return Wanted(
            place=params["url"] or params["src"],
            dest=params["dest"],
            checksum=(params["checksum"] or ""),
            signature=params["signature"] or "",
            keyring=params["keyring"] or "",
            header_file=params["header_file"] or "",
            min_share=params["min_share"],
            max_share=params["max_share"],
            strict=params["strict"],
            allow_empty=params["allow_empty"],
            max_bytes=params["max_bytes"],
            timeout=params["timeout"],
            max_age=params["max_age"],
        )

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{wanted.dest}"

    # --- what is

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
        return _networks(lists.read(self._files.blocks(wanted.dest)))

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
        _check_fit(wanted, held, reading)
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
        self._spools.append(made)
        return made

    def close(self) -> None:
        for spool in self._spools:
            spool.close()

    # --- what to do

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        if observed.trouble:
            return _keeping(observed, observed.trouble, wanted)
        if observed.delivery:
            return _replacing(observed, observed.delivery, wanted)
        held = observed.held
        if held is None:
            raise Unreachable(
                f"{feed.shown(wanted.place)} says that nothing changed, and there is no copy",
                hint="Its server is at fault: it answers so although nobody asked",
            )
        record = replace(held, confirmed=observed.now, trouble=None)
        return FeedPlan(record=record, facts=_facts("not_modified", record, observed.now))

    # --- doing it

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        if not self._files.has_folder(wanted.dest):
            raise DebvisorError(
                f"the folder of {wanted.dest} does not exist", hint="Make it, and run again"
            )
        copy = kept_file.keep(self._files, wanted.dest)
        try:
            return {
                "copy": copy,
                "record": kept_file.keep(self._files, feed.record_path(wanted.dest)),
            }
        except BaseException:
            kept_file.forget(self._files, copy)
            raise

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        self._sweep(wanted.dest)
        delivery, record = action.payload
        self._files.write_blocks(wanted.dest, delivery.content.blocks(), mode=MODE, uid=-1, gid=-1)
        self._note(wanted, record)

    def _sweep(self, path: str) -> None:
        """Remove what killed runs left beside the file. Nobody else writes it: the scope is ours."""
        folder, name = posixpath.split(path)
        for other in self._files.listing(folder):
            for ours in (f".{name}.", f".{feed.record_path(name)}."):
                if other.startswith(ours) and _LEFTOVER.fullmatch(other.removeprefix(ours)):
                    self._files.remove(posixpath.join(folder, other))

    def _note(self, wanted: Wanted, record: Record) -> None:
        path = feed.record_path(wanted.dest)
        self._files.write(path, record.dump(), mode=MODE, uid=-1, gid=-1)

    def undo(self, receipt: Receipt) -> None:
        kept_file.restore(self._files, receipt["copy"])
        kept_file.restore(self._files, receipt["record"])

    def commit(self, receipt: Receipt) -> None:
        kept_file.forget(self._files, receipt["copy"])
        kept_file.forget(self._files, receipt["record"])

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if not isinstance(plan, FeedPlan) or plan.record is None:
            return {}
        if not plan.actions:
            self._note(wanted, plan.record)
        elif self._digest(wanted.dest) != plan.record.sha256:
            raise VerificationFailed(f"{wanted.dest} does not hold what was written")
        return {}


def _problems(params: Mapping[str, Any]) -> Iterator[Problem]:
    if bool(params["url"]) == bool(params["src"]):
        yield Problem("url", "is to be given, or src, and not both")
    for option in ("url", "src", "checksum", "signature"):
        place = params[option]
        if place and not (option == "checksum" and place.startswith(DIGEST)):
            yield from _place_problems(option, place)
    for option in ("dest", "keyring", "header_file"):
        if params[option] and not params[option].startswith("/"):
            yield Problem(option, f"{params[option]} is not an absolute path")
    checksum = params["checksum"] or ""
    if checksum.startswith(DIGEST) and not re.fullmatch(r"sha256:[0-9a-f]{64}", checksum):
        yield Problem("checksum", f"{checksum} is not sha256: and 64 lower-case hexadecimal digits")
    if params["signature"] and not params["keyring"]:
        yield Problem("keyring", "is missing, and signature needs it")
    if not 0 <= params["min_share"] <= 1:
        yield Problem("min_share", f"{params['min_share']:g} is not from 0 to 1")
    if not 0 < params["max_share"] <= 1:
        yield Problem("max_share", f"{params['max_share']:g} is not above 0 and up to 1")
    for option in ("max_bytes", "timeout", "max_age"):
        if params[option] <= 0:
            yield Problem(option, f"{params[option]:g} is not more than 0")


def _place_problems(option: str, place: str) -> Iterator[Problem]:
    """Check an address or, where it is no url, a path. An address with a password in it is not repeated."""
    try:
        parts = urlsplit(place)
        port = parts.port
    except ValueError as wrong:
        yield Problem(option, f"is not an address: {wrong}")
        return
    if not place.isascii() or not place.isprintable() or " " in place:
        yield Problem(option, "holds characters that an address must have percent-encoded")
    elif "@" in parts.netloc:
        yield Problem(option, "holds a user or password; send a header from header_file instead")
    elif parts.scheme in ("http", "https"):
        if not parts.hostname or port == 0:
            yield Problem(option, f"{feed.shown(place)} names no host")
    elif parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            yield Problem(option, f"{place} names no file of this machine")
    elif option == "url" or not place.startswith("/"):
        wanted = "an https:, http: or file: address"
        path = "" if option == "url" else " or an absolute path"
        yield Problem(option, f"{feed.shown(place)} is not {wanted}{path}")


def _marked(held: Record | None, delivery: Delivery | None) -> Record | None:
    """Return the record with the marks that the same content has by now."""
    if held is None or delivery is None:
        return held
    return replace(held, etag=delivery.etag, last_modified=delivery.last_modified)


def _check_fit(wanted: Wanted, held: Record | None, reading: lists.Reading) -> None:
    """Refuse content that is wrong, empty, suspiciously small, or that no list may have.

    :raises BadFeed: saying which.
    """
    faults = reading.faults + (reading.notices if wanted.strict else [])
    if faults:
        told = [f"line {fault.line}: {fault.what}" for fault in faults[:SHOWN_FAULTS]]
        count = len(faults)
        more = f"; and {count - SHOWN_FAULTS} more" if count > SHOWN_FAULTS else ""
        lines = f"{'' if reading.whole else 'the first '}{reading.lines} lines"
        raise BadFeed(f"{count} of {lines} are wrong", why="; ".join(told) + more)
    if reading.count == 0:
        if not wanted.allow_empty:
            raise BadFeed(
                "it has no entries", hint="Where that can be right, say so with allow_empty"
            )
    elif held and reading.count < wanted.min_share * held.entries:
        raise BadFeed(
            f"it shrank from {held.entries} to {reading.count} entries",
            why=f"less than {wanted.min_share:g} of the last good copy is left",
            hint="Where that is right, run once with a lower min_share",
        )
    for family, column in reading.columns.items():
        found = networks.aggregate(family, column.keys)
        share = blocklist.share(family, networks.size(found, family))
        if share > wanted.max_share:
            raise BadFeed(
                f"it covers {share:.1%} of all {family.title} addresses",
                why=f"max_share is {wanted.max_share:.1%}",
            )


def _keeping(observed: Observed, trouble: DebvisorError, wanted: Wanted) -> Plan:
    """Keep the copy, loudly.

    :raises DebvisorError: where there is none, or it is too old.
    """
    place = feed.shown(wanted.place)
    if observed.held is None:
        raise type(trouble)(
            f"{place} gives no good list, and there is no earlier copy of it",
            why=f"{trouble.what}: {trouble.why}" if trouble.why else trouble.what,
            hint=trouble.hint,
        ) from trouble
    held = observed.held
    age = observed.now - held.confirmed
    if age > wanted.max_age:
        raise TooOld(
            f"{wanted.dest} could not be refreshed for {_span(age)}; {_span(wanted.max_age)} are allowed",
            why=str(trouble),
        ) from trouble
    since = held.trouble.since if held.trouble else observed.now
    record = replace(held, trouble=Trouble(since, str(trouble)))
    facts = {**_facts("kept", record, observed.now), "reason": str(trouble)}
    warning = f"{place} gives no good list; the copy of {_span(age)} ago is kept: {trouble}"
    return FeedPlan(record=record, facts=facts, warnings=(warning,))


def _replacing(observed: Observed, delivery: Delivery, wanted: Wanted) -> Plan:
    reading = delivery.reading
    record = Record(
        origin=wanted.origin,
        sha256=delivery.content.sha256,
        entries=reading.count,
        fetched=observed.now,
        confirmed=observed.now,
        etag=delivery.etag,
        last_modified=delivery.last_modified,
    )
    new = _networks(reading)
    old = observed.present or dict.fromkeys(networks.FAMILIES, frozenset())
    came = {family: new[family] - old[family] for family in networks.FAMILIES}
    went = {family: old[family] - new[family] for family in networks.FAMILIES}
    counts = {"added": sum(map(len, came.values())), "removed": sum(map(len, went.values()))}
    had = None if observed.present is None else sum(map(len, old.values()))
    effect = f"entries: {reading.count}, networks that came: {counts['added']}, that went: {counts['removed']}"
    return FeedPlan(
        before={"networks": had},
        after={"networks": sum(map(len, new.values()))},
        actions=(Action("write", wanted.dest, effect, payload=(delivery, record)),),
        differences=(Difference(wanted.dest, _sample(went), _sample(came)),),
        facts={**_facts("fetched", record, observed.now), **counts},
        record=record,
    )


def _networks(reading: lists.Reading) -> dict[networks.Family, frozenset[int]]:
    return {family: frozenset(column.keys) for family, column in reading.columns.items()}


def _sample(by_family: Mapping[networks.Family, frozenset[int]]) -> str:
    """Return the first of some networks as lines, and how many there are."""
    lines = [
        networks.text(family, key)
        for family, keys in by_family.items()
        for key in heapq.nsmallest(SAMPLE, keys)
    ][:SAMPLE]
    count = sum(map(len, by_family.values()))
    more = [f"... and {count - len(lines)} more"] if count > len(lines) else []
    return "".join(f"{line}\n" for line in [*lines, *more])


def _facts(outcome: str, record: Record, now: int) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "entries": record.entries,
        "sha256": record.sha256,
        "age": max(0, now - record.confirmed),
    }


def _span(seconds: float) -> str:
    """Return a time as people say it."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
