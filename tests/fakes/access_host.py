# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose sshd reads drop-ins as the real one does, as far as ours go, and whose other answers are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._access.enrolment import fresh, render
from ansible_collections.debvisor.hci.plugins.module_utils._access.ssh_access_operation import (
    SshAccess,
)
from ansible_collections.debvisor.hci.plugins.module_utils._access.ssh_access_state import (
    Ports,
    SshAccessPaths,
    SshAccessState,
)
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.totp_store import TotpStore
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.files import Files

from tests.fakes.operation_contract import Wire, unwired

NOW = 1_800_000_000.0
"""2027-01-15."""
DEBIAN = """\
# Standard Un*x authentication.
@include common-auth

account    required     pam_nologin.so
@include common-account
"""
SUDO = """\
#%PAM-1.0
session    required   pam_limits.so
@include common-auth
@include common-account
"""


COMMON_AUTH = """\
auth\t[success=1 default=ignore]\tpam_unix.so nullok
auth\trequisite\t\t\tpam_deny.so
auth\trequired\t\t\tpam_permit.so
"""
PUBLIC_KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'x' * 43} somebody@laptop"


class FakeSshd:
    """Reads the folder of drop-ins when it is reloaded; the first word on a keyword counts, Match blocks override."""

    def __init__(self, drop_in: Path) -> None:
        self.drop_in = drop_in
        self.groups: dict[str, set[str]] = {}
        self.running = self._read()
        self.reloads = 0
        self.broken = ""
        self.started_with = ""

    def check(self) -> None:
        if self.broken == "check":
            raise DebvisorError("sshd -t failed")

    def reload(self) -> None:
        if self.broken == "reload":
            raise DebvisorError("systemctl failed")
        self.reloads += 1
        self.running = self._read()

    def effective(self, callers: Iterable[tuple[str, str]]) -> list[Mapping[str, str]]:
        return [self._asked(self._read(), *caller) for caller in callers]

    def rehearsed(
        self, content: str, callers: Iterable[tuple[str, str]]
    ) -> list[Mapping[str, str]]:
        texts = {**self._texts(), self.drop_in.name: content}
        whole = [texts[name] for name in sorted(texts)]
        return [self._asked(whole, *caller) for caller in callers]

    def others(self) -> Mapping[str, str]:
        return {name: text for name, text in self._texts().items() if name != self.drop_in.name}

    def own_options(self) -> list[str]:
        return [self.started_with] if self.started_with else []

    def sessions(self) -> list[dict[str, str]]:
        return [{"user": "anna", "terminal": "pts/0"}]

    def asks(self, user: str, address: str = "192.0.2.1") -> str:
        """Return what the running server asks for."""
        return self._asked(self.running, user, address)["authenticationmethods"]

    def _texts(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.drop_in.parent.glob("[!.]*.conf")}

    def _read(self) -> list[str]:
        texts = self._texts()
        return [texts[name] for name in sorted(texts)]

    def _asked(self, texts: list[str], user: str, address: str) -> Mapping[str, str]:
        everywhere: dict[str, str] = {}
        matched: dict[str, str] = {}
        for text in texts:
            kept: dict[str, str] | None = everywhere
            for line in text.splitlines():
                keyword, _blank, value = line.strip().partition(" ")
                if keyword == "Match":
                    kept = matched if self._matches(value, user, address) else None
                elif keyword and keyword != "#" and kept is not None:
                    kept.setdefault(keyword.lower(), value)
        debian = {
            "authenticationmethods": "any",
            "kbdinteractiveauthentication": "no",
            "usepam": "yes",
            "passwordauthentication": "yes",
            "pubkeyauthentication": "yes",
            "authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
            "permitrootlogin": "without-password",
        }
        return {**debian, **everywhere, **matched}

    def _matches(self, criteria: str, user: str, address: str) -> bool:
        words = criteria.split()
        for kind, value in zip(words[::2], words[1::2], strict=True):
            holds = {
                "User": lambda value=value: value == user,
                "Group": lambda value=value: user in self.groups.get(value, ()),
                "Address": lambda value=value: any(
                    ip_address(address) in ip_network(each) for each in value.split(",")
                ),
            }[kind]()
            if not holds:
                return False
        return True


class AccessHost:
    """Everything that ``ssh_access`` looks at and changes, below a folder."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.files = Files()
        for name in ("sshd", "pam", "totp"):
            (base / name).mkdir(mode=0o700)
        self.places = SshAccessPaths(
            drop_in=str(base / "sshd/10-debvisor-mfa.conf"),
            include=str(base / "pam/debvisor-mfa"),
            service=str(base / "pam/sshd"),
            also_include=str(base / "pam/debvisor-mfa-also"),
            sudo=str(base / "pam/sudo"),
            sudo_login=str(base / "pam/sudo-i"),
            console=str(base / "pam/login"),
            common_auth=str(base / "pam/common-auth"),
            store=str(base / "totp"),
            canary_keys=str(base / "canary.keys"),
            alarm="/alarm",
        )
        self.enrol("anna")
        self.service.write_text(DEBIAN)
        self.service.chmod(0o644)
        (base / "pam/sudo").write_text(SUDO)
        (base / "pam/sudo-i").write_text(SUDO)
        (base / "pam/common-auth").write_text(COMMON_AUTH)
        self.sshd = FakeSshd(Path(self.places.drop_in))
        self.accounts = {
            "root": account(0),
            "anna": account(1000, "sudo"),
            "ben": account(1001),
            "firefighter": account(1002, "sudo"),
            "debvisor-canary": account(999),
        }
        for name in self.accounts:
            self.keys(name).parent.mkdir(parents=True)
            self.keys(name).write_text(f"# from the laptop\n{PUBLIC_KEY}\n")
        self.groups: dict[str, tuple[str, ...]] = {}
        self.pam_module = True
        self.clock = SimpleNamespace(source="chrony", offset=0.1, why="")
        self.client: tuple[str, int] | None = ("192.0.2.1", 22)
        self.store_problem = ""
        self.passwordless: set[str] = set()

    @property
    def service(self) -> Path:
        return self.base / "pam/sshd"

    def keys(self, name: str) -> Path:
        return self.base / "home" / name / ".ssh/authorized_keys"

    def _find(self, name: str) -> Any:
        found = self.accounts.get(name)
        return found and SimpleNamespace(
            **vars(found), name=name, home=str(self.keys(name).parents[1])
        )

    def operation(self, wire: Wire = unwired) -> SshAccess:
        uid = self.base.stat().st_uid
        files, sshd = wire("files", self.files), wire("sshd", self.sshd)
        ports = Ports(
            files,
            sshd,
            SimpleNamespace(
                find=self._find,
                members=self.groups.get,
                people=lambda: ("anna", "ben", "root"),
                has_password=lambda name: name not in self.passwordless,
                becomes_root=lambda name: name not in self.passwordless,
            ),
            SimpleNamespace(condition=self._condition),
            SimpleNamespace(has=lambda name: self.pam_module),
            SimpleNamespace(reading=lambda: self.clock),
            SimpleNamespace(wall=lambda: NOW),
            lambda: self.client,
        )
        state = SshAccessState(ports, self.places, uid)
        return SshAccess(files, sshd, state, self.places)

    def enrol(self, user: str) -> None:
        self.files.write(
            f"{self.base}/totp/{user}", render(fresh(NOW, 1)), mode=0o400, uid=-1, gid=-1
        )

    def _condition(self) -> Any:
        if self.store_problem:
            return SimpleNamespace(problem=self.store_problem)
        return TotpStore(Path(self.places.store), self.base.stat().st_uid).condition()

    def content(self) -> dict[str, tuple[int, bytes]]:
        """Return every file with its mode."""
        return {
            str(path.relative_to(self.base)): (path.stat().st_mode & 0o777, path.read_bytes())
            for path in self.base.rglob("*")
            if (path.is_file() and path.parts[len(self.base.parts)] in {"sshd", "pam", "totp"})
            or path.name == "canary.keys"
        }


def account(uid: int, *groups: str, usable: bool = True) -> Any:
    return SimpleNamespace(uid=uid, groups=frozenset(groups), usable=usable)
