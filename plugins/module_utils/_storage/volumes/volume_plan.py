# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is there to what is to be done: pure. Everything that can be refused is refused here, before any write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..._core.errors import Refused
from ..._core.plan import Action, Difference, Plan, Undo
from ..jobs import sizes
from ..jobs.job_protocols import CachedImage, RemoteImage
from ..jobs.sizes import Size
from .volume_request import Request
from .volumes import Space, User, Volume

UNTOUCHED = "Nothing was changed"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was looked at. Only what the decision needs: a volume that is right already asks no server for its image."""

    volume: Volume | None = None
    users: tuple[User, ...] = ()
    """Who has the volume open, and which running guests have it as a disk."""
    name_fault: str = ""
    digest: str = ""
    """SHA-256 of the wanted image in hex; "" where it is unknown."""
    virtual_size: int = 0
    cached: CachedImage | None = None
    golden: Volume | None = None
    remote: RemoteImage | None = None
    space: Space = field(default_factory=lambda: Space(0))
    can_clone: bool = False
    source: str = ""
    """The image's address, as it may be shown."""


@dataclass(slots=True)
class Made:
    """What the steps of one plan leave for those after them."""

    image: CachedImage | None = None
    golden: Volume | None = None
    volume: Volume | None = None
    """What is made beside what is there."""


@dataclass(frozen=True, slots=True)
class Step:
    """Payload of an action."""

    seen: Seen
    made: Made


class Fetch(Step):
    """Have the image in the cache."""


class MakeGolden(Step):
    """Make the volume from which others are cloned."""


class Create(Step):
    """Make an empty volume beside the present one."""


class Populate(Step):
    """Fill the new volume."""


class Clone(Step):
    """Make the new volume from the golden one."""


class Overwrite(Step):
    """Fill the present volume in place."""


class Publish(Step):
    """Give the new volume its name."""


class Remove(Step):
    """Remove the present volume."""


class RemoveGolden(Step):
    """Remove a golden volume, at once."""


def mark_of(digest: str) -> str:
    """Return how a volume's mark names the image."""
    return f"sha256:{digest}"


def golden_name(digest: str) -> str:
    """Return the name of the volume of a pool from which others with this image are cloned."""
    return f"debvisor-image-{digest[:40]}"


def is_right(seen: Seen, request: Request) -> bool:
    """Return whether the volume holds the wanted image already, proved, and may stay as it is."""
    marks = seen.volume.marks if seen.volume is not None else None
    return (
        bool(seen.digest)
        and marks is not None
        and marks.image == mark_of(seen.digest)
        and request.overwrite != "always"
    )


def decide(seen: Seen, request: Request) -> Plan:
    """Return the plan.

    :raises Refused: where what is there must not be touched, or there is no room; says what to do about it.
    """
    if seen.name_fault:
        raise Refused(
            f"{request.name!r} cannot be the name of a volume", why=seen.name_fault, hint=UNTOUCHED
        )
    if not request.present:
        return _removal(seen, request)
    right = is_right(seen, request)
    if seen.volume is not None:
        _check_target(seen.volume, request, right=right)
    if right:
        told = _told(seen.volume)
        facts = {**_facts(seen), "cache_hit": True}
        return Plan(before=told, after=told, facts=facts, context=Step(seen, Made()))
    if seen.volume is not None:
        _check_overwriting(seen, seen.volume, request)
    check_room(seen, request)
    # Last: who shuts a guest down for this, as the role volume_provision does, knows that all else is well.
    _check_unused(
        seen, request, "Shut the guest down, or unmount it, and run again", **_facts(seen)
    )
    made = Made()
    actions = _steps(seen, made, request)
    before, after = (
        _told(seen.volume),
        {"size": _size_after(seen, request), "image": _image(seen.digest)},
    )
    return Plan(
        before=before,
        after=after,
        actions=actions,
        differences=(Difference.of(request.volume, before, after),),
        facts=_facts(seen),
        warnings=_warnings(seen),
        context=Step(seen, made),
    )


def _check_plain(volume: Volume, request: Request, hint: str) -> None:
    if volume.special:
        raise Refused(
            f"{request.volume} is not a plain volume", why=f"it is {_a(volume.special)}", hint=hint
        )


def _check_target(volume: Volume, request: Request, *, right: bool) -> None:
    if not right:  # somebody's snapshot of it is no matter as long as it stays
        _check_plain(volume, request, "Choose another name")
    if not sizes.fits(volume.size, request.size):
        raise Refused(
            f"{request.volume} has another size than wanted",
            why=f"it has {Size(volume.size)} ({volume.size} bytes), wanted are {Size(request.size)}; 5 % are tolerated",
            hint="Ask for its size, choose another name, or remove it before",
        )


def _check_overwriting(seen: Seen, volume: Volume, request: Request) -> None:
    if volume.marks is None and not request.adopt:
        raise Refused(
            f"{request.volume} is not ours",
            why="it carries no mark of this collection, so its content is unknown",
            hint="Choose another name, or say adopt: true and overwrite: different to have it replaced",
        )
    if request.overwrite == "never":
        has = volume.marks.image if volume.marks is not None else ""
        raise Refused(
            f"{request.volume} holds something else",
            why=f"it was filled from {has or 'nothing that was proved'}, wanted is {_image(seen.digest)}",
            hint="Say overwrite: different (or always) to replace its content, or choose another name",
        )


def _check_unused(seen: Seen, request: Request, hint: str, **facts: object) -> None:
    if seen.users:
        raise Refused(
            f"{request.volume} is in use",
            why=listed(seen.users),
            hint=hint,
            details={**users_of(seen.users), **facts},
        )


def check_room(seen: Seen, request: Request) -> None:
    """Hold what is wanted against the pool; once more when it is the run's turn, as others filled it meanwhile.

    :raises Refused: where it does not fit.
    """
    if seen.space.troubles:
        raise Refused(
            f"the pool {request.pool} cannot be written to",
            why="; ".join(seen.space.troubles),
            hint=UNTOUCHED,
        )
    target = seen.volume.size if seen.volume is not None and request.in_place else request.size
    if seen.virtual_size > target:
        raise Refused(
            f"the image does not fit into {request.volume}",
            why=f"its disk has {Size(seen.virtual_size)} ({seen.virtual_size} bytes), the volume {Size(target)}",
            hint=f"Ask for {seen.virtual_size} bytes or more",
        )
    if seen.volume is not None and request.in_place:
        return
    needed = sizes.rounded_up(_new_bytes(seen, request), seen.space.granule)
    if needed > seen.space.free:
        hint = "Make room"
        if seen.volume is not None:
            hint += ", or say replace: in_place, which needs none but cannot be rolled back"
        raise Refused(
            f"the pool {request.pool} has no room for {request.name}",
            why=f"{Size(needed)} are needed, beside what is there; {Size(seen.space.free)} are free",
            hint=hint,
        )


def _new_bytes(seen: Seen, request: Request) -> int:
    """Return what the pool has to give: a clone takes no room of its own yet, its golden volume does."""
    if not (request.golden and seen.can_clone):
        return request.size
    return 0 if seen.golden is not None else seen.virtual_size


def _steps(seen: Seen, made: Made, request: Request) -> tuple[Action, ...]:
    step = (seen, made)
    steps: list[Action] = []
    clones = request.golden and seen.can_clone
    image, volume = _image(seen.digest), request.volume
    if seen.cached is None and seen.golden is None:
        effect = "the image comes into the cache, verified"
        steps.append(Action("fetch", seen.source, effect, Undo.COMPENSABLE, Fetch(*step)))
    if clones and seen.golden is None:
        pool, effect = f"{request.backend}:{request.pool}", f"a volume with {image}, to be cloned"
        steps.append(Action("make golden", pool, effect, Undo.COMPENSABLE, MakeGolden(*step)))
    if request.in_place and seen.volume is not None:
        effect = f"its content is replaced by {image}; this cannot be rolled back"
        steps.append(Action("overwrite", volume, effect, Undo.IRREVERSIBLE, Overwrite(*step)))
        return tuple(steps)
    new = f"a new volume of {Size(request.size)}"
    if clones:
        steps.append(Action("clone", volume, f"{new}, of the golden volume", payload=Clone(*step)))
    else:
        effect = f"the new volume gets {image}, and is read back"
        steps += (
            Action("create", volume, f"{new}, beside what is there", payload=Create(*step)),
            Action("populate", volume, effect, payload=Populate(*step)),
        )
    what = (
        "takes its name; the former one goes once all is well" if seen.volume else "gets its name"
    )
    steps.append(Action("publish", volume, f"the new volume {what}", payload=Publish(*step)))
    return tuple(steps)


def _removal(seen: Seen, request: Request) -> Plan:
    volume = seen.volume
    if volume is None:
        return Plan(before={}, after={})
    _check_plain(volume, request, UNTOUCHED)
    if volume.marks is None and not request.adopt:
        raise Refused(
            f"{request.volume} is not ours", hint="Say adopt: true to have it removed all the same"
        )
    _check_unused(seen, request, UNTOUCHED)
    before = _told(volume)
    step, effect = (seen, Made()), "the volume and all that is on it"
    remove = Action("remove", request.volume, effect, payload=Remove(*step))
    if volume.marks is not None and volume.marks.golden:
        effect = "it can be made from its image again; its backend keeps it while clones need it"
        payload = RemoveGolden(*step)
        remove = Action("remove golden", request.volume, effect, Undo.COMPENSABLE, payload)
    return Plan(
        before=before,
        after={},
        actions=(remove,),
        differences=(Difference.of(request.volume, before, {}),),
    )


def listed(users: Iterable[User]) -> str:
    """Return users as text."""
    return "; ".join(map(str, users))


def users_of(users: Iterable[User]) -> dict[str, object]:
    """Return users as a failure's result shows them."""
    return {"users": [user._asdict() for user in users]}


def _a(thing: str) -> str:
    return f"an {thing}" if thing[0] in "aeiou" else f"a {thing}"


def _size_after(seen: Seen, request: Request) -> int:
    if seen.volume is not None and request.in_place:
        return seen.volume.size
    return sizes.rounded_up(request.size, seen.space.granule)


def _image(digest: str) -> str:
    return mark_of(digest) if digest else "an image of unpublished digest"


def _told(volume: Volume | None) -> dict[str, object]:
    if volume is None:
        return {}
    return {"size": volume.size, "image": volume.marks.image if volume.marks is not None else None}


def _facts(seen: Seen) -> dict[str, object]:
    return {
        "cache_hit": seen.cached is not None or seen.golden is not None,
        "image_sha256": seen.digest,
        "virtual_size": seen.virtual_size,
    }


def _warnings(seen: Seen) -> tuple[str, ...]:
    return (
        ()
        if seen.digest
        else (f"No digest is published for {seen.source}: the image is taken as it comes",)
    )
