# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a path rests on, as its own text says: a Python file on what it imports, a role on its roles and plugins."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from tests.checkout import NAME, ROOT

OURS = ".".join(NAME) + "."
PARTS_OF_ROLES = ("tasks", "handlers", "defaults", "vars", "templates")
MENTION = re.compile(rf"\b{'.'.join(NAME[1:])}\.(\w+)")
"""A module, a filter or a role, in a task or in an expression."""


def reached(paths: Iterable[str], root: Path = ROOT) -> frozenset[str]:
    """Return all that files and folders at these paths or patterns rest on, however far, themselves left out."""
    found: set[str] = set()
    begun = {each for path in paths for each in _files(path, root)}
    ahead = list(begun)
    while ahead:
        for each in _rests_on(ahead.pop(), root):
            if each not in found:
                found.add(each)
                ahead += _files(each, root)
    return frozenset(found - begun)


def _files(pattern: str, root: Path) -> Iterator[str]:
    """Yield the files that can name others: Python, and what roles and playbooks are made of."""
    for top in sorted(root.glob(pattern)):
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            where = path.relative_to(root)
            top_level, *below = where.parts
            if path.is_file() and (
                path.suffix == ".py"
                or (top_level == "roles" and below[1] in PARTS_OF_ROLES)
                or top_level == "playbooks"
            ):
                yield where.as_posix()


@cache
def _rests_on(path: str, root: Path) -> frozenset[str]:
    text = (root / path).read_text(encoding="utf-8")
    if path.endswith(".py"):
        candidates = {each for name in _imported(path, text) for each in _homes(name)}
    else:
        said = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
        candidates = {
            home
            for name in MENTION.findall(said)
            for home in (
                f"roles/{name}",
                *(f"plugins/{kind}/{name}.py" for kind in ("action", "filter", "modules")),
            )
        }
    return frozenset(each for each in candidates if (root / each).exists())


def _imported(path: str, text: str) -> Iterator[str]:
    """Yield the dotted names that a file imports, below the root; where it may be either, as module and as its name."""
    package = PurePosixPath(path).parent.parts
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix(OURS) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])]).removeprefix(OURS)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _homes(name: str) -> tuple[str, str]:
    base = name.replace(".", "/")
    return f"{base}.py", f"{base}/__init__.py"
