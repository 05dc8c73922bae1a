# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted of the cache, and the steps that lead there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..._core.checks import refuse_any
from ..._core.errors import Conflict, Problem
from ..._core.plan import Action, Difference, Plan, Undo
from ..._core.spec import Spec
from ..jobs import sizes
from ..jobs.job_protocols import RemoteImage
from ..jobs.sizes import Size
from . import cache, expected_digest, libvirt_pool
from .cache import Entry, Leftover, Limits
from .cache_steps import (
    AutostartPool,
    Context,
    DefinePool,
    Discard,
    Fetch,
    Hashed,
    MakeFolder,
    Pin,
    Prove,
    Quarantine,
    Remove,
    StartPool,
)
from .image_options import IMAGE
from .libvirt_pool import PoolFacts

SPEC = Spec(
    {
        **IMAGE,
        "state": {
            "type": "str",
            "choices": ["present", "absent", "pruned", "verified"],
            "default": "present",
        },
        "path": {"type": "path"},
        "pinned": {"type": "bool"},
        "max_age": {"type": "float"},
        "max_bytes": {"type": "str"},
        "min_free": {"type": "str"},
        "leftover_age": {"type": "float", "default": 604800},
        "timeout": {"type": "float", "default": 3600},
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of ``image_cache``, checked."""

    state: str
    path: str
    url: str
    """As it may be shown."""
    checksum: str
    digest: str
    """Where the checksum is written out."""
    image_type: str
    pinned: bool | None
    limits: Limits
    leftover_age: float
    timeout: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What was looked at: no more than the state that is wanted needs."""

    folder: str
    there: bool = True
    possible: bool = False
    """Whether this machine has libvirt, and the folder is to be its pool's."""
    facts: PoolFacts | None = None
    name: str = ""
    """Of the image that is wanted; "" while its digest is not known."""
    remote: RemoteImage | None = None
    """The image that is to be fetched, where its server was asked."""
    entries: tuple[Entry, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    hashed: tuple[Hashed, ...] = ()
    free: int = 0
    now: float = 0


def read(params: Mapping[str, Any], url: str) -> Wanted:
    """Check the options against each other.

    :param url: of the image, as it may be shown.
    :raises InvalidInput: with every problem.
    """
    problems: list[Problem] = []
    state, checksum = params["state"], (params["checksum"] or "").strip()
    digest = expected_digest.literal(checksum)
    names_one = bool(url or digest)
    if state == "absent" and not names_one:
        problems.append(Problem("checksum", "required, unless image_url names the image"))
    if params["pinned"] is not None and not names_one:
        problems.append(Problem("pinned", "needs image_url or checksum to name the image"))
    if state == "verified" and checksum and not digest:
        problems.append(Problem("checksum", "write out the digest of the image to verify"))
    sizes_ = {option: _size(option, params, problems) for option in ("max_bytes", "min_free")}
    for option in ("max_age", "leftover_age", "timeout"):
        if params[option] is not None and params[option] < 0:
            problems.append(Problem(option, "must not be negative"))
    refuse_any(problems, hint="Nothing was changed")
    return Wanted(
        state=state,
        path=params["path"] or "",
        url=url,
        checksum=checksum,
        digest=digest,
        image_type=params["image_type"],
        pinned=params["pinned"],
        limits=Limits(max_age=params["max_age"], **sizes_),
        leftover_age=params["leftover_age"],
        timeout=params["timeout"],
    )


def _size(option: str, params: Mapping[str, Any], problems: list[Problem]) -> int | None:
    if params[option] is None:
        return None
    try:
        return sizes.parse(params[option])
    except ValueError as cause:
        problems.append(Problem(option, str(cause)))
        return None


def decide(seen: Seen, wanted: Wanted) -> Plan:
    """Decide."""
    deciders: Mapping[str, Callable[[Seen, Wanted], Plan]] = {
        "present": _present,
        "absent": _absent,
        "pruned": _pruned,
        "verified": _verified,
    }
    return deciders[wanted.state](seen, wanted)


def _present(seen: Seen, wanted: Wanted) -> Plan:
    found = next((entry for entry in seen.entries if entry.verified), None)
    name = seen.name or wanted.url
    if found is None and wanted.digest and not wanted.url:
        raise Conflict(
            f"there is no verified image {wanted.digest} in {seen.folder}",
            hint="Set image_url to its source",
        )
    actions, context = [*_pool_steps(seen)], Context(seen.name)
    if found is None and wanted.url:
        size = f", {Size(seen.remote.size)}" if seen.remote is not None else ""
        fetch = Fetch(seen.folder, context, seen.remote)
        actions.append(Action("fetch", name, f"from {wanted.url}{size}", Undo.COMPENSABLE, fetch))
    pinned = any(entry.pinned for entry in seen.entries)
    will_be = pinned if wanted.pinned is None else wanted.pinned
    if will_be != pinned:
        effect = "stays whatever the limits say" if will_be else "may be evicted"
        verb, pin = "pin" if will_be else "unpin", Pin(seen.folder, context, will_be)
        actions.append(Action(verb, name, effect, payload=pin))
    wants_one = bool(found or wanted.url)
    image = {**(shown(found) if found else {"name": name, "url": wanted.url}), "pinned": will_be}
    return _planned(
        seen,
        actions,
        {**_location(seen), "images": [shown(entry) for entry in seen.entries]},
        {**_location(seen, made=True), "images": [image] if wants_one else []},
        facts={"cache_hit": found is not None} if wants_one else {},
        context=context,
    )


def _pool_steps(seen: Seen) -> Iterator[Action]:
    where, target = seen.folder, f"pool {libvirt_pool.POOL}"
    if not seen.there:
        yield Action("make", where, "a folder for images", payload=MakeFolder(where))
    if not seen.possible:
        return
    if seen.facts is None:
        effect = f"of the files in {where}"
        yield Action("define", target, effect, payload=DefinePool(where))
    if seen.facts is None or not seen.facts.active:
        yield Action("start", target, "libvirt lists its files", payload=StartPool(where))
    if seen.facts is None or not seen.facts.autostart:
        effect = "starts with the machine"
        yield Action("autostart", target, effect, payload=AutostartPool(where))


def _location(seen: Seen, *, made: bool = False) -> dict[str, Any]:
    """Return where the cache is, as it is found or as it is once all is made."""
    facts = seen.facts
    told: dict[str, Any] = {"folder": seen.folder if made or seen.there else None}
    if seen.possible:
        told["pool"] = {
            "active": made or (facts is not None and facts.active),
            "autostart": made or (facts is not None and facts.autostart),
        }
    return told


def _absent(seen: Seen, wanted: Wanted) -> Plan:
    unwilling = [
        f"{entry.name} is {'in use' if entry.in_use else 'pinned'}"
        for entry in seen.entries
        if entry.in_use or (entry.pinned and wanted.pinned is not False)
    ]
    if unwilling:
        raise Conflict(
            "the image cannot be removed",
            why="; ".join(unwilling),
            hint="Wait until it is unused; for a pinned one, set pinned: false, too",
        )
    return _without(seen, [(entry, "it is to be absent") for entry in seen.entries])


def _pruned(seen: Seen, wanted: Wanted) -> Plan:
    old = [each for each in seen.leftovers if seen.now - each.changed > wanted.leftover_age]
    pruning = cache.prune(
        seen.entries,
        wanted.limits,
        now=seen.now,
        free=seen.free + sum(each.room for each in old),
    )
    warnings = [
        f"{Size(amount)} {what}: no other image may go, as they are pinned, in use or unknown"
        for amount, what in (
            (pruning.excess, "more than max_bytes stay in the cache"),
            (pruning.lack, "less than min_free will be free"),
        )
        if amount
    ]
    victims = [(victim.entry, victim.reason) for victim in pruning.victims]
    return _without(seen, victims, old, tuple(warnings))


def _without(
    seen: Seen,
    victims: Sequence[tuple[Entry, str]],
    leftovers: Sequence[Leftover] = (),
    warnings: tuple[str, ...] = (),
) -> Plan:
    """Remove images, which can be rolled back until all is done, and then what is of no use."""
    removals = [
        Action(
            "remove",
            entry.name,
            f"{Size(entry.room)}; {reason}",
            payload=Remove(seen.folder, entry),
        )
        for entry, reason in victims
    ]
    discards = [
        Action(
            "discard",
            each.names[0],
            f"{Size(each.room)}; {_USELESS[each.kind]}",
            Undo.IRREVERSIBLE,
            Discard(seen.folder, each),
        )
        for each in leftovers
    ]
    gone = {entry.name for entry, reason in victims}
    rooms = [*(entry.room for entry, reason in victims), *(each.room for each in leftovers)]
    return _planned(
        seen,
        [*removals, *discards],
        {**_useless(seen.leftovers), "images": [shown(entry) for entry in seen.entries]},
        {
            **_useless(each for each in seen.leftovers if each not in leftovers),
            "images": [shown(entry) for entry in seen.entries if entry.name not in gone],
        },
        warnings,
        facts={"freed": sum(rooms), "removed": sorted(gone)},
    )


def _useless(leftovers: Iterable[Leftover]) -> dict[str, Any]:
    return {"leftovers": [each.names[0] for each in leftovers]}


_USELESS = {
    "part": "an abandoned download",
    "quarantine": "an image in quarantine",
    "removed": "a removal that was interrupted",
    "stray": "it belongs to no image",
}


def _verified(seen: Seen, wanted: Wanted) -> Plan:
    """Prove and put away. A file without a record that is not what it is called is somebody else's."""
    hashed = [each for each in seen.hashed if each.good or each.entry.record is not None]
    bad = [each for each in hashed if not each.good]
    doubtful = [each for each in hashed if each.good and not each.entry.verified]
    proofs = [
        Action(
            "prove",
            each.entry.name,
            "it was in doubt, and is good",
            payload=Prove(seen.folder, each),
        )
        for each in doubtful
    ]
    removals = [
        Action(
            "quarantine",
            each.entry.name,
            f"its SHA-256 is {each.digest}",
            payload=Quarantine(seen.folder, each),
        )
        for each in bad
    ]
    before = [shown(each.entry) for each in hashed]
    after = [{**shown(each.entry), "verified": True} for each in hashed if each.good]
    return _planned(
        seen,
        [*proofs, *removals],
        {"images": before},
        {"images": after},
        tuple(f"The image {each.entry.name} is damaged" for each in bad),
        facts={
            "verified": sorted(each.entry.name for each in hashed if each.good),
            "damaged": sorted(each.entry.name for each in bad),
        },
        context=Context(good=tuple(each for each in seen.hashed if each.good)),
    )


def shown(entry: Entry) -> dict[str, Any]:
    """Return what is shown of an image."""
    digest, image_type = cache.named(entry.name) or ("", "")
    record = entry.record
    return {
        "name": entry.name,
        "sha256": digest,
        "image_type": image_type,
        "size": entry.size,
        "url": record.url if record else "",
        "pinned": entry.pinned,
        "verified": entry.verified,
    }


def _planned(
    seen: Seen,
    actions: Sequence[Action],
    before: dict[str, Any],
    after: dict[str, Any],
    warnings: tuple[str, ...] = (),
    *,
    facts: dict[str, Any],
    context: Context | None = None,
) -> Plan:
    name = f"images in {seen.folder}"
    changes = [Difference(name, _text(before), _text(after))] if actions else []
    known = {"folder": seen.folder, **facts}
    return Plan(before, after, tuple(actions), changes, warnings, known, context)


def _text(state: Mapping[str, Any]) -> str:
    lines = [f"{name}: {value}" for name, value in state.items() if name != "images"]
    for image in state["images"]:
        lines.append(" ".join(f"{name}={value}" for name, value in image.items()))
    return "".join(f"{line}\n" for line in lines)
