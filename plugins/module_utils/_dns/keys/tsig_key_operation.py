# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations behind ``tsig_key`` and ``tsig_key_info``: one key file in BIND's format."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..._core import file_backup
from ..._core.checks import check_file_path, refuse_any
from ..._core.errors import DebvisorError, Problem, VerificationFailed
from ..._core.plan import Action, Difference, Operation, Plan, Receipt
from ..._core.ports import Clock, FileFacts, Files, ReadsFiles
from ..._core.secret import Secret
from ..._core.spec import Spec
from ..protocol import names, tsig
from ..protocol.tsig import Key, KeyFileInvalid

WIDEST_MODE = 0o660


SPEC = Spec(
    {
        "path": {"type": "path", "required": True},
        "name": {"type": "str"},
        "algorithm": {"type": "str", "choices": list(tsig.ALGORITHMS), "default": "hmac-sha256"},
        "secret": {"type": "str", "no_log": True},
        "regenerate": {
            "type": "str",
            "choices": ["never", "if_invalid", "always"],
            "default": "never",
        },
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "mode": {"type": "raw", "default": "0640"},
    },
    required_if=[("state", "present", ["name"])],
)
INFO_SPEC = Spec({"path": {"type": "path", "required": True}})


@dataclass(frozen=True, slots=True)
class Access:
    """Mode and owner of the file."""

    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class RemoveKey:
    """Remove the file."""


@dataclass(frozen=True, slots=True)
class WriteKey:
    """Write the file; ``secret`` is None where one is made then."""

    secret: Secret | None
    access: Access


@dataclass(frozen=True, slots=True)
class SetAccess:
    """Leave the content, and set owner and mode."""

    access: Access


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked. ``secret`` is None where one shall be made."""

    path: str
    present: bool
    name: str = ""
    algorithm: str = ""
    secret: Secret | None = None
    regenerate: str = ""
    owner: str | None = None
    group: str | None = None
    mode: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """The file as it is. ``key`` is None where there is no file, or no valid key in it; then ``problem`` says why."""

    facts: FileFacts | None = None
    key: Key | None = None
    problem: str = ""
    uid: int = -1
    gid: int = -1
    folder: bool = True


class TsigKey(Operation[Wanted, Observed]):
    """Keep one key file as wanted."""

    name = "tsig_key"

    def __init__(
        self, files: Files, clock: Clock, random: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self._files = files
        self._clock = clock
        self._random = random

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        path = params["path"]
        check_file_path("path", path, problems)
        if params["state"] == "absent":
            refuse_any(problems)
            return Wanted(path, present=False)
        name = ""
        try:
            name = tsig.key_name(params["name"])
        except names.NameProblem as cause:
            problems.append(Problem("name", str(cause)))
        secret = None
        if params["secret"] is not None:
            try:
                secret = tsig.decode_secret(params["secret"], params["algorithm"])
            except ValueError as cause:
                problems.append(Problem("secret", str(cause)))
            if params["regenerate"] == "always":
                problems.append(Problem("regenerate", "cannot be always where the secret is given"))
        mode = _mode(params["mode"], problems)
        refuse_any(problems)
        return Wanted(
            path,
            present=True,
            name=name,
            algorithm=params["algorithm"],
            secret=secret,
            regenerate=params["regenerate"],
            owner=params["owner"],
            group=params["group"],
            mode=mode,
        )

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{wanted.path}"

    def observe(self, wanted: Wanted) -> Observed:
        uid, gid = self._files.account(wanted.owner, wanted.group)
        facts = self._files.facts(wanted.path)
        if facts is None:
            return Observed(uid=uid, gid=gid, folder=self._files.has_folder(wanted.path))
        try:
            key = tsig.parse(self._files.read(wanted.path), wanted.path)
        except KeyFileInvalid as cause:
            return Observed(facts, None, cause.why, uid, gid)
        return Observed(facts, key, "", uid, gid)

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        actions: list[Action] = []
        facts = observed.facts
        before = _shown(observed.key, facts) if facts else {}
        after: dict[str, Any] = {}
        if not wanted.present:
            if facts:
                actions.append(Action("remove", wanted.path, "no key file", payload=RemoveKey()))
        elif reason := _reason_to_write(observed, wanted):
            _check_may_write(observed, wanted, reason)
            secret = wanted.secret
            payload = WriteKey(secret, Access(wanted.mode, *_ids(observed)))
            actions.append(Action("write", wanted.path, reason.text, payload=payload))
            fingerprint = secret.fingerprint if secret else "made when it is written"
            after = {"name": wanted.name, "algorithm": wanted.algorithm, "fingerprint": fingerprint}
        else:
            after = {key: before[key] for key in ("name", "algorithm", "fingerprint")}
        if wanted.present:
            owner, group = wanted.owner, wanted.group
            after["owner"] = owner or (facts.owner if facts else "the account of the run")
            after["group"] = group or (facts.group if facts else "the account of the run")
            after["mode"] = f"{wanted.mode:04o}"
            if not actions and _access_differs(observed, wanted):
                access = SetAccess(Access(wanted.mode, *_ids(observed)))
                effect = f"mode {wanted.mode:04o}"
                actions.append(Action("set access", wanted.path, effect, payload=access))
        differences = [Difference.of(wanted.path, before, after)] if actions else []
        return Plan(before, after, tuple(actions), differences)

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        return file_backup.keep(self._files, wanted.path)

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        match action.payload:
            case RemoveKey():
                self._files.remove(wanted.path)
            case SetAccess(access):
                self._files.set_access(
                    wanted.path, mode=access.mode, uid=access.uid, gid=access.gid
                )
            case WriteKey(secret, access):
                secret = secret or Secret(self._random(tsig.ALGORITHMS[wanted.algorithm]))
                content = tsig.render(Key(wanted.name, wanted.algorithm, secret))
                self._files.write(
                    wanted.path, content, mode=access.mode, uid=access.uid, gid=access.gid
                )

    def undo(self, receipt: Receipt) -> None:
        file_backup.restore(self._files, receipt)

    def commit(self, receipt: Receipt) -> None:
        file_backup.forget(self._files, receipt)

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        observed = self.observe(wanted)
        if not wanted.present:
            if observed.facts is not None:
                raise VerificationFailed(f"{wanted.path} is still there")
            return {"path": wanted.path}
        key, facts = observed.key, observed.facts
        if (
            key is None
            or facts is None
            or (key.name, key.algorithm) != (wanted.name, wanted.algorithm)
        ):
            raise VerificationFailed(
                f"{wanted.path} does not hold the key {wanted.name}", why=observed.problem
            )
        if wanted.secret is not None and key.secret != wanted.secret:
            raise VerificationFailed(f"{wanted.path} does not hold the given secret")
        if _access_differs(observed, wanted):
            raise VerificationFailed(
                f"{wanted.path} does not have the wanted owner, group and mode"
            )
        return {"path": wanted.path, **described(key, facts, self._clock.wall())}


@dataclass(frozen=True, slots=True)
class _Reason:
    """Why the file must be written."""

    text: str
    invalid: bool = False


def _reason_to_write(observed: Observed, wanted: Wanted) -> _Reason | None:
    key = observed.key
    if observed.facts is None:
        return _Reason("a new key")
    if key is None:
        return _Reason(f"a new key in place of what is no key ({observed.problem})", invalid=True)
    if key.algorithm != wanted.algorithm:
        return _Reason(
            f"a new key for {wanted.algorithm} in place of one for {key.algorithm}", invalid=True
        )
    if key.name != wanted.name:
        return _Reason(f"a new key in place of {key.name}", invalid=True)
    if wanted.secret is not None and key.secret != wanted.secret:
        return _Reason("the given secret in place of another")
    if wanted.regenerate == "always":
        return _Reason("a new secret")
    return None


def _check_may_write(observed: Observed, wanted: Wanted, reason: _Reason) -> None:
    if not observed.folder:
        raise DebvisorError(
            f"the folder of {wanted.path} does not exist",
            hint="Create it first, readable only by those who may use the key",
        )
    if reason.invalid and wanted.secret is None and wanted.regenerate == "never":
        raise DebvisorError(
            f"{wanted.path} holds something else than the wanted key, and regenerate is never",
            why=observed.problem or reason.text,
            hint="Name another path, or allow the replacement with regenerate=if_invalid;"
            " all users of the old key must then get the new one",
        )


def _ids(observed: Observed) -> tuple[int, int]:
    """Return the wanted owner and group as numbers: what is there stays where nothing is said."""
    facts = observed.facts
    uid = observed.uid if observed.uid >= 0 or facts is None else facts.uid
    gid = observed.gid if observed.gid >= 0 or facts is None else facts.gid
    return uid, gid


def _access_differs(observed: Observed, wanted: Wanted) -> bool:
    facts = observed.facts
    return facts is not None and (
        facts.mode != wanted.mode
        or observed.uid not in (-1, facts.uid)
        or observed.gid not in (-1, facts.gid)
    )


def _mode(text: Any, problems: list[Problem]) -> int:
    shown = str(text)
    if not isinstance(text, str) or not re.fullmatch(r"(0o?)?[0-7]{3}", text):
        problems.append(
            Problem("mode", f"{shown!r} is not an octal number such as '0640'; quote it")
        )
        return 0
    mode = int(shown[-3:], 8)
    if mode & ~WIDEST_MODE or not mode & 0o400:
        problems.append(
            Problem(
                "mode",
                f"{shown!r} is not fit for a secret: nothing for others, nothing executable, readable by its owner",
            )
        )
    return mode


def _shown(key: Key | None, facts: FileFacts) -> dict[str, Any]:
    return {
        "name": key.name if key else None,
        "algorithm": key.algorithm if key else None,
        "fingerprint": key.secret.fingerprint if key else None,
        "owner": facts.owner,
        "group": facts.group,
        "mode": f"{facts.mode:04o}",
    }


def described(key: Key, facts: FileFacts, now: float) -> dict[str, Any]:
    """Return what may be known of a key in its file."""
    created = datetime.fromtimestamp(facts.modified, UTC)
    return {
        **_shown(key, facts),
        "created": created.isoformat(timespec="seconds"),
        "age": max(0, int(now - facts.modified)),
    }


class TsigKeyInfo:
    """Reads one key file."""

    def __init__(self, files: ReadsFiles, clock: Clock) -> None:
        self._files = files
        self._clock = clock

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what may be known of it.

        :raises KeyFileInvalid: where it is no key file.
        """
        path = self._files.real(params["path"])
        facts = self._files.facts(path)
        if facts is None:
            return {"path": path, "exists": False}
        key = tsig.parse(self._files.read(path), path)
        return {"path": path, "exists": True, **described(key, facts, self._clock.wall())}
