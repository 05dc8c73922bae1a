# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backends by name. One is only loaded where it is asked for, as each needs programs or bindings of its own."""

from __future__ import annotations

from ..._storage.volumes.volumes import Backend


def open_backend(kind: str, pool: str) -> Backend:
    """Return the backend of this kind for a pool, as ``volume_image`` names both. It does not look at the pool yet.

    :raises ValueError: where there is no such kind.
    """
    match kind:
        case "directory":
            from .directory_pool import DirectoryPool

            return DirectoryPool(pool)
        case "lvm":
            from .lvm import ThickVolumes

            return ThickVolumes(pool)
        case "lvm_thin":
            from .lvm import ThinVolumes

            return ThinVolumes(pool)
        case "zfs":
            from .zfs import ZfsVolumes

            return ZfsVolumes(pool)
        case "rbd":
            from .rbd_pool import RbdPool

            return RbdPool(pool)
    raise ValueError(f"there is no backend called {kind}")
