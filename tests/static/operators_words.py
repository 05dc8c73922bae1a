# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators read in plain technical English: messages, documentation of modules, task names, pages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.static.project import Project

ANYWHERE = re.compile(
    r"\b(?:(?:fore)?told|foretells?|tak(?:e|es|en|ing) back|took back|tak(?:e|es|ing) (?:it|them|that|this) back"
    r"|(?:takes?|took|taken|taking)(?: [\w-]+){1,6} back"
    r"|dead-man|strangers?|askers?|mend(?:s|ed|ing)?|unwound|(?:run|job)s?\b[^.\n]{0,40}\bcut off)\b",
    re.IGNORECASE,
)
MESSAGES = re.compile(r"\b(?:nobody|somebody)\b", re.IGNORECASE)
"""Forbidden in messages besides."""
MANUAL = frozenset({"DOCUMENTATION", "EXAMPLES", "RETURN"})
SPOKEN = frozenset(
    {"description", "fail_msg", "msg", "short_description", "success_msg", "summary"}
)
"""Keys of YAML whose values operators read."""
TASKS = frozenset({"always", "block", "post_tasks", "pre_tasks", "rescue", "tasks"})
"""Keys of YAML whose values are lists of tasks."""
PRONOUNS = frozenset(
    ["it", "so", "that", "them", "these", "this", "those", "what", "whatever", "who", "whoever"]
)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


@dataclass
class Found:
    """What was found, by file."""

    checked: int = 0
    hits: dict[str, list[str]] = field(default_factory=dict)


def phrases(text: str, *, message: bool) -> list[str]:
    """Return the forbidden phrases of a text."""
    found = [match[0] for match in ANYWHERE.finditer(text)]
    return found + ([match[0] for match in MESSAGES.finditer(text)] if message else [])


def of_python(text: str) -> Iterator[str]:
    """Yield what is wrong in the string literals of a plugin that have more than one word; docstrings are for us."""
    tree = ast.parse(text)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    ours, manual = set(), set()
    for node in ast.walk(tree):
        for after in getattr(node, "body", []) if isinstance(node, documented) else []:
            if isinstance(after, ast.Expr):
                ours.add(after.value)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in MANUAL:
            manual.add(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in ours:
            message = node not in manual
            found = phrases(node.value, message=message) if " " in node.value else []
            yield from (f"{node.lineno}: {phrase}" for phrase in found)


def of_yaml(text: str) -> Iterator[str]:
    """Yield what is wrong in a YAML file's descriptions, messages and task names."""
    yield from _of_value(yaml.load(text, Loader=_Loader), spoken=False, task=True)


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Takes Ansible's own tags for nothing."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def _of_value(value: Any, *, spoken: bool, task: bool = False) -> Iterator[str]:
    if isinstance(value, str) and spoken:
        yield from phrases(value, message=True)
    elif isinstance(value, list):
        for item in value:
            yield from _of_value(item, spoken=spoken, task=task)
    elif isinstance(value, dict):
        if task and isinstance(name := value.get("name"), str) and len(value) > 1:
            yield from phrases(name, message=True)
            yield from badly_named(name)
        for key, inner in value.items():
            yield from _of_value(inner, spoken=spoken or key in SPOKEN, task=key in TASKS)


def badly_named(name: str) -> Iterator[str]:
    """Yield what is wrong with a task's name: it has a verb and a noun, and can be searched for."""
    words = re.sub(r"\{\{.*?\}\}", "x", name.rpartition(" | ")[2]).replace(",", "").split()
    if len(words) < 3:
        yield f"task name {name!r} has fewer than three words"
    elif PRONOUNS & {words[-1].lower(), words[1].lower().replace("that", "")}:
        yield f"task name {name!r} has a pronoun in place of a noun"


def of_page(text: str) -> Iterator[str]:
    """Yield what is wrong in the prose of a page."""
    yield from phrases(CODE.sub("", text), message=False)


def found(project: Project) -> Found:
    """Read every file that has text for operators."""
    result = Found()
    for path in project.files:
        match path.parts[0], path.suffix:
            case "plugins", ".py":
                read = of_python
            case "roles" | "playbooks", ".yml":
                read = of_yaml
            case "docs" | "roles" | "README.md" | "CONTRIBUTING.md", ".md":
                read = of_page
            case _:
                continue
        if path.name == "glossary.md":  # it names the old words
            continue
        result.checked += 1
        if hits := list(read(project.text(path))):
            result.hits[path.as_posix()] = hits
    return result


def faults(found: Found) -> list[str]:
    """Return what was found, by file."""
    return [f"{path}: {'; '.join(hits)}" for path, hits in sorted(found.hits.items())]
