# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``dns_record_sets``: many record sets, in as few signed updates as will hold them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from .._core.errors import InvalidInput, Problem, Unreachable, VerificationFailed
from .._core.plan import Action, Difference, Operation, Plain, Plan, Receipt, Undo
from .._core.waiting import Clock
from . import names, packing, propagation, rdata, validation, zone_plan
from .client import Client, Transport
from .key_source import KeySource
from .looking import cuts_over, look, reverse_zones
from .places import Place, check_address, is_address, read_place
from .record_sets import KEEPING, LONGEST_TTL, Prune, WantedSet, parse_prune, parse_records
from .rrset import Change, Key, RRset, as_plain, packed, unpacked
from .signing import LONGEST_SIGNATURE
from .writing import bring_about, holds_after, keys_of, patiently, same
from .zone_plan import ZoneState

READ_BACK = 50
"""Changed record sets that are read back from the writer, spread evenly. It answered for all of them already."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked."""

    writer: Place
    key_file: str | None
    timeout: float
    retry_for: float
    zone: bytes
    records: tuple[WantedSet, ...] = field(repr=False)
    prune: Prune | None = None
    ptr: bool = False
    lower_ttl: int | None = None
    servers: tuple[Place, ...] = ()
    wait_for: str = "all"
    wait_timeout: float = 0.0
    validate: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """The zone, and the reverse zones that its addresses need."""

    zone: ZoneState
    reverse: tuple[ZoneState, ...] = ()
    homeless: frozenset[bytes] = frozenset()
    warnings: tuple[str, ...] = ()


Described: TypeAlias = "tuple[str, dict[str, Any] | None, dict[str, Any] | None]"


class Payload:
    """What one action sends.

    :param askable: an absent record set can be seen by asking: no wildcard answers.
    :param meanwhile: what there is to do once while the server works.
    """

    def __init__(
        self, batches: Sequence[packing.Batch], askable: bool, meanwhile: Callable[[], object]
    ) -> None:
        self.batches = batches
        self.askable = askable
        self.meanwhile = meanwhile

    @property
    def changes(self) -> list[Change]:
        """The changes of all batches, in their order."""
        return [change for batch in self.batches for change in batch.changes]

    @property
    def sample(self) -> dict[Key, RRset | None]:
        """What shall be there afterwards, as far as it can be asked for."""
        return {
            (change.name, change.kind): change.after
            for change in self.changes
            if self.askable or change.after is not None
        }


class Telling:
    """The changes of a plan for people. It costs as much as the rest of the plan, so it is made when it is needed."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self.before = Plain(lambda: {title: was for title, was, _will in self.entries if was})
        self.after = Plain(lambda: {title: will for title, _was, will in self.entries if will})

    @functools.cached_property
    def entries(self) -> list[Described]:
        """For each change its title, and what is before and after."""
        return [
            (
                f"{names.render(name)} {rdata.type_text(kind)}",
                before and as_plain(kind, before),
                after and as_plain(kind, after),
            )
            for name, kind, before, after in self._changes
        ]

    def write(self) -> None:
        """Make all of it now."""
        self.before.text()
        self.after.text()

    def __len__(self) -> int:
        return len(self._changes)


class RecordSets(Operation[Wanted, Observed]):
    """Make record sets be what is wanted.

    :param reach: gives the way to a server by address, port and seconds to wait for an answer.
    :param read_file: gives a key file's content.
    :param exposed: tells whether everybody may read a key file.
    :param listing: gives the names in a folder: beside a key file lie the other generations of its key.
    """

    name = "dns_record_sets"

    def __init__(
        self,
        reach: Callable[[str, int, float], Transport],
        read_file: Callable[[str], bytes],
        clock: Clock,
        validator: validation.Validator | None = None,
        exposed: Callable[[str], bool] = lambda path: False,
        listing: Callable[[str], Sequence[str]] = lambda folder: [],
    ) -> None:
        self._exposed = exposed
        self._listing = listing
        self._keys: dict[str, KeySource] = {}
        self._reach = reach
        self._read_file = read_file
        self._clock = clock
        self._validator = validator
        self._clients: dict[tuple[Place, str | None], Client] = {}

    # --- what is wanted

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        zone = names.ROOT
        try:
            zone = names.parse(params["zone"].removesuffix(".") + ".")
        except names.NameProblem as cause:
            problems.append(Problem("zone", f"{rdata.shortened(params['zone'])} {cause}"))
        _check_range("ttl", params["ttl"], 0, LONGEST_TTL, problems)
        _check_range("lower_ttl", params["lower_ttl"], 0, LONGEST_TTL, problems)
        _check_range("timeout", params["timeout"], 0.01, 3600, problems)
        _check_range("retry_for", params["retry_for"], 0, 3600, problems)
        _check_range("wait_timeout", params["wait_timeout"], 0, 86400, problems)
        _check_range("port", params["port"], 1, 65535, problems)
        records = parse_records(params["records"], zone, params["ttl"], params["ptr"], problems)
        prune = parse_prune(params["prune"], zone, problems)
        if prune and not params["records"] and not params["prune"]["allow_empty"]:
            problems.append(
                Problem(
                    "records",
                    "is empty, so that prune would remove all in its scope; allow_empty allows it",
                )
            )
        check_address("server", params["server"], problems)
        servers = [
            read_place(f"servers[{number}]", text, params["port"], problems)
            for number, text in enumerate(params["servers"])
        ]
        if problems:
            raise InvalidInput(
                problems, hint="Nothing was read or changed. Mend the input and run again"
            )
        return Wanted(
            writer=Place(params["server"], params["port"]),
            key_file=params["key_file"],
            timeout=params["timeout"],
            retry_for=params["retry_for"],
            zone=zone,
            records=tuple(records),
            prune=prune,
            ptr=params["ptr"],
            lower_ttl=params["lower_ttl"],
            servers=tuple(dict.fromkeys(servers)),
            wait_for=params["wait_for"],
            wait_timeout=params["wait_timeout"],
            validate=params["validate_dnssec"],
        )

    def scope(self, wanted: Wanted) -> str:
        return (
            f"{self.name}:{wanted.writer.address}:{wanted.writer.port}/{names.render(wanted.zone)}"
        )

    # --- what is

    def observe(self, wanted: Wanted) -> Observed:
        self._resolve(wanted)
        return patiently(lambda: self._observe(wanted), wanted.retry_for, self._clock)

    def _resolve(self, wanted: Wanted) -> None:
        """Refuse servers whose names lead nowhere now, and not when the change waits for them."""
        problems = []
        for place in wanted.servers:
            if not is_address(place.address):
                try:
                    self._client(place, None, wanted.timeout).resolve()
                except Unreachable as cause:
                    problems.append(Problem("servers", cause.what))
        if problems:
            raise InvalidInput(problems, hint="Nothing was changed. Mend the input and run again")

    def _observe(self, wanted: Wanted) -> Observed:
        client = self._client(wanted.writer, wanted.key_file, wanted.timeout)
        whole = wanted.prune is not None
        _refuse_below_cuts(client, wanted)
        zone = look(client, wanted.zone, zone_plan.keys_of(wanted.records), whole=whole)
        present, stale = _pointed(zone, wanted)
        zones, homeless = reverse_zones(client, {**present, **dict.fromkeys(stale)})
        reverse = [
            look(client, apex, [(name, rdata.PTR) for name in found])
            for apex, found in sorted(zones.items())
        ]
        warnings: tuple[str, ...] = ()
        if wanted.key_file:
            warnings = tuple(dict.fromkeys(self._key_source(wanted.key_file).fallbacks))
        if wanted.key_file and self._exposed(wanted.key_file):
            warnings += (
                f"Everybody on this machine may read the key file {wanted.key_file}: set its mode to 0600, or to 0640"
                " with a group, and think of a new secret",
            )
        return Observed(zone, tuple(reverse), frozenset(homeless), warnings)

    # --- the way from one to the other

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        problems: list[Problem] = []
        zone = observed.zone
        present, stale = _pointed(zone, wanted)
        problems += _homeless(wanted.records, observed.homeless.intersection(present))
        found = [(zone, zone_plan.plan_zone(zone, wanted.records, wanted.prune, problems))]
        found += _plan_reverse(observed.reverse, present, stale)
        if wanted.lower_ttl is not None:
            ttl = wanted.lower_ttl
            found = [(state, zone_plan.lowered(changes, ttl)) for state, changes in found]
        everything = [change for _state, changes in found for change in changes]
        replaced = [change for change in everything if change.before is not None]
        telling = Telling(everything)
        actions = [
            _action(state, changes, wanted, telling, problems)
            for state, changes in found
            if changes
        ]
        if problems:
            raise InvalidInput(problems, hint="Nothing was changed. Mend the input and run again")
        return Plan(
            before=telling.before,
            after=telling.after,
            actions=tuple(actions),
            warnings=observed.warnings,
            differences=_Differences(telling),
            facts={
                "zone": names.render(wanted.zone),
                "added": len(everything) - len(replaced),
                "modified": sum(change.after is not None for change in replaced),
                "removed": sum(change.after is None for change in replaced),
                "messages": sum(len(action.payload.batches) for action in actions),
                "caches_hold": max(
                    (change.before.ttl for change in replaced if change.before), default=0
                ),
            },
        )

    # --- there and back

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        return {
            "server": wanted.writer.address,
            "port": wanted.writer.port,
            "key_file": wanted.key_file,
            "timeout": wanted.timeout,
            "retry_for": wanted.retry_for,
            "zone": action.target,
            "changes": packed(action.payload.changes),
        }

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        client = self._client(wanted.writer, wanted.key_file, wanted.timeout)
        # The result and the audit line need the changes as text; writing it while the server works costs no time.
        bring_about(
            client,
            action.payload.batches,
            wanted.retry_for,
            self._clock,
            meanwhile=action.payload.meanwhile,
        )

    def undo(self, receipt: Receipt) -> str | None:
        place = Place(receipt["server"], receipt["port"])
        client = self._client(place, receipt["key_file"], receipt["timeout"])
        zone = names.parse(receipt["zone"])
        changes = unpacked(receipt["changes"])
        retry_for = receipt["retry_for"]
        sets = patiently(lambda: look(client, zone, keys_of(changes)), retry_for, self._clock).sets
        ours = []
        theirs = []
        for change in changes:
            held = sets.get((change.name, change.kind))
            if holds_after(change, held):
                ours.append(Change(change.name, change.kind, held, change.before))
            elif not same(held, change.before):
                theirs.append(change.title)
        batches = packing.pack(zone, ours, LONGEST_SIGNATURE)
        bring_about(client, batches, retry_for, self._clock)
        if theirs:
            return f"Somebody else changed {', '.join(theirs[:20])} since; that was left as it is"
        return None

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if not plan.actions and not wanted.servers and not wanted.validate:
            return {"servers": []}
        client = self._client(wanted.writer, wanted.key_file, wanted.timeout)
        samples: dict[bytes, dict[Key, RRset | None]] = {wanted.zone: {}}
        for action in plan.actions:
            samples[names.parse(action.target)] = action.payload.sample
        targets = []
        for zone, sample in samples.items():
            if unlike := propagation.unlike(client, propagation.spread(sample, READ_BACK)):
                raise _unlike(client, unlike)
            serial = client.soa(zone).serial
            targets.append(propagation.Target(zone, serial, propagation.spread(sample)))
            if wanted.validate:
                self._prove(client, zone, targets[-1].sample)
        standings = propagation.wait_for_servers(
            [self._client(place, None, wanted.timeout) for place in wanted.servers],
            targets,
            propagation.needed_of(wanted.wait_for, len(wanted.servers)),
            wanted.wait_timeout,
            self._clock,
            self._prove if wanted.validate else None,
        )
        return {
            "serials": {names.render(target.zone): target.serial for target in targets},
            "servers": [standing.public() for standing in standings],
        }

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _prove(self, client: Client, zone: bytes, sample: Mapping[Key, RRset | None]) -> None:
        if self._validator is not None:
            validation.prove(client, self._validator, zone, sample)

    def _key_source(self, key_file: str) -> KeySource:
        if key_file not in self._keys:
            self._keys[key_file] = KeySource(key_file, self._read_file, self._listing)
        return self._keys[key_file]

    def _client(self, place: Place, key_file: str | None, timeout: float) -> Client:
        """Return the client of a server; one for all calls, so that its connection lasts."""
        known = self._clients.get((place, key_file))
        if known is None:
            transport = self._reach(place.address, place.port, timeout)
            if key_file is None:
                known = Client(transport, clock=self._clock)
            else:
                keys = self._key_source(key_file)
                known = Client(transport, keys, self._clock, keys.reject)
            self._clients[place, key_file] = known
        return known


class _Differences(Sequence[Difference]):
    """The diff, one entry a record set, made only where somebody looks at it."""

    def __init__(self, telling: Telling) -> None:
        self._telling = telling

    def __len__(self) -> int:
        return len(self._telling)

    def __getitem__(self, place: Any) -> Any:
        found = self._telling.entries[place]
        return (
            [_difference(*entry) for entry in found]
            if isinstance(place, slice)
            else _difference(*found)
        )

    def __iter__(self) -> Iterator[Difference]:
        return iter([_difference(*entry) for entry in self._telling.entries])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Differences) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def _difference(
    title: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> Difference:
    return Difference(title, _lines(before), _lines(after))


def _check_range(
    where: str, value: float | None, least: float, most: float, problems: list[Problem]
) -> None:
    if value is not None and not least <= value <= most:
        problems.append(Problem(where, f"{value} is not from {least} to {most}"))


def _refuse_below_cuts(client: Client, wanted: Wanted) -> None:
    """Refuse what the server would put below a delegation, where nobody sees it: its child answers for that name.

    What shall go may be there from before; :func:`zone_plan.plan_zone` looks into that.
    """
    kept = [item for item in wanted.records if item.aim in KEEPING]
    cuts = cuts_over(client, wanted.zone, [item.name for item in kept])
    for item in kept:
        if item.kind == rdata.NS and item.name in cuts:
            cuts[item.name] |= item.data
    problems = [
        zone_plan.below_cut(item, cut)
        for item in (kept if cuts else ())
        if (cut := zone_plan.cut_over(item.name, wanted.zone, cuts))
        and not zone_plan.is_glue_of(item, cuts[cut])
    ]
    if problems:
        raise InvalidInput(problems, hint="Nothing was changed. Mend the input and run again")


def _pointed(
    zone: ZoneState, wanted: Wanted
) -> tuple[dict[bytes, dict[bytes, int]], dict[bytes, set[bytes]]]:
    """Say which PTR records shall be and which not; those of pruned addresses go where the task minds pointers."""
    pruned = []
    if wanted.ptr and wanted.prune is not None:
        pruned = zone_plan.pruned(zone, wanted.records, wanted.prune)
    return zone_plan.pointed(wanted.records, zone.sets, pruned)


def _homeless(records: Sequence[WantedSet], homeless: frozenset[bytes]) -> list[Problem]:
    return [
        Problem(
            f"records[{item.position}].ptr",
            f"the server holds no reverse zone for {zone_plan.address_text(data)}",
        )
        for item in records
        if homeless and item.ptr
        for data in sorted(item.data)
        if zone_plan.reverse(data) in homeless
    ]


def _plan_reverse(
    states: Sequence[ZoneState],
    present: Mapping[bytes, Mapping[bytes, int]],
    stale: Mapping[bytes, set[bytes]],
) -> list[tuple[ZoneState, list[Change]]]:
    """Give each reverse name to the deepest of the zones that it is in."""
    found = []
    apexes = sorted((state.name for state in states), key=len, reverse=True)
    home = {
        name: next((apex for apex in apexes if names.is_below(name, apex)), None)
        for name in {**present, **dict.fromkeys(stale)}
    }
    for state in states:
        mine = {name: targets for name, targets in present.items() if home[name] == state.name}
        gone = {name: targets for name, targets in stale.items() if home[name] == state.name}
        found.append((state, zone_plan.plan_pointers(state, mine, gone)))
    return found


def _action(
    state: ZoneState,
    changes: Sequence[Change],
    wanted: Wanted,
    telling: Telling,
    problems: list[Problem],
) -> Action:
    batches: list[packing.Batch] = []
    try:
        batches = packing.pack(state.name, changes, LONGEST_SIGNATURE)
    except packing.TooLarge as cause:
        where = [item.position for item in wanted.records if item.name == cause.change.name]
        place = f"records[{where[0]}]" if where else names.render(cause.change.name)
        problems.append(Problem(place, str(cause)))
    starred = any(name.startswith(b"\x01*") for name, _kind in state.sets) or any(
        change.name.startswith(b"\x01*") for change in changes
    )
    one = len(batches) == 1
    return Action(
        "update",
        names.render(state.name),
        f"{len(changes)} record sets in {len(batches)} message{'' if one else 's'}",
        Undo.COMPENSABLE,
        Payload(batches, askable=not starred, meanwhile=telling.write),
    )


def _lines(plain: Mapping[str, Any] | None) -> str:
    if plain is None:
        return ""
    return "".join([f"{plain['ttl']} {text}\n" for text in plain["value"]])


def _unlike(client: Client, keys: Sequence[Key]) -> VerificationFailed:
    titles = [f"{names.render(name)} {rdata.type_text(kind)}" for name, kind in keys]
    return VerificationFailed(
        f"{client} took the update and does not serve it",
        why=", ".join(titles[:20]),
        hint="A server ignores a CNAME beside other data, and the other way round",
        details={"record_sets": titles},
    )
