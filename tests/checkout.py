# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout as a collection, whatever its folder is called.

Python finds ``ansible_collections.debvisor.hci`` through a symbolic link below ``build/``. Programs that
insist on a physical folder (ansible-test, ansible-lint) get a copy from :mod:`tests.static.project` instead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = ("ansible_collections", "debvisor", "hci")


def import_root(root: Path = ROOT) -> Path:
    """Return the folder that holds ``ansible_collections``, after making it where it is missing."""
    if root.parts[-3:] == NAME:
        return root.parents[2]
    base = root / "build"
    link = base.joinpath(*NAME)
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.resolve() != root:
        spare = link.with_name(f".{link.name}.{os.getpid()}")
        spare.symlink_to(os.path.relpath(root, link.parent))
        spare.replace(link)  # another test run may be doing the same
    return base


def expose() -> Path:
    """Let this process import the collection, and its children through PYTHONPATH; return the import root."""
    base = str(import_root())
    if base not in sys.path:
        sys.path.insert(0, base)
    inherited = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if base not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([base, *inherited])
    return Path(base)
