# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of ``totp_secret``, checked."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._core.checks import check_file_path, check_range, refuse_any
from .._core.errors import Problem
from .._core.secret import Secret
from .._core.spec import Spec
from .delivery import Naming
from .enrolment import MOST_SCRATCH_CODES, Enrolment, checked_secret
from .totp import CODE

USER = re.compile(r"(?!\d+$)[A-Za-z0-9_][A-Za-z0-9._-]{0,31}")
"""An account's name that is one part of a path, and no number."""
NO_COLON = re.compile(r"[^:\x00-\x1f]+")
FORBIDDEN_FOLDERS = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/sbin", "/sys", "/usr")
"""Folders that a file for a user could do harm in."""
SCRATCH_CODES = "scratch_codes"
"""What is made anew where the secret stays."""
_REGENERATE = ["never", "if_invalid", "always", SCRATCH_CODES]
SPEC = Spec(
    {
        "user": {"type": "str", "required": True},
        "state": {
            "type": "str",
            "choices": ["present", "absent", "verified"],
            "default": "present",
        },
        "regenerate": {"type": "str", "choices": _REGENERATE, "default": "never"},
        "secret": {"type": "str", "no_log": True},
        "import_from": {"type": "path"},
        "code": {"type": "str", "no_log": True},
        "issuer": {"type": "str", "default": "debvisor"},
        "label": {"type": "str"},
        "scratch_codes": {"type": "int", "default": 5},
        "deliver": {"type": "str", "choices": ["none", "file", "encrypted"], "default": "none"},
        "deliver_to": {"type": "path"},
        "recipient": {"type": "str"},
        "qr": {"type": "str", "choices": ["none", "terminal", "png"], "default": "none"},
    },
    required_if=[
        ("state", "verified", ["code"]),
        ("deliver", "file", ["deliver_to"]),
        ("deliver", "encrypted", ["recipient"]),
    ],
    mutually_exclusive=[("secret", "import_from")],
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked."""

    user: str
    state: str
    regenerate: str = ""
    secret: Secret | None = None
    import_from: str = ""
    code: Secret | None = None
    naming: Naming = field(default_factory=Naming)
    scratch_codes: int = 0
    deliver_to: str = ""
    recipient: str = ""

    @property
    def delivered(self) -> bool:
        return bool(self.deliver_to or self.recipient)

    def keeps_secret(self, enrolment: Enrolment | None) -> bool:
        """Return whether the secret stays, and only new scratch codes are made."""
        if enrolment is None or self.regenerate != SCRATCH_CODES:
            return False
        return self.secret is None or enrolment.secret == self.secret


def parse(params: Mapping[str, Any], host: str, store: str) -> Wanted:
    """Check the options.

    :param host: how this machine is called, to tell its codes from those of others.
    :param store: the folder of the enrolments, in which nothing is handed over.
    :raises InvalidInput: with everything that is wrong.
    """
    problems: list[Problem] = []
    user, state = params["user"], params["state"]
    if not USER.fullmatch(user):
        problems.append(Problem("user", f"{user!r} is not the name of an account"))
    if state == "verified":
        if not CODE.fullmatch(params["code"]):
            problems.append(Problem("code", "is not six digits"))
        refuse_any(problems)
        return Wanted(user, state, code=Secret(params["code"]))
    if state == "absent":
        refuse_any(problems)
        return Wanted(user, state)
    wanted = _parse_present(params, host, store, problems)
    refuse_any(problems)
    return wanted


def _parse_present(
    params: Mapping[str, Any], host: str, store: str, problems: list[Problem]
) -> Wanted:
    secret = None
    if params["secret"] is not None:
        try:
            secret = checked_secret(params["secret"])
        except ValueError as cause:
            problems.append(Problem("secret", str(cause)))
    again = params["regenerate"]
    for option, others in (("secret", {"always"}), ("import_from", {"always", SCRATCH_CODES})):
        if params[option] is not None and again in others:
            why = f"cannot be {again} where {option} is given"
            problems.append(Problem("regenerate", why))
    if params["regenerate"] == SCRATCH_CODES and not params["scratch_codes"]:
        problems.append(Problem("scratch_codes", "is 0, where new ones are to be made"))
    label = params["label"] or f"{params['user']}@{host}"
    for option, text in (("issuer", params["issuer"]), ("label", label)):
        if not NO_COLON.fullmatch(text):
            problems.append(Problem(option, "is empty, or has a colon or a control character"))
    for option in ("import_from", "deliver_to"):
        if params[option] is not None:
            check_file_path(option, params[option], problems)
    if path := params["deliver_to"]:
        folder = posixpath.dirname(posixpath.normpath(path))
        if any(f"{folder}/".startswith(f"{kept}/") for kept in (store, *FORBIDDEN_FOLDERS)):
            problems.append(Problem("deliver_to", f"{folder} is reserved for files of the system"))
    if params["deliver"] == "encrypted" and not params["recipient"].strip():
        problems.append(Problem("recipient", "is empty"))
    check_range("scratch_codes", params["scratch_codes"], 0, MOST_SCRATCH_CODES, problems)
    picture = "" if params["qr"] == "none" else params["qr"]
    deliver = params["deliver"]
    return Wanted(
        params["user"],
        params["state"],
        regenerate=params["regenerate"],
        secret=secret,
        import_from=params["import_from"] or "",
        naming=Naming(params["issuer"], label, picture),
        scratch_codes=params["scratch_codes"],
        deliver_to=params["deliver_to"] if deliver == "file" else "",
        recipient=params["recipient"] if deliver == "encrypted" else "",
    )
