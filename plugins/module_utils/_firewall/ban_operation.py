# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``nft_ban``: enter bans in the book and in the kernel, or strike them out of both."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from .._core import file_backup
from .._core.checks import refuse_any
from .._core.errors import Problem, VerificationFailed
from .._core.limits import check_option, check_share, limited
from .._core.plan import Action, Difference, Operation, Plan, Receipt
from .._core.ports import Clock, Files
from .._core.spec import Spec
from . import bans, blocklist, networks, protection
from .bans import FAMILY, TABLE, Ban, Book, Listed
from .blocklist_state import BlocklistState
from .networks import Family
from .ports import Nft
from .protection import NetworkIdentity, Protected

SPEC = Spec(
    {
        "networks": {"type": "list", "elements": "str", "default": []},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "ttl": {"type": "str", "default": "1h"},
        "reason": {"type": "str"},
        "requester": {"type": "str"},
        "source": {"type": "str"},
        "renew": {"type": "bool", "default": False},
        "protected": {"type": "list", "elements": "str", "default": []},
        **limited(1),
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked. ``ttl`` is in seconds, 0 for ever."""

    present: bool
    networks: tuple[str, ...]
    ttl: int
    reason: str
    requester: str
    source: str
    renew: bool
    protected: tuple[str, ...]
    max_share: float


@dataclass(frozen=True, slots=True)
class Observed:
    """The book, ended bans included; the kernel's table; what is protected; the time; what bans do not reach."""

    book: Book
    table: Listed | None
    protected: tuple[Protected, ...]
    now: int
    beyond: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeepBook:
    """Write the book of bans."""

    content: bytes


@dataclass(frozen=True, slots=True)
class LoadBans:
    """Bring the kernel to what the book says."""

    script: Iterable[str]


class NftBan(Operation[Wanted, Observed]):
    """Ban networks, or lift bans."""

    name = "nft_ban"

    def __init__(
        self,
        nft: Nft,
        files: Files,
        around: NetworkIdentity,
        clock: Clock,
        state: BlocklistState,
        requester: str,
    ) -> None:
        self._nft = nft
        self._files = files
        self._around = around
        self._clock = clock
        self._state = state
        self._book = state.book_path
        self._requester = requester

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        named: dict[str, None] = {}
        ttl = 0
        for number, network in enumerate(params["networks"]):
            try:
                family, key = networks.parse(network)
            except ValueError as wrong:
                problems.append(Problem(f"networks[{number}]", str(wrong)))
                continue
            widest = bans.WIDEST[family.name]
            if networks.split_key(key)[1] < widest:
                problems.append(
                    Problem(f"networks[{number}]", f"{network} is wider than /{widest}")
                )
            named[networks.text(family, key)] = None
        try:
            ttl = bans.seconds(params["ttl"])
        except ValueError as wrong:
            problems.append(Problem("ttl", str(wrong)))
        protection.check("protected", params["protected"], problems)
        max_share = check_option(params, problems)
        present = params["state"] == "present"
        reason = (params["reason"] or "").strip()
        if present and not reason:
            problems.append(Problem("reason", "is missing: whoever finds the ban has to know why"))
        refuse_any(problems)
        return Wanted(
            present,
            tuple(named),
            ttl,
            reason,
            params["requester"] or self._requester,
            params["source"] or "",
            params["renew"],
            tuple(params["protected"]),
            max_share,
        )

    def scope(self, wanted: Wanted) -> str:
        return f"nft:{FAMILY} {TABLE}"

    def observe(self, wanted: Wanted) -> Observed:
        items = self._nft.table(FAMILY, TABLE, elements=True)
        table = None if items is None else bans.listed(items)
        if table is not None:
            blocklist.refuse_foreign(table.ours, FAMILY, TABLE, bans.OWNER)
        store = self._state.store()
        last = store.client if store else None
        secured = protection.protected(wanted.protected, self._around, last)
        return Observed(
            self._read_book(),
            table,
            tuple(secured),
            int(self._clock.wall()),
            tuple(protection.beyond(self._around)),
        )

    def _read_book(self) -> Book:
        if self._files.facts(self._book) is None:
            return {}
        return bans.decode(self._files.read(self._book), self._book)

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        now = observed.now
        if wanted.present:
            _refuse_protected(wanted, observed)
            _refuse_too_much(wanted)
        book = bans.active(observed.book, now)
        after = dict(book)
        for network in wanted.networks:
            if not wanted.present:
                after.pop(network, None)
            elif wanted.renew or network not in book:
                after[network] = Ban(
                    network,
                    now,
                    now + wanted.ttl if wanted.ttl else 0,
                    wanted.reason,
                    wanted.requester,
                    wanted.source,
                )
        agree = (
            observed.table is not None
            and observed.table.networks == frozenset(book)
            and observed.table.verdicts == bans.verdicts(bans.sets(book))
        )
        facts = {
            "bans": [asdict(after[network]) for network in wanted.networks if network in after],
            "count": len(after),
        }
        warnings = (*_caveats(wanted, book, after), *(observed.beyond if facts["bans"] else ()))
        if after == book and (agree or (observed.table is None and not after)):
            return Plan(facts=facts, warnings=warnings)
        script = (
            bans.difference(book, after, now)
            if agree
            else bans.whole(after, now, observed.table.counts if observed.table else {})
        )
        changed = [
            network
            for network in dict.fromkeys([*book, *after])
            if book.get(network) != after.get(network)
        ]
        return Plan(
            before={network: asdict(book[network]) for network in changed if network in book},
            after={network: asdict(after[network]) for network in changed if network in after},
            actions=(
                Action(
                    "keep", self._book, f"{len(after)} bans", payload=KeepBook(bans.encode(after))
                ),
                Action(
                    "load", f"{FAMILY} {TABLE}", _effect(changed, after), payload=LoadBans(script)
                ),
            ),
            differences=[
                Difference(network, _line(book.get(network)), _line(after.get(network)))
                for network in changed
            ],
            facts=facts,
            warnings=warnings,
        )

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        if isinstance(action.payload, LoadBans):
            return {}
        had = self._nft.table(FAMILY, TABLE) is not None
        return {"kept": file_backup.keep(self._files, self._book), "table": had}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        match action.payload:
            case LoadBans(script):
                self._nft.load(script)
            case KeepBook(content):
                self._files.make_folder(posixpath.dirname(self._book))
                self._files.write(self._book, content, mode=0o600, uid=-1, gid=-1)

    def undo(self, receipt: Receipt) -> str | None:
        if "kept" not in receipt:
            return None  # the kernel follows the book, which is entered first and so restored last
        file_backup.restore(self._files, receipt["kept"])
        if not receipt["table"]:
            self._nft.load([bans.removal()])
            return None
        now = int(self._clock.wall())
        items = self._nft.table(FAMILY, TABLE)
        counts = bans.listed(items).counts if items else {}
        self._nft.load(bans.whole(bans.active(self._read_book(), now), now, counts))
        return None

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if not plan.actions:
            return {}
        items = self._nft.table(FAMILY, TABLE, elements=True)
        if items is None:
            raise VerificationFailed(
                f"the table {FAMILY} {TABLE} is gone", why="another program removed it"
            )
        there = bans.listed(items).networks
        now = int(self._clock.wall()) + 1  # the kernel may be a moment ahead
        missing = sorted(bans.active(self._read_book(), now).keys() - there)
        if missing:
            raise VerificationFailed("bans are not in force", why=", ".join(missing[:20]))
        if not wanted.present and (left := sorted(there.intersection(wanted.networks))):
            raise VerificationFailed("bans are still in force", why=", ".join(left[:20]))
        return {}

    def commit(self, receipt: Receipt) -> None:
        if "kept" in receipt:
            file_backup.forget(self._files, receipt["kept"])


def _refuse_protected(wanted: Wanted, observed: Observed) -> None:
    problems = []
    for number, network in enumerate(wanted.networks):
        family, key = networks.parse(network)
        for one in protection.met(observed.protected, family, key):
            problems.append(
                Problem(f"networks[{number}]", f"{network} would cut off {one.text}, {one.why}")
            )
    refuse_any(problems, hint="Nothing was changed; leave out what is protected")


def _refuse_too_much(wanted: Wanted) -> None:
    """Refuse to ban a large part of the Internet: no network may be wide, but there may be many.

    :raises TooManyChanges: where the networks cover more of a family's addresses than is allowed.
    """
    named: dict[Family, list[int]] = {family: [] for family in networks.FAMILIES}
    for network in wanted.networks:
        family, key = networks.parse(network)
        named[family].append(key)
    for family, keys in named.items():
        covered = networks.size(networks.aggregate(family, keys), family)
        check_share(
            f"{family.title} addresses",
            covered,
            blocklist.usable(family),
            allowed=wanted.max_share,
        )


def _caveats(wanted: Wanted, book: Book, after: Book) -> Iterator[str]:
    """Tell where the answer is not quite what was asked for."""
    for network in wanted.networks:
        family, key = networks.parse(network)
        if not wanted.present:
            address, length = networks.split_key(key)
            for shorter in range(length - 1, -1, -1):
                around = networks.key(address & ~family.spans[shorter], shorter)
                if (wider := networks.text(family, around)) in after:
                    yield f"{network} stays banned as a part of {wider}"
        elif network in book and not wanted.renew:
            ended = _end(book[network])
            yield f"{network} is banned already, {ended}, and that stays; renew begins it anew"


def _end(ban: Ban) -> str:
    if not ban.until:
        return "for ever"
    return f"until {datetime.fromtimestamp(ban.until, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _effect(changed: list[str], after: Book) -> str:
    lifted = sum(network not in after for network in changed)
    return f"{len(changed) - lifted} banned, {lifted} lifted"


def _line(ban: Ban | None) -> str:
    return f"{ban.network} {_end(ban)}: {ban.reason} ({ban.requester})\n" if ban else ""
