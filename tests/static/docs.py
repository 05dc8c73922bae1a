# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation must have: a mention of every module, links that lead somewhere, commands that work."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#")


def unmentioned(modules: Collection[str], pages: Mapping[str, str]) -> list[str]:
    """Name the modules that no page below ``docs/`` mentions."""
    text = "\n".join(pages.values())
    return [
        f"plugins/modules/{module}.py: no page below docs/ mentions it"
        for module in sorted(modules)
        if not re.search(rf"(?<![\w-]){re.escape(module)}(?![\w-])", text)
    ]


def links(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and target of every link to another file; what stands in a code block is not one."""
    prose = FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in LINK.finditer(prose):
        if not ELSEWHERE.match(match["target"]):
            yield prose.count("\n", 0, match.start()) + 1, match["target"].partition("#")[0]


def broken_links(pages: Mapping[str, str], existing: Collection[str]) -> list[str]:
    """Name the relative links that lead to no file or folder. Paths are relative to the root."""
    folders = {parent.as_posix() for name in existing for parent in PurePosixPath(name).parents}
    known = {*existing, *folders}
    return [
        f"{name}:{line}: the link to {target} leads nowhere"
        for name, text in sorted(pages.items())
        for line, target in links(text)
        if _resolve(PurePosixPath(name).parent, target) not in known
    ]


def commands(page: str, heading: str) -> list[str]:
    """Return the commands that a section shows after a prompt."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return COMMAND.findall(section)


def _resolve(folder: PurePosixPath, target: str) -> str:
    parts: list[str] = []
    for part in (folder / target).parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts).as_posix()
