# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ssh_access`` and ``ssh_access_info`` look at: the files as they are and shall be, and all that decides."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from .._core.errors import DebvisorError, Refused
from .._core.ports import Clock, Files
from . import pam_settings, sshd_settings
from .pam_settings import UnknownLayout
from .policy import Policy
from .preflight import Controller, Situation
from .sshd_settings import Expectation
from .totp_secret_info import Store, TotpSecretInfo
from .totp_secret_operation import ROOT

PAM_MODULE = "pam_google_authenticator.so"
NOWHERE = "192.0.2.1"
"""Where callers are thought to come from when nobody calls; no exemption depends on it."""


class Sshd(Protocol):
    """The SSH server."""

    def effective(self, callers: Iterable[tuple[str, str]]) -> list[Mapping[str, str]]: ...

    def rehearsed(
        self, content: str, callers: Iterable[tuple[str, str]]
    ) -> list[Mapping[str, str]]: ...

    def others(self) -> Mapping[str, str]: ...

    def own_options(self) -> list[str]: ...

    def sessions(self) -> list[dict[str, str]]: ...

    def check(self) -> None: ...

    def reload(self) -> None: ...


class Accounts(Protocol):
    """Accounts and groups."""

    def find(self, name: str) -> Any: ...

    def members(self, group: str) -> tuple[str, ...] | None: ...

    def people(self) -> tuple[str, ...]: ...

    def has_password(self, name: str) -> bool: ...

    def becomes_root(self, name: str) -> bool: ...


class PamModules(Protocol):
    """Installed PAM modules."""

    def has(self, name: str) -> bool: ...


class ClockSync(Protocol):
    """How far the clock is off."""

    def reading(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class SshAccessPaths:
    """The files and folders that a second factor at SSH logins needs."""

    drop_in: str
    include: str
    service: str
    also_include: str
    sudo: str
    sudo_login: str
    """What ``sudo -i`` asks: it is a service of its own."""
    console: str
    common_auth: str
    """What asks for the password, in all of them."""
    store: str
    canary_keys: str
    alarm: str

    @property
    def files(self) -> tuple[str, ...]:
        """What is written, in this order: PAM before sshd, and what is included before who includes it."""
        others = (self.sudo, self.sudo_login, self.console)
        return (self.also_include, *others, self.include, self.service, self.drop_in)


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


Answer = tuple[Expectation, Mapping[str, str]]
"""What has to hold of somebody, and what sshd says."""
Texts = Mapping[str, "str | None"]
"""What files hold, by their paths; None where there is none. Asking for a code, they are written in this order."""


class SshAccessState:
    """Looks, and changes nothing."""

    def __init__(self, ports: Ports, paths: SshAccessPaths, uid: int = ROOT) -> None:
        self._ports = ports
        self._paths = paths
        self._factors = TotpSecretInfo(ports.files, ports.store, paths.store, uid)

    def texts(self) -> Texts:
        """Return what is there.

        :raises Refused: where a file of ours was not written by debvisor.hci.
        """
        paths = self._paths
        texts = {path: self._text(path) for path in paths.files}
        headers = {
            paths.also_include: pam_settings.HEADER,
            paths.include: pam_settings.HEADER,
            paths.drop_in: sshd_settings.HEADER,
        }
        for path, header in headers.items():
            text = texts[path]
            if text is not None and not text.startswith(header):
                raise Refused(
                    f"{path} was not written by debvisor.hci", hint="Move it out of the way"
                )
        return texts

    def _text(self, path: str) -> str | None:
        if self._ports.files.facts(path) is None:
            return None
        return self._ports.files.read(path).decode(errors="surrogateescape")

    def former(self, texts: Texts) -> Texts:
        """Return the files as they are without us."""
        service = texts[self._paths.service]
        return {
            self._paths.also_include: None,
            **{path: self._also_former(texts[path]) for path in self._also},
            self._paths.include: None,
            self._paths.service: service and pam_settings.former(service, self._include_name),
            self._paths.drop_in: None,
        }

    def demanding(self, texts: Texts, policy: Policy) -> Texts:
        """Return the files that ask for a second factor.

        :raises UnknownLayout: where a file of PAM is not as Debian has it.
        """
        paths, glass = self._paths, [policy.break_glass.user] if policy.break_glass else []
        users = [*glass, *(each.name for each in policy.exemptions if each.kind == "user")]
        groups = [each.name for each in policy.exemptions if each.kind == "group"]
        also = pam_settings.also_include(paths.store, users, groups) if policy.also else None
        if policy.also:
            pam_settings.check_goes_on(self._text(paths.common_auth) or "", paths.common_auth)
        return {
            paths.also_include: also,
            **{
                path: pam_settings.also_demanding(texts[path] or "", self._also_name, path)
                if name in policy.also
                else self._also_former(texts[path])
                for path, name in self._also.items()
            },
            paths.include: pam_settings.include(
                paths.store, "".join(glass), paths.alarm, paths.drop_in
            ),
            paths.service: pam_settings.demanding(
                texts[paths.service] or "", self._include_name, paths.service
            ),
            paths.drop_in: self._drop_in(policy),
        }

    @property
    def _also(self) -> Mapping[str, str]:
        """Return the files of other services, and what they are part of."""
        paths = self._paths
        return {paths.sudo: "sudo", paths.sudo_login: "sudo", paths.console: "console"}

    def _also_former(self, text: str | None) -> str | None:
        return text and pam_settings.also_former(text, self._also_name)

    def _drop_in(self, policy: Policy) -> str:
        return sshd_settings.render(policy, self._paths.canary_keys)

    @property
    def _include_name(self) -> str:
        return self._paths.include.rpartition("/")[2]

    @property
    def _also_name(self) -> str:
        return self._paths.also_include.rpartition("/")[2]

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
        accounts = {name: ports.accounts.find(name) for name in _named(policy, groups)}
        answers, complaint = self._rehearsed(policy, texts)
        return Situation(
            today=datetime.fromtimestamp(self.now(), UTC).date(),
            controller=controller,
            client=self._client(),
            pam_module=ports.pam_modules.has(PAM_MODULE),
            pam_problem=self._pam_problem(policy, texts),
            store_problem=ports.store.condition().problem,
            clock=ports.clock_sync.reading(),
            enrolments={user: self._factors.about(user) for user in policy.users},
            accounts=accounts,
            powerless=self._powerless(policy, accounts),
            keyless=self._keyless(policy, accounts, answers),
            groups=groups,
            effective=complaint or self._problems(answers),
            canary_problem=self._canary_problem(policy, accounts[policy.canary]),
            people=ports.accounts.people(),
            sessions=ports.sshd.sessions(),
        )

    def _powerless(self, policy: Policy, accounts: Mapping[str, Any]) -> frozenset[str]:
        admins = [
            name for name, each in accounts.items() if each and each.groups & policy.admin_groups
        ]
        return frozenset(name for name in admins if not self._ports.accounts.becomes_root(name))

    def _canary_problem(self, policy: Policy, account: Any) -> str:
        if self._factors.about(policy.canary)["enrolled"]:
            return "it is enrolled, so a person uses it"
        if account is not None and (account.uid == 0 or account.groups & policy.admin_groups):
            return "it may administer this host"
        return ""

    def _client(self) -> str:
        client = self._ports.client()
        return client[0] if client else ""

    def _pam_problem(self, policy: Policy, texts: Texts) -> str:
        try:
            self.demanding(texts, policy)
        except UnknownLayout as cause:
            return cause.why
        return ""

    def _keyless(
        self, policy: Policy, accounts: Mapping[str, Any], answers: Iterable[Answer]
    ) -> list[str]:
        """Return who has no public key, by where sshd looks for them."""
        found = {}
        for each, effective in answers:
            account = accounts.get(each.user)
            if account is None or each.user == policy.canary or not self._enters(account):
                continue
            files = sshd_settings.key_files(effective, each.user, account.home)
            if files and not any(self._has_key(path, account) for path in files):
                found[each.user] = f"{each.user} has none that sshd takes in {' or '.join(files)}"
        return list(found.values())

    def _enters(self, account: Any) -> bool:
        """Return whether somebody logs in as it. A transfer of files (internal-sftp) asks for no shell."""
        return bool(account.usable) or self._ports.accounts.has_password(account.name)

    def _has_key(self, path: str, account: Any) -> bool:
        """Return whether sshd finds a key there. It reads as the account, and only what nobody else may write."""
        try:
            text = self._text(path) or ""
            facts = self._ports.files.facts(path)
        except DebvisorError:
            return False
        today = datetime.fromtimestamp(self.now(), UTC).date()
        if facts is None or not sshd_settings.has_key(text, today):
            return False
        readable = facts.mode & stat.S_IROTH or (
            facts.uid == account.uid and facts.mode & stat.S_IRUSR
        )
        return bool(readable) and self._guarded(path, account)

    def _guarded(self, path: str, account: Any) -> bool:
        """Return whether the account and root alone may write to it and to the folders up to the home (StrictModes)."""
        paths = [path]
        if path.startswith(f"{account.home}/"):
            paths += [folder for folder in _parents(path) if folder.startswith(account.home)]
        for place in paths:
            owner, group, mode = self._ports.files.access(place)
            # Debian lets a group write that is the account's own.
            others = stat.S_IWOTH if group == account.name else stat.S_IWGRP | stat.S_IWOTH
            if owner not in (ROOT, account.uid) or mode & others:
                return False
        return True

    def _rehearsed(self, policy: Policy, texts: Texts) -> tuple[list[Answer], list[str]]:
        """Let sshd say what would hold. Where the drop-in is in place already, what holds is what would."""
        content = self._drop_in(policy)
        if texts[self._paths.drop_in] == content:
            return self._answers(policy, self._ports.sshd.effective)
        return self._answers(policy, lambda who: self._ports.sshd.rehearsed(content, who))

    def problems(self, policy: Policy) -> list[str]:
        """Let sshd say what holds, and return in what that is not what is wanted."""
        answers, complaint = self._answers(policy, self._ports.sshd.effective)
        return complaint or self._problems(answers)

    def _problems(self, answers: Iterable[Answer]) -> list[str]:
        """Return in what sshd does not ask for what it should, by its own word and by what nobody can ask it."""
        found = [problem for each, answer in answers if (problem := each.problem(answer))]
        found += sshd_settings.exceptions(self._ports.sshd.others())
        found += [
            f"an sshd runs with options of its own, which cannot be read: {options}"
            for options in self._ports.sshd.own_options()
        ]
        for each, answer in answers:
            if each.named and (account := self._ports.accounts.find(each.user)):
                found += filter(None, [sshd_settings.shut_out(answer, account, each.methods)])
        return list(dict.fromkeys(found))

    def _answers(
        self,
        policy: Policy,
        ask: Callable[[Iterable[tuple[str, str]]], list[Mapping[str, str]]],
    ) -> tuple[list[Answer], list[str]]:
        """Return what sshd says of everybody, or else why it says nothing."""
        members = {
            each.name: self._ports.accounts.members(each.name) or ()
            for each in policy.exemptions
            if each.kind == "group"
        }
        client, people = self._client() or NOWHERE, self._ports.accounts.people()
        expected = sshd_settings.expectations(policy, client, members, people)
        try:
            answers = ask([(each.user, each.address) for each in expected])
        except DebvisorError as cause:
            return [], [str(cause)]
        return list(zip(expected, answers, strict=True)), []


def _parents(path: str) -> Iterator[str]:
    while (path := posixpath.dirname(path)) != "/":
        yield path


def _named(policy: Policy, groups: Mapping[str, tuple[str, ...] | None]) -> set[str]:
    exempt = {each.name for each in policy.exemptions if each.kind == "user"}
    members = {name for names in groups.values() for name in names or ()}
    special = {policy.canary, *([policy.break_glass.user] if policy.break_glass else [])}
    return {*policy.users, *exempt, *members, *special}
