# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one host is to hold of a keyring: written where the keyring is, read on the host. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..protocol.tsig import Key, decode_secret, encode_secret, generation_key
from .keyring import CLASS_NAME, FORMAT, Keyring, KeyringUnreadable, check_format

PURPOSES = ("update", "transfer")


@dataclass(frozen=True, slots=True)
class Description:
    """What the inventory says of a class: what it is for, whose servers accept it, who signs with it."""

    name: str
    algorithm: str
    purpose: str
    reads: bool
    """Keys for updates may transfer whole zones, too."""
    servers: frozenset[str]
    clients: frozenset[str]


@dataclass(frozen=True, slots=True)
class HeldClass:
    """What one host has of one class: the keys that are valid, by generation, and which one to sign with.

    ``serves`` is the purpose for which the host's own name server accepts these keys, or empty.
    """

    name: str
    current: int
    keys: Mapping[int, Key]
    serves: str = ""
    reads: bool = False


def bundle(ring: Keyring, descriptions: Iterable[Description], host: str) -> dict[str, Any]:
    """Return what a host is to hold, as JSON with secrets in clear: to be sealed for that host at once."""
    classes = {}
    for about in descriptions:
        of = ring.classes.get(about.name)
        if of is None or host not in about.servers | about.clients:
            continue
        classes[about.name] = {
            "current": of.current.number,
            "serves": about.purpose if host in about.servers else "",
            "reads": about.reads,
            "keys": {
                str(each.number): {
                    "algorithm": each.algorithm,
                    "secret": encode_secret(each.secret),
                }
                for each in of.generations
            },
        }
    return {"format": FORMAT, "revision": ring.revision, "classes": classes}


def revision_of(document: Any) -> int:
    """Return the revision of the keyring that a bundle was made from; 0 where it does not say.

    :raises KeyringUnreadable: where it is no number.
    """
    found = document.get("revision", 0) if isinstance(document, dict) else 0
    if not isinstance(found, int) or isinstance(found, bool):
        raise KeyringUnreadable("what was sent to this host is not a set of keys")
    return found


def read_bundle(document: Any) -> tuple[HeldClass, ...]:
    """Read what :func:`bundle` gave.

    :raises KeyringUnreadable: where it is something else.
    """
    try:
        check_format(document["format"])
        held = []
        for name, entry in document["classes"].items():
            keys = {
                int(number): Key(
                    generation_key(name, int(number)),
                    key["algorithm"],
                    decode_secret(key["secret"], key["algorithm"]),
                )
                for number, key in entry["keys"].items()
            }
            if (
                not CLASS_NAME.fullmatch(name)
                or entry["current"] not in keys
                or entry["serves"] not in ("", *PURPOSES)
            ):
                raise ValueError("a class is malformed in it")
            held.append(
                HeldClass(name, entry["current"], keys, str(entry["serves"]), bool(entry["reads"]))
            )
        return tuple(held)
    except (KeyError, TypeError, AttributeError, ValueError) as cause:
        raise KeyringUnreadable(
            "what was sent to this host is not a set of keys",
            why=str(cause) if isinstance(cause, ValueError) else "it has not its form",
        ) from None
