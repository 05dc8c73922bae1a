# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``totp_secret``: one user's second factor in the store, handed over once."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .._core import file_backup
from .._core.errors import Conflict, DebvisorError, Refused, VerificationFailed
from .._core.plan import Action, Operation, Plan, Receipt
from .._core.ports import Clock, Files
from .._core.secret import Secret
from . import totp_secret_options
from .delivery import MessageSealer, Pictures
from .enrolment import Enrolment, EnrolmentInvalid, adopted, parse, render
from .totp import Codes, Verdict, judge
from .totp_secret_options import Wanted
from .totp_secret_plan import (
    MODES,
    Draft,
    Enrol,
    HandOver,
    Observed,
    Protect,
    Remove,
    Seal,
    planned,
    shown,
)

ROOT = 0


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
        sealer: MessageSealer,
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

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        return totp_secret_options.parse(params, self._host, self._folder)

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
                hint="Only the user may read it; enrol the user afresh",
            )
        return parse(self._files.read(path), path)

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        if wanted.state == "verified":
            self._check_code(observed, wanted)
            return Plan()
        return planned(observed, wanted, self._path(wanted), self._uid)

    def _check_code(self, observed: Observed, wanted: Wanted) -> None:
        if observed.enrolment is None:
            hint = "Check the name with debvisor.hci.totp_secret_info, or enrol the user first"
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
        path = self._path(wanted)
        match action.payload:
            case Seal():
                return {}
            case Protect():
                if (facts := self._files.facts(path)) is None:
                    raise Conflict(f"{path} was removed meanwhile", hint="Run again")
                return {"path": path, "access": [facts.mode, facts.uid, facts.gid]}
            case HandOver(path=letter):
                return {"kept": file_backup.keep(self._files, letter)}
            case Enrol():
                self._files.make_folder(self._folder)
        return {"kept": file_backup.keep(self._files, path)}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        path = self._path(wanted)
        match action.payload:
            case Remove():
                self._files.remove(path)
            case Protect():
                self._files.set_access(path, mode=MODES[0], uid=self._uid, gid=-1)
            case Seal(draft, messages):
                for part in draft.parts(self._pictures):
                    message = self._sealer.seal(part.content.reveal(), wanted.recipient)
                    messages.append({"name": wanted.user + part.suffix, "message": message})
            case Enrol(draft):
                content = render(self._to_store(draft, path))
                self._files.write(path, content, mode=MODES[0], uid=self._uid, gid=-1)
            case HandOver(draft, letter, number):
                part = draft.parts(self._pictures)[number]
                self._files.write(letter, part.content.reveal(), mode=0o600, uid=-1, gid=-1)

    def _to_store(self, draft: Draft, path: str) -> Enrolment:
        """Return what is to be in the file. Where the secret stays, a code may have been used since it was read."""
        if not draft.secret_stays:
            return draft.enrolment
        now = parse(self._files.read(path), path)
        return replace(now, scratch_codes=draft.enrolment.scratch_codes)

    def undo(self, receipt: Receipt) -> None:
        if "kept" in receipt:
            file_backup.restore(self._files, receipt["kept"])
        elif "access" in receipt:
            mode, uid, gid = receipt["access"]
            self._files.set_access(receipt["path"], mode=mode, uid=uid, gid=gid)

    def commit(self, receipt: Receipt) -> None:
        if "kept" in receipt:
            file_backup.forget(self._files, receipt["kept"])

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if wanted.state == "verified":
            return {"user": wanted.user}
        observed = self.observe(wanted)
        facts, enrolment = observed.facts, observed.enrolment
        if wanted.state == "absent":
            if facts is not None:
                raise VerificationFailed(f"{self._path(wanted)} is still there")
            return {"user": wanted.user, **shown(None, None)}
        if enrolment is None or facts.uid != self._uid or facts.mode not in MODES:
            raise VerificationFailed(
                f"{self._path(wanted)} is not what was written", why=observed.problem
            )
        # Not the whole of it: an attempt to log in may have been noted in its options by now.
        result = {"user": wanted.user, **shown(enrolment, facts)}
        for action in plan.actions:
            match action.payload:
                case Enrol(draft) if enrolment.secret != draft.enrolment.secret:
                    raise VerificationFailed(f"{self._path(wanted)} holds another secret")
                case Seal(messages=messages):
                    result["sealed"] = messages
        return result
