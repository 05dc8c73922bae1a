# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool as libvirt tells of it, with a stand-in for its module; real pools are on the lab's nodes."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import (
    Refused,
    TimedOut,
    Unreachable,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.virt import (
    libvirt_host,
    libvirt_pool,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.virt.libvirt_pool import (
    LibvirtPool,
)
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.libvirt_pool import (
    PoolFacts,
)

XML = "<pool type='{kind}'><name>images</name><source/><target><path>{path}</path></target></pool>"


class LibvirtError(Exception):
    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code

    def get_error_code(self) -> int:
        return self.code


class Pool:
    def __init__(self, xml: str, active: bool = True) -> None:
        self.xml = xml
        self.active = active
        self.boots = 0
        self.done: list[str] = []

    def XMLDesc(self, flags: int) -> str:
        return self.xml

    def isActive(self) -> int:
        return int(self.active)

    def autostart(self) -> int:
        return self.boots

    def setAutostart(self, value: int) -> None:
        self.boots = value

    def create(self, flags: int) -> None:
        if self.active:
            raise LibvirtError("pool is active already")
        self.active = True

    def destroy(self) -> None:
        self.active = False

    def undefine(self) -> None:
        self.done.append("undefine")

    def refresh(self, flags: int) -> None:
        self.done.append("refresh")


class Connection:
    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}
        self.closed = False
        self.has_storage = True

    def numOfStoragePools(self) -> int:
        if not self.has_storage:
            raise LibvirtError("not supported by the connection driver", 3)
        return len(self.pools)

    def storagePoolLookupByName(self, name: str) -> Pool:
        if not self.has_storage:
            raise LibvirtError("not supported by the connection driver", 3)
        if name not in self.pools:
            raise LibvirtError("no storage pool", 49)
        return self.pools[name]

    def storagePoolDefineXML(self, xml: str, flags: int) -> Pool:
        if "refused" in xml:
            raise LibvirtError("operation forbidden")
        return self.pools.setdefault("images", Pool(xml, active=False))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Connection:
    """A machine with libvirt, and its Python module."""
    made = Connection()
    module = SimpleNamespace(
        VIR_ERR_NO_STORAGE_POOL=49,
        VIR_ERR_NO_SUPPORT=3,
        libvirtError=LibvirtError,
        registerErrorHandler=lambda handler, context: None,
        open=lambda uri: made,
    )
    for port in (libvirt_host, libvirt_pool):
        monkeypatch.setattr(port, "libvirt", module)
    monkeypatch.setattr(libvirt_host, "DAEMONS", ("/",))
    return made


def test_a_pool_is_told(connection: Connection) -> None:
    pool = LibvirtPool("images")
    assert pool.possible()
    assert pool.facts() is None
    connection.pools["images"] = Pool(XML.format(kind="dir", path="/srv/images"))
    assert pool.facts() == PoolFacts("dir", "/srv/images", active=True, autostart=False)
    connection.pools["images"] = Pool("<pool type='rbd'/>", active=False)
    assert pool.facts() == PoolFacts("rbd", "", active=False, autostart=False)
    pool.close()
    assert connection.closed


def test_a_libvirt_without_its_storage_driver_has_no_pools(connection: Connection) -> None:
    connection.has_storage = False
    pool = LibvirtPool("images")
    assert (pool.possible(), pool.facts()) == (False, None)
    pool.refresh()


def test_a_pool_is_made_and_unmade(connection: Connection) -> None:
    pool = LibvirtPool("images")
    pool.refresh()
    pool.undefine()
    pool.define("/srv/a <b> & c")
    pool.refresh()
    pool.start()
    pool.set_autostart(True)
    assert pool.facts() == PoolFacts("dir", "/srv/a <b> & c", active=True, autostart=True)
    assert connection.pools["images"].done == [], "what is not active cannot be refreshed"
    pool.refresh()
    pool.set_autostart(False)
    pool.stop()
    pool.stop()
    pool.undefine()
    assert connection.pools["images"].done == ["refresh", "undefine"]
    assert pool.facts() == PoolFacts("dir", "/srv/a <b> & c", active=False, autostart=False)


def test_a_refusal_is_told_as_one(connection: Connection) -> None:
    pool = LibvirtPool("images")
    with pytest.raises(Refused, match="operation forbidden"):
        pool.define("/refused")
    connection.pools["images"] = Pool(XML)
    with pytest.raises(Refused, match="active already"):
        pool.start()


def test_a_machine_without_libvirt_has_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_host, "DAEMONS", ("/nowhere/libvirtd",))
    pool = LibvirtPool("images")
    assert (pool.possible(), pool.facts()) == (False, None)
    pool.refresh()
    pool.close()


def test_a_libvirt_that_does_not_tell_is_unknown(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> Any:
        raise LibvirtError("Connection reset")

    connection.storagePoolLookupByName = refuse  # type: ignore[method-assign]
    with pytest.raises(Unreachable, match="Connection reset"):
        LibvirtPool("images").facts()
    for port in (libvirt_host, libvirt_pool):
        monkeypatch.setattr(port, "libvirt", None)
    with pytest.raises(Unreachable, match="python3-libvirt"):
        LibvirtPool("images").facts()


def test_a_call_that_hangs_is_left_behind(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()
    monkeypatch.setattr(libvirt_host, "CALL_TIMEOUT", 0.1)
    pool = Pool(XML.format(kind="dir", path="/srv/images"))
    pool.refresh = lambda flags: released.wait(30)  # type: ignore[method-assign,assignment]
    connection.pools["images"] = pool
    try:
        with pytest.raises(TimedOut, match="did not answer"):
            LibvirtPool("images").refresh()
    finally:
        released.set()
