# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options as data: what Ansible makes of them in a module, and the same for programs that run without Ansible."""

from __future__ import annotations

import decimal
import json
import os.path
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import InvalidInput, Problem

Options = Mapping[str, Mapping[str, Any]]
"""Ansible's ``argument_spec``."""
RULES = ("required_if", "required_one_of", "mutually_exclusive", "required_by")
"""What may be said of options together; attributes of a :class:`Spec`, and keys of an option with ``options``."""
TRUE = frozenset({"y", "yes", "on", "1", "true", "t"})
FALSE = frozenset({"n", "no", "off", "0", "false", "f"})


@dataclass(frozen=True, slots=True)
class Spec:
    """The options of an operation, in Ansible's own terms; it stands beside the operation, and nowhere else."""

    options: Options
    required_if: Sequence[Sequence[Any]] = ()
    required_one_of: Sequence[Sequence[str]] = ()
    mutually_exclusive: Sequence[Sequence[str]] = ()
    required_by: Mapping[str, Any] = field(default_factory=dict)


def filled(spec: Spec | Options, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``given`` as a module would get it: defaults filled in, values of the types that the options have.

    :raises InvalidInput: with everything that is wrong.
    """
    problems: list[Problem] = []
    options = spec.options if isinstance(spec, Spec) else spec
    rules = {rule: getattr(spec, rule) for rule in RULES} if isinstance(spec, Spec) else {}
    result = _filled(options, rules, given, "", problems)
    if problems:
        raise InvalidInput(problems)
    return result


def _filled(
    options: Options,
    rules: Mapping[str, Any],
    given: Mapping[str, Any],
    prefix: str,
    problems: list[Problem],
) -> dict[str, Any]:
    names = {
        alias: name
        for name, option in options.items()
        for alias in (*option.get("aliases", ()), name)
    }
    problems += [
        Problem(f"{prefix}{name}", f"unknown option; there are {', '.join(sorted(options))}")
        for name in given
        if name not in names
    ]
    present = {names[name]: value for name, value in given.items() if name in names}
    problems += _excluded(rules.get("mutually_exclusive") or (), present, prefix)
    for name, option in options.items():
        if name not in present and option.get("default") is not None:
            present[name] = option["default"]
        elif option.get("required") and name not in present:
            problems.append(Problem(f"{prefix}{name}", "required, and not given"))
    for name, value in present.items():
        present[name] = _value(options[name], value, f"{prefix}{name}", problems)
    problems += _lacking(rules, present, prefix)
    return {name: present.get(name) for name in options}


def _value(option: Mapping[str, Any], value: Any, where: str, problems: list[Problem]) -> Any:
    """Return one value converted, and all below it; what cannot be converted is returned as it is."""
    if value is None and not option.get("required") and option.get("default") is None:
        return None
    try:
        value = CONVERTED[option.get("type", "str")](value)
        if option.get("elements"):
            value = [CONVERTED[option["elements"]](each) for each in value]
    except (ValueError, TypeError) as cause:
        problems.append(Problem(where, str(cause)))
        return value
    if choices := option.get("choices"):
        problems += [
            Problem(where, f"{each!r} is not one of {', '.join(map(str, choices))}")
            for each in (value if isinstance(value, list) else [value])
            if each not in choices
        ]
    below = option.get("options")
    if below is None:
        return value
    if isinstance(value, list):
        return [
            _filled(below, option, each, f"{where}[{index}].", problems)
            for index, each in enumerate(value)
        ]
    return _filled(below, option, value, f"{where}.", problems)


def _excluded(groups: Any, present: Mapping[str, Any], prefix: str) -> list[Problem]:
    return [
        Problem(f"{prefix}{found[0]}", f"excludes {', '.join(found[1:])}")
        for group in groups
        if len(found := [name for name in group if name in present]) > 1
    ]


def _lacking(rules: Mapping[str, Any], present: Mapping[str, Any], prefix: str) -> list[Problem]:
    def has(name: str) -> bool:
        return present.get(name) is not None

    found = [
        Problem(f"{prefix}{group[0]}", f"one of {', '.join(group)} is required")
        for group in rules.get("required_one_of") or ()
        if not any(map(has, group))
    ]
    for name, wanted, needed, *any_of in rules.get("required_if") or ():
        if name in present and present[name] == wanted:
            missing = [each for each in needed if not has(each)]
            if missing if not (any_of and any_of[0]) else len(missing) == len(needed):
                found += [
                    Problem(f"{prefix}{each}", f"required where {name} is {wanted}")
                    for each in missing
                ]
    for name, needed in (rules.get("required_by") or {}).items():
        if has(name):
            wanted_names = [needed] if isinstance(needed, str) else needed
            found += [
                Problem(f"{prefix}{each}", f"required by {name}")
                for each in wanted_names
                if not has(each)
            ]
    return found


def _bool(value: Any) -> bool:
    text = str(value).lower().strip() if isinstance(value, str) else value
    if text in TRUE or (isinstance(text, (int, float)) and text == 1):
        return True
    if text in FALSE or (isinstance(text, (int, float)) and text == 0):
        return False
    raise ValueError(f"{value!r} is not a boolean")


def _int(value: Any) -> int:
    if isinstance(value, int):
        return value
    try:
        number = decimal.Decimal(value)
        if number == int(number):
            return int(number)
    except (decimal.DecimalException, ValueError, TypeError, OverflowError):
        pass
    raise ValueError(f"{value!r} is not an integer")


def _float(value: Any) -> float:
    try:
        return float(value)
    except (ValueError, TypeError):
        raise ValueError(f"{value!r} is not a number") from None


def _str(value: Any) -> str:
    return "" if value is None else str(value)


def _path(value: Any) -> str:
    return os.path.expanduser(os.path.expandvars(_str(value)))


def _list(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return value.split(",")
    if isinstance(value, (int, float)):
        return [str(value)]
    raise ValueError(f"{value!r} is not a list")


def _dict(value: Any) -> dict[str, Any]:
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, dict):
        return value
    raise ValueError(f"{value!r} is not a dictionary")


CONVERTED: Mapping[str, Callable[[Any], Any]] = {
    "bool": _bool,
    "dict": _dict,
    "float": _float,
    "int": _int,
    "list": _list,
    "path": _path,
    "raw": lambda value: value,
    "str": _str,
}
"""Ansible's types, as far as our options have them."""
