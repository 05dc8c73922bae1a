# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``totp_secret``: one user's second factor in the store, handed over once."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .._core import kept_file
from .._core.errors import DebvisorError, InvalidInput, Problem, Refused, VerificationFailed
from .._core.plan import Action, Difference, Operation, Plan, Receipt
from .._core.secret import Secret
from .._core.waiting import Clock
from .delivery import Naming, Part, Pictures, Sealer, parts, scratch_part, suffixes
from .enrolment import (
    MOST_SCRATCH_CODES,
    Enrolment,
    EnrolmentInvalid,
    adopted,
    checked_secret,
    drawn_scratch_codes,
    fresh,
    parse,
    render,
)
from .totp import CODE, Codes, Verdict, judge

MODES = (0o400, 0o600)
"""What the PAM module takes; it leaves the first behind after a login."""
USER = re.compile(r"(?!\d+$)[A-Za-z0-9_][A-Za-z0-9._-]{0,31}")
"""An account's name that is one part of a path, and no number."""
NO_COLON = re.compile(r"[^:\x00-\x1f]+")
ROOT = 0
NO_PLACES = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/sbin", "/sys", "/usr")
"""Folders that a letter could do harm in."""
SCRATCH_CODES = "scratch_codes"
"""What is made anew where the secret stays."""
ENROL, PROTECT, REMOVE, SEAL, HAND_OVER = "enrol", "protect", "remove", "seal", "hand over"


class Files(kept_file.Files, Protocol):
    """The files of the machine."""

    def read(self, path: str) -> bytes: ...

    def account(self, owner: str | None, group: str | None) -> tuple[int, int]: ...

    def has_folder(self, path: str) -> bool: ...

    def make_folder(self, path: str) -> None: ...

    def write(self, path: str, content: bytes, *, mode: int, uid: int, gid: int) -> None: ...

    def set_access(self, path: str, *, mode: int, uid: int, gid: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked."""

    user: str
    state: str
    regenerate: str = "never"
    secret: Secret | None = None
    import_from: str = ""
    code: Secret | None = None
    naming: Naming = field(default_factory=Naming)
    scratch_codes: int = 0
    deliver_to: str = ""
    recipient: str = ""

    @property
    def delivered(self) -> bool:
        return bool(self.deliver_to or self.recipient)

    def keeps_secret(self, observed: Observed) -> bool:
        """Tell whether the secret stays, and only new scratch codes are made."""
        enrolment = observed.enrolment
        if enrolment is None or self.regenerate != SCRATCH_CODES:
            return False
        return self.secret is None or enrolment.secret == self.secret


@dataclass(frozen=True, slots=True)
class Observed:
    """The user's file, and what else the plan needs. ``problem`` says why a file that is there is no enrolment."""

    facts: Any = None
    enrolment: Enrolment | None = None
    problem: str = ""
    elsewhere: Enrolment | None = None
    recipient: str = ""
    now: float = 0


class TotpSecret(Operation[Wanted, Observed]):
    """Keep one user's second factor.

    :param folder: the store.
    :param host: how this machine is called, to tell its codes from those of others.
    :param uid: who the PAM module is when it reads.
    """

    name = "totp_secret"

    def __init__(
        self,
        files: Files,
        folder: str,
        clock: Clock,
        codes: Codes,
        pictures: Pictures,
        sealer: Sealer,
        host: str,
        uid: int = ROOT,
    ) -> None:
        self._files = files
        self._folder = folder
        self._clock = clock
        self._codes = codes
        self._pictures = pictures
        self._sealer = sealer
        self._host = host
        self._uid = uid
        self._made: Enrolment | None = None
        self._secret_stays = False
        self._sealed: list[dict[str, str]] = []

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        user, state = params["user"], params["state"]
        if not USER.fullmatch(user):
            problems.append(Problem("user", f"{user!r} is not the name of an account"))
        if state == "verified":
            if not CODE.fullmatch(params["code"]):
                problems.append(Problem("code", "is not six digits"))
            _raise(problems)
            return Wanted(user, state, code=Secret(params["code"]))
        if state == "absent":
            _raise(problems)
            return Wanted(user, state)
        wanted = self._parse_present(params, problems)
        _raise(problems)
        return wanted

    def _parse_present(self, params: Mapping[str, Any], problems: list[Problem]) -> Wanted:
        secret = None
        if params["secret"] is not None:
            try:
                secret = checked_secret(params["secret"])
            except ValueError as cause:
                problems.append(Problem("secret", str(cause)))
        again = params["regenerate"]
        for option, others in (("secret", {"always"}), ("import_from", {"always", SCRATCH_CODES})):
            if params[option] is not None and again in others:
                told = f"cannot be {again} where {option} is given"
                problems.append(Problem("regenerate", told))
        if params["regenerate"] == SCRATCH_CODES and not params["scratch_codes"]:
            problems.append(Problem("scratch_codes", "is 0, where new ones are to be made"))
        label = params["label"] or f"{params['user']}@{self._host}"
        for option, text in (("issuer", params["issuer"]), ("label", label)):
            if not NO_COLON.fullmatch(text):
                problems.append(Problem(option, "is empty, or has a colon or a control character"))
        for option in ("import_from", "deliver_to"):
            path = params[option]
            if path is not None and (
                not posixpath.isabs(path) or path.endswith("/") or "\0" in path
            ):
                problems.append(Problem(option, "is not the absolute path of a file"))
        if path := params["deliver_to"]:
            folder = posixpath.dirname(posixpath.normpath(path))
            if any(f"{folder}/".startswith(f"{kept}/") for kept in (self._folder, *NO_PLACES)):
                problems.append(Problem("deliver_to", f"{folder} is no place for letters"))
        if params["deliver"] == "encrypted" and not params["recipient"].strip():
            problems.append(Problem("recipient", "is empty"))
        if not 0 <= params["scratch_codes"] <= MOST_SCRATCH_CODES:
            problems.append(Problem("scratch_codes", f"is not between 0 and {MOST_SCRATCH_CODES}"))
        picture = "" if params["qr"] == "none" else params["qr"]
        deliver = params["deliver"]
        return Wanted(
            params["user"],
            params["state"],
            regenerate=params["regenerate"],
            secret=secret,
            import_from=params["import_from"] or "",
            naming=Naming(params["issuer"], label, picture),
            scratch_codes=params["scratch_codes"],
            deliver_to=params["deliver_to"] if deliver == "file" else "",
            recipient=params["recipient"] if deliver == "encrypted" else "",
        )

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{self._path(wanted)}"

    def _path(self, wanted: Wanted) -> str:
        return posixpath.join(self._folder, wanted.user)

    def observe(self, wanted: Wanted) -> Observed:
        now = self._clock.wall()
        path = self._path(wanted)
        facts = self._files.facts(path)
        enrolment, problem = None, ""
        if facts is not None:
            try:
                enrolment = parse(self._files.read(path), path)
            except EnrolmentInvalid as cause:
                problem = cause.why
        if wanted.state != "present":
            return Observed(facts, enrolment, problem, now=now)
        uid = self._files.account(wanted.user, None)[0]
        recipient = self._sealer.recipient(wanted.recipient) if wanted.recipient else ""
        elsewhere = None
        if wanted.import_from and enrolment is None:
            elsewhere = adopted(self._elsewhere(wanted.import_from, uid), now)
        return Observed(facts, enrolment, problem, elsewhere, recipient, now)

    def _elsewhere(self, path: str, uid: int) -> Enrolment:
        """Read an enrolment that the user made. Whoever else could read it may have the secret."""
        facts = self._files.facts(path)
        if facts is None:
            raise DebvisorError(f"{path} does not exist", hint="Enrol the user afresh")
        if facts.uid not in (uid, self._uid) or facts.mode & 0o077:
            raise Refused(
                f"{path} is not taken over",
                why=f"it belongs to {facts.owner} and has mode {facts.mode:04o}",
                hint="It has to be the user's own and nobody else's to read; enrol the user afresh",
            )
        return parse(self._files.read(path), path)

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        if wanted.state == "verified":
            self._check_code(observed, wanted)
            return Plan()
        path = self._path(wanted)
        before = _shown(observed.enrolment, observed.facts)
        if wanted.state == "absent":
            actions = [Action(REMOVE, path, "no second factor")] if observed.facts else []
            after = _shown(None, None)
        elif reason := _reason_to_enrol(observed, wanted):
            _check_may_enrol(observed, wanted, reason)
            actions = self._steps(observed, wanted, reason)
            scratch = observed.elsewhere.scratch_codes if observed.elsewhere else None
            count = wanted.scratch_codes if wanted.delivered else 0
            after = {
                "enrolled": True,
                "fingerprint": _fingerprint_to_be(observed, wanted),
                "scratch_codes": count if scratch is None else len(scratch),
                "mode": f"{MODES[0]:04o}",
            }
        else:
            after = before
            actions = []
            if observed.facts.uid != self._uid or observed.facts.mode not in MODES:
                actions = [Action(PROTECT, path, f"root's alone, mode {MODES[0]:04o}")]
                after = {**before, "mode": f"{MODES[0]:04o}"}
        differences = [Difference(path, _text(before), _text(after))] if actions else []
        return Plan(before, after, tuple(actions), differences)

    def _steps(self, observed: Observed, wanted: Wanted, reason: str) -> list[Action]:
        """Seal first, as it may fail; then the store; what lies about in the clear comes last."""
        steps = [Action(ENROL, self._path(wanted), reason, payload=observed)]
        if wanted.recipient:
            effect = f"the enrolment, encrypted for {observed.recipient}"
            steps.insert(0, Action(SEAL, wanted.user, effect, payload=observed))
        if wanted.deliver_to:
            picture = "" if wanted.keeps_secret(observed) else wanted.naming.picture
            for number, suffix in enumerate(suffixes(picture)):
                target = wanted.deliver_to + (suffix if number else "")
                steps.append(Action(HAND_OVER, target, "for root alone", payload=number))
        return steps

    def _check_code(self, observed: Observed, wanted: Wanted) -> None:
        if observed.enrolment is None:
            hint = "Look for the name in debvisor.hci.totp_secret_info, or enrol the user first"
            raise Refused(f"{wanted.user} is not enrolled", why=observed.problem, hint=hint)
        code = (wanted.code or Secret("")).reveal().decode()
        verdict = judge(self._codes, observed.enrolment, code, observed.now)
        if verdict is not Verdict.RIGHT:
            raise Refused(
                f"the code of {wanted.user} would not be accepted",
                why="it was used before"
                if verdict is Verdict.USED
                else "it is not one of this time",
                hint="Wait for the next code, and compare the clocks of both devices",
            )

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        if action.verb == SEAL:
            return {}
        if action.verb == PROTECT:
            facts = self._files.facts(action.target)
            return {"path": action.target, "access": [facts.mode, facts.uid, facts.gid]}
        if action.verb == ENROL:
            self._files.make_folder(self._folder)
        return {"kept": kept_file.keep(self._files, action.target)}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        path = action.target
        if action.verb == REMOVE:
            self._files.remove(path)
        elif action.verb == PROTECT:
            self._files.set_access(path, mode=MODES[0], uid=self._uid, gid=-1)
        elif action.verb == SEAL:
            for part in self._parts(self._enrolment(action.payload, wanted), wanted):
                message = self._sealer.seal(part.content.reveal(), wanted.recipient)
                self._sealed.append({"name": wanted.user + part.suffix, "message": message})
        elif action.verb == ENROL:
            content = render(self._to_store(action, wanted))
            self._files.write(path, content, mode=MODES[0], uid=self._uid, gid=-1)
        else:
            part = self._parts(self._made, wanted)[action.payload]
            self._files.write(path, part.content.reveal(), mode=0o600, uid=-1, gid=-1)

    def _enrolment(self, observed: Observed, wanted: Wanted) -> Enrolment:
        """Make the enrolment, once: what goes into the store is what is handed over."""
        if self._made is None:
            count = wanted.scratch_codes if wanted.delivered else 0
            self._secret_stays = wanted.keeps_secret(observed)
            if self._secret_stays and observed.enrolment is not None:
                codes = drawn_scratch_codes(count)
                self._made = replace(observed.enrolment, scratch_codes=codes)
            else:
                self._made = observed.elsewhere or fresh(observed.now, count, secret=wanted.secret)
        return self._made

    def _to_store(self, action: Action, wanted: Wanted) -> Enrolment:
        """Return what is to be in the file. Where the secret stays, a code may have been used since we looked."""
        made = self._enrolment(action.payload, wanted)
        if not self._secret_stays:
            return made
        now = parse(self._files.read(action.target), action.target)
        return replace(now, scratch_codes=made.scratch_codes)

    def _parts(self, made: Enrolment | None, wanted: Wanted) -> list[Part]:
        if made is None:
            return []
        if self._secret_stays:
            return [scratch_part(made, wanted.naming)]
        return list(parts(made, wanted.naming, self._pictures))

    def undo(self, receipt: Receipt) -> None:
        if "kept" in receipt:
            kept_file.restore(self._files, receipt["kept"])
        elif "access" in receipt:
            mode, uid, gid = receipt["access"]
            self._files.set_access(receipt["path"], mode=mode, uid=uid, gid=gid)

    def commit(self, receipt: Receipt) -> None:
        if "kept" in receipt:
            kept_file.forget(self._files, receipt["kept"])

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if wanted.state == "verified":
            return {"user": wanted.user}
        observed = self.observe(wanted)
        facts, enrolment = observed.facts, observed.enrolment
        if wanted.state == "absent":
            if facts is not None:
                raise VerificationFailed(f"{self._path(wanted)} is still there")
            return {"user": wanted.user, **_shown(None, None)}
        if enrolment is None or facts.uid != self._uid or facts.mode not in MODES:
            raise VerificationFailed(
                f"{self._path(wanted)} is not what was written", why=observed.problem
            )
        # Not the whole of it: an attempt to log in may have been noted in its options by now.
        if self._made is not None and enrolment.secret != self._made.secret:
            raise VerificationFailed(f"{self._path(wanted)} holds another secret")
        sealed = {"sealed": self._sealed} if self._sealed else {}
        return {"user": wanted.user, **_shown(enrolment, facts), **sealed}


def _reason_to_enrol(observed: Observed, wanted: Wanted) -> str:
    """Say what is written, and why; empty where the enrolment that is there stays."""
    if observed.elsewhere is not None:
        return f"the enrolment of {wanted.import_from}"
    if observed.facts is None:
        return "a new secret" if wanted.secret is None else "the given secret"
    if observed.enrolment is None:
        return f"a new secret in place of what is no enrolment ({observed.problem})"
    if wanted.secret is not None and observed.enrolment.secret != wanted.secret:
        return "the given secret in place of another"
    if wanted.regenerate == "always":
        return "a new secret in place of the former"
    if wanted.regenerate == SCRATCH_CODES:
        return "new scratch codes in place of the former"
    return ""


def _check_may_enrol(observed: Observed, wanted: Wanted, reason: str) -> None:
    lenient = wanted.regenerate in {"if_invalid", "always"}
    if observed.facts is not None and observed.enrolment is None and not lenient:
        raise DebvisorError(
            f"the file of {wanted.user} in the store is no enrolment, and regenerate is {wanted.regenerate}",
            why=observed.problem,
            hint="Allow its replacement with regenerate=if_invalid; the user then gets a new secret",
        )
    if wanted.delivered:
        return
    if wanted.keeps_secret(observed):
        raise DebvisorError(
            f"{wanted.user} would get {reason}, and nobody would ever see them",
            hint="Say where they go with deliver",
        )
    if wanted.secret is None and observed.elsewhere is None:
        raise DebvisorError(
            f"{wanted.user} would get {reason} that nobody ever sees, and be locked out",
            hint="Say where it goes with deliver",
        )


def _fingerprint_to_be(observed: Observed, wanted: Wanted) -> str:
    if observed.elsewhere is not None:
        return observed.elsewhere.secret.fingerprint
    if wanted.keeps_secret(observed) and observed.enrolment is not None:
        return observed.enrolment.secret.fingerprint
    return wanted.secret.fingerprint if wanted.secret else "made when it is written"


def _shown(enrolment: Enrolment | None, facts: Any) -> dict[str, Any]:
    if facts is None:
        return {"enrolled": False}
    return {
        "enrolled": enrolment is not None,
        "fingerprint": enrolment.secret.fingerprint if enrolment else None,
        "scratch_codes": len(enrolment.scratch_codes) if enrolment else 0,
        "mode": f"{facts.mode:04o}",
    }


def _text(shown: Mapping[str, Any]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in shown.items())


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise InvalidInput(problems)
