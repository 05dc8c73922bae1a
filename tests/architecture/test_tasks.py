# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of roles and playbooks: each has a tag that practitioners know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.checkout import ROOT

TAGS = {"install", "configure", "metrics", "always"}
INCLUDES = ("include_tasks", "import_tasks", "include_role", "import_role")


@dataclass(frozen=True)
class Task:
    """A task as it would run: where it stands, its name, and the tags that select it."""

    file: str
    name: str
    tags: frozenset[str]


def texts(value: Any) -> set[str]:
    return {value} if isinstance(value, str) else set(value or ())


def walk(path: Path, inherited: frozenset[str] = frozenset()) -> Iterator[Task]:
    """Yield the tasks of a file and of all that it includes; a dynamic include hands on no tags of its own."""
    role = path.parents[1]
    for body, outer in flat(yaml.safe_load(path.read_text("utf-8")) or [], inherited):
        tags = outer | texts(body.get("tags"))
        imports = any(f"ansible.builtin.{how}" in body for how in ("import_tasks", "import_role"))
        always = {"always"} if imports else set()  # it is gone by the time that tags are looked at
        yield Task(str(path.relative_to(ROOT)), body.get("name", ""), frozenset(tags | always))
        for how in INCLUDES:
            options = body.get(f"ansible.builtin.{how}")
            if options is None:
                continue
            given: dict[str, Any] = {"file": options} if isinstance(options, str) else options
            applied = texts(given.get("apply", {}).get("tags"))
            handed = tags if how.startswith("import") else outer | applied
            for file in included(role, how, given):
                yield from walk(file, frozenset(handed))


def flat(
    tasks: list[dict[str, Any]], inherited: frozenset[str]
) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    for body in tasks:
        if "block" not in body:
            yield body, inherited
            continue
        tags = inherited | texts(body.get("tags"))
        for part in ("block", "rescue", "always"):
            yield from flat(body.get(part) or [], tags)


def included(role: Path, how: str, given: dict[str, Any]) -> list[Path]:
    """Return what an include reads; where the name is a template, every file that it could be."""
    if how.endswith("tasks"):
        name = given["file"]
        others = [path for path in (role / "tasks").glob("*.yml") if path.stem != "main"]
        return others if "{{" in name else [role / "tasks" / name]
    other = ROOT / "roles" / given["name"].removeprefix("debvisor.hci.")
    return [(other / "tasks" / given.get("tasks_from", "main")).with_suffix(".yml")]


def entries() -> list[Path]:
    """The files that playbooks and other roles come in by."""
    found = {path for path in ROOT.glob("roles/*/tasks/main.yml") if path.parts[-3] != "units"}
    specs = ROOT.glob("roles/*/meta/argument_specs.yml")
    for path in specs:
        points = yaml.safe_load(path.read_text("utf-8"))["argument_specs"]
        found |= {path.parents[1] / "tasks" / f"{point}.yml" for point in points}
    return sorted(found - {ROOT / f"roles/{each}/tasks/main.yml" for each in ("units", "metrics")})


@pytest.mark.parametrize("entry", entries(), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_every_task_can_be_selected(entry: Path) -> None:
    """``--tags configure`` reaches what it says, through each include. Roles for other roles take the caller's tags."""
    tasks = list(walk(entry))
    assert tasks
    assert [f"{task.file}: {task.name}" for task in tasks if not task.tags & TAGS] == []
    assert {tag for task in tasks for tag in task.tags} <= TAGS


def test_skipping_a_tag_skips_what_has_it_alone() -> None:
    """``--skip-tags install`` skips an include that has this tag among others, and so what it holds of the others."""
    bodies = [
        (path.relative_to(ROOT), body, outer | texts(body.get("tags")))
        for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml")]
        for body, outer in flat(listed(yaml.safe_load(path.read_text("utf-8"))), frozenset())
    ]
    cut = [
        f"{path}: {body['name']}"
        for path, body, tags in bodies
        if any(f"ansible.builtin.{how}" in body for how in ("include_tasks", "include_role"))
        and len(tags) > 1
        and "always" not in tags
    ]
    assert cut == []


def listed(content: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return the tasks of a file of tasks, or of a playbook's plays."""
    parts = ("pre_tasks", "tasks", "post_tasks")
    return [
        task
        for each in content or []
        for task in (
            [own for part in parts for own in each.get(part, [])] if "hosts" in each else [each]
        )
    ]


def test_no_task_file_is_out_of_reach() -> None:
    reached = {task.file for entry in entries() for task in walk(entry)}
    files = {str(path.relative_to(ROOT)) for path in ROOT.glob("roles/*/tasks/*.yml")}
    assert files - reached == set()
