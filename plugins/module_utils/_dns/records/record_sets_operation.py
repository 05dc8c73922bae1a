# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``dns_record_sets``: many record sets, in as few signed updates as will hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..._core.checks import check_range, refuse_any
from ..._core.errors import Problem, Unreachable, VerificationFailed
from ..._core.limits import OPTION, TooManyChanges, check_option, check_share, limited
from ..._core.plan import Action, Operation, Plan, Receipt
from ..._core.ports import Clock
from ..._core.spec import Spec
from ..protocol import fields, names, options, rdata
from ..protocol.client import Client
from ..protocol.connections import Connections
from ..protocol.endpoints import Endpoint, check_address, read_endpoint
from ..protocol.retrying import retry_transient
from ..protocol.rrset import Change, Key, RRset, packed, unpacked
from ..protocol.signing import LONGEST_SIGNATURE
from . import packing, pointers, propagation, targets, validation, zone_plan
from .change_summary import ChangeSummary, Differences
from .pointers import Pointers
from .record_sets import KEEPING, LONGEST_TTL, Prune, WantedSet, parse_prune, parse_records
from .updates import apply_changes, holds_after, keys_of, same
from .zone_plan import ZoneState
from .zone_reader import addresses_at, cuts_over, read_zone, reverse_zones, whole_zone
from .zone_update import ZoneUpdate, action_of, update_of

SPEC = Spec(
    {
        **options.SERVER,
        "zone": {"type": "str", "required": True},
        "records": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": options.RECORD,
        },
        "ttl": {"type": "int", "default": 3600},
        "ptr": {"type": "bool", "default": False},
        "prune": {"type": "dict", "options": options.PRUNE},
        **limited(30),
        "lower_ttl": {"type": "int"},
        "servers": {"type": "list", "elements": "str", "default": []},
        "wait_for": {"type": "str", "choices": ["all", "majority", "primary"], "default": "all"},
        "wait_timeout": {"type": "float", "default": 30},
        "retry_for": {"type": "float", "default": 5},
        "validate_dnssec": {"type": "bool", "default": False},
    }
)
UNCHANGED = "Nothing was changed. Fix the input and run again"
READ_BACK = 50
"""Changed record sets that are read back from the writer, spread evenly. It answered for all of them already."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked."""

    writer: Endpoint
    key_file: str | None
    timeout: float
    retry_for: float
    zone: bytes
    records: tuple[WantedSet, ...] = field(repr=False)
    prune: Prune | None
    max_share: float
    ptr: bool
    lower_ttl: int | None
    servers: tuple[Endpoint, ...]
    wait_for: str
    wait_timeout: float
    validate: bool


@dataclass(frozen=True, slots=True)
class Observed:
    """The zone, the pointers that follow from its addresses, and the reverse zones that these need.

    ``without_reverse_zone``: reverse names that no zone of the server could hold.
    """

    zone: ZoneState
    pointers: Pointers
    reverse: tuple[ZoneState, ...] = ()
    without_reverse_zone: frozenset[bytes] = frozenset()
    hosts: targets.Hosts = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class RecordSets(Operation[Wanted, Observed]):
    """Make record sets be what is wanted.

    :param exposed: whether all users may read a key file.
    """

    name = "dns_record_sets"

    def __init__(
        self,
        connections: Connections,
        clock: Clock,
        validator: validation.Validator | None = None,
        exposed: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._validator = validator
        self._exposed = exposed

    # --- what is wanted

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        zone = names.ROOT
        try:
            zone = names.parse(params["zone"].removesuffix(".") + ".")
        except names.NameProblem as cause:
            problems.append(Problem("zone", f"{fields.shortened(params['zone'])} {cause}"))
        check_range("ttl", params["ttl"], 0, LONGEST_TTL, problems)
        check_range("lower_ttl", params["lower_ttl"], 0, LONGEST_TTL, problems)
        check_range("timeout", params["timeout"], 0.01, 3600, problems)
        check_range("retry_for", params["retry_for"], 0, 3600, problems)
        check_range("wait_timeout", params["wait_timeout"], 0, 86400, problems)
        max_share = check_option(params, problems)
        check_range("port", params["port"], 1, 65535, problems)
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
            read_endpoint(f"servers[{number}]", text, params["port"], problems)
            for number, text in enumerate(params["servers"])
        ]
        refuse_any(problems, hint="Nothing was read or changed. Fix the input and run again")
        return Wanted(
            writer=Endpoint(params["server"], params["port"]),
            key_file=params["key_file"],
            timeout=params["timeout"],
            retry_for=params["retry_for"],
            zone=zone,
            records=tuple(records),
            prune=prune,
            max_share=max_share,
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
        return retry_transient(lambda: self._observe(wanted), wanted.retry_for, self._clock)

    def _resolve(self, wanted: Wanted) -> None:
        """Refuse servers whose names lead nowhere now, and not when the change waits for them."""
        problems = []
        for endpoint in wanted.servers:
            if not names.is_address(endpoint.address):
                try:
                    self._server(endpoint, wanted).resolve()
                except Unreachable as cause:
                    problems.append(Problem("servers", cause.what))
        refuse_any(problems, hint=UNCHANGED)

    def _observe(self, wanted: Wanted) -> Observed:
        client = self._writer(wanted)
        _refuse_below_cuts(client, wanted)
        zone = _read(client, wanted)
        pruned: list[Change] = []
        if wanted.ptr and wanted.prune is not None:
            pruned = zone_plan.pruned(zone, wanted.records, wanted.prune)
        found = pointers.pointers_of(wanted.records, zone.sets, pruned)
        zones, without_reverse_zone = reverse_zones(client, found.owners)
        reverse = [
            read_zone(client, apex, [(name, rdata.PTR) for name in below])
            for apex, below in sorted(zones.items())
        ]
        if not all(state.complete for state in reverse):
            reverse = [
                _countable(client, state, changes, wanted)
                for state, changes in pointers.plan_pointers(reverse, found)
            ]
        return Observed(
            zone,
            found,
            tuple(reverse),
            frozenset(without_reverse_zone),
            addresses_at(client, wanted.zone, targets.hosts_of(zone, wanted.records)),
            self._warnings(wanted.key_file),
        )

    def _warnings(self, key_file: str | None) -> tuple[str, ...]:
        if not key_file:
            return ()
        warnings = tuple(dict.fromkeys(self._connections.key_source(key_file).fallbacks))
        if self._exposed(key_file):
            warnings += (
                f"All users of this machine may read the key file {key_file}: set its mode to 0600, or to 0640"
                " with a group, and think of a new secret",
            )
        return warnings

    # --- the way from one to the other

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        problems: list[Problem] = []
        zone, wanted_pointers = observed.zone, observed.pointers
        problems += pointers.check_reverse_zones(
            wanted.records, observed.without_reverse_zone.intersection(wanted_pointers.present)
        )
        changes = zone_plan.plan_zone(zone, wanted.records, wanted.prune, problems)
        useless = targets.check(zone, wanted.records, changes, observed.hosts, problems)
        found = [(zone, changes), *pointers.plan_pointers(observed.reverse, wanted_pointers)]
        if wanted.lower_ttl is not None:
            ttl = wanted.lower_ttl
            found = [(state, zone_plan.lowered(changes, ttl)) for state, changes in found]
        everything = [change for _state, changes in found for change in changes]
        replaced = [change for change in everything if change.before is not None]
        summary = ChangeSummary(everything)
        updates = [
            update_of(state, changes, wanted.records, summary, problems)
            for state, changes in found
            if changes
        ]
        refuse_any(problems, hint=UNCHANGED)
        for state, changes in found:
            _check_share(state, changes, wanted)
        return Plan(
            before=summary.before,
            after=summary.after,
            actions=tuple(action_of(update) for update in updates),
            warnings=(*observed.warnings, *useless),
            differences=Differences(summary),
            facts={
                "zone": names.render(wanted.zone),
                "added": len(everything) - len(replaced),
                "modified": sum(change.after is not None for change in replaced),
                "removed": sum(change.after is None for change in replaced),
                "messages": sum(len(update.batches) for update in updates),
                "caches_hold": max(
                    (change.before.ttl for change in replaced if change.before), default=0
                ),
            },
        )

    # --- there and back

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        update: ZoneUpdate = action.payload
        return {
            "server": wanted.writer.address,
            "port": wanted.writer.port,
            "key_file": wanted.key_file,
            "timeout": wanted.timeout,
            "retry_for": wanted.retry_for,
            "zone": names.render(update.zone),
            "changes": packed(update.changes),
        }

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        update: ZoneUpdate = action.payload
        apply_changes(
            self._writer(wanted),
            update.batches,
            wanted.retry_for,
            self._clock,
            meanwhile=update.summary.write,
        )

    def undo(self, receipt: Receipt) -> str | None:
        endpoint = Endpoint(receipt["server"], receipt["port"])
        client = self._connections.client(endpoint, receipt["key_file"], receipt["timeout"])
        zone = names.parse(receipt["zone"])
        changes = unpacked(receipt["changes"])
        retry_for = receipt["retry_for"]
        sets = retry_transient(
            lambda: read_zone(client, zone, keys_of(changes)), retry_for, self._clock
        ).sets
        ours = []
        theirs = []
        for change in changes:
            held = sets.get((change.name, change.rdtype))
            if holds_after(change, held):
                ours.append(Change(change.name, change.rdtype, held, change.before))
            elif not same(held, change.before):
                theirs.append(change.title)
        batches = packing.pack(zone, ours, LONGEST_SIGNATURE)
        apply_changes(client, batches, retry_for, self._clock)
        if theirs:
            return f"Others changed {', '.join(theirs[:20])} since; that was left as it is"
        return None

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if not plan.actions and not wanted.servers and not wanted.validate:
            return {"servers": []}
        client = self._writer(wanted)
        samples: dict[bytes, dict[Key, RRset | None]] = {wanted.zone: {}}
        for action in plan.actions:
            update: ZoneUpdate = action.payload
            samples[update.zone] = update.sample
        targets = []
        for zone, sample in samples.items():
            if unlike := propagation.unlike(client, propagation.spread(sample, READ_BACK)):
                raise _unlike(client, unlike)
            serial = client.soa(zone).serial
            targets.append(propagation.Target(zone, serial, propagation.spread(sample)))
            if wanted.validate:
                self._prove(client, zone, targets[-1].sample)
        standings = propagation.wait_for_servers(
            [self._server(endpoint, wanted) for endpoint in wanted.servers],
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
        self._connections.close()

    def _writer(self, wanted: Wanted) -> Client:
        return self._connections.client(wanted.writer, wanted.key_file, wanted.timeout)

    def _server(self, endpoint: Endpoint, wanted: Wanted) -> Client:
        """Return the client of a server that follows; it need not know our key."""
        return self._connections.client(endpoint, None, wanted.timeout)

    def _prove(self, client: Client, zone: bytes, sample: Mapping[Key, RRset | None]) -> None:
        if self._validator is not None:
            validation.prove(client, self._validator, zone, sample)


def _read(client: Client, wanted: Wanted) -> ZoneState:
    """Read what the zone holds of the wanted; all of it where pruning or the limit of changes depends on that."""
    keys = zone_plan.keys_of(wanted.records, wanted.zone)
    zone = read_zone(client, wanted.zone, keys, whole=wanted.prune is not None)
    if zone.complete:
        return zone
    return _countable(client, zone, zone_plan.plan_zone(zone, wanted.records, None, []), wanted)


def _countable(
    client: Client, zone: ZoneState, changes: Sequence[Change], wanted: Wanted
) -> ZoneState:
    """Read the whole zone where the limit of changes depends on how much it holds, and the key may."""
    if not zone.complete and zone_plan.may_exceed(zone, changes, wanted.max_share):
        return whole_zone(client, zone.name) or zone
    return zone


def _check_share(zone: ZoneState, changes: Sequence[Change], wanted: Wanted) -> None:
    """Refuse to change or remove more of the zone than allowed; what is new does not count."""
    name, replaced = names.render(zone.name), zone_plan.replaced(zone.name, changes)
    if zone.complete:
        check_share(
            f"record sets of {name}",
            replaced,
            zone_plan.countable(zone),
            allowed=wanted.max_share,
            smallest=zone_plan.GUARDED_FROM,
        )
    elif zone_plan.may_exceed(zone, changes, wanted.max_share):
        raise TooManyChanges(
            f"would change {replaced} record sets of {name}, and how many that zone has cannot be counted",
            why="the key may not transfer the zone",
            hint=f"Let the server transfer the zone to this key (allow-transfer), or set {OPTION}=100",
            details={"changed_objects": replaced, "allowed_share": wanted.max_share},
        )


def _refuse_below_cuts(client: Client, wanted: Wanted) -> None:
    """Refuse what the server would put below a delegation, where it is not served: its child answers for that name.

    What shall go may be there from before; :func:`zone_plan.plan_zone` checks that.
    """
    kept = [item for item in wanted.records if item.aim in KEEPING]
    cuts = cuts_over(client, wanted.zone, [item.name for item in kept])
    for item in kept:
        if item.rdtype == rdata.NS and item.name in cuts:
            cuts[item.name] |= item.data
    problems = [
        zone_plan.below_cut(item, cut)
        for item in (kept if cuts else ())
        if (cut := zone_plan.cut_over(item.name, wanted.zone, cuts))
        and not zone_plan.is_glue_of(item, cuts[cut])
    ]
    refuse_any(problems, hint=UNCHANGED)


def _unlike(client: Client, keys: Sequence[Key]) -> VerificationFailed:
    titles = [f"{names.render(name)} {rdata.type_text(rdtype)}" for name, rdtype in keys]
    return VerificationFailed(
        f"{client} took the update and does not serve it",
        why=", ".join(titles[:20]),
        hint="A server ignores a CNAME beside other data, and the other way round",
        details={"record_sets": titles},
    )
