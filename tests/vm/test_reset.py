# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes are there again after the power failed: active, with their content and their marks."""

from __future__ import annotations

import json

import pytest

from tests.vm import access, machine
from tests.vm.programs import POOLS

PROGRAM = """
import dataclasses, json, sys
sys.path.insert(0, "/usr/share/ansible/collections")
from ansible_collections.debvisor.hci.plugins.module_utils._ports.storage.backends import open_backend
from ansible_collections.debvisor.hci.plugins.module_utils._storage.volumes.volumes import Marks
kind, pool, todo = sys.argv[1:]
backend = open_backend(kind, pool)
if todo == "make":
    volume = backend.create(f"reset-{kind}", 8 << 20, Marks(token="0123beef", image="sha256:" + "ab" * 32))
    with open(volume.path, "r+b") as stream:
        stream.write(b"written")
    backend.sync(volume)
volume = backend.find(f"reset-{kind}")
with open(volume.path, "rb") as stream:
    print(json.dumps([dataclasses.asdict(volume), stream.read(7).decode()]))
if todo == "remove":
    backend.remove(volume)
"""


def told(kind: str, todo: str) -> object:
    words = f"python3 - {kind} {POOLS[kind]} {todo}"
    return json.loads(access.run(words, stdin=PROGRAM.encode(), timeout=120).stdout)


@pytest.mark.usefixtures("vm")
def test_volumes_are_there_again_after_a_reset() -> None:
    before = {kind: told(kind, "make") for kind in POOLS}
    machine.reset()
    assert {kind: told(kind, "remove") for kind in before} == before
