# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's fence before the VIP: updates and TCP pass only while an element of an nft set lives (dns-gate.nft).

The element has a timeout, so that a program that hangs or dies, and a machine that stalls, take no update after their
lease. Through libnftables(3), which needs a millisecond where a process of nft(8) needs ten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..._core.errors import DebvisorError

TABLE = "inet debvisor_dns"
OWN, CLIENTS = "lease", "writer"
"""The sets, each for one family: who of this machine may send updates to the VIP, and who of the others."""


class FenceFailed(DebvisorError):
    """The kernel did not take a change of the fence."""


class UpdateFence:
    """Opens and closes the way of updates to the VIP: for this server itself, and for clients."""

    def __init__(self, vips: Iterable[str]) -> None:
        try:
            import nftables  # only DNS servers have it
        except ImportError as cause:
            raise FenceFailed(
                "python3-nftables is not installed",
                hint="The role dns_server installs it: run it again",
            ) from cause
        self._vips = [("6" if ":" in vip else "4", vip) for vip in vips]
        self._nft: Any = nftables.Nftables()

    def open(self, seconds: float, *, clients: bool) -> None:
        """Let updates pass for so long from now, whatever was before.

        :raises FenceFailed: where the kernel says no; then it is as it was, and closes by itself.
        """
        self._run(self._commands(seconds, clients, renew=False))

    def renew(self, seconds: float, *, clients: bool) -> bool:
        """Let updates go on passing; False, and nothing is changed, where it closed in the meantime."""
        try:
            self._run(self._commands(seconds, clients, renew=True))
        except FenceFailed:
            return False
        return True

    def close(self) -> None:
        """Let no update pass from now on.

        :raises FenceFailed: where the kernel says no.
        """
        self._run(
            f"add element {TABLE} {kind}{family} {{ {vip} }}\n"
            f"delete element {TABLE} {kind}{family} {{ {vip} }}\n"
            for kind in (OWN, CLIENTS)
            for family, vip in self._vips
        )

    def _commands(self, seconds: float, clients: bool, *, renew: bool) -> Iterator[str]:
        lasting = f"timeout {max(1, int(seconds * 1000))}ms"
        for family, vip in self._vips:
            for kind in (OWN, CLIENTS):
                element = f"element {TABLE} {kind}{family} {{ {vip}"
                if not (renew and kind == OWN):
                    yield f"add {element} }}\n"
                yield f"delete {element} }}\n"
                if kind == OWN or clients:
                    yield f"add {element} {lasting} }}\n"

    def _run(self, commands: Iterable[str]) -> None:
        status, _output, error = self._nft.cmd("".join(commands))
        if status != 0:
            first = error.strip().partition("\n")[0]
            raise FenceFailed("the packet filter did not take the writer's lease", why=first)
