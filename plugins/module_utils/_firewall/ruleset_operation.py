# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``nft_ruleset``: the baseline's table in the kernel, and the file that brings it back at boot.

What is wanted is rendered, loaded into a network namespace of its own, and listed there. The kernel's table is compared
with that listing, so that a rule which somebody changed by hand is seen; and rules that the kernel refuses do no harm.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from .._core.checks import refuse_any
from .._core.confirmation import OPTIONS, check_limit
from .._core.errors import DebvisorError, Problem, Refused, VerificationFailed
from .._core.plan import Action, Difference, Operation, Plan, Receipt
from .._core.ports import Files
from .._core.spec import Spec
from . import ruleset
from .ports import Nft
from .ruleset import FAMILY, TABLE, Opening

NAME = f"{FAMILY} {TABLE}"
BOOT_FILE = "baseline.nft"
MOST_SHOWN = 10
HEADER = "# Written by debvisor.hci.nft_ruleset."
_SEVERAL = {"type": "list", "elements": "str", "default": []}
_ANY = {"type": "list", "elements": "str", "default": ["any"]}
_ENTRIES = {"type": "list", "elements": "dict", "default": []}
_NAME = {"type": "str", "required": True}
SPEC = Spec(
    {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "services": {
            **_ENTRIES,
            "options": {"name": _NAME, "ports": _SEVERAL, "protocols": _SEVERAL},
        },
        "openings": {
            **_ENTRIES,
            "options": {
                "service": _NAME,
                "sources": _ANY,
                "destinations": _ANY,
                "interfaces": _ANY,
            },
        },
        "allow_lockout": {"type": "bool", "default": False},
        **OPTIONS,
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked. No script means no table."""

    openings: tuple[Opening, ...]
    script: tuple[str, ...] | None
    confirm_within: float
    allow_lockout: bool


@dataclass(frozen=True, slots=True)
class Observed:
    """The table as the kernel has it and as it would have it, and what the boot file holds; None is absence."""

    table: str | None
    rehearsed: str | None
    boot: str | None
    client: tuple[str, int] | None
    incoming: frozenset[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class SetBootFile:
    """Say what the next boot loads; None for nothing."""

    content: str | None


@dataclass(frozen=True, slots=True)
class LoadTable:
    """Load a script. ``before`` is the table that it replaces, None where there is none."""

    script: tuple[str, ...]
    before: str | None


class NftRuleset(Operation[Wanted, Observed]):
    """Load the baseline, or take it away."""

    name = "nft_ruleset"

    def __init__(
        self,
        nft: Nft,
        files: Files,
        client: Callable[[], tuple[str, int] | None],
        incoming: Callable[[], frozenset[tuple[str, int]]],
        folder: str,
    ) -> None:
        """``client`` tells where the present SSH session comes from, and the port of ours that it came to.

        ``incoming`` tells that of every TCP connection that others opened.
        """
        self._nft = nft
        self._files = files
        self._client = client
        self._incoming = incoming
        self._path = posixpath.join(folder, BOOT_FILE)

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        present = params["state"] == "present"
        openings = ruleset.parse(params, problems) if present else ()
        check_limit(params, problems)
        refuse_any(problems)
        return Wanted(
            openings,
            ruleset.script(openings) if present else None,
            params["confirm_within"],
            params["allow_lockout"],
        )

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{NAME}"

    def observe(self, wanted: Wanted) -> Observed:
        rehearsed = None
        if wanted.script is not None:
            rehearsed = self._nft.rehearsed(_lines(wanted.script), FAMILY, TABLE)
        return Observed(
            self._nft.listing(FAMILY, TABLE),
            rehearsed,
            self._boot_file(),
            self._client(),
            self._incoming(),
        )

    def _boot_file(self) -> str | None:
        if self._files.facts(self._path) is None:
            return None
        return self._files.read(self._path).decode(errors="replace")

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        if observed.table is not None and not ruleset.is_ours(observed.table):
            raise Refused(
                f"the table {NAME} belongs to another program",
                why=f"it has no comment that begins with {ruleset.MARK}",
                hint=f"Find out which program made it (nft list table {NAME}), and rename or delete it",
            )
        actions, differences = [], []
        warnings: tuple[str, ...] = ()
        content = _boot_content(wanted)
        if observed.boot != content:
            verb, effect = "write" if content else "remove", "hold from the next boot on"
            actions.append(Action(verb, self._path, effect, payload=SetBootFile(content)))
        if observed.table != observed.rehearsed:
            _refuse_lockout(observed, wanted)
            warnings = tuple(_cut_off_later(observed, wanted))
            verb = "load" if wanted.script else "remove"
            load = LoadTable(wanted.script or ruleset.remove(), observed.table)
            actions.append(Action(verb, NAME, payload=load))
            differences.append(
                Difference(f"table {NAME}", observed.table or "", observed.rehearsed or "")
            )
        return Plan(
            before={"table": observed.table, "boot_file": observed.boot is not None},
            after={"table": observed.rehearsed, "boot_file": wanted.script is not None},
            actions=tuple(actions),
            differences=differences,
            warnings=warnings,
            confirm_within=wanted.confirm_within if differences else 0,
        )

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        match action.payload:
            case LoadTable(before=before):
                if before is not None:
                    self._check_restorable(before)
                return {"table": before}
        return {"file": self._path, "keep": wanted.script is not None}

    def _check_restorable(self, before: str) -> None:
        """Refuse to replace a table that could not be brought back; what cannot be undone is not begun."""
        try:
            self._nft.rehearsed(_lines(ruleset.restore(before)), FAMILY, TABLE)
        except DebvisorError as cause:
            raise Refused(
                f"the table {NAME} that is in force now could not be brought back, so it is not replaced",
                why=cause.why or cause.what,
                hint="Most likely a rule added by hand names what only this machine has (iif instead of iifname)."
                f" Delete that rule, or the table: nft delete table {NAME} lets in everything until you run again",
            ) from cause

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        match action.payload:
            case LoadTable(script):
                self._nft.load(_lines(script))
            case SetBootFile(content) if content is not None:
                self._files.make_folder(posixpath.dirname(self._path))
                staged = _staged(self._path)
                self._files.write(staged, content.encode(), mode=0o600, uid=-1, gid=-1)

    def undo(self, receipt: Receipt) -> str | None:
        if "table" in receipt:
            self._nft.load(_lines(ruleset.restore(receipt["table"])))
        else:
            self._files.remove(_staged(receipt["file"]))
        return None

    def commit(self, receipt: Receipt) -> None:
        """Let the next boot bring the new rules, and no boot before: one would else make them final by itself."""
        if "table" in receipt:
            return
        path = receipt["file"]
        if receipt["keep"]:
            self._files.bring_back(_staged(path), path, mode=0o600, uid=-1, gid=-1)
        else:
            self._files.remove(path)

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if self._nft.listing(FAMILY, TABLE) != plan.after["table"]:
            raise VerificationFailed(
                f"the table {NAME} is not what was loaded",
                hint="Another program changes it; find and stop it, then run again",
            )
        return {}


def _lines(script: Iterable[str]) -> Iterable[str]:
    return (f"{line}\n" for line in script)


def _boot_content(wanted: Wanted) -> str | None:
    if wanted.script is None:
        return None
    return "".join(_lines((HEADER, *wanted.script)))


def _staged(path: str) -> str:
    """Where the file lies until the change is final."""
    return f"{path}.unconfirmed"


def _refuse_lockout(observed: Observed, wanted: Wanted) -> None:
    """Refuse rules that would not let in whoever loads them. Outside of an SSH session there is nobody to judge by."""
    if wanted.script is None or wanted.allow_lockout or observed.client is None:
        return
    client, port = observed.client
    if not _is_address(client) or any(each.admits(client, port) for each in wanted.openings):
        return
    raise Refused(
        "the rules would lock Ansible out",
        why=f"no opening lets {client} come to TCP port {port}, as this session does",
        hint="Open the port to it. With allow_lockout the rules are tried all the same,"
        " and rolled back unless a new connection can be opened",
    )


def _cut_off_later(observed: Observed, wanted: Wanted) -> Iterator[str]:
    """Tell of connections that go on, and could not be opened again: of a network that nobody thought of, perhaps."""
    if wanted.script is None:
        return
    lost = sorted(
        (ip_address(client).packed, port, client)
        for client, port in observed.incoming
        if not any(each.admits(client, port) for each in wanted.openings)
    )
    if lost:
        shown = ", ".join(f"{client} to port {port}" for _packed, port, client in lost[:MOST_SHOWN])
        more = f", and {len(lost) - MOST_SHOWN} more" if len(lost) > MOST_SHOWN else ""
        yield (
            f"TCP connections that are open now will not be let in again once they end: {shown}{more}."
            " Open their ports to them where they are meant to come"
        )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
