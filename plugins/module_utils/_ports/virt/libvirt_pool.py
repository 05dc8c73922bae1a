# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage pool of libvirt, by name. Every call is bounded; where there is no libvirt, there is no pool."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from xml.etree import ElementTree

from ..._core.errors import Refused
from ..._storage.images.libvirt_pool import PoolFacts
from .libvirt_host import Hypervisor, bounded, has_libvirt

try:
    import libvirt
except ImportError:
    libvirt = None

Result = TypeVar("Result")


class LibvirtPool(Hypervisor):
    """Where there is no such pool, changes do nothing."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def possible(self) -> bool:
        """Return whether this machine has libvirt, and that its storage driver, which is a package of its own."""
        if not has_libvirt():
            return False

        def call() -> bool:
            hypervisor = self._hypervisor()
            try:
                hypervisor.numOfStoragePools()
            except libvirt.libvirtError as cause:
                if cause.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                    raise
                return False
            return True

        return bounded(call)

    def facts(self) -> PoolFacts | None:
        """Return what is known of the pool, or None where there is none.

        :raises Unreachable: where this machine has libvirt and it does not answer.
        """
        return self._with_pool(_told)

    def define(self, path: str) -> None:
        """Make a pool of the files in that folder; it is not started. Its folder must exist."""
        pool = ElementTree.Element("pool", type="dir")
        ElementTree.SubElement(pool, "name").text = self.name
        ElementTree.SubElement(ElementTree.SubElement(pool, "target"), "path").text = path
        text = ElementTree.tostring(pool, encoding="unicode")

        def call() -> None:
            hypervisor = self._hypervisor()
            with self._refusals():
                hypervisor.storagePoolDefineXML(text, 0)

        bounded(call)

    def undefine(self) -> None:
        """Forget the pool; its files stay. Does nothing where there is none."""
        self._change(lambda pool: pool.undefine())

    def start(self) -> None:
        """Start the pool."""
        self._change(lambda pool: pool.create(0))

    def stop(self) -> None:
        """Stop the pool; its files stay."""
        self._change(lambda pool: pool.isActive() and pool.destroy())

    def set_autostart(self, wanted: bool) -> None:
        """Say whether the pool starts with the machine."""
        self._change(lambda pool: pool.setAutostart(int(wanted)))

    def refresh(self) -> None:
        """Let the pool list the files that are there now. Does nothing where it is not active."""
        self._change(lambda pool: pool.isActive() and pool.refresh(0))

    def _change(self, act: Callable[[Any], object]) -> None:
        """Do it with the pool, where there is one.

        :raises Refused: where libvirt does not do it.
        """

        def acted(pool: Any) -> None:
            with self._refusals():
                act(pool)

        self._with_pool(acted)

    def _with_pool(self, act: Callable[[Any], Result]) -> Result | None:
        if not has_libvirt():
            return None

        def call() -> Result | None:
            hypervisor = self._hypervisor()
            try:
                pool = hypervisor.storagePoolLookupByName(self.name)
            except libvirt.libvirtError as cause:
                no_pool = (libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_NO_SUPPORT)
                if cause.get_error_code() not in no_pool:
                    raise
                return None
            return act(pool)

        return bounded(call)

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except libvirt.libvirtError as cause:
            raise Refused(
                f"libvirt refused to change the pool {self.name}", why=str(cause)
            ) from cause


def _told(pool: Any) -> PoolFacts:
    tree = ElementTree.fromstring(pool.XMLDesc(0))
    return PoolFacts(
        kind=tree.get("type", ""),
        path=tree.findtext("target/path", ""),
        active=bool(pool.isActive()),
        autostart=bool(pool.autostart()),
    )
