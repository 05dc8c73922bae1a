# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sshd is told, as a drop-in of sshd_config(5), and what it must then answer of each account."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .policy import Policy

HEADER = "# Written by debvisor.hci.ssh_access. It asks for a second factor; see docs/mfa.md."
KEY, KEY_AND_CODE = "publickey", "publickey,keyboard-interactive:pam"
DEFAULT_KEYS = ".ssh/authorized_keys"
EVERYWHERE = {"pubkeyauthentication": "yes", "kbdinteractiveauthentication": "yes", "usepam": "yes"}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What sshd has to ask of an account that comes from an address."""

    user: str
    address: str
    methods: str

    def problem(self, effective: Mapping[str, str]) -> str:
        """Say in what sshd's own answer (``sshd -T``) differs; empty where it does not."""
        wanted = {"authenticationmethods": self.methods, **EVERYWHERE}
        wrong = [
            f"{keyword} is {effective.get(keyword, 'not told')}, not {value}"
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


def render(policy: Policy, canary_keys: str) -> str:
    """Return the drop-in. In Match blocks the first word on a keyword counts, so who is named first comes first."""
    return "\n".join(_lines(policy, canary_keys)) + "\n"


def _lines(policy: Policy, canary_keys: str) -> Iterator[str]:
    yield HEADER
    yield "UsePAM yes"
    yield "PubkeyAuthentication yes"
    yield "KbdInteractiveAuthentication yes"
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
    policy: Policy, client: str, members: Mapping[str, Sequence[str]]
) -> list[Expectation]:
    """Return what has to hold. ``client`` is where people come from; ``members`` are those of exempt groups."""
    found = [Expectation(user, client, KEY_AND_CODE) for user in (*policy.users, policy.canary)]
    for each in policy.exemptions:
        names = [each.name] if each.kind == "user" else members.get(each.name, ())
        found += [Expectation(name, client, KEY) for name in names]
    if policy.break_glass:
        found += [
            Expectation(policy.break_glass.user, str(network[0]), KEY)
            for network in policy.break_glass.networks
        ]
    return found
