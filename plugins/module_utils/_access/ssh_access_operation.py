# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``ssh_access``: sshd asks for a second factor, or does not any more.

PAM comes before sshd, so that sshd never asks for a code while PAM would take a password. Undo goes the other way.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._core import file_backup
from .._core.checks import refuse_any
from .._core.confirmation import OPTIONS, check_limit
from .._core.errors import DebvisorError, Problem, Refused, VerificationFailed
from .._core.plan import Action, Difference, Operation, Plan, Receipt
from .._core.ports import Files
from .._core.secret import Secret
from .._core.spec import Spec
from . import policy as policies
from . import preflight
from .enrolment import checked_secret, fresh, render
from .pam_settings import UnknownLayout
from .policy import Policy
from .preflight import Controller
from .ssh_access_state import SshAccessPaths, SshAccessState, Sshd, Texts

SPEC = Spec(
    {
        "state": {"type": "str", "choices": ["enforced", "absent"], "default": "enforced"},
        **policies.OPTIONS,
        **OPTIONS,
    }
)
INFO_SPEC = Spec(policies.OPTIONS)
"""The options of ``ssh_access_info``."""


@dataclass(frozen=True, slots=True)
class Canary:
    """What the controller proves logins with: a key and a secret that nobody has used or will use again."""

    key: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked. No policy means that no second factor is asked for."""

    policy: Policy | None
    controller: Controller
    canary: Canary | None
    confirm_within: float


@dataclass(frozen=True, slots=True)
class Observed:
    """The files as they are and as they shall be, and whether that may be; nothing is to be judged where it may."""

    texts: Texts
    wanted: Texts
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AdmitCanary:
    """Let the account in that logins are proved with, until the proof is over."""

    account: str


@dataclass(frozen=True, slots=True)
class SetFile:
    """Write a file, or remove it where there is no text."""

    path: str
    text: str | None


class SshAccess(Operation[Wanted, Observed]):
    """Ask for a second factor, or stop asking."""

    name = "ssh_access"

    def __init__(
        self, files: Files, sshd: Sshd, state: SshAccessState, paths: SshAccessPaths
    ) -> None:
        self._files = files
        self._sshd = sshd
        self._state = state
        self._paths = paths

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        enforced = params["state"] == "enforced"
        policy = policies.parse(params, problems) if enforced else None
        check_limit(params, problems)
        refuse_any(problems)
        given = params["controller"] or {}
        return Wanted(policy, controller(given), _canary(given), params["confirm_within"])

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{self._paths.drop_in}"

    def observe(self, wanted: Wanted) -> Observed:
        texts = self._state.texts()
        if wanted.policy is None:
            return Observed(texts, self._state.former(texts), {})
        situation = self._state.situation(wanted.policy, wanted.controller, texts)
        try:
            demanding = self._state.demanding(texts, wanted.policy)
        except UnknownLayout:
            demanding = {}  # nobody knows; the pre-flight check has it, and refuses
        return Observed(texts, demanding, preflight.report(wanted.policy, situation))

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what holds now, and whether a second factor may be asked for; for who only wants to know."""
        observed = self.observe(self.parse({**params, "state": "enforced", "confirm_within": 60}))
        return {"enforced": observed.texts == observed.wanted, **observed.report}

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        if wanted.policy is not None:
            _refuse_unless_ready(observed.report)
        actions, differences = self._steps(observed, wanted)
        return Plan(
            before={"enforced": observed.texts[self._paths.drop_in] is not None},
            after={"enforced": wanted.policy is not None},
            actions=tuple(actions),
            differences=differences,
            facts=observed.report,
            confirm_within=wanted.confirm_within if actions else 0,
        )

    def _steps(self, observed: Observed, wanted: Wanted) -> tuple[list[Action], list[Difference]]:
        changes = [
            (path, before, observed.wanted[path])
            for path in self._paths.files
            if (before := observed.texts[path]) != observed.wanted[path]
        ]
        if wanted.policy is None:
            changes.reverse()
        else:  # what is included goes last, once nobody includes it
            changes.sort(key=lambda change: change[2] is None)
        effects = self._effects(wanted.policy is not None)
        actions = [
            Action(
                "remove" if after is None else "write",
                path,
                effects[path],
                payload=SetFile(path, after),
            )
            for path, before, after in changes
        ]
        if wanted.policy is not None and actions:
            account, effect = wanted.policy.canary, "can enter until the proof is over"
            actions.insert(0, Action("admit", account, effect, payload=AdmitCanary(account)))
        return actions, [
            Difference(path, before or "", after or "") for path, before, after in changes
        ]

    def _effects(self, enforced: bool) -> Mapping[str, str]:
        paths = self._paths
        how = "asks for a code" if enforced else "asks as before"
        return {
            paths.also_include: "is what others than sshd include",
            paths.sudo: f"sudo {how}",
            paths.sudo_login: f"sudo -i {how}",
            paths.console: f"the console {how}",
            paths.include: "is what PAM asks sshd's callers for",
            paths.service: f"PAM {how}, and for no password" if enforced else f"PAM {how}",
            paths.drop_in: f"sshd {how}, and for a key" if enforced else f"sshd {how}",
        }

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        match action.payload:
            case AdmitCanary(account):
                return {"canary": [self._paths.canary_keys, self._secret_of(account)]}
            case SetFile(path):
                return {"kept": file_backup.keep(self._files, path)}
        raise TypeError(action.payload)

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        match action.payload:
            case AdmitCanary(account):
                self._admit(account, wanted.canary)
            case SetFile(path, text) if path == self._paths.drop_in:
                self._set_drop_in(text, receipt["kept"])
            case SetFile(path, text):
                self._set_file(path, text, receipt["kept"])

    def _set_file(self, path: str, text: str | None, kept: Mapping[str, Any]) -> None:
        if text is None:
            self._files.remove(path)
        else:
            mode, uid, gid = kept["access"] or (0o644, -1, -1)
            self._files.write(path, text.encode(), mode=mode, uid=uid, gid=gid)

    def _set_drop_in(self, text: str | None, kept: Mapping[str, Any]) -> None:
        """Have sshd read it. One that sshd did not read is put back at once: undo keeps what sshd follows."""
        self._set_file(self._paths.drop_in, text, kept)
        try:
            self._sshd.check()
            self._sshd.reload()
        except BaseException:
            file_backup.restore(self._files, kept)
            raise

    def _admit(self, account: str, canary: Canary | None) -> None:
        if canary is None:
            raise Refused(
                "no login could be proved",
                why="the control node gave no key and no secret for the proof",
                hint="Run debvisor.hci.ssh_access in a play, over SSH: its action plugin gives them",
            )
        secret = render(fresh(self._state.now(), 0, secret=canary.secret))
        self._files.write(self._secret_of(account), secret, mode=0o400, uid=-1, gid=-1)
        key = f"restrict {canary.key}\n".encode()
        self._files.write(self._paths.canary_keys, key, mode=0o644, uid=-1, gid=-1)

    def _secret_of(self, account: str) -> str:
        return posixpath.join(self._paths.store, account)

    def undo(self, receipt: Receipt) -> str | None:
        if "canary" in receipt:
            self._dismiss(receipt)
            return None
        if receipt["kept"]["path"] == self._paths.drop_in:
            self._restore_drop_in(receipt["kept"])
        else:
            file_backup.restore(self._files, receipt["kept"])
        return None

    def _restore_drop_in(self, kept: Mapping[str, Any]) -> None:
        """Take it back. An sshd that cannot read its files, as others broke them, goes on asking for what it asked for;
        then the drop-in has to stay, too, for PAM takes no code without it.
        """
        there = self._files.facts(kept["path"]) is not None
        present = self._files.read(kept["path"]) if there else None
        file_backup.restore(self._files, kept)
        try:
            self._sshd.reload()
        except DebvisorError:
            if present is not None:
                self._files.write(kept["path"], present, mode=0o644, uid=-1, gid=-1)
            raise

    def commit(self, receipt: Receipt) -> None:
        if "canary" in receipt:
            self._dismiss(receipt)
        else:
            file_backup.forget(self._files, receipt["kept"])

    def _dismiss(self, receipt: Receipt) -> None:
        for path in receipt["canary"]:
            self._files.remove(path)

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        texts = self._state.texts()
        expected = (
            self._state.former(texts)
            if wanted.policy is None
            else self._state.demanding(texts, wanted.policy)
        )
        if texts != expected:
            raise VerificationFailed("the files of PAM and sshd are not what was written")
        if wanted.policy is None:
            return {}
        if problems := self._state.problems(wanted.policy):
            raise VerificationFailed("sshd does not do what its files say", why="; ".join(problems))
        return {}


def controller(given: Mapping[str, Any]) -> Controller:
    """Read what the control node tells of itself."""
    return Controller(
        given.get("account") or "",
        given.get("clock_offset"),
        bool(given.get("break_glass_key")),
    )


def _canary(given: Mapping[str, Any]) -> Canary | None:
    if not given.get("canary_key") or not given.get("canary_secret"):
        return None
    return Canary(given["canary_key"], checked_secret(given["canary_secret"]))


def _refuse_unless_ready(report: Mapping[str, Any]) -> None:
    failing = [check for check in report["preflight"] if not check["holds"]]
    if failing:
        raise Refused(
            f"Second factor not enforced: {len(failing)} preflight checks failed",
            why="; ".join(f"{check['check']}: {check['why']}" for check in failing),
            hint="Nothing was changed. " + ". ".join(check["hint"] for check in failing),
            details=dict(report),
        )
