# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ssh_access`` and ``ssh_access_info`` look at: the files as they are and shall be, and all that decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from .._core.errors import DebvisorError, Refused
from .._core.waiting import Clock
from . import pam_settings, sshd_settings
from .pam_settings import UnknownLayout
from .policy import Policy
from .preflight import Controller, Situation
from .totp_secret_info import Store, TotpSecretInfo
from .totp_secret_operation import ROOT

PAM_MODULE = "pam_google_authenticator.so"
NOWHERE = "192.0.2.1"
"""Where callers are thought to come from when nobody calls; no exemption depends on it."""


class Files(Protocol):
    """The files of the machine."""

    def facts(self, path: str) -> Any: ...

    def read(self, path: str) -> bytes: ...

    def listing(self, folder: str) -> list[str]: ...


class Sshd(Protocol):
    """The SSH server."""

    def effective(self, callers: Iterable[tuple[str, str]]) -> list[Mapping[str, str]]: ...

    def rehearsed(
        self, content: str, callers: Iterable[tuple[str, str]]
    ) -> list[Mapping[str, str]]: ...

    def sessions(self) -> list[dict[str, str]]: ...


class Accounts(Protocol):
    """Accounts and groups."""

    def find(self, name: str) -> Any: ...

    def members(self, group: str) -> tuple[str, ...] | None: ...

    def people(self) -> tuple[str, ...]: ...


class PamModules(Protocol):
    """Installed PAM modules."""

    def has(self, name: str) -> bool: ...


class ClockSync(Protocol):
    """How far the clock is off."""

    def reading(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie."""

    drop_in: str
    include: str
    service: str
    store: str
    canary_keys: str
    alarm: str


@dataclass(frozen=True, slots=True)
class Ports:
    """The machine, as far as it is looked at. ``client`` tells where the present SSH session comes from."""

    files: Files
    sshd: Sshd
    accounts: Accounts
    store: Store
    pam_modules: PamModules
    clock_sync: ClockSync
    clock: Clock
    client: Callable[[], tuple[str, int] | None]


@dataclass(frozen=True, slots=True)
class Texts:
    """The three files; None where there is none."""

    include: str | None
    service: str | None
    drop_in: str | None


class SshAccessState:
    """Looks, and changes nothing."""

    def __init__(self, ports: Ports, places: Places, uid: int = ROOT) -> None:
        self._ports = ports
        self._places = places
        self._factors = TotpSecretInfo(ports.files, ports.store, places.store, uid)

    def texts(self) -> Texts:
        """Return what is there.

        :raises Refused: where a file of ours was written by somebody else.
        """
        include, service, drop_in = (
            self._text(path)
            for path in (self._places.include, self._places.service, self._places.drop_in)
        )
        for path, text, header in (
            (self._places.include, include, pam_settings.HEADER),
            (self._places.drop_in, drop_in, sshd_settings.HEADER),
        ):
            if text is not None and not text.startswith(header):
                raise Refused(f"{path} was written by somebody else", hint="Move it out of the way")
        return Texts(include, service, drop_in)

    def _text(self, path: str) -> str | None:
        if self._ports.files.facts(path) is None:
            return None
        return self._ports.files.read(path).decode(errors="surrogateescape")

    def former(self, texts: Texts) -> Texts:
        """Return the files as they are without us."""
        service = texts.service
        return Texts(None, service and pam_settings.former(service, self._include_name), None)

    def demanding(self, texts: Texts, policy: Policy) -> Texts:
        """Return the files that ask for a second factor.

        :raises UnknownLayout: where PAM's service file is not as Debian has it.
        """
        alarmed = policy.break_glass.user if policy.break_glass else ""
        return Texts(
            pam_settings.include(self._places.store, alarmed, self._places.alarm),
            pam_settings.demanding(texts.service or "", self._include_name),
            self._drop_in(policy),
        )

    def _drop_in(self, policy: Policy) -> str:
        return sshd_settings.render(policy, self._places.canary_keys)

    @property
    def _include_name(self) -> str:
        return self._places.include.rpartition("/")[2]

    def now(self) -> float:
        return self._ports.clock.wall()

    def situation(self, policy: Policy, controller: Controller, texts: Texts) -> Situation:
        """Return all that decides whether a second factor may be asked for."""
        ports = self._ports
        groups = {
            each.name: ports.accounts.members(each.name)
            for each in policy.exemptions
            if each.kind == "group"
        }
        return Situation(
            today=datetime.fromtimestamp(self.now(), UTC).date(),
            controller=controller,
            client=self._client(),
            pam_module=ports.pam_modules.has(PAM_MODULE),
            pam_problem=self._pam_problem(texts),
            store_problem=ports.store.condition().problem,
            clock=ports.clock_sync.reading(),
            enrolments={user: self._factors.about(user) for user in policy.users},
            accounts={name: ports.accounts.find(name) for name in _named(policy, groups)},
            groups=groups,
            effective=self._rehearsed_problems(policy, texts),
            people=ports.accounts.people(),
            sessions=ports.sshd.sessions(),
        )

    def _client(self) -> str:
        client = self._ports.client()
        return client[0] if client else ""

    def _pam_problem(self, texts: Texts) -> str:
        try:
            pam_settings.demanding(texts.service or "", self._include_name)
        except UnknownLayout as cause:
            return cause.why
        return ""

    def _rehearsed_problems(self, policy: Policy, texts: Texts) -> list[str]:
        """Let sshd say what would hold. Where the drop-in is in place already, what holds is what would."""
        content = self._drop_in(policy)
        if texts.drop_in == content:
            return self.problems(policy)
        return self._differences(policy, lambda who: self._ports.sshd.rehearsed(content, who))

    def problems(self, policy: Policy) -> list[str]:
        """Let sshd say what holds, and return in what that is not what is wanted."""
        return self._differences(policy, self._ports.sshd.effective)

    def _differences(
        self,
        policy: Policy,
        ask: Callable[[Iterable[tuple[str, str]]], list[Mapping[str, str]]],
    ) -> list[str]:
        members = {
            each.name: self._ports.accounts.members(each.name) or ()
            for each in policy.exemptions
            if each.kind == "group"
        }
        expected = sshd_settings.expectations(policy, self._client() or NOWHERE, members)
        try:
            answers = ask([(each.user, each.address) for each in expected])
        except DebvisorError as cause:
            return [str(cause)]
        pairs = zip(expected, answers, strict=True)
        return [problem for each, answer in pairs if (problem := each.problem(answer))]


def _named(policy: Policy, groups: Mapping[str, tuple[str, ...] | None]) -> set[str]:
    exempt = {each.name for each in policy.exemptions if each.kind == "user"}
    members = {name for names in groups.values() for name in names or ()}
    special = {policy.canary, *([policy.break_glass.user] if policy.break_glass else [])}
    return {*policy.users, *exempt, *members, *special}
