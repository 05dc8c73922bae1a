# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BIND on this machine: which configuration is in force, and its tools. Every call is bounded."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..._core.durable import link_whole
from ..._core.errors import DebvisorError, TimedOut
from ..host import command

RNDC = "/usr/sbin/rndc"
CHECKCONF = "/usr/bin/named-checkconf"
JOURNALPRINT = "/usr/bin/named-journalprint"
COMPILEZONE = "/usr/bin/named-compilezone"


class BindFailed(DebvisorError):
    """One of BIND's tools said no."""


def _run(words: list[str], timeout: float, given: bytes = b"") -> bytes:
    what = f"{Path(words[0]).name} {words[1] if len(words) > 1 else ''}".strip()
    try:
        ended = command.attempt(words, input=given, timeout=timeout)
    except TimedOut as late:
        raise TimedOut(f"{what} did not end", why=late.why) from late
    except command.ProgramFailed as cause:
        raise BindFailed(f"{what} cannot be run", why=cause.why) from cause
    if ended.status != 0:
        said = (ended.complained or ended.printed).decode(errors="replace").strip().splitlines()
        raise BindFailed(f"{what} failed", why=said[-1] if said else f"exit code {ended.status}")
    return ended.printed


@dataclass(frozen=True, slots=True)
class Bind:
    """The local server. ``link`` is /etc/bind/named.conf; its targets are ``named-<role>.conf`` beside it."""

    link: Path
    zones: Path
    view: str = "vip"

    def in_force(self) -> str:
        """Return the name of the configuration that the link points to, such as ``follower`` or ``pull-node3``."""
        try:
            target = Path(os.readlink(self.link)).name
        except OSError:
            return ""
        return target.removeprefix("named-").removesuffix(".conf")

    def is_ours(self) -> bool:
        """Tell whether one of our configurations is in force; a fresh installation of BIND has a file of its own."""
        return self.link.is_symlink()

    def check_text(self, text: str, timeout: float = 10.0) -> None:
        """Let named-checkconf(1) judge a whole configuration that is not in its place yet.

        :raises BindFailed: with what it says.
        """
        _run([CHECKCONF, "/dev/stdin"], timeout, text.encode())

    def point_to(self, name: str, *, durable: bool = False) -> None:
        """Put another configuration in force for the next reconfiguration or start. Atomic: rename(2).

        :param durable: be sure that it outlives a loss of power.
        :raises BindFailed: where that cannot be done; what was in force stays.
        """
        target = f"named-{name}.conf"
        if not (self.link.parent / target).is_file():
            raise BindFailed(
                f"there is no configuration {target}",
                hint="Run the dns_ha role again: it renders one for each server",
            )
        try:
            link_whole(self.link, target, durable=durable)
        except OSError as cause:
            raise BindFailed(
                f"{self.link} cannot be made to lead to {target}",
                why=cause.strerror or str(cause),
                hint="Look for a full disk, or a file system that was mounted again for reading alone",
            ) from cause

    def reconfigure(self, timeout: float = 3.0) -> None:
        """Make the server read the configuration in force."""
        _run([RNDC, "reconfig"], timeout)

    def start_afresh(self, timeout: float = 5.0) -> None:
        """End the server and start it again, without waiting for either."""
        _run(["/usr/bin/systemctl", "restart", "--no-block", "named.service"], timeout)

    def refresh(self, zone: str, timeout: float = 2.0) -> None:
        """Make a follower ask for news now."""
        _run([RNDC, "refresh", zone, "IN", self.view], timeout)

    def notify(self, zone: str, timeout: float = 2.0) -> None:
        """Tell the followers again that there is news."""
        _run([RNDC, "notify", zone, "IN", self.view], timeout)

    def retransfer(self, zone: str, timeout: float = 2.0) -> None:
        """Make a follower fetch the whole zone, whatever its serial. BIND drops the zone's journal with it."""
        _run([RNDC, "retransfer", zone, "IN", self.view], timeout)

    def sync(self, zone: str, timeout: float = 3.0) -> None:
        """Write the journal's content to the zone file."""
        _run([RNDC, "sync", zone, "IN", self.view], timeout)

    def forget_journal(self, zone: str, timeout: float = 10.0) -> None:
        """Write the journal's content to the zone file and drop the journal: nobody gets a delta from before."""
        _run([RNDC, "sync", "-clean", zone, "IN", self.view], timeout)

    def tcp_clients(self, timeout: float = 3.0) -> tuple[int, int]:
        """Return how many TCP clients there were at once since the server started, and how many it serves at most."""
        status = _run([RNDC, "status"], timeout).decode("ascii", "replace")
        limit = re.search(r"^tcp clients: \d+/(\d+)$", status, re.MULTILINE)
        high = re.search(r"^TCP high-water: (\d+)$", status, re.MULTILINE)
        if not limit or not high:
            raise BindFailed("rndc status does not name the TCP clients")
        return int(high.group(1)), int(limit.group(1))

    def zone_file(self, zone: str) -> Path:
        return self.zones / f"{zone}.zone"

    def keep_copy(self, zone: str, folder: Path) -> bool:
        """Copy zone file and journal to ``folder``; tell whether there was a journal to copy."""
        source = self.zone_file(zone)
        journal = source.with_name(source.name + ".jnl")
        if not journal.exists():
            return False
        # The journal first: BIND appends to it before it ever rewrites the zone file from it.
        shutil.copyfile(journal, folder / f"{zone}.zone.jnl")
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(source, folder / f"{zone}.zone")
        return True

    def journal_marks(self, zones: Sequence[str]) -> tuple[tuple[int, int], ...]:
        """Return what changes whenever one of the zones' journals does."""
        marks = []
        for zone in zones:
            try:
                found = self.zone_file(zone).with_name(f"{zone}.zone.jnl").stat()
                marks.append((found.st_size, found.st_mtime_ns))
            except OSError:
                marks.append((0, 0))
        return tuple(marks)


def local_bind() -> Bind:
    """Return the server of this machine where Debian's package puts it."""
    return Bind(Path("/etc/bind/named.conf"), Path("/var/lib/bind"))


def journal_text(journal: Path, timeout: float = 30.0) -> str:
    """Return what named-journalprint(1) says of a journal."""
    return _run([JOURNALPRINT, str(journal)], timeout).decode("ascii")


_AS_IT_IS = [COMPILEZONE, "-q", "-i", "none", "-k", "ignore", "-n", "ignore", "-o", "-"]
_RAW = ["-F", "raw=0"]
_FULL = ["-s", "full"]


def raw_zone(zone: str, file: Path, timeout: float = 60.0) -> bytes:
    """Return the zone with its journal applied, in BIND's raw format (named-compilezone(8))."""
    return _run([*_AS_IT_IS, *_RAW, "-j", zone, str(file)], timeout)


def to_raw(text: str, timeout: float = 60.0) -> bytes:
    """Return the text of the zone ``x.`` in BIND's raw format."""
    return _run([*_AS_IT_IS, *_RAW, "x.", "-"], timeout, text.encode("ascii"))


def to_full(text: str, timeout: float = 60.0) -> bytes:
    """Return the text of the zone ``x.`` with one whole record a line, each as BIND writes it."""
    return _run([*_AS_IT_IS, *_FULL, "x.", "-"], timeout, text.encode("ascii"))
