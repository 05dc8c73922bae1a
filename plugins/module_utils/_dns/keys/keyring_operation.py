# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``tsig_keyring``: bring the keyring to a state, and seal for each host what it is to hold.

Secrets are made for this file and nowhere else. It is on disk before any server hears of a new key, so a run that is
killed anywhere finds out from it where it stood.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..._core import file_backup
from ..._core.checks import check_file_path, refuse_any
from ..._core.errors import DebvisorError, Problem, VerificationFailed
from ..._core.plan import Action, Difference, Operation, Plan, Receipt
from ..._core.ports import Clock, Files, ReadsFiles
from ..._core.spec import Spec
from ..protocol.fields import shortened
from ..protocol.tsig import ALGORITHMS, generation_key
from . import keyring
from .host_bundle import Description, bundle
from .keyring import CLASS_NAME, KeyClass, Keyring

STATES = ("present", "introduced", "proved", "promoted", "reverted", "retired", "revoked")
SPEC = Spec(
    {
        "path": {"type": "path", "required": True},
        "classes": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "algorithm": {
                    "type": "str",
                    "choices": list(ALGORITHMS),
                    "default": "hmac-sha256",
                },
                "purpose": {
                    "type": "str",
                    "choices": ["update", "transfer"],
                    "default": "update",
                },
                "reads": {"type": "bool", "default": False},
                "servers": {"type": "list", "elements": "str", "default": []},
                "clients": {"type": "list", "elements": "str", "default": []},
                "grants": {"type": "list", "elements": "dict", "default": []},
            },
        },
        "state": {"type": "str", "choices": list(STATES), "default": "present"},
        "only": {"type": "list", "elements": "str", "default": []},
        "min_age": {"type": "int", "default": 0},
        "retire_after": {"type": "int", "default": 604800},
        "proofs": {"type": "dict", "default": {}},
        "used": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "absent": {"type": "list", "elements": "str", "default": []},
        "found": {"type": "bool", "default": True},
        "force": {"type": "bool", "default": False},
        "recipients": {"type": "dict", "default": {}},
    }
)
INFO_SPEC = Spec({"path": {"type": "path", "required": True}})


class Sealer(Protocol):
    """Closes something so that one host alone can open it."""

    def seal(self, content: bytes, recipient: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked."""

    path: str
    state: str
    classes: tuple[Description, ...]
    only: frozenset[str]
    min_age: int
    retire_after: int
    proofs: Mapping[str, frozenset[str]]
    """Server to the names of the keys that it was seen to accept."""
    used: frozenset[str]
    absent: frozenset[str]
    found: bool
    force: bool
    recipients: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Observed:
    """The keyring as it is, and what the clock said then. ``exists``: there is a file."""

    ring: Keyring = field(repr=False)
    now: int
    exists: bool
    folder: bool = True


@dataclass(frozen=True, slots=True)
class WriteKeyring:
    """Replace the keyring's file by this content, secrets in clear."""

    content: bytes = field(repr=False)


class TsigKeyring(Operation[Wanted, Observed]):
    """Bring the classes of a keyring to a state of their rotation."""

    name = "tsig_keyring"

    def __init__(
        self,
        files: Files,
        sealer: Sealer,
        clock: Clock,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._files = files
        self._sealer = sealer
        self._clock = clock
        self._draw = draw

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        path = params["path"]
        check_file_path("path", path, problems)
        classes = [
            _description(number, entry, problems) for number, entry in enumerate(params["classes"])
        ]
        known = [each.name for each in classes]
        for number, name in enumerate(known):
            if name in known[:number]:
                problems.append(
                    Problem(
                        f"classes[{number}].name", f"{name} is also classes[{known.index(name)}]"
                    )
                )
        for number, name in enumerate(params["only"]):
            if name not in known:
                problems.append(
                    Problem(f"only[{number}]", f"{shortened(name)} is none of {', '.join(known)}")
                )
        if params["state"] == "revoked" and not params["only"]:
            problems.append(Problem("only", "must name the classes that are to be revoked"))
        for option in ("min_age", "retire_after"):
            if params[option] < 0:
                problems.append(Problem(option, "is negative"))
        refuse_any(problems, hint="Nothing was changed. Fix the input and run again")
        return Wanted(
            path=path,
            state=params["state"],
            classes=tuple(classes),
            only=frozenset(params["only"] or known),
            min_age=params["min_age"],
            retire_after=params["retire_after"],
            proofs={server: frozenset(keys) for server, keys in params["proofs"].items()},
            used=frozenset(params["used"]),
            absent=frozenset(params["absent"]),
            found=params["found"],
            force=params["force"],
            recipients={host: key for host, key in params["recipients"].items() if key},
        )

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{wanted.path}"

    def observe(self, wanted: Wanted) -> Observed:
        now = int(self._clock.wall())
        if self._files.facts(wanted.path) is None:
            return Observed(Keyring(), now, False, self._files.has_folder(wanted.path))
        return Observed(read_keyring(self._files, wanted.path), now, True)

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        now = observed.now
        if not observed.folder:
            raise DebvisorError(
                f"the folder of {wanted.path} does not exist",
                hint="Create it first, for root alone (mode 0700)",
            )
        if not observed.exists and wanted.state not in ("present", "revoked"):
            raise DebvisorError(
                f"there is no keyring at {wanted.path}",
                hint="Converge the cluster first (debvisor.hci.site), or restore the keyring from its backup",
            )
        if not observed.exists and wanted.state == "present" and not wanted.found:
            raise DebvisorError(
                f"there is no keyring at {wanted.path}, and servers hold keys already",
                why="it was lost, or another host has it",
                hint="Restore it from its backup, name its host in debvisor_tsig_keyring_host, or begin anew with"
                " debvisor.hci.revoke_tsig and all classes (docs/tsig.md)",
            )
        after = dict(observed.ring.classes)
        for about in wanted.classes:
            of = after.get(about.name) or keyring.founded(
                about.name, about.algorithm, self._draw, now
            )
            after[about.name] = (
                self._step(of, about, wanted, now) if about.name in wanted.only else of
            )
        described = {about.name for about in wanted.classes}
        after = {name: replace(of, used=name in described) for name, of in after.items()}
        ring = observed.ring.changed(after, now)
        before, then = observed.ring.public(now), ring.public(now)
        changed = [name for name in then if ring.classes[name] != observed.ring.classes.get(name)]
        actions: tuple[Action, ...] = ()
        if changed:
            content = json.dumps(ring.dump(), indent=1).encode() + b"\n"
            former = [name for name in changed if name not in described]
            effects = [f"{name} not used any more" for name in former]
            if here := [name for name in changed if name in described]:
                effects.append(f"{', '.join(here)} {wanted.state}")
            effect = "; ".join(effects)
            actions = (Action("write", wanted.path, effect, payload=WriteKeyring(content)),)
        return Plan(
            before={name: before[name] for name in changed if name in before},
            after={name: then[name] for name in changed},
            actions=actions,
            differences=[
                Difference(name, _lines(before.get(name)), _lines(then[name])) for name in changed
            ],
            facts={
                "keyring": then,
                "incoming": _names(ring, wanted, lambda of: [of.incoming] if of.incoming else []),
                "retiring": _names(ring, wanted, lambda of: of.retiring),
                "waiting": {
                    generation_key(about.name, number): why
                    for about in wanted.classes
                    for number, why in _waiting(
                        ring.classes[about.name], about, wanted, now
                    ).items()
                },
                "dropped": sorted(_all_names(observed.ring) - _all_names(ring)),
                "sealed": self._sealed(ring, wanted),
            },
        )

    def _step(self, of: KeyClass, about: Description, wanted: Wanted, now: int) -> KeyClass:
        state = wanted.state
        if state == "introduced":
            kept = keyring.waiting(
                of, {generation_key(of.name, g.number) for g in of.retiring}, (), now
            )
            of = keyring.retired(
                of, kept
            )  # those whose time has come do not hold up the next rotation
            return keyring.introduced(of, about.algorithm, self._draw, now, wanted.min_age)
        if state in ("proved", "promoted"):
            if of.incoming is not None:
                name = generation_key(of.name, of.incoming.number)
                seen = [server for server, keys in wanted.proofs.items() if name in keys]
                of = keyring.proved(of, of.incoming.number, seen)
            if state == "promoted":
                required = about.servers - (wanted.absent if wanted.force else set())
                of = keyring.promoted(of, required, now, wanted.retire_after)
            return of
        if state == "reverted":
            return keyring.reverted(of, now, wanted.retire_after)
        if state == "retired":
            return keyring.retired(of, _waiting(of, about, wanted, now))
        if state == "revoked":
            return keyring.revoked(of, about.algorithm, self._draw, now)
        return of

    def _sealed(self, ring: Keyring, wanted: Wanted) -> dict[str, str]:
        return {
            host: self._sealer.seal(
                json.dumps(bundle(ring, wanted.classes, host)).encode(), recipient
            )
            for host, recipient in wanted.recipients.items()
        }

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        return file_backup.keep(self._files, wanted.path)

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        change: WriteKeyring = action.payload
        self._files.write(wanted.path, change.content, mode=0o600, uid=-1, gid=-1)

    def undo(self, receipt: Receipt) -> None:
        file_backup.restore(self._files, receipt)

    def commit(self, receipt: Receipt) -> None:
        file_backup.forget(self._files, receipt)

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        for action in plan.actions:
            change: WriteKeyring = action.payload
            if self._files.read(wanted.path) != change.content:
                raise VerificationFailed(f"{wanted.path} does not hold what was written to it")
        return {}


def read_keyring(files: ReadsFiles, path: str) -> Keyring:
    """Read the keyring's file.

    :raises keyring.KeyringUnreadable: where it is not one.
    """
    try:
        document = json.loads(files.read(path))
    except (ValueError, RecursionError):
        document = None
    return keyring.load(document, path)


class TsigKeyringInfo:
    """Reports what may be known of the keyring."""

    def __init__(self, files: ReadsFiles, clock: Clock) -> None:
        self._files = files
        self._clock = clock

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the classes and their generations.

        :raises keyring.KeyringUnreadable: where the file is no keyring.
        """
        path = params["path"]
        if self._files.facts(path) is None:
            return {"path": path, "exists": False, "keyring": {}}
        ring = read_keyring(self._files, path)
        return {"path": path, "exists": True, "keyring": ring.public(int(self._clock.wall()))}


def _description(number: int, entry: Mapping[str, Any], problems: list[Problem]) -> Description:
    name = entry["name"]
    if not CLASS_NAME.fullmatch(name):
        problems.append(
            Problem(
                f"classes[{number}].name",
                f"{shortened(name)} is not one label of lower-case letters, digits and hyphens",
            )
        )
    return Description(
        name,
        entry["algorithm"],
        entry["purpose"],
        entry["reads"],
        frozenset(entry["servers"]),
        frozenset(entry["clients"]),
    )


def _waiting(of: KeyClass, about: Description, wanted: Wanted, now: int) -> dict[int, str]:
    if wanted.force:
        return {}
    return keyring.waiting(of, wanted.used, (about.clients | about.servers) & wanted.absent, now)


def _names(ring: Keyring, wanted: Wanted, pick: Callable[[KeyClass], Any]) -> dict[str, list[str]]:
    """Return, by class, the names of the keys that ``pick`` picks."""
    found = {}
    for name in sorted(wanted.only & ring.classes.keys()):
        of = ring.classes[name]
        if picked := [generation_key(name, each.number) for each in pick(of)]:
            found[name] = picked
    return found


def _all_names(ring: Keyring) -> set[str]:
    return {
        generation_key(of.name, each.number)
        for of in ring.classes.values()
        for each in of.generations
    }


def _lines(public: Mapping[str, Any] | None) -> str:
    if public is None:
        return ""
    return "".join(
        f"generation {each['generation']}: {each['standing']}, {each['algorithm']},"
        f" proved by {', '.join(each['proved']) or 'no server'}"
        f"{'' if public['used'] else '; the class is not used'}\n"
        for each in public["generations"]
    )
