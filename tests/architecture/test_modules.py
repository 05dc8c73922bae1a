# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module is wiring, says what all modules say, and stands in its action group."""

from __future__ import annotations

import pytest
import yaml

from tests.architecture import rules
from tests.architecture.tree import sources
from tests.checkout import ROOT

MODULES = sources("plugins/modules")
PATH = "plugins/modules/x.py"
DOCUMENTED = 'DOCUMENTATION = """\n{}\n"""\nEXAMPLES = """\n- 1\n"""\nRETURN = """\n{}\n"""\n'


def stem(path: str) -> str:
    return path.removeprefix("plugins/modules/").removesuffix(".py")


def module(documentation: str = "{}", returned: str = "{}", code: str = "") -> str:
    return DOCUMENTED.format(documentation, returned) + code


def test_there_is_something_to_check() -> None:
    assert MODULES


@pytest.mark.parametrize("path", MODULES)
def test_module_is_short(path: str) -> None:
    assert rules.too_long(path, MODULES[path]) == []


@pytest.mark.parametrize("path", MODULES)
def test_module_has_no_command_option(path: str) -> None:
    assert rules.command_options(path, MODULES[path]) == []


@pytest.mark.parametrize("path", MODULES)
def test_module_tells_its_attributes(path: str) -> None:
    assert rules.missing_attributes(path, MODULES[path]) == []


@pytest.mark.parametrize("path", MODULES)
def test_module_documents_what_it_returns(path: str) -> None:
    assert rules.wrong_returns(path, MODULES[path]) == []


@pytest.mark.parametrize("group", ["dns", "image_source"])
def test_an_action_group_holds_the_modules_that_have_its_options(group: str) -> None:
    groups = yaml.safe_load((ROOT / "meta/runtime.yml").read_text("utf-8"))["action_groups"]
    belonging = [stem(path) for path, source in MODULES.items() if rules.extends(source, group)]
    existing = [stem(path) for path in MODULES]
    assert belonging
    assert rules.group_faults(group, groups[group], belonging, existing) == []


def test_a_long_module_is_found() -> None:
    enough = "x = 1\n" * rules.MODULE_CODE_LINES
    prose = '"""One\ntwo."""\n# three\n\n' * 30
    assert rules.too_long(PATH, module(code=enough + prose)) == []
    assert rules.too_long(PATH, module(code=enough + "x = 1\n"))
    assert rules.code_lines(module(code="f(\n    1,\n\n    # why\n    2,\n)\n")) == 4


@pytest.mark.parametrize(
    "options",
    [
        "options: {command: {type: str}}",
        "options: {verb: {type: str, aliases: [command]}}",
        "options: {a: {suboptions: {b: {suboptions: {command: {}}}}}}",
    ],
)
def test_a_command_option_is_found(options: str) -> None:
    assert rules.command_options(PATH, module(options))


def test_other_options_are_left_alone() -> None:
    assert rules.command_options(PATH, module("options: {commands: {}, name:}")) == []


@pytest.mark.parametrize(
    ("documentation", "fine"),
    [
        ("extends_documentation_fragment: debvisor.hci.attributes", True),
        ("extends_documentation_fragment: [debvisor.hci.dns, debvisor.hci.attributes.info]", True),
        ("attributes: {check_mode: {}, diff_mode: {}, idempotent: {}, platform: {}}", True),
        ("extends_documentation_fragment: [debvisor.hci.dns]", False),
        ("attributes: {check_mode: {}, diff_mode: {}, platform: {}}", False),
        ("options: {}", False),
    ],
)
def test_missing_attributes_are_found(documentation: str, fine: bool) -> None:
    assert (rules.missing_attributes(PATH, module(documentation)) == []) is fine


def test_wrong_returns_are_found() -> None:
    extending = "extends_documentation_fragment: debvisor.hci.operation"
    full = {name: {"type": "dict"} for name in ("before", "after")}

    def wrong(returned: dict[str, dict[str, str]], documentation: str = extending) -> list[str]:
        return rules.wrong_returns(PATH, module(documentation, yaml.safe_dump(returned)))

    assert wrong(full) == wrong({}) == []
    assert wrong(full, "{}")
    for name in full:
        assert wrong({key: value for key, value in full.items() if key != name})
        assert wrong({**full, name: {"type": "raw"}})
    for name in rules.RETURNED:
        assert wrong({**full, name: {"type": "str"}})
    assert rules.wrong_returns("plugins/modules/x_info.py", module()) == []


@pytest.mark.parametrize(
    ("fragments", "extends"),
    [
        ("debvisor.hci.dns", True),
        ("[debvisor.hci.attributes, debvisor.hci.dns]", True),
        ("debvisor.hci.attributes", False),
        ("[debvisor.hci.dns_more]", False),
    ],
)
def test_a_module_that_has_a_fragments_options_is_recognised(fragments: str, extends: bool) -> None:
    source = module(f"extends_documentation_fragment: {fragments}")
    assert rules.extends(source, "dns") is extends
    assert not rules.extends(module(), "dns")


@pytest.mark.parametrize(
    ("members", "belonging", "existing", "faults"),
    [
        (["a", "b"], ["a", "b"], ["a", "b", "c"], 0),
        (["a"], ["a", "b"], ["a", "b"], 1),
        (["a", "b"], ["a"], ["a", "b"], 1),
        (["a", "gone"], ["a"], ["a"], 1),
        (["a", "a"], ["a"], ["a"], 1),
    ],
)
def test_a_wrong_action_group_is_found(
    members: list[str], belonging: list[str], existing: list[str], faults: int
) -> None:
    assert len(rules.group_faults("dns", members, belonging, existing)) == faults
