# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What undo needs of a file that is about to change: a copy beside it, for its owner alone, and who could read it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from .ports import Files


def keep(files: Files, path: str) -> dict[str, Any]:
    """Copy the file, where there is one, and return what :func:`restore` needs, as JSON. A failure leaves no copy."""
    facts = files.facts(path)
    if facts is None:
        return {"path": path, "aside": None, "access": None}
    folder, name = posixpath.split(path)
    aside = posixpath.join(folder, f".{name}.before")
    try:
        files.copy_aside(path, aside)
    except BaseException:
        files.remove(aside)
        raise
    return {"path": path, "aside": aside, "access": [facts.mode, facts.uid, facts.gid]}


def restore(files: Files, kept: Mapping[str, Any]) -> None:
    """Bring the file back as it was, or remove it where there was none. Twice is as good as once."""
    if kept["aside"] is None:
        files.remove(kept["path"])
    else:
        mode, uid, gid = kept["access"]
        files.bring_back(kept["aside"], kept["path"], mode=mode, uid=uid, gid=gid)


def forget(files: Files, kept: Mapping[str, Any]) -> None:
    """Remove the copy."""
    if kept["aside"] is not None:
        files.remove(kept["aside"])
