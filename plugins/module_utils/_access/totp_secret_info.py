# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``totp_secret_info`` tells: who is enrolled, and in which condition the store is."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from .._core.errors import DebvisorError
from .._core.ports import Files
from .._core.spec import Spec
from .enrolment import EnrolmentInvalid, parse
from .totp_secret_operation import ROOT
from .totp_secret_options import USER
from .totp_secret_plan import MODES

SPEC = Spec({"users": {"type": "list", "elements": "str"}})


class Store(Protocol):
    """The folder of the enrolments."""

    def condition(self) -> Any: ...


class TotpSecretInfo:
    """Reads the store."""

    def __init__(self, files: Files, store: Store, folder: str, uid: int = ROOT) -> None:
        self._files = files
        self._store = store
        self._folder = folder
        self._uid = uid

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what may be known of the named users, or of all that have a file."""
        named = params["users"]
        users = self.users() if named is None else named
        condition = self._store.condition()
        return {
            "users": [self.about(user) for user in users],
            "store": {
                "path": self._folder,
                "usable": not condition.problem,
                "problem": condition.problem,
            },
        }

    def users(self) -> list[str]:
        """Return who has a file. Names that begin with a dot are copies for undo."""
        return [name for name in self._files.listing(self._folder) if USER.fullmatch(name)]

    def about(self, user: str) -> dict[str, Any]:
        """Return what may be known of one user; ``problem`` says why a file would let nobody in."""
        path = posixpath.join(self._folder, user)
        unknown = {"since": None, "last_used": None, "scratch_codes": 0}
        absent = {"user": user, "enrolled": False, "problem": "", **unknown}
        if not USER.fullmatch(user):
            return {**absent, "problem": "is not the name of an account"}
        try:
            facts = self._files.facts(path)
            if facts is None:
                return absent
            enrolment = parse(self._files.read(path), path)
        except EnrolmentInvalid as cause:
            return {**absent, "problem": cause.why}
        except DebvisorError as cause:
            return {**absent, "problem": cause.what}
        if facts.uid != self._uid or facts.mode not in MODES:
            why = f"belongs to {facts.owner} and has mode {facts.mode:04o}; PAM refuses it"
            return {**absent, "problem": why}
        return {
            "user": user,
            "enrolled": True,
            "problem": "",
            "since": _time(enrolment.since),
            "last_used": _time(enrolment.last_used),
            "scratch_codes": len(enrolment.scratch_codes),
        }


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
