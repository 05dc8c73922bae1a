# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs without Ansible get their options as modules do."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput
from ansible_collections.debvisor.hci.plugins.module_utils._core.spec import RULES, Spec, filled

SPEC = Spec(
    {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "name": {"type": "str", "required": True, "aliases": ["called"]},
        "count": {"type": "int", "default": 3},
        "share": {"type": "float", "default": 30},
        "wet": {"type": "bool", "default": False},
        "path": {"type": "path"},
        "any": {"type": "raw"},
        "words": {"type": "list", "elements": "str", "choices": ["a", "b", "1"], "default": []},
        "one": {"type": "dict", "options": {"x": {"type": "int", "default": 1}}},
        "entries": {
            "type": "list",
            "elements": "dict",
            "options": {"user": {}, "group": {}, "ttl": {"type": "int", "required": True}},
            "mutually_exclusive": [["user", "group"]],
            "required_one_of": [["user", "group"]],
        },
        "left": {},
        "right": {},
        "far": {},
    },
    required_if=[("state", "absent", ["far"]), ("count", 7, ["left", "right"], True)],
    mutually_exclusive=[["path", "any"]],
    required_by={"wet": "name", "far": ["name"]},
)
BASE: dict[str, Any] = {"name": "n"}


def ansibles(given: dict[str, Any]) -> tuple[dict[str, Any], int]:
    rules = {rule: getattr(SPEC, rule) for rule in RULES}
    result = ArgumentSpecValidator(SPEC.options, **rules).validate(given)
    return result.validated_parameters, len(result.error_messages)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"count": "5", "share": "2.5", "wet": "yes", "path": "~/x"},
        {"count": 5.0, "share": 1, "wet": 0, "any": {"a": [1]}},
        {"state": "present", "path": None, "far": None},
        {"words": "a,b"},
        {"words": [1, "b"]},
        {"words": 1},
        {"one": {"x": "4"}},
        {"one": {}},
        {"one": '{"x": 2}'},
        {"entries": [{"user": "u", "ttl": "1"}, {"group": "g", "ttl": 2}]},
        {"state": "absent", "far": "f"},
        {"count": 7, "left": "l", "right": "r"},
    ],
)
def test_options_are_filled_as_ansible_does(given: dict[str, Any]) -> None:
    wanted, errors = ansibles({**BASE, **given})
    assert not errors
    assert filled(SPEC, {**BASE, **given}) == {name: wanted.get(name) for name in SPEC.options}


def test_an_alias_is_its_option() -> None:
    assert filled(SPEC, {"called": "n"})["name"] == "n"


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"name": None, "nmae": "x"}, {"nmae"}),
        ({"count": "many"}, {"count"}),
        ({"count": None, "words": None}, {"count", "words"}),
        ({"count": 1.5}, {"count"}),
        ({"share": "much"}, {"share"}),
        ({"wet": "damp"}, {"wet"}),
        ({"wet": 2}, {"wet"}),
        ({"words": {"a": 1}}, {"words"}),
        ({"words": ["c", "d"]}, {"words"}),
        ({"one": "x"}, {"one"}),
        ({"one": {"x": "y", "z": 1}}, {"one.x", "one.z"}),
        ({"entries": [{"ttl": 1}, {"user": "u"}, {"user": "u", "group": "g", "ttl": 1}]},
         {"entries[0].user", "entries[1].ttl", "entries[2].user"}),
        ({"entries": [3]}, {"entries"}),
        ({"state": "gone"}, {"state"}),
        ({"state": "absent"}, {"far"}),
        ({"path": "/p", "any": 1}, {"path"}),
        ({"count": 7}, {"left", "right"}),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_reported_at_once(given: dict[str, Any], where: set[str]) -> None:
    assert ansibles({**BASE, **given})[1]
    with pytest.raises(InvalidInput) as caught:
        filled(SPEC, {**BASE, **given})
    assert {problem.where for problem in caught.value.problems} == where


def test_a_required_option_must_be_there() -> None:
    with pytest.raises(InvalidInput, match="name: required"):
        filled(SPEC.options, {})
    assert filled({"a": {"type": "int", "default": 1}}, {}) == {"a": 1}


def test_what_is_given_stays_as_it_was() -> None:
    given = {**BASE, "entries": [{"user": "u", "ttl": "1"}]}
    filled(SPEC, given)
    assert given["entries"] == [{"user": "u", "ttl": "1"}]
