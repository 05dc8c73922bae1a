# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``nft_blocklist``: what the lists say, less what is allowed and protected, is what is dropped.

Files are read as a stream; a list whose sources, and the allow lists, are as they were is taken from the store, unread.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Protocol

from .._core import kept_file
from .._core.errors import Conflict, InvalidInput, Problem, VerificationFailed
from .._core.plan import Action, Difference, Operation, Plan, Receipt
from . import blocklist, lists, networks, protection
from .blocklist import FAMILY, TABLE, Listed, SetChange
from .lists import Reading
from .networks import FAMILIES, ByLength, Family
from .packed import Packed, change, pack
from .protection import Protected, Surroundings
from .store import (
    ALLOW,
    BLOCK,
    PROTECTED,
    Content,
    KeptList,
    Store,
    StoreTorn,
    decode,
    encode,
    fingerprint,
    indexed,
)

TAKEN = {PROTECTED: "use the option protected", "bans": "metrics count the bans under it"}
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
"""What a list may be called, and a feed."""
MOST_SOURCES = 256
MOST_PROBLEMS = 1000
MOST_MET = 100
"""Entries that are told for one protected network."""
SAMPLE = 50
"""Networks of one list that a diff shows. Further ones are counted."""


class Nft(Protocol):
    """The packet filter."""

    def table(self, family: str, name: str) -> list[dict[str, Any]] | None: ...

    def load(self, script: Iterable[str]) -> None: ...


class Files(kept_file.Files, Protocol):
    """The files of the machine."""

    def blocks(self, path: str) -> Iterator[bytes]: ...

    def mapped(self, path: str) -> memoryview | None: ...

    def make_folder(self, path: str) -> None: ...

    def write(self, path: str, content: bytes, *, mode: int, uid: int, gid: int) -> None: ...


class Clock(Protocol):
    """The time."""

    def wall(self) -> float: ...


@dataclass(frozen=True, slots=True)
class WantedList:
    """One list as the options describe it."""

    name: str
    action: str
    files: tuple[str, ...]
    inline: tuple[str, ...]
    option: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked."""

    present: bool
    lists: tuple[WantedList, ...]
    protected: tuple[str, ...]
    max_share: float
    strict: bool
    rebuild: bool


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or the lines in the options: what it was like, and, where it had to be read, what it holds."""

    where: str
    sha256: str
    reading: Reading | None = None
    inline: bool = False

    def place(self, line: int) -> str:
        """Say where a line stands."""
        return f"{self.where}[{line - 1}]" if self.inline else f"{self.where}:{line}"


@dataclass(frozen=True, slots=True)
class Observed:
    """What is in force, and what the lists hold now."""

    table: Listed | None
    store: Store | None
    sources: Mapping[str, Sequence[Source]]
    protected: tuple[Protected, ...]
    client: str | None
    now: int
    beyond: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """Whether the kernel has what the store says."""
        return (
            self.table is not None
            and self.store is not None
            and self.table.fingerprint == self.store.fingerprint
            and self.table.rules == self.store.rules
        )


class Blocklist(Operation[Wanted, Observed]):
    """Bring the table ``inet debvisor_blocklist`` to what the lists say."""

    name = "nft_blocklist"

    def __init__(
        self, nft: Nft, files: Files, around: Surroundings, clock: Clock, store: str
    ) -> None:
        self._nft = nft
        self._files = files
        self._around = around
        self._clock = clock
        self._store = store

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        wanted = [
            _wanted_list(number, each, problems)
            for number, each in enumerate(params["lists"] or [])
        ]
        names = [each.name for each in wanted]
        for each in wanted:
            if names.count(each.name) > 1:
                problems.append(Problem(f"{each.option}.name", f"{each.name!r} is there twice"))
        protection.check("protected", params["protected"], problems)
        if not 0 < params["max_share"] <= 1:
            problems.append(
                Problem("max_share", f"{params['max_share']} is not above 0 and up to 1")
            )
        if problems:
            raise InvalidInput(problems)
        return Wanted(
            params["state"] == "present",
            tuple(wanted),
            tuple(params["protected"]),
            params["max_share"],
            params["strict"],
            params["rebuild"],
        )

    def scope(self, wanted: Wanted) -> str:
        return f"nft:{FAMILY} {TABLE}"

    def observe(self, wanted: Wanted) -> Observed:
        items = self._nft.table(FAMILY, TABLE)
        table = None if items is None else blocklist.listed(items)
        if table is not None:
            blocklist.refuse_foreign(table.ours, FAMILY, TABLE, blocklist.OWNER)
        store = self._kept(torn_is_empty=wanted.rebuild or not wanted.present)
        client = self._around.client() or (store.client if store else None)
        if not wanted.present:
            return Observed(table, store, {}, (), client, 0, ())
        secured = protection.protected(wanted.protected, self._around, client)
        return Observed(
            table,
            store,
            self._sources(wanted, store, secured),
            tuple(secured),
            client,
            int(self._clock.wall()),
            tuple(protection.beyond(self._around)),
        )

    def _kept(self, *, torn_is_empty: bool = False) -> Store | None:
        data = self._files.mapped(self._store)
        if data is None:
            return None
        try:
            return decode(data, self._store)
        except StoreTorn:
            if torn_is_empty:
                return Store()
            raise

    def _sources(
        self, wanted: Wanted, store: Store | None, secured: Sequence[Protected]
    ) -> dict[str, Sequence[Source]]:
        """Read every list that has to be: its own sources changed, or what is allowed did."""
        digests = {each.name: self._digests(each) for each in wanted.lists}
        allowed = _allowed_digest(wanted, digests, secured)
        found: dict[str, Sequence[Source]] = {}
        for each in wanted.lists:
            kept = store.list(each.name) if store else None
            fresh = (
                wanted.strict or kept is None or _changed(each, kept, digests[each.name], allowed)
            )
            found[each.name] = [
                Source(where, digest, self._read(each, where, digest) if fresh else None, not path)
                for (where, path), digest in zip(_places(each), digests[each.name], strict=True)
            ]
        return found

    def _read(self, each: WantedList, where: str, digest: str) -> Reading:
        """Read a source whose digest is known.

        :raises Conflict: where it is another one by now.
        """
        seen = hashlib.sha256()

        def watched() -> Iterator[bytes]:
            for block in self._content(each, where):
                seen.update(block)
                yield block

        reading = lists.read(watched())
        if reading.whole and seen.hexdigest() != digest:
            raise Conflict(f"{where} changed while it was read", hint="Run again")
        return reading

    def _content(self, each: WantedList, where: str) -> Iterable[bytes]:
        return self._files.blocks(where) if where in each.files else [_inline(each)]

    def _digests(self, each: WantedList) -> list[str]:
        found = []
        for where, _path in _places(each):
            digest = hashlib.sha256()
            for block in self._content(each, where):
                digest.update(block)
            found.append(digest.hexdigest())
        return found

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        if not wanted.present:
            return _absence(observed)
        new, notices = _reckon(observed, wanted)
        old = observed.store or Store()
        met = _met(new, observed.protected)
        facts = _facts(new, met, notices)
        changes = list(_changes(old, new))
        same = old.fingerprint == new.fingerprint and blocklist.rules(old.lists) == blocklist.rules(
            new.lists
        )
        actions = []
        if wanted.rebuild or not observed.agree:
            counts = observed.table.counts if observed.table else {}
            script = blocklist.whole(new, counts)
            actions.append(Action("load", f"{FAMILY} {TABLE}", "made anew", payload=script))
        elif not same:
            effect = f"{_added(changes)} added, {_removed(changes)} removed"
            script = blocklist.difference(old, new, changes)
            actions.append(Action("load", f"{FAMILY} {TABLE}", effect, payload=script))
        if actions or old.inputs != new.inputs:
            actions.append(
                Action(
                    "keep", self._store, "what is in force, and where it was written", payload=new
                )
            )
        return Plan(
            before=_summary(observed.store),
            after=_summary(new),
            actions=tuple(actions),
            differences=list(_differences(changes)),
            warnings=(*_warnings(met, notices), *(observed.beyond if _added(changes) else ())),
            facts={
                **facts,
                "added": _added(changes),
                "removed": _removed(changes),
            },
        )

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        if action.verb in ("load", "remove"):
            return {"load": self._nft.table(FAMILY, TABLE) is not None}
        return kept_file.keep(self._files, self._store)

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        if action.verb == "load":
            self._nft.load(action.payload)
        elif action.verb == "remove":
            self._nft.load([blocklist.removal()])
        elif action.verb == "forget":
            self._files.remove(self._store)
        else:
            new = action.payload
            new.rules = self._listed().rules
            self._files.make_folder(posixpath.dirname(self._store))
            self._files.write(self._store, b"".join(encode(new)), mode=0o600, uid=-1, gid=-1)

    def undo(self, receipt: Receipt) -> str | None:
        if "load" not in receipt:
            kept_file.restore(self._files, receipt)
            return None
        store = self._kept() if receipt["load"] else None
        if store is None:
            self._nft.load([blocklist.removal()])
            return (
                f"the table {FAMILY} {TABLE} had no store and is gone" if receipt["load"] else None
            )
        items = self._nft.table(FAMILY, TABLE)
        self._nft.load(blocklist.whole(store, blocklist.listed(items).counts if items else {}))
        return None

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if not plan.actions:
            return {}
        items = self._nft.table(FAMILY, TABLE)
        if not wanted.present:
            if items is not None:
                raise VerificationFailed(f"the table {FAMILY} {TABLE} is still there")
            return {}
        store = self._kept()
        if (
            items is None
            or store is None
            or blocklist.listed(items).fingerprint != store.fingerprint
        ):
            raise VerificationFailed(
                "the kernel's table is not what was loaded", why="its mark is another one"
            )
        return {}

    def commit(self, receipt: Receipt) -> None:
        if "load" not in receipt:
            kept_file.forget(self._files, receipt)

    def _listed(self) -> Listed:
        items = self._nft.table(FAMILY, TABLE)
        if items is None:
            raise VerificationFailed(
                f"the table {FAMILY} {TABLE} is gone again", why="another program removed it"
            )
        return blocklist.listed(items)


def _wanted_list(number: int, each: Mapping[str, Any], problems: list[Problem]) -> WantedList:
    option = f"lists[{number}]"
    name = each["name"]
    if not NAME.fullmatch(name):
        problems.append(
            Problem(
                f"{option}.name", f"{name!r} is not a letter and up to 30 more of a-z, 0-9 and _"
            )
        )
    if name in TAKEN:
        problems.append(Problem(f"{option}.name", f"{name!r} is taken: {TAKEN[name]}"))
    for line, entry in enumerate(each["entries"]):
        if "\n" in entry:
            problems.append(Problem(f"{option}.entries[{line}]", "is more than one line"))
    if len(each["files"]) >= MOST_SOURCES:
        problems.append(Problem(f"{option}.files", f"has more than {MOST_SOURCES - 1} files"))
    for place, path in enumerate(each["files"]):
        if not path.startswith("/"):
            problems.append(
                Problem(f"{option}.files[{place}]", f"{path!r} is not an absolute path")
            )
        elif path in each["files"][:place]:
            problems.append(Problem(f"{option}.files[{place}]", f"{path} is there twice"))
    return WantedList(name, each["action"], tuple(each["files"]), tuple(each["entries"]), option)


def _places(each: WantedList) -> list[tuple[str, bool]]:
    """Return where the list is written: what to call each source, and whether it is a file."""
    inline = [(f"{each.option}.entries", False)] if each.inline else []
    return [(path, True) for path in each.files] + inline


def _inline(each: WantedList) -> bytes:
    return "\n".join(each.inline).encode(errors="surrogateescape")


def _allowed_digest(
    wanted: Wanted, digests: Mapping[str, Sequence[str]], secured: Iterable[Protected]
) -> str:
    """Return what stands for everything that is taken out of the block lists."""
    told = [[each.name, list(digests[each.name])] for each in wanted.lists if each.action == ALLOW]
    networks_told = sorted({each.text for each in secured})
    return hashlib.sha256(json.dumps([told, networks_told]).encode()).hexdigest()


def _changed(each: WantedList, kept: KeptList, digests: Sequence[str], allowed: str) -> bool:
    known = [(source["where"], source["sha256"]) for source in kept.sources]
    told = [(where, digest) for (where, _path), digest in zip(_places(each), digests, strict=True)]
    return (
        known != told
        or kept.action != each.action
        or (each.action == BLOCK and (not kept.sources or kept.sources[0]["allowed"] != allowed))
    )


def _reckon(observed: Observed, wanted: Wanted) -> tuple[Store, list[str]]:
    """Return what is to be in force, and notices about lines that may not be meant so.

    :raises InvalidInput: with every line that is wrong, and every list that covers too much.
    """
    problems: list[Problem] = []
    notices: list[str] = []
    for each in wanted.lists:
        for source in observed.sources[each.name]:
            if source.reading is None:
                continue
            problems += [
                Problem(source.place(fault.line), fault.what) for fault in source.reading.faults
            ]
            told = [
                Problem(source.place(notice.line), notice.what) for notice in source.reading.notices
            ]
            if wanted.strict:
                problems += told
            else:
                notices += [str(notice) for notice in told]
    _raise(problems)
    digests = {
        name: [source.sha256 for source in sources] for name, sources in observed.sources.items()
    }
    allowed_digest = _allowed_digest(wanted, digests, observed.protected)
    reckoned = {PROTECTED: _protected_list(observed)}
    holes = {
        family: networks.ungroup(found)
        for family, found in protection.by_length(observed.protected).items()
    }
    for each in sorted(wanted.lists, key=lambda each: each.action != ALLOW):
        sources = observed.sources[each.name]
        kept = observed.store.list(each.name) if observed.store else None
        if kept is not None and sources and not any(source.reading for source in sources):
            reckoned[each.name] = kept
        else:
            reckoned[each.name] = _list(each, sources, holes, allowed_digest, kept, observed.now)
        if each.action == BLOCK:
            problems += _too_much(each, sources, reckoned[each.name], wanted.max_share)
        if each.action == ALLOW:
            holes = {
                family: _union(family, holes[family], reckoned[each.name]) for family in FAMILIES
            }
    _raise(problems)
    kept_lists = [reckoned[PROTECTED], *(reckoned[each.name] for each in wanted.lists)]
    # Not why something is protected: that comes and goes where the network stays.
    secured = sorted({each.text for each in observed.protected})
    listed = [[each.name, each.action, each.sources] for each in kept_lists[1:]]
    made_from = [secured, observed.client, listed]
    inputs = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    return Store(kept_lists, inputs, observed.now, fingerprint=fingerprint(kept_lists)), notices


def _raise(problems: list[Problem]) -> None:
    if not problems:
        return
    more = len(problems) - MOST_PROBLEMS
    shown = problems[:MOST_PROBLEMS]
    if more > 0:
        shown = [*shown, Problem("and", f"{more} more")]
    raise InvalidInput(shown, hint="Nothing was changed; mend the lists and run again")


def _union(family: Family, holes: Sequence[int], allowed: KeptList) -> list[int]:
    keys = [
        networks.key(int.from_bytes(content.addresses[place], "big"), length)
        for length, content in allowed.sets.get(family, {}).items()
        for place in range(len(content.addresses))
    ]
    return networks.ungroup(networks.aggregate(family, chain(holes, keys)))


def _protected_list(observed: Observed) -> KeptList:
    kept = observed.store.list(PROTECTED) if observed.store else None
    found = protection.by_length(observed.protected)
    told = {each.text: each.why for each in observed.protected}
    return KeptList(
        PROTECTED,
        ALLOW,
        [{"where": PROTECTED, "client": observed.client, "networks": told}],
        {family: _sets(family, found[family], kept, observed.now) for family in FAMILIES},
    )


def _list(
    each: WantedList,
    sources: Sequence[Source],
    holes: Mapping[Family, Sequence[int]],
    allowed: str,
    kept: KeptList | None,
    now: int,
) -> KeptList:
    readings = [source.reading for source in sources if source.reading is not None]
    made = KeptList(
        each.name,
        each.action,
        [
            {
                "where": source.where,
                "sha256": source.sha256,
                "lines": source.reading.lines if source.reading else 0,
                "networks": source.reading.count if source.reading else 0,
                "allowed": allowed,
            }
            for source in sources
        ],
    )
    for family in FAMILIES:
        columns = [reading.columns[family] for reading in readings]
        found = networks.effective(
            family,
            chain.from_iterable(column.keys for column in columns),
            holes[family] if each.action == BLOCK else (),
        )
        made.sets[family] = _sets(family, found, kept, now)
        made.entries[family] = indexed(family, columns)
    return made


def _sets(family: Family, found: ByLength, kept: KeptList | None, now: int) -> dict[int, Content]:
    """Make the contents of sets, and remember since when each network has been in one."""
    before = kept.sets.get(family, {}) if kept else {}
    made = {}
    for length, addresses in found.items():
        packed = pack(family, addresses)
        old = before.get(length)
        if old is None:
            made[length] = Content(packed, array("I", [now]) * len(packed))
        else:
            made[length] = Content(packed, change(old.addresses, old.since, packed, now).since)
    return made


def _too_much(
    each: WantedList, sources: Sequence[Source], made: KeptList, most: float
) -> Iterator[Problem]:
    for family in FAMILIES:
        sets = made.sets[family]
        size = sum(
            len(content.addresses) << (family.bits - length) for length, content in sets.items()
        )
        share = blocklist.share(family, size)
        if share > most:
            entries = made.entries[family]
            widest = bytes(entries.lengths).index(entries.used[0])
            key = networks.key(int.from_bytes(entries.addresses[widest], "big"), entries.used[0])
            place = sources[entries.sources[widest]].place(entries.lines[widest])
            yield Problem(
                each.option,
                f"{each.name} covers {share:.1%} of all {family.title} addresses, and max_share is {most:.1%};"
                f" its widest network is {networks.text(family, key)} ({place})",
            )


def _changes(old: Store, new: Store) -> Iterator[SetChange]:
    """Yield what every set gains and loses, those that come and those that go included."""
    names = dict.fromkeys(each.name for each in chain(new.lists, old.lists))
    for name in names:
        was, becomes = old.list(name), new.list(name)
        if was is becomes:
            continue
        for family in FAMILIES:
            before = was.sets.get(family, {}) if was else {}
            after = becomes.sets.get(family, {}) if becomes else {}
            for length in sorted({*before, *after}):
                nothing = Content(Packed(family, b""), array("I"))
                first, then = before.get(length, nothing), after.get(length, nothing)
                found = change(first.addresses, first.since, then.addresses, 0)
                if len(found.added) or len(found.removed):
                    yield SetChange(
                        blocklist.set_name(name, family, length),
                        name,
                        length,
                        found.added,
                        found.removed,
                    )


def _added(changes: Iterable[SetChange]) -> int:
    return sum(len(each.added) for each in changes)


def _removed(changes: Iterable[SetChange]) -> int:
    return sum(len(each.removed) for each in changes)


def _differences(changes: Sequence[SetChange]) -> Iterator[Difference]:
    for name in dict.fromkeys(each.listed_in for each in changes):
        own = [each for each in changes if each.listed_in == name]
        yield Difference(
            f"list {name}",
            _sample([(each.removed, each.length) for each in own]),
            _sample([(each.added, each.length) for each in own]),
        )


def _sample(some: Sequence[tuple[Packed, int]]) -> str:
    shown = islice(
        (f"{text}/{length}\n" for packed, length in some for text in packed.texts()), SAMPLE
    )
    more = sum(len(packed) for packed, length in some) - SAMPLE
    return "".join(shown) + (f"... and {more} more\n" if more > 0 else "")


def _summary(store: Store | None) -> dict[str, Any]:
    if store is None:
        return {}
    return {
        each.name: {family.name: each.count(family) for family in FAMILIES} for each in store.lists
    }


def _met(store: Store, secured: Sequence[Protected]) -> list[dict[str, Any]]:
    """Return where the lists name what is protected, or something around it or in it."""
    return [
        {
            "list": each.name,
            "network": networks.text(one.family, network),
            "source": each.sources[source]["where"],
            "line": line,
            "protected": one.text,
            "why": one.why,
        }
        for each in store.lists
        if each.action == BLOCK
        for one in secured
        if one.family in each.entries and one.text not in protection.ALWAYS
        for network, source, line in islice(each.entries[one.family].meeting(one.key), MOST_MET)
    ]


def _facts(
    store: Store, met: Sequence[Mapping[str, Any]], notices: Sequence[str]
) -> dict[str, Any]:
    return {
        "lists": [
            {
                "name": each.name,
                "action": each.action,
                "sources": each.sources,
                "elements": {family.name: each.count(family) for family in FAMILIES},
                "prefix_lengths": {
                    family.name: sorted(each.sets.get(family, {})) for family in FAMILIES
                },
            }
            for each in store.lists
        ],
        "protected_met": list(met),
        "notices": list(notices[:MOST_PROBLEMS]),
    }


def _warnings(met: Sequence[Mapping[str, Any]], notices: Sequence[str]) -> Iterator[str]:
    for each in met[:20]:
        yield (
            f"{each['list']} lists {each['network']} ({each['source']}:{each['line']}), which would block"
            f" {each['protected']}, {each['why']}; that stays reachable"
        )
    if len(met) > 20:
        yield f"... and {len(met) - 20} more networks of the lists would block what is protected"
    if notices:
        yield f"{len(notices)} lines may not be meant as they are written; the first: {notices[0]}"


def _absence(observed: Observed) -> Plan:
    actions = []
    if observed.table is not None:
        actions.append(Action("remove", f"{FAMILY} {TABLE}", "nothing is blocked"))
    if observed.store is not None:
        actions.append(Action("forget", "what was in force"))
    return Plan(before=_summary(observed.store), after={}, actions=tuple(actions))
