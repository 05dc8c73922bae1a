# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring: every class of TSIG key with its generations, and the steps from one generation to the next. Pure.

    (new) --introduce--> INCOMING --promote--> CURRENT --(the next one is promoted)--> RETIRING --retire--> (gone)

Servers accept every generation that the keyring holds; clients sign with the current one. A class has exactly one
current generation and at most one incoming one. Each step is a function from a class to a class, and doing it twice is
doing it once, so that an interrupted run begins again at the top.

A key's name is its generation and its class, ``g2.debvisor-node``: so BIND's update-policy can grant to the class
(``grant *.debvisor-node``), whichever generations there are.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from ..._core.errors import DebvisorError
from ..._core.secret import Secret
from ..protocol.tsig import ALGORITHMS, Key, decode_secret, encode_secret, generation_key

FORMAT = 1
CLASS_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A class is one label: it is part of a key's name and of a file's."""

Draw = Callable[[int], bytes]
"""Gives that many random bytes."""


class KeyringUnreadable(DebvisorError):
    """The keyring's file is not a keyring: nothing can be said of the keys, so nothing is done with them."""


class NotProved(DebvisorError):
    """A generation was to be promoted that not every server has proved to accept."""


class Standing(Enum):
    """What a generation is for."""

    INCOMING = "incoming"
    """Servers accept it; only probes sign with it."""
    CURRENT = "current"
    """Clients sign with it."""
    RETIRING = "retiring"
    """Servers still accept it, for clients that have not heard of its successor."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One secret of a class. Times are seconds since 1970; ``proved`` names the servers that were seen to accept it."""

    number: int
    algorithm: str
    secret: Secret
    standing: Standing
    created: int
    proved: frozenset[str] = frozenset()
    promoted: int | None = None
    retire_after: int | None = None


@dataclass(frozen=True, slots=True)
class KeyClass:
    """A class and its generations, oldest first. ``last`` is the highest number ever given: none is used twice."""

    name: str
    generations: tuple[Generation, ...] = ()
    last: int = 0
    used: bool = True
    """The inventory describes it. One that it does no more is kept for its numbers, and no host has its keys."""

    def key(self, generation: Generation) -> Key:
        """Return a generation as a key."""
        return Key(
            generation_key(self.name, generation.number), generation.algorithm, generation.secret
        )

    def standing(self, standing: Standing) -> tuple[Generation, ...]:
        return tuple(each for each in self.generations if each.standing is standing)

    @property
    def current(self) -> Generation:
        return self.standing(Standing.CURRENT)[0]

    @property
    def incoming(self) -> Generation | None:
        return next(iter(self.standing(Standing.INCOMING)), None)

    @property
    def retiring(self) -> tuple[Generation, ...]:
        return self.standing(Standing.RETIRING)

    @property
    def settled(self) -> bool:
        """True between two rotations."""
        return len(self.generations) == 1

    def _with(self, *generations: Generation) -> KeyClass:
        """Put generations in the place of those with their numbers."""
        kept = {each.number: each for each in (*self.generations, *generations)}
        return replace(self, generations=tuple(kept[number] for number in sorted(kept)))


# --- the steps


def founded(name: str, algorithm: str, draw: Draw, now: int) -> KeyClass:
    """Return a new class with its first generation."""
    return _drawn(KeyClass(name), algorithm, Standing.CURRENT, draw, now)


def introduced(of: KeyClass, algorithm: str, draw: Draw, now: int, min_age: int = 0) -> KeyClass:
    """Add an incoming generation to a settled class whose current one is at least ``min_age`` seconds old."""
    if not of.settled or now - of.current.created < min_age:
        return of
    return _drawn(of, algorithm, Standing.INCOMING, draw, now)


def proved(of: KeyClass, number: int, servers: Iterable[str]) -> KeyClass:
    """Note servers that were seen to accept a generation."""
    return replace(
        of,
        generations=tuple(
            replace(each, proved=each.proved | frozenset(servers))
            if each.number == number
            else each
            for each in of.generations
        ),
    )


def promoted(of: KeyClass, servers: Collection[str], now: int, retire_after: int) -> KeyClass:
    """Make the incoming generation the current one. The one that was current retires in ``retire_after`` seconds.

    :param servers: every server that serves the class.
    :raises NotProved: where one of them has not proved to accept the incoming generation.
    """
    incoming = of.incoming
    if incoming is None:
        return of
    if missing := sorted(set(servers) - incoming.proved):
        raise NotProved(
            f"{of.name} stays at generation {of.current.number}: {', '.join(missing)} did not prove to accept"
            f" generation {incoming.number}",
            hint="Bring that server back and run the rotation again, or abort it with debvisor_tsig_rotation=abort",
            details={"class": of.name, "servers": missing},
        )
    return of._with(
        replace(of.current, standing=Standing.RETIRING, retire_after=now + retire_after),
        replace(incoming, standing=Standing.CURRENT, promoted=now),
    )


def reverted(of: KeyClass, now: int, retire_after: int) -> KeyClass:
    """Go back: an incoming generation goes, and one that was promoted gives its place to the one before it."""
    if of.incoming is not None:
        return replace(of, generations=tuple(g for g in of.generations if g is not of.incoming))
    before = [each for each in of.retiring if each.number < of.current.number]
    if not before:  # nothing to go back to, or gone back already
        return of
    return of._with(
        replace(of.current, standing=Standing.RETIRING, retire_after=now + retire_after),
        replace(before[-1], standing=Standing.CURRENT, retire_after=None),
    )


def waiting(
    of: KeyClass, used: Collection[str], absent: Collection[str], now: int
) -> dict[int, str]:
    """Say which retiring generations may not go yet, and why.

    :param used: names of keys that some server saw in use lately.
    :param absent: clients and servers of the class that may not have heard of the current generation.
    """
    found = {}
    for each in of.retiring:
        if each.retire_after is not None and each.retire_after <= now:
            continue
        name = generation_key(of.name, each.number)
        if name in used:
            found[each.number] = "a server saw it in use"
        elif absent:
            found[each.number] = f"{', '.join(sorted(absent))} may still sign with it"
    return found


def retired(of: KeyClass, kept: Collection[int]) -> KeyClass:
    """Drop the retiring generations, but for those that are ``kept``."""
    gone = {each.number for each in of.retiring} - set(kept)
    return replace(of, generations=tuple(g for g in of.generations if g.number not in gone))


def revoked(of: KeyClass, algorithm: str, draw: Draw, now: int) -> KeyClass:
    """Put a new generation in the place of all others, at once."""
    return _drawn(replace(of, generations=()), algorithm, Standing.CURRENT, draw, now)


def _drawn(of: KeyClass, algorithm: str, standing: Standing, draw: Draw, now: int) -> KeyClass:
    number = of.last + 1
    made = Generation(
        number,
        algorithm,
        Secret(draw(ALGORITHMS[algorithm])),
        standing,
        created=now,
        promoted=now if standing is Standing.CURRENT else None,
    )
    return replace(of._with(made), last=number)


# --- the file


@dataclass(frozen=True, slots=True)
class Keyring:
    """All classes by name.

    ``revision`` grows with every change, and is never behind the clock of the change: so it also grows past that of a
    keyring which was lost, and one that was restored from a backup is known as old.
    """

    classes: Mapping[str, KeyClass] = field(default_factory=dict)
    revision: int = 0

    def changed(self, classes: Mapping[str, KeyClass], now: int) -> Keyring:
        """Return the keyring with these classes."""
        if classes == self.classes:
            return self
        return Keyring(classes, max(self.revision + 1, now))

    def dump(self) -> dict[str, Any]:
        """Return it as JSON, secrets in clear: for the keyring's own file, and for nothing else."""
        return {
            "format": FORMAT,
            "revision": self.revision,
            "classes": {
                name: {
                    "last": each.last,
                    "used": each.used,
                    "generations": [_dump(generation) for generation in each.generations],
                }
                for name, each in sorted(self.classes.items())
            },
        }

    def public(self, now: int) -> dict[str, Any]:
        """Return it for people, with fingerprints in the place of secrets."""
        return {
            name: {
                "current": each.current.number,
                "age": max(0, now - each.current.created),
                "settled": each.settled,
                "used": each.used,
                "generations": [_public(each, generation) for generation in each.generations],
            }
            for name, each in sorted(self.classes.items())
        }


def load(document: Any, where: str) -> Keyring:
    """Read what :meth:`Keyring.dump` gave.

    :raises KeyringUnreadable: saying what is wrong, and never showing a secret.
    """
    try:
        check_format(document["format"])
        classes = {}
        for name, entry in document["classes"].items():
            generations = tuple(_load(each) for each in entry["generations"])
            read = KeyClass(
                name, generations, _number(entry, "last"), entry.get("used", True) is True
            )
            _check(read)
            classes[name] = read
        return Keyring(classes, _number({"revision": 0, **document}, "revision"))
    except KeyError as cause:
        raise _unreadable(where, f"{cause} is missing") from None
    except (TypeError, AttributeError):
        raise _unreadable(where, "it has not the form of a keyring") from None
    except (ValueError, binascii.Error) as cause:
        raise _unreadable(where, str(cause)) from None


def _unreadable(where: str, why: str) -> KeyringUnreadable:
    return KeyringUnreadable(
        f"{where} is not a keyring",
        why=why,
        hint="Restore it from its backup (docs/tsig.md, 'When the keyring is lost'); nothing was changed",
    )


def _check(of: KeyClass) -> None:
    if not CLASS_NAME.fullmatch(of.name):
        raise ValueError("a name in it is not that of a class")
    standings = [each.standing for each in of.generations]
    if standings.count(Standing.CURRENT) != 1 or standings.count(Standing.INCOMING) > 1:
        raise ValueError(
            f"{of.name} has not exactly one current and at most one incoming generation"
        )
    numbers = [each.number for each in of.generations]
    if numbers != sorted(set(numbers)) or numbers[0] < 1 or numbers[-1] > of.last:
        raise ValueError(f"the generations of {of.name} are not numbered in order")


def _dump(generation: Generation) -> dict[str, Any]:
    return {
        "number": generation.number,
        "algorithm": generation.algorithm,
        "secret": encode_secret(generation.secret),
        "standing": generation.standing.value,
        "created": generation.created,
        "proved": sorted(generation.proved),
        "promoted": generation.promoted,
        "retire_after": generation.retire_after,
    }


def _load(entry: Mapping[str, Any]) -> Generation:
    algorithm = entry["algorithm"]
    if algorithm not in ALGORITHMS:
        raise ValueError(f"an algorithm is none of {', '.join(ALGORITHMS)}")
    standings = {each.value: each for each in Standing}
    if entry["standing"] not in standings:
        raise ValueError(f"a standing is none of {', '.join(standings)}")
    proved = entry["proved"]
    if not isinstance(proved, list) or not all(isinstance(server, str) for server in proved):
        raise ValueError("what proved a generation is not a list of servers")
    return Generation(
        _number(entry, "number"),
        algorithm,
        decode_secret(entry["secret"], algorithm),
        standings[entry["standing"]],
        _number(entry, "created"),
        frozenset(proved),
        None if entry["promoted"] is None else _number(entry, "promoted"),
        None if entry["retire_after"] is None else _number(entry, "retire_after"),
    )


def _number(entry: Mapping[str, Any], name: str) -> int:
    """Return a whole number. What stands in its place may be a secret, so it is not shown."""
    found = entry[name]
    if not isinstance(found, int) or isinstance(found, bool):
        raise ValueError(f"{name} is not a whole number")
    return found


def check_format(found: Any) -> None:
    """Refuse a document of another format.

    :raises ValueError: where it is one.
    """
    if found != FORMAT:
        shown = found if isinstance(found, int) else "no number"
        raise ValueError(f"its format is {shown}, and {FORMAT} was expected")


def _public(of: KeyClass, generation: Generation) -> dict[str, Any]:
    return {
        "generation": generation.number,
        "key": generation_key(of.name, generation.number),
        "algorithm": generation.algorithm,
        "standing": generation.standing.value,
        "fingerprint": generation.secret.fingerprint,
        "created": generation.created,
        "proved": sorted(generation.proved),
        "promoted": generation.promoted,
        "retire_after": generation.retire_after,
    }
