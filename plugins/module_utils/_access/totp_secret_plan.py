# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a user has to what the user is to have: the steps of an enrolment. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from .._core.errors import DebvisorError
from .._core.plan import Action, Difference, Plan
from .delivery import Part, Pictures, parts, scratch_part, suffixes
from .enrolment import Enrolment, drawn_scratch_codes, fresh
from .totp_secret_options import SCRATCH_CODES, Wanted

MODES = (0o400, 0o600)
"""What the PAM module takes; it leaves the first behind after a login."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The user's file, and what else the plan needs. ``problem`` says why a file that is there is no enrolment."""

    facts: Any = None
    enrolment: Enrolment | None = None
    problem: str = ""
    elsewhere: Enrolment | None = None
    recipient: str = ""
    now: float = 0


class Draft:
    """The enrolment of one run, drawn once when its first step needs it: what is stored is what is handed over."""

    def __init__(self, observed: Observed, wanted: Wanted) -> None:
        self._observed = observed
        self._wanted = wanted
        self.secret_stays = wanted.keeps_secret(observed.enrolment)

    @cached_property
    def enrolment(self) -> Enrolment:
        """The enrolment. Whoever reads this first draws it."""
        observed, wanted = self._observed, self._wanted
        count = wanted.scratch_codes if wanted.delivered else 0
        if self.secret_stays and observed.enrolment is not None:
            return replace(observed.enrolment, scratch_codes=drawn_scratch_codes(count))
        return observed.elsewhere or fresh(observed.now, count, secret=wanted.secret)

    def parts(self, pictures: Pictures) -> list[Part]:
        """Return what is handed over."""
        naming = self._wanted.naming
        if self.secret_stays:
            return [scratch_part(self.enrolment, naming)]
        return list(parts(self.enrolment, naming, pictures))


@dataclass(frozen=True, slots=True)
class Enrol:
    """Write the user's file."""

    draft: Draft


@dataclass(frozen=True, slots=True)
class Seal:
    """Encrypt what is handed over; ``messages`` are then what the result shows."""

    draft: Draft
    messages: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class HandOver:
    """Write one part in the clear."""

    draft: Draft
    path: str
    number: int


@dataclass(frozen=True, slots=True)
class Protect:
    """Give the user's file the owner and mode that the PAM module wants."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the user's file."""


def planned(observed: Observed, wanted: Wanted, path: str, uid: int) -> Plan:
    """Return the steps; pure, and so the secret is not drawn yet."""
    before = shown(observed.enrolment, observed.facts)
    if wanted.state == "absent":
        actions = (
            [Action("remove", path, "no second factor", payload=Remove())] if observed.facts else []
        )
        after = shown(None, None)
    elif reason := _reason_to_enrol(observed, wanted):
        _check_may_enrol(observed, wanted, reason)
        actions = _steps(observed, wanted, reason, path)
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
        if observed.facts.uid != uid or observed.facts.mode not in MODES:
            actions = [
                Action("protect", path, f"root's alone, mode {MODES[0]:04o}", payload=Protect())
            ]
            after = {**before, "mode": f"{MODES[0]:04o}"}
    differences = [Difference.of(path, before, after)] if actions else []
    return Plan(before, after, tuple(actions), differences)


def _steps(observed: Observed, wanted: Wanted, reason: str, path: str) -> list[Action]:
    """Seal first, as it may fail; then the store; what lies about in the clear comes last."""
    draft = Draft(observed, wanted)
    steps = [Action("enrol", path, reason, payload=Enrol(draft))]
    if wanted.recipient:
        effect = f"the enrolment, encrypted for {observed.recipient}"
        steps.insert(0, Action("seal", wanted.user, effect, payload=Seal(draft)))
    if wanted.deliver_to:
        picture = "" if wanted.keeps_secret(observed.enrolment) else wanted.naming.picture
        for number, suffix in enumerate(suffixes(picture)):
            target = wanted.deliver_to + (suffix if number else "")
            step = HandOver(draft, target, number)
            steps.append(Action("hand over", target, "for root alone", payload=step))
    return steps


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
    if wanted.keeps_secret(observed.enrolment):
        raise DebvisorError(
            f"{wanted.user} would get {reason}, which no one would ever see",
            hint="Say where they go with deliver",
        )
    if wanted.secret is None and observed.elsewhere is None:
        raise DebvisorError(
            f"{wanted.user} would get {reason} that no one ever sees, and be locked out",
            hint="Say where it goes with deliver",
        )


def _fingerprint_to_be(observed: Observed, wanted: Wanted) -> str:
    if observed.elsewhere is not None:
        return observed.elsewhere.secret.fingerprint
    if wanted.keeps_secret(observed.enrolment) and observed.enrolment is not None:
        return observed.enrolment.secret.fingerprint
    return wanted.secret.fingerprint if wanted.secret else "made when it is written"


def shown(enrolment: Enrolment | None, facts: Any) -> dict[str, Any]:
    if facts is None:
        return {"enrolled": False}
    return {
        "enrolled": enrolment is not None,
        "fingerprint": enrolment.secret.fingerprint if enrolment else None,
        "scratch_codes": len(enrolment.scratch_codes) if enrolment else 0,
        "mode": f"{facts.mode:04o}",
    }
