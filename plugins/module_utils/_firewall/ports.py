# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several operations need of the packet filter and of the network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol


class Nft(Protocol):
    """The packet filter of the machine."""

    def table(
        self, family: str, name: str, *, elements: bool = False
    ) -> list[dict[str, Any]] | None: ...

    def listing(self, family: str, name: str) -> str | None: ...

    def load(self, script: Iterable[str]) -> None: ...

    def rehearsed(self, script: Iterable[str], family: str, name: str) -> str: ...


class Probe(Protocol):
    """Opens TCP connections, to see who answers."""

    def answering(self, addresses: Collection[str], port: int) -> frozenset[str]: ...

    def answers(
        self, addresses: Collection[str], port: int, timeout: float
    ) -> Mapping[str, str]: ...
