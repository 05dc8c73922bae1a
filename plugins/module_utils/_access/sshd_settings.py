# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sshd is told, as a drop-in of sshd_config(5), and what it must then answer of each account."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Protocol

from .policy import Policy

HEADER = "# Written by debvisor.hci.ssh_access. It asks for a second factor; see docs/mfa.md."
KEY, KEY_AND_CODE = "publickey", "publickey,keyboard-interactive:pam"
DEFAULT_KEYS = ".ssh/authorized_keys"
EVERYWHERE = {
    "pubkeyauthentication": "yes",
    "kbdinteractiveauthentication": "yes",
    "usepam": "yes",
    "passwordauthentication": "no",
}
"""What must hold for everybody. PAM asks for a code alone, so sshd must not take it for a password."""
HARMLESS: Mapping[str, str | None] = {
    "authenticationmethods": KEY_AND_CODE,
    "pubkeyauthentication": "yes",
    "kbdinteractiveauthentication": "yes",
    "challengeresponseauthentication": "yes",
    "passwordauthentication": "no",
    "permitemptypasswords": "no",
    "gssapiauthentication": "no",
    "hostbasedauthentication": "no",
    "authorizedkeyscommand": "none",
    "authorizedprincipalscommand": "none",
    "trustedusercakeys": "none",
    "include": None,
}
"""What decides how somebody enters and may stand in a Match block, and the one value of each that neither lets anybody
in nor locks anybody out: without a method that is needed, nobody enters."""
ROOT_BY_KEY = ("yes", "without-password", "prohibit-password")
"""PermitRootLogin, where root enters by key. Only with the first, root is asked for anything beside it."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What sshd has to ask of an account that comes from an address."""

    user: str
    address: str
    methods: str
    named: bool = True
    """Whether anybody wants them to enter."""

    def problem(self, effective: Mapping[str, str]) -> str:
        """Say in what sshd's own answer (``sshd -T``) differs; empty where it does not."""
        wanted = {"authenticationmethods": self.methods, **EVERYWHERE}
        wrong = [
            f"{keyword} is {effective.get(keyword, 'not reported')}, not {value}"
            for keyword, value in wanted.items()
            if effective.get(keyword) != value
        ]
        return f"for {self.user} from {self.address} {' and '.join(wrong)}" if wrong else ""


def key_files(effective: Mapping[str, str], user: str, home: str) -> list[str]:
    """Return where an account's public keys are; nothing where they may come from elsewhere, too."""
    elsewhere = ("authorizedkeyscommand", "trustedusercakeys")
    if any(effective.get(keyword, "none") != "none" for keyword in elsewhere):
        return []
    tokens = {"%%": "%", "%h": home, "%u": user}
    return [
        posixpath.join(home, re.sub("%[%hu]", lambda found: tokens[found[0]], pattern))
        for pattern in effective.get("authorizedkeysfile", DEFAULT_KEYS).split()
    ]


KEY_LINE = re.compile(
    r"(?P<options>.*?)\b(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ +AAAA[A-Za-z0-9+/]{20,}={0,2}(?: |$)"
)
EXPIRY = re.compile(r'expiry-time="(\d{8,14})Z?"', re.IGNORECASE)


def has_key(text: str, today: date) -> bool:
    """Return whether a file of authorized keys (sshd(8)) holds one that has not expired."""
    for line in text.splitlines():
        found = KEY_LINE.match(line.strip())
        if found is None or line.lstrip().startswith("#"):
            continue
        expires = EXPIRY.search(found["options"])
        if expires is None or expires[1][:8] >= today.strftime("%Y%m%d"):
            return True
    return False


def exceptions(files: Mapping[str, str]) -> list[str]:
    """Return where files of others decide how some people enter, as ``FILE: Match ...: KEYWORD VALUE``.

    sshd tells what holds for one account from one address, and nobody can ask it about all. So no Match block but ours
    may decide that.
    """
    return [told for path, text in files.items() for told in _exceptions(path, text)]


def _exceptions(path: str, text: str) -> Iterator[str]:
    match = ""
    for line in text.splitlines():
        words = line.split("#", 1)[0].replace("=", " ", 1).split(None, 1)
        if not words:
            continue
        name, value = words[0].strip('"'), words[1].strip().strip('"') if len(words) > 1 else ""
        keyword = name.lower()
        if keyword == "match":
            match = "" if value.lower() == "all" else value
        elif match and keyword in HARMLESS and value.lower() != HARMLESS[keyword]:
            yield f"{path}: Match {match}: {name} {value}"


class Account(Protocol):
    """What of an account sshd goes by."""

    @property
    def name(self) -> str: ...

    @property
    def uid(self) -> int: ...

    @property
    def groups(self) -> frozenset[str]: ...


def shut_out(effective: Mapping[str, str], account: Account, methods: str) -> str:
    """Say what of sshd's keeps an account out whatever it proves; empty where nothing does (sshd_config(5))."""
    user, groups = account.name, account.groups
    permitted = effective.get("permitrootlogin", ROOT_BY_KEY[1])
    if account.uid == 0 and permitted not in (ROOT_BY_KEY if methods == KEY else ROOT_BY_KEY[:1]):
        return f"PermitRootLogin is {permitted}, so {user} does not enter with {methods}"

    def lists(keyword: str, names: Iterable[str]) -> bool:
        patterns = [each.partition("@")[0] for each in effective.get(keyword, "").split()]
        return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)

    if lists("denyusers", [user]) or lists("denygroups", groups):
        return f"DenyUsers or DenyGroups keeps {user} out"
    for keyword, names in (("AllowUsers", [user]), ("AllowGroups", list(groups))):
        if effective.get(keyword.lower()) and not lists(keyword.lower(), names):
            return f"{keyword} does not let {user} in"
    return ""


def render(policy: Policy, canary_keys: str) -> str:
    """Return the drop-in. In Match blocks the first word on a keyword counts, so who is named first comes first."""
    return "\n".join(_lines(policy, canary_keys)) + "\n"


def _lines(policy: Policy, canary_keys: str) -> Iterator[str]:
    yield HEADER
    yield "UsePAM yes"
    yield "PubkeyAuthentication yes"
    yield "KbdInteractiveAuthentication yes"
    yield "PasswordAuthentication no"
    yield f"AuthenticationMethods {KEY_AND_CODE}"
    yield ""
    yield "# Proves logins. Its key is there while a proof lasts."
    yield from _match(
        f"User {policy.canary}",
        f"AuthenticationMethods {KEY_AND_CODE}",
        f"AuthorizedKeysFile {canary_keys}",
        "ForceCommand /bin/true",
        "DisableForwarding yes",
        "PermitTTY no",
    )
    if policy.break_glass:
        networks = ",".join(str(network) for network in policy.break_glass.networks)
        yield f"# Break-glass: {_one_line(policy.break_glass.reason)}"
        who = f"User {policy.break_glass.user} Address {networks}"
        yield from _match(who, f"AuthenticationMethods {KEY}")
    for each in sorted(policy.exemptions, key=lambda found: found.kind == "group"):
        yield f"# Until {each.expires.isoformat()}: {_one_line(each.reason)}"
        yield from _match(f"{each.kind.title()} {each.name}", f"AuthenticationMethods {KEY}")


def _match(who: str, *settings: str) -> Iterator[str]:
    yield f"Match {who}"
    yield from (f"    {setting}" for setting in settings)
    yield ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def expectations(
    policy: Policy, client: str, members: Mapping[str, Sequence[str]], people: Sequence[str]
) -> list[Expectation]:
    """Return what has to hold.

    ``client`` is where people come from; ``members`` are those of exempt groups; ``people`` all who could log in.
    """
    exempt = {each.name for each in policy.exemptions if each.kind == "user"}
    exempt |= {name for names in members.values() for name in names}
    special = {policy.break_glass.user} if policy.break_glass else set()
    nobody_named = sorted(set(people) - exempt - special - {*policy.users, policy.canary})
    found = [Expectation(user, client, KEY_AND_CODE) for user in (*policy.users, policy.canary)]
    found += [Expectation(user, client, KEY_AND_CODE, named=False) for user in nobody_named]
    for each in policy.exemptions:
        names = [each.name] if each.kind == "user" else members.get(each.name, ())
        found += [Expectation(name, client, KEY) for name in names]
    if policy.break_glass:
        found += [
            Expectation(policy.break_glass.user, str(network[0]), KEY)
            for network in policy.break_glass.networks
        ]
    return found
