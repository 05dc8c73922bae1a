# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells when a follower does not fetch what the writer has, though both answer. Pure.

BIND waits two minutes for a connection that nobody accepts, minutes for one that went silent, and does not try a server
again for ten minutes to which it could not connect. It forgets all that when it starts afresh.
"""

from __future__ import annotations

from collections.abc import Mapping


class StuckFetch:
    """Keeps since when each zone stands still.

    :param patience: seconds for which a zone may stand still while the writer has more of it.
    :param pause: seconds that BIND gets after a fresh start: a large zone takes its time.
    """

    def __init__(self, patience: float, pause: float) -> None:
        self._patience, self._pause = patience, pause
        self._since: dict[str, tuple[int | None, float]] = {}
        self._again_at = float("-inf")

    def look(self, at: float, late: Mapping[str, int | None]) -> list[str]:
        """Return the zones for which BIND is to start afresh now; mostly none.

        :param late: the serials here of zones that the writer has more of; None where one is not loaded.
        """
        self._since = {
            zone: known if (known := self._since.get(zone)) and known[0] == serial else (serial, at)
            for zone, serial in late.items()
        }
        stuck = [
            zone for zone, (_serial, since) in self._since.items() if at - since > self._patience
        ]
        if not stuck or at < self._again_at:
            return []
        self._again_at = at + self._pause
        return sorted(stuck)
