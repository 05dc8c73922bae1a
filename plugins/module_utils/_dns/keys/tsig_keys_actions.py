# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of ``tsig_keys``, each with all that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..protocol.tsig import Key


@dataclass(frozen=True, slots=True)
class Access:
    """Mode and owner of the files."""

    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class WriteKey:
    """Write one generation."""

    path: str
    key: Key = field(repr=False)
    access: Access


@dataclass(frozen=True, slots=True)
class Serve:
    """Make the server accept just the valid keys. ``running``: it is to read the new files at once."""

    confs: Mapping[str, bytes]
    access: Access
    running: bool


@dataclass(frozen=True, slots=True)
class Switch:
    """Sign with another generation from now on."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class RemoveKey:
    """Remove what is not valid any more. ``key``: what the file held; the server has to refuse it afterwards."""

    path: str
    key: Key | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoteRevision:
    """Note the keyring's revision that the keys are from."""

    path: str
    revision: int
    access: Access
