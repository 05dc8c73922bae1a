# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A secret does not show itself."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import dataclass

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret

TEXT = "hunter2-hunter2"


@dataclass
class Holder:
    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        "{}".format,
        "{!r}".format,
        lambda s: f"{s:}",
        "{0!s}".format,
        lambda s: repr([s, {"k": s}]),
        lambda s: repr(Holder(s)),
        lambda s: str(ValueError(s)),
    ],
)
def test_every_way_of_showing_it_gives_a_fingerprint(show) -> None:
    shown = show(Secret(TEXT))
    assert TEXT not in shown
    assert Secret(TEXT).fingerprint in shown


@pytest.mark.parametrize("serialise", [pickle.dumps, copy.deepcopy, json.dumps])
def test_it_cannot_be_serialised(serialise) -> None:
    with pytest.raises(TypeError):
        serialise(Secret(TEXT))


def test_it_has_no_dict_to_look_into() -> None:
    with pytest.raises(TypeError):
        vars(Secret(TEXT))


def test_equality_and_reveal() -> None:
    assert Secret(TEXT) == Secret(TEXT.encode())
    assert Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT
    assert Secret(TEXT).reveal() == TEXT.encode()
