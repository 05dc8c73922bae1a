# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a second factor may be asked for: a judgement over what was seen, check by check, with reasons. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from .policy import Policy

HALF_A_STEP = 15.0
"""Seconds. A clock that is off by more shows another code than an authenticator does."""


class Reading(Protocol):
    """How far a clock is off at worst, in seconds; None where it is unknown, and ``why``."""

    @property
    def source(self) -> str: ...

    @property
    def offset(self) -> float | None: ...

    @property
    def why(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Controller:
    """What the control node knows of itself: who it comes as, and whether it can prove that break-glass opens."""

    account: str = ""
    clock_offset: float | None = None
    """How far the host's clock is off by the controller's, in seconds at worst."""
    break_glass_key: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What was seen."""

    today: date
    controller: Controller
    client: str
    """Where this session comes from; empty where it does not come over SSH."""
    pam_module: bool
    pam_problem: str
    store_problem: str
    clock: Reading
    enrolments: Mapping[str, Mapping[str, Any]]
    """Of each named user, as ``totp_secret_info`` tells it."""
    accounts: Mapping[str, Any]
    """Every account that is named anywhere, or belongs to an exempt group; None where there is none."""
    groups: Mapping[str, Sequence[str] | None]
    """The members of exempt groups; None where there is no such group."""
    powerless: frozenset[str]
    """Who is in a group of administrators, and cannot become root: sudo wants a password, and there is none."""
    keyless: Sequence[str]
    """Who has no public key, and where it was looked for."""
    effective: Sequence[str]
    """In what sshd's answers would differ from what is wanted."""
    canary_problem: str = ""
    """Why the canary is somebody's account; its secret is removed after each proof."""
    people: Sequence[str] = ()
    sessions: Sequence[Mapping[str, str]] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition. ``why`` is empty where it holds."""

    name: str
    why: str
    hint: str

    def public(self) -> dict[str, Any]:
        holds = not self.why
        return {
            "check": self.name,
            "holds": holds,
            "why": self.why,
            "hint": "" if holds else self.hint,
        }


def judge(policy: Policy, seen: Situation) -> list[Check]:
    """Return every check, in the order in which one would mend them."""
    return [
        Check(
            "package",
            "" if seen.pam_module else "pam_google_authenticator.so is not there",
            "Install libpam-google-authenticator; the role debvisor.hci.mfa does",
        ),
        Check(
            "pam",
            seen.pam_problem,
            "Bring the file to Debian's layout, or install the package that brings it",
        ),
        Check("store", seen.store_problem, "Make room, or fix the folder; else every login fails"),
        Check("clock", _clock(seen), "Let chrony or systemd-timesyncd set the clock"),
        Check("accounts", _accounts(policy, seen), "Make the accounts, or take their names out"),
        Check("enrolled", _enrolled(policy, seen), "Enrol them with debvisor.hci.totp_secret"),
        Check(
            "keys",
            "; ".join(seen.keyless),
            "Put their public keys there, or take their names out: passwords open nothing any more",
        ),
        Check("exemptions", _exemptions(policy, seen), "Renew the exemption, or enrol who had it"),
        Check("automation", _automation(policy, seen), "Exempt it, for it types no codes"),
        Check(
            "break_glass",
            _break_glass(policy, seen),
            "Name an account in break_glass, and give the control node its key for the proof",
        ),
        Check(
            "second_path",
            _second_path(policy, seen),
            "Enrol a second administrator, or exempt one, beside the break-glass account",
        ),
        Check(
            "effective",
            "; ".join(seen.effective),
            "Another file of sshd overrides it; sshd -T -C user=NAME,host=ADDRESS,addr=ADDRESS shows more",
        ),
    ]


def report(policy: Policy, seen: Situation) -> dict[str, Any]:
    """Return what people and programs read before they decide."""
    checks = judge(policy, seen)
    return {
        "ready": not any(check.why for check in checks),
        "preflight": [check.public() for check in checks],
        "exemptions": [each.public(seen.today) for each in policy.exemptions],
        "left_out": _left_out(policy, seen),
        "sessions": [dict(each) for each in seen.sessions],
    }


def _clock(seen: Situation) -> str:
    """Both must agree where both are known; where neither is, nobody knows."""
    offsets = {
        seen.clock.source: seen.clock.offset,
        "the control node": seen.controller.clock_offset,
    }
    known = {source: offset for source, offset in offsets.items() if offset is not None}
    off = [
        f"the clock differs from {who} by {by:.1f} s"
        for who, by in known.items()
        if by >= HALF_A_STEP
    ]
    if not known:
        return f"its offset is unknown ({seen.clock.why})"
    return "; ".join(off)


def _accounts(policy: Policy, seen: Situation) -> str:
    special = [policy.canary, *([policy.break_glass.user] if policy.break_glass else [])]
    exempt = [each.name for each in policy.exemptions if each.kind == "user"]
    missing = [
        name for name in (*policy.users, *exempt, *special) if seen.accounts.get(name) is None
    ]
    groups = [name for name, members in seen.groups.items() if members is None]
    reasons = [f"there is no account {name}" for name in missing]
    if seen.canary_problem:
        reasons.append(f"{policy.canary} cannot prove logins: {seen.canary_problem}")
    return "; ".join(reasons + [f"there is no group {name}" for name in groups])


def _enrolled(policy: Policy, seen: Situation) -> str:
    reasons = []
    for user in policy.users:
        about = seen.enrolments[user]
        if not about["enrolled"]:
            reasons.append(
                f"{user} is not" + (f" ({about['problem']})" if about["problem"] else "")
            )
    return "; ".join(reasons)


def _exemptions(policy: Policy, seen: Situation) -> str:
    return "; ".join(
        f"that of {each.kind} {each.name} expired on {each.expires.isoformat()}"
        for each in policy.exemptions
        if each.expired(seen.today)
    )


def _automation(policy: Policy, seen: Situation) -> str:
    exempt = set(_exempt(policy, seen))
    reasons = []
    account = seen.controller.account
    if not account:
        reasons.append("the account that Ansible uses is unknown")
    elif account not in exempt:
        reasons.append(f"Ansible comes as {account}, which would be asked for a code")
    others = [name for name in policy.automation if name not in {*exempt, account}]
    reasons += [f"{name} is automation, and would be asked for a code" for name in others]
    return "; ".join(reasons)


def _break_glass(policy: Policy, seen: Situation) -> str:
    found = policy.break_glass
    if found is None:
        return "there is no break-glass account"
    reasons = []
    account = seen.accounts.get(found.user)
    if account is not None and not account.usable:
        reasons.append(f"the shell of {found.user} allows no work")
    if account is not None and not _administers(policy, account):
        admins = _listed(policy.admin_groups)
        reasons.append(f"{found.user} may not administer: it is neither root nor in {admins}")
    elif found.user in seen.powerless:
        reasons.append(
            f"{found.user} cannot become root: sudo asks for a password, and it has none"
        )
    if found.user in set(_exempt(policy, seen)):
        reasons.append(
            f"{found.user} is in a group that is exempt, so it would enter from everywhere"
        )
    if not seen.client or not found.admits(seen.client):
        where = seen.client or "an unknown address"
        reasons.append(
            f"it cannot be proven: the control node comes from {where}, which is in none of its networks"
        )
    if not seen.controller.break_glass_key:
        reasons.append(
            "it cannot be proven: the control node was given no key for it, or the file is not there"
        )
    return "; ".join(reasons)


def _second_path(policy: Policy, seen: Situation) -> str:
    """Break-glass is for when all else fails. So there must be two other ways than one person's phone."""
    breaks = {policy.break_glass.user} if policy.break_glass else set()
    able = {user for user in policy.users if seen.enrolments[user]["enrolled"]}
    able |= set(_exempt(policy, seen)) | breaks
    admins = sorted(
        name
        for name in able
        if (account := seen.accounts.get(name)) and account.usable and _administers(policy, account)
        if name not in seen.powerless
    )
    if len(admins) >= 2:
        return ""
    only = f"only {admins[0]}" if admins else "no one"
    return f"{only} could log in and administer this host"


def _administers(policy: Policy, account: Any) -> bool:
    return account.uid == 0 or bool(account.groups & policy.admin_groups)


def _exempt(policy: Policy, seen: Situation) -> Iterator[str]:
    for each in policy.exemptions:
        if each.kind == "user":
            yield each.name
        else:
            yield from seen.groups.get(each.name) or ()


def _left_out(policy: Policy, seen: Situation) -> list[str]:
    """Return the people whom nobody thought of: after enforcement they enter only if they happen to be enrolled."""
    known = {*policy.users, *_exempt(policy, seen), policy.canary}
    known |= {policy.break_glass.user} if policy.break_glass else set()
    return sorted(set(seen.people) - known)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
