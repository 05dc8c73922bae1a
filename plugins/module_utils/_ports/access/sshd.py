# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSH server of this machine: what it would do, what it does, and a reload that ends no session."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ..host.command import ProgramFailed, run

SSHD = "/usr/sbin/sshd"
SERVICE = "ssh.service"
CONFIGURATION = Path("/etc/ssh/sshd_config")
INCLUDE = re.compile(r"^[ \t]*include[ \t=]+(.+?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
SESSION = re.compile(rb"sshd(?:-session)?: (?P<user>[^ @\[]+)@(?P<terminal>[^ ]+)\s*")
LISTENER = re.compile(rb"sshd: [^ ]*sshd(?P<options>.*) \[listener\]")
OWN_OPTION = re.compile(r" -[A-Za-z46]*[fo]")
IN_PLACE = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
"""For a shell in a mount namespace of its own: put a folder in the place of another, then run the rest."""


class Sshd:
    """sshd(8) with the configuration of this machine, and the drop-in that is ours."""

    def __init__(self, drop_in: Path) -> None:
        self._drop_in = drop_in

    def check(self) -> None:
        """Let sshd judge its configuration.

        :raises ProgramFailed: with what it says.
        """
        run([SSHD, "-t"])

    def effective(self, callers: Iterable[tuple[str, str]]) -> list[Mapping[str, str]]:
        """Return for each (user, address) what holds for them, by sshd's own word.

        :raises ProgramFailed: where the configuration is wrong.
        """
        return [_settings(run(_question(*caller)).stdout) for caller in callers]

    def rehearsed(
        self, content: str, callers: Iterable[tuple[str, str]]
    ) -> list[Mapping[str, str]]:
        """Do as :meth:`effective`, as if the drop-in held that. Nobody else sees it.

        :raises ProgramFailed: where the configuration would be wrong.
        """
        with tempfile.TemporaryDirectory(prefix="debvisor-sshd-") as folder:
            place = self._drop_in.parent
            for path in place.glob("*.conf"):
                shutil.copy(path, folder)
            Path(folder, self._drop_in.name).write_text(content, encoding="utf-8")
            aside = ["unshare", "--mount", "sh", "-c", IN_PLACE, "sh", folder, str(place)]
            return [_settings(run([*aside, *_question(*caller)]).stdout) for caller in callers]

    def others(self) -> Mapping[str, str]:
        """Return the files of sshd's configuration but ours, by path, with all that they include."""
        found: dict[str, str] = {}
        waiting = [CONFIGURATION]
        while waiting:
            path = waiting.pop()
            if str(path) in found or path == self._drop_in or not path.is_file():
                continue
            found[str(path)] = text = path.read_text(encoding="utf-8", errors="replace")
            for patterns in INCLUDE.findall(text):
                for pattern in shlex.split(patterns):
                    waiting += map(Path, glob.glob(str(CONFIGURATION.parent / pattern)))
        return found

    def own_options(self) -> list[str]:
        """Return the options of servers that were started with a configuration or settings of their own (-f, -o).

        ``sshd -T`` knows nothing of those, and their logins are asked for what PAM asks all of sshd's. Servers of
        containers are theirs.
        """
        ours = os.readlink("/proc/self/ns/pid")
        found = []
        for process, title in _titles():
            if listener := LISTENER.match(title):
                with suppress(OSError):
                    if os.readlink(process / "ns/pid") == ours:
                        found.append(listener["options"].decode(errors="replace").strip())
        return [options for options in found if OWN_OPTION.search(f" {options}")]

    def reload(self) -> None:
        """Have the server read its configuration. Sessions live on; a server that does not run reads it at its start.

        :raises ProgramFailed: where systemd does not do it.
        """
        try:
            run(["systemctl", "is-active", "--quiet", SERVICE])
        except ProgramFailed:
            return
        run(["systemctl", "reload", SERVICE])

    def sessions(self) -> list[dict[str, str]]:
        """Return who is logged in now, by the names that sshd gives its processes."""
        found = [
            {key: value.decode() for key, value in session.groupdict().items()}
            for _process, title in _titles()
            if (session := SESSION.fullmatch(title))
        ]
        return sorted(found, key=lambda each: (each["user"], each["terminal"]))


def _titles() -> Iterator[tuple[Path, bytes]]:
    """Yield each process (its folder in proc(5)) with its title, by which sshd's tell what they do."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.parent, path.read_bytes().rstrip(b"\0 ")


def _question(user: str, address: str) -> list[str]:
    here = "laddr=127.0.0.1,lport=22"  # without them, sshd has no answer where a Match block asks for them
    return [SSHD, "-T", "-C", f"user={user},host={address},addr={address},{here}"]


def _settings(printed: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in printed.splitlines():
        keyword, value = line.partition(" ")[::2]
        found[keyword] = f"{found[keyword]} {value}" if keyword in found else value
    return found
