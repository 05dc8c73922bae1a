# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where PAM asks for the code: an include of ours in the place of the password, in the service that sshd uses.

The line that is replaced stays beside ours as a comment, so that the former file can be made of the present one, byte
by byte, whatever else of it was changed meanwhile.
"""

from __future__ import annotations

import re

from .._core.errors import DebvisorError

HEADER = "# Written by debvisor.hci.ssh_access; see docs/mfa.md."
MARK = "# debvisor.hci.ssh_access put the next line in the place of: "
PASSWORD = re.compile(r"@include[ \t]+common-auth[ \t]*")
AUTH = re.compile(r"-?auth[ \t]")


class UnknownLayout(DebvisorError):
    """The service's file is not as Debian has it, so nobody can say what it asks for."""


def include(store: str, alarmed: str, alarm: str) -> str:
    """Return the include: a code from the store, and an alarm when the break-glass account enters.

    There is no ``nullok``: who is not enrolled does not enter. The alarm has seconds, and its failure is passed over.
    """
    lines = [
        HEADER,
        f"auth required pam_google_authenticator.so secret={store}/${{USER}} user=root",
    ]
    if alarmed:
        lines += [
            f"session [success=ignore default=1] pam_succeed_if.so quiet service = sshd user = {alarmed}",
            f"session optional pam_exec.so quiet type=open_session /usr/bin/timeout 5 {alarm}",
        ]
    return "\n".join(lines) + "\n"


def demanding(text: str, name: str) -> str:
    """Return the service's file with our include in the place of the password.

    :raises UnknownLayout: where there is not exactly one include of common-auth, or other lines decide as well.
    """
    text = former(text, name)
    lines = text.splitlines(keepends=True)
    places = [at for at, line in enumerate(lines) if PASSWORD.fullmatch(line.rstrip("\n"))]
    others = [line.strip() for line in lines if AUTH.match(line.lstrip())]
    if len(places) != 1 or others:
        raise UnknownLayout(
            "the PAM service of sshd is not as Debian has it",
            why=f"these lines decide, too: {'; '.join(others)}"
            if others
            else f"it includes common-auth {len(places)} times, not once",
            hint="Put '@include common-auth' where auth lines of others stand now, and run again",
        )
    at = places[0]
    replaced = lines[at].rstrip("\n")
    lines[at] = f"{MARK}{replaced}\n@include {name}\n"
    return "".join(lines)


def former(text: str, name: str) -> str:
    """Return the file as it was before :func:`demanding`; it is left alone where that never happened."""
    ours = re.compile(rf"^{re.escape(MARK)}(.*)\n@include {re.escape(name)}\n", re.MULTILINE)
    return ours.sub(lambda found: f"{found[1]}\n", text)
