# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What secondaries have beyond a server that is about to write: fetched in bounded time, judged, and accounted for."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from .._core import settings
from .._core.audit import Audit
from .._core.durable import write_whole
from .._core.errors import DebvisorError, TimedOut, Unreachable
from .._dns.protocol import names, rdata, zone_file
from .._dns.protocol.client import Client
from .._dns.protocol.errors import MalformedAnswer, ServerFailed, UntrustedAnswer
from .._dns.protocol.incremental import Delta, Record, difference
from .._dns.protocol.serials import ahead
from .._dns.writer import takeover
from .._dns.writer.adoption import LARGEST, Grants, Step, Taken, take
from .._dns.writer.content import Content
from .._dns.writer.epoch import Epoch
from .._dns.writer.writer import Situation
from .._ports.dns import bind as tools
from .dns_content import ContentKeeper
from .dns_settings import LOCAL, ServerEntry, Settings

PEER_TIMEOUT = 0.5
"""Seconds without a word from a secondary, after which it is left behind."""
LARGEST_ANSWER = 1 << 26
"""Bytes of a secondary's answer that are read at most."""


@dataclass(slots=True)
class Adopted:
    """What a secondary had beyond us in one zone, and what became of it."""

    source: str
    taken: Taken
    failed: list[Record] = field(default_factory=list)
    """What BIND did not take."""

    @property
    def left(self) -> list[Record]:
        return [*self.taken.refused, *self.failed]

    @property
    def proved(self) -> int:
        return len(self.taken.proved.changes) if self.taken.proved else 0

    @property
    def steps(self) -> list[Step]:
        """What is taken, in its order."""
        return [*([self.taken.proved] if self.taken.proved else []), *self.taken.trusted]

    @property
    def together(self) -> tuple[list[bytes], int | None] | None:
        """All changes in their order, and where the epoch begins with them; None where one update cannot hold them."""
        changes = [change for step in self.steps for update in step.updates() for change in update]
        if sum(map(len, changes)) > LARGEST:
            return None
        return changes, self.taken.proved.start if self.taken.proved else None

    @property
    def trusted(self) -> list[Record]:
        """What was taken on trust; some of it may have failed."""
        return [record for step in self.taken.trusted for record, _gone in step.changes]


class Adoption:
    """Looks at what secondaries have beyond us, before we take over and they follow."""

    def __init__(self, config: Settings, keeper: ContentKeeper, log: Callable[[str], None]) -> None:
        self._config = config
        self._keeper = keeper
        self._log = log

    def collect(self, seen: Situation) -> dict[str, Adopted]:
        """Return for each zone in which secondaries are ahead what is taken, from the one that can prove most.

        :raises DebvisorError: where the local server does not give its zones.
        """
        asked = {server: zones for server in self._config.peers if (zones := _ahead(seen, server))}
        if not asked:
            return {}
        wanted = sorted({zone for zones in asked.values() for zone in zones})
        ours = {zone: self._keeper.settled(zone) for zone in wanted}
        proved, found = self._keeper.proved(), dict[tuple[str, str], Taken]()
        began, asking = time.monotonic(), []
        with contextlib.ExitStack() as links:
            for server, zones in asked.items():
                known = any(zone in proved.get(server.name, ()) for zone in zones)
                patience = self._config.proved_patience if known else self._config.adopt_patience
                client = links.enter_context(self._client(server.address, server.key))
                about = (server, client, ours, zones, patience, found)
                ask = threading.Thread(target=self._ask, args=about, daemon=True)
                ask.start()
                asking.append((server, zones, ask, began + patience))
            for server, zones, ask, deadline in asking:
                ask.join(max(0.0, deadline - time.monotonic()))
                missing = [zone for zone in zones if (server.name, zone) not in found]
                if missing:
                    self._log(
                        f"{server.name} says that it has more of {', '.join(missing)}, and does not give it:"
                        " going on without it"
                    )
        return _best(dict(found))

    def _client(self, address: str, key: Path) -> closing[Client]:
        return self._config.client(address, PEER_TIMEOUT, key)

    def _ask(
        self,
        server: ServerEntry,
        client: Client,
        ours: Mapping[str, Content],
        zones: Iterable[str],
        patience: float,
        found: dict[tuple[str, str], Taken],
    ) -> None:
        try:
            for zone in zones:
                deltas = self._deltas(zone, client, ours[zone], patience)
                taken = take(
                    ours[zone],
                    deltas,
                    self._keeper.attested(zone),
                    grants_of(self._config, zone),
                )
                found[server.name, zone] = taken
        except Exception as trouble:  # whatever it sends, it is one server among others
            self._log(f"what {server.name} has cannot be read: {trouble}")

    def _deltas(
        self, zone: str, client: Client, ours: Content, patience: float
    ) -> tuple[Delta, ...]:
        apex = names.parse(f"{zone}.")
        news = client.changes(apex, ours.serial, largest=LARGEST_ANSWER, patience=patience)
        if news.whole is None:
            return news.deltas
        with self._client(LOCAL, self._config.transfer_key) as local:
            serial, sets = local.transfer(apex)
        if serial != ours.serial:
            raise ValueError(f"{zone} moved meanwhile")
        return (difference(serial, sets, news.serial, news.whole),)

    def leads_here(self, zone: str, server: ServerEntry) -> bool:
        """Return whether a zone that was fetched is what the writer attested, and after that what clients may change.

        :param server: where it was fetched, which is asked for the way.
        :raises DebvisorError: where it does not answer.
        :raises ValueError: where it tells another way.
        """
        attested = self._keeper.attested(zone)
        if attested is None:
            return False
        held = self._keeper.settled(zone)
        with self._client(server.address, server.key) as client:
            way = client.changes(
                names.parse(f"{zone}."),
                attested.serial,
                largest=LARGEST_ANSWER,
                patience=self._config.adopt_patience,
            )
        if way.whole is not None:
            return False
        before = held.before(way.deltas)
        if (before.serial, before.digest) != (attested.serial, attested.digest):
            return False
        if server.primary:  # an author
            return True
        return not take(before, way.deltas, attested, grants_of(self._config, zone)).refused

    def make(
        self,
        server: Client,
        zone: str,
        begun: Epoch,
        adopted: Adopted,
        check: Callable[[], None],
    ) -> None:
        """Make the changes on the server that has just begun an epoch. What it refuses is left to a person.

        The epoch begins later once all that was attested is there.

        :param check: raises where this server may not go on.
        :raises DebvisorError: where it may not, or BIND does not answer.
        """
        apex, left = names.parse(f"{zone}."), adopted.steps
        try:
            while left:
                step, updates, whole = left[0], left[0].updates(), True
                for number, records in enumerate(updates, 1):
                    mine = begun
                    if step.start is not None and whole and number == len(updates):
                        mine = replace(begun, start=step.start)
                    check()
                    try:
                        takeover.go_on(server, apex, begun, mine, records)
                        begun = mine
                    except (DebvisorError, ValueError) as failure:
                        if unanswered(failure):
                            raise
                        if whole:
                            self._log(f"{zone}: a change from {adopted.source} failed: {failure}")
                        whole = False
                if not whole:
                    adopted.failed += [record for record, _gone in step.changes]
                del left[0]
        except BaseException:
            adopted.failed += [record for step in left for record, _gone in step.changes]
            raise

    def report(self, adopted: Mapping[str, Adopted]) -> None:
        """Say what was taken, and write down for a person what was not."""
        for zone, each in adopted.items():
            if each.taken.empty:
                continue
            try:
                self._report(zone, each)
            except Exception as trouble:  # a report must not cost the writer
                self._log(f"what {each.source} had of {zone} could not be reported: {trouble}")

    def _report(self, zone: str, adopted: Adopted) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        path = ""
        if adopted.left:
            folder = self._config.unshared
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            path = str(folder / f"{zone}-{adopted.source}-{stamp}.report.json")
            report = {
                "zone": zone,
                "node": adopted.source,
                "why": "Only this secondary had these records, or lacked them, and no primary attested that. No client"
                " may have changed them, or they were too many, or BIND refused them.",
                "conflicts": _described(adopted.left),
            }
            write_whole(Path(path), json.dumps(report, indent=1).encode() + b"\n")
        self._log(
            f"{zone}: took {adopted.proved} attested and {len(adopted.trusted)} other changes from"
            f" {adopted.source}, and left {len(adopted.left)}{': ' if path else ''}{path}"
        )
        Audit(settings.audit_file()).append(
            transaction=f"{zone}-{adopted.source}-{stamp}",
            operation="dns_role",
            scope=f"zone:{zone}",
            result="refused" if path else "taken",
            actions=[
                {"verb": "take", "target": f"{each['name']} {each['type']}"}
                for each in _described(adopted.trusted)
            ],
            before=None,
            after={"from": adopted.source, "attested": adopted.proved, "report": path},
        )


def unanswered(failure: Exception) -> bool:
    """Tell whether no answer came: an answer that cannot be used is a server's way, too, to refuse a message."""
    answered = isinstance(failure, ServerFailed | MalformedAnswer | UntrustedAnswer)
    return isinstance(failure, TimedOut | Unreachable) and not answered


def _ahead(seen: Situation, server: ServerEntry) -> list[str]:
    """Return the zones in which a secondary says that it is ahead of us."""
    if server.primary:
        return []
    served = seen.peers.get(server.name, {})
    return [
        zone
        for zone, serial in served.items()
        if zone in seen.own and ahead(serial, seen.own[zone]) > 0
    ]


def _best(found: Mapping[tuple[str, str], Taken]) -> dict[str, Adopted]:
    """Take for each zone what the server gave that can prove most."""
    best: dict[str, Adopted] = {}
    for (name, zone), taken in sorted(found.items()):
        new = Adopted(name, taken)
        known = best.get(zone)
        if known is None or _worth(new) > _worth(known):
            best[zone] = new
    return best


def _worth(adopted: Adopted) -> tuple[bool, int]:
    return adopted.taken.proved is not None, len(adopted.trusted)


def grants_of(config: Settings, zone: str) -> Grants:
    """Return what clients may change in a zone; as in named.conf.j2."""
    given = [
        grant
        for grant in config.grants
        if grant.get("zone") == zone or grant.get("kind") == config.kinds.get(zone, "")
    ]
    children = [names.parse(f"{other}.") for other in config.zones if other.endswith(f".{zone}")]
    return Grants(names.parse(f"{zone}."), given, children)


def _described(records: Sequence[Record]) -> list[dict[str, object]]:
    """Return records as text; in hexadecimal where they are none that BIND could write."""
    try:
        texts = zone_file.to_text([(each.key[1], each.data) for each in records], tools.to_full)
        shown = [text for _rdtype, text in texts]
    except (DebvisorError, ValueError):
        shown = [f"\\# {len(each.data)} {each.data.hex()}" for each in records]
    return [
        {
            "name": names.render(each.key[0]),
            "type": rdata.type_text(each.key[1]),
            "ttl": each.ttl,
            "value": text,
        }
        for each, text in zip(records, shown, strict=True)
    ]
