# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of one zone as one action: packed into messages, with what can be read back afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..._core.errors import Problem
from ..._core.plan import Action, Undo
from ..protocol import names
from ..protocol.rrset import Change, Key, RRset
from ..protocol.signing import LONGEST_SIGNATURE
from . import packing
from .change_summary import ChangeSummary
from .record_sets import WantedSet
from .zone_plan import ZoneState


@dataclass(frozen=True, slots=True)
class ZoneUpdate:
    """What one action sends.

    ``askable``: an absent record set can be seen by asking, as no wildcard answers. ``summary`` is written while the
    server works: the result and the audit line need it, and so it costs no time.
    """

    zone: bytes
    batches: Sequence[packing.Batch]
    askable: bool
    summary: ChangeSummary

    @property
    def changes(self) -> list[Change]:
        """The changes of all batches, in their order."""
        return [change for batch in self.batches for change in batch.changes]

    @property
    def sample(self) -> dict[Key, RRset | None]:
        """What shall be there afterwards, as far as it can be asked for."""
        return {
            (change.name, change.rdtype): change.after
            for change in self.changes
            if self.askable or change.after is not None
        }


def update_of(
    state: ZoneState,
    changes: Sequence[Change],
    wanted: Sequence[WantedSet],
    summary: ChangeSummary,
    problems: list[Problem],
) -> ZoneUpdate:
    """Pack the changes of one zone; what does not fit goes into ``problems``."""
    batches: list[packing.Batch] = []
    try:
        batches = packing.pack(state.name, changes, LONGEST_SIGNATURE)
    except packing.TooLarge as cause:
        positions = [item.position for item in wanted if item.name == cause.change.name]
        where = f"records[{positions[0]}]" if positions else names.render(cause.change.name)
        problems.append(Problem(where, str(cause)))
    wildcards = any(name.startswith(b"\x01*") for name, _rdtype in state.sets) or any(
        change.name.startswith(b"\x01*") for change in changes
    )
    return ZoneUpdate(state.name, batches, askable=not wildcards, summary=summary)


def action_of(update: ZoneUpdate) -> Action:
    """Return the action that sends it."""
    count = len(update.batches)
    return Action(
        "update",
        names.render(update.zone),
        f"{len(update.changes)} record sets in {count} message{'' if count == 1 else 's'}",
        Undo.COMPENSABLE,
        update,
    )
