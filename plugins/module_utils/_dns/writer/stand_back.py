# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a primary gives up the VIP because another one has the lease: it would draw clients that it cannot serve.

That happens where the primaries do not hear each other's VRRP, and both hold the VIP.
"""

from __future__ import annotations

FIRST, LONGEST = 2.0, 60.0
"""Seconds for which the other one must answer before the VIP is tried again; twice as long each time in vain."""


class StandBack:
    """Decides whether to stand back; :meth:`look` is to be called some times a second.

    :param patience: seconds with the VIP and without the lease, while another server has it.
    """

    def __init__(self, patience: float) -> None:
        self.active = False
        self._patience = patience
        self._needed = FIRST
        self._in_vain_since: float | None = None
        self._near_since: float | None = None

    def look(self, at: float, *, vip: bool, holds: bool, rival: str, near: bool) -> bool:
        """Return whether this server is to be without the VIP now.

        :param rival: who has votes where this server asks in vain.
        :param near: whether that server answers us directly, so that VRRP may work again.
        """
        if holds or not rival:
            self.active, self._in_vain_since, self._needed = False, None, FIRST
        elif self.active:
            self._near_since = (self._near_since or at) if near else None
            if self._near_since is not None and at - self._near_since >= self._needed:
                self.active, self._needed = False, min(2 * self._needed, LONGEST)
        elif vip:
            self._in_vain_since = self._in_vain_since or at
            if at - self._in_vain_since > self._patience:
                self.active, self._in_vain_since, self._near_since = True, None, None
        else:
            self._in_vain_since = None
        return self.active
