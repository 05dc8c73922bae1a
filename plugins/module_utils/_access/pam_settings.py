# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where PAM asks for the code: an include of ours in the place of the password, in the service that sshd uses.

The line that is replaced stays beside ours as a comment, so that the former file can be made of the present one, byte
by byte, whatever else of it was changed meanwhile. So does a line that asked for a code until now: there is no time in
between when nobody asks. Other services can ask for the code as well, after the password.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .._core.errors import DebvisorError

HEADER = "# Written by debvisor.hci.ssh_access; see docs/mfa.md."
ALSO_MARK = "# debvisor.hci.ssh_access put the next line here."
MARK = "# debvisor.hci.ssh_access put the next line in the place of: "
TAKEN = "# debvisor.hci.ssh_access took this out: "
PASSWORD = re.compile(r"@include[ \t]+common-auth[ \t]*")
AUTH = re.compile(r"-?auth[ \t]")
FACTOR = re.compile(r"-?auth[ \t].*[ \t/]pam_google_authenticator\.so\b.*")
INCLUDE = re.compile(r"@include[ \t]+(?!common-(?:account|session|password)[ \t]*$)")
"""What may have lines that decide; Debian's own files for other questions have none."""
SHORT_CUT = re.compile(r"-?auth[ \t]+(?:sufficient[ \t]|\[.*\bdone\b)")
"""What lets somebody in without asking what comes below (pam.conf(5))."""


class UnknownLayout(DebvisorError):
    """The service's file is not as Debian has it, so nobody can say what it asks for."""


def include(store: str, alarmed: str, alarm: str, drop_in: str) -> str:
    """Return the include: a code from the store, and an alarm when the break-glass account enters.

    Where sshd's drop-in was taken away by hand, sshd asks PAM for passwords. Then a code alone must open nothing.

    There is no ``nullok``: who is not enrolled does not enter. The alarm has seconds, and its failure is passed over.
    """
    present = f"auth requisite pam_exec.so quiet /usr/bin/test -e {drop_in}"
    lines = [HEADER, present, _code(store)]
    if alarmed:
        lines += [
            f"session [success=ignore default=1] pam_succeed_if.so quiet service = sshd user = {alarmed}",
            f"session optional pam_exec.so quiet type=open_session /usr/bin/timeout 5 {alarm}",
        ]
    return "\n".join(lines) + "\n"


def also_include(store: str, users: Sequence[str], groups: Sequence[str]) -> str:
    """Return the include for other services: a code from the store, from everybody but those who have none.

    Nor does root: a console that opens for nobody without a phone is no last way in.
    """
    spared = [f"user = {name}" for name in dict.fromkeys((*users, "root"))] + [
        f"user ingroup {name}" for name in groups
    ]
    skip = "auth [success={} default=ignore] pam_succeed_if.so quiet {}"
    lines = [skip.format(len(spared) - at, who) for at, who in enumerate(spared)]
    return "\n".join([HEADER, *lines, _code(store), "auth required pam_permit.so"]) + "\n"


def _code(store: str) -> str:
    """Return the line that asks.

    Without ``noskewadj`` three old codes of three steps in a row would be taken for those of a clock that is slow, even
    by half a day, and open from then on. A skew that an enrolment brought along still counts.
    """
    return f"auth required pam_google_authenticator.so secret={store}/${{USER}} user=root noskewadj"


def also_demanding(text: str, name: str, where: str) -> str:
    """Return a service's file with the include after the password.

    :raises UnknownLayout: where there is not exactly one include of common-auth, or something lets people in before.
    """
    former_text = also_former(text, name)
    check_goes_on(former_text, where)
    lines = former_text.splitlines(keepends=True)
    at = _place(lines, where)
    lines.insert(at + 1, f"{ALSO_MARK}\n@include {name}\n")
    return "".join(lines)


def also_former(text: str, name: str) -> str:
    """Return the file as it was before :func:`also_demanding`."""
    return text.replace(f"{ALSO_MARK}\n@include {name}\n", "")


def check_goes_on(text: str, where: str) -> None:
    """Make sure that a file lets nobody in before the end of what it asks.

    :raises UnknownLayout: where it does.
    """
    if found := [line.strip() for line in text.splitlines() if SHORT_CUT.match(line.lstrip())]:
        raise UnknownLayout(
            f"{where} is not as Debian has it",
            why=f"these lines of {where} let people in without asking what comes below: {'; '.join(found)}",
            hint="Take them out, or ask for no code there (also)",
        )


def _place(lines: Sequence[str], where: str) -> int:
    places = [at for at, line in enumerate(lines) if PASSWORD.fullmatch(line.rstrip("\n"))]
    if len(places) != 1:
        raise UnknownLayout(
            f"{where} is not as Debian has it",
            why=f"{where} includes common-auth {len(places)} times, not once",
            hint="Put one '@include common-auth' where the password is asked for, and run again",
        )
    return places[0]


def demanding(text: str, name: str, where: str) -> str:
    """Return the service's file with our include in the place of the password, and of a code that was asked for so far.

    :raises UnknownLayout: where there is not exactly one include of common-auth, or other lines decide as well.
    """
    lines = former(text, name).splitlines(keepends=True)
    asks_password = any(PASSWORD.fullmatch(line.strip()) for line in lines)
    factors = [number for number, line in enumerate(lines) if FACTOR.fullmatch(line.strip())]
    # Where no password is asked for any more, the code that is has its place.
    at = factors[0] if len(factors) == 1 and not asks_password else _place(lines, where)
    for number in factors:
        if number != at:
            lines[number] = f"{TAKEN}{lines[number]}"
    rest = [line.strip() for number, line in enumerate(lines) if number != at]
    if others := [line for line in rest if AUTH.match(line) or INCLUDE.match(line)]:
        raise UnknownLayout(
            f"{where} is not as Debian has it",
            why=f"these lines of {where} decide, too: {'; '.join(others)}",
            hint="Take the auth lines of others out, and run again",
        )
    replaced = lines[at].rstrip("\n")
    lines[at] = f"{MARK}{replaced}\n@include {name}\n"
    return "".join(lines)


def former(text: str, name: str) -> str:
    """Return the file as it was before :func:`demanding`; it is left alone where that never happened."""
    ours = re.compile(rf"^{re.escape(MARK)}(.*)\n@include {re.escape(name)}\n", re.MULTILINE)
    text = ours.sub(lambda found: f"{found[1]}\n", text)
    # Where somebody put the line back himself, our remark is left over.
    text = re.sub(rf"^{re.escape(MARK)}.*\n", "", text, flags=re.MULTILINE)
    return re.sub(f"^{re.escape(TAKEN)}", "", text, flags=re.MULTILINE)


def asks(text: str, name: str) -> bool:
    """Return whether the service's file is what :func:`demanding` makes of it: nothing but our include decides."""
    try:
        return demanding(text, name, name) == text
    except UnknownLayout:
        return False
