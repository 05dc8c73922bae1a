# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``nft_blocklist``: what is listed, less what is allowed and protected, is dropped."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .._core import file_backup
from .._core.errors import VerificationFailed
from .._core.plan import Action, Operation, Plan, Receipt
from .._core.ports import Clock, Files
from . import blocklist, blocklist_options, protection
from .blocklist import FAMILY, TABLE, Listed
from .blocklist_options import Wanted
from .blocklist_plan import ForgetStore, KeepStore, LoadTable, Observed, RemoveTable, planned
from .list_sources import ListReader
from .ports import Nft
from .protection import NetworkIdentity
from .store import Store, StoreTorn, decode, encode


class NftBlocklist(Operation[Wanted, Observed]):
    """Bring the table ``inet debvisor_blocklist`` to what the lists say."""

    name = "nft_blocklist"

    def __init__(
        self, nft: Nft, files: Files, around: NetworkIdentity, clock: Clock, store: str
    ) -> None:
        self._nft = nft
        self._files = files
        self._around = around
        self._clock = clock
        self._store = store

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        return blocklist_options.parse(params)

    def scope(self, wanted: Wanted) -> str:
        return f"nft:{FAMILY} {TABLE}"

    def observe(self, wanted: Wanted) -> Observed:
        items = self._nft.table(FAMILY, TABLE)
        table = None if items is None else blocklist.listed(items)
        if table is not None:
            blocklist.refuse_foreign(table.ours, FAMILY, TABLE, blocklist.OWNER)
        store = self._kept(torn_is_empty=wanted.rebuild or not wanted.present)
        client = self._around.client() or (store.client if store else None)
        if not wanted.present:
            return Observed(table, store, {}, (), client, 0, ())
        secured = protection.protected(wanted.protected, self._around, client)
        return Observed(
            table,
            store,
            ListReader(self._files).sources(wanted, store, secured),
            tuple(secured),
            client,
            int(self._clock.wall()),
            tuple(protection.beyond(self._around)),
        )

    def _kept(self, *, torn_is_empty: bool = False) -> Store | None:
        data = self._files.mapped(self._store)
        if data is None:
            return None
        try:
            return decode(data, self._store)
        except StoreTorn:
            if torn_is_empty:
                return Store()
            raise

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        return planned(observed, wanted, self._store)

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        match action.payload:
            case LoadTable() | RemoveTable():
                return {"load": self._nft.table(FAMILY, TABLE) is not None}
        return file_backup.keep(self._files, self._store)

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        match action.payload:
            case LoadTable(script):
                self._nft.load(script)
            case RemoveTable():
                self._nft.load([blocklist.removal()])
            case KeepStore(store):
                now = replace(store, rules=self._listed().rules)
                self._files.make_folder(posixpath.dirname(self._store))
                self._files.write(self._store, b"".join(encode(now)), mode=0o600, uid=-1, gid=-1)
            case ForgetStore():
                self._files.remove(self._store)

    def undo(self, receipt: Receipt) -> str | None:
        if "load" not in receipt:
            file_backup.restore(self._files, receipt)
            return None
        store = self._kept() if receipt["load"] else None
        if store is None:
            self._nft.load([blocklist.removal()])
            return (
                f"the table {FAMILY} {TABLE} had no store and is gone" if receipt["load"] else None
            )
        items = self._nft.table(FAMILY, TABLE)
        self._nft.load(blocklist.whole(store, blocklist.listed(items).counts if items else {}))
        return None

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        if not plan.actions:
            return {}
        items = self._nft.table(FAMILY, TABLE)
        if not wanted.present:
            if items is not None:
                raise VerificationFailed(f"the table {FAMILY} {TABLE} is still there")
            return {}
        store = self._kept()
        if (
            items is None
            or store is None
            or blocklist.listed(items).fingerprint != store.fingerprint
        ):
            raise VerificationFailed(
                "the kernel's table is not what was loaded", why="its mark is another one"
            )
        return {}

    def commit(self, receipt: Receipt) -> None:
        if "load" not in receipt:
            file_backup.forget(self._files, receipt)

    def _listed(self) -> Listed:
        items = self._nft.table(FAMILY, TABLE)
        if items is None:
            raise VerificationFailed(
                f"the table {FAMILY} {TABLE} is gone again", why="another program removed it"
            )
        return blocklist.listed(items)
