# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of each role, written into its README from its argument specification.

``python3 -m tests.static.role_readme`` brings every README up to date; the static check ``roles`` says which is not.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.checkout import ROOT

BEGIN = "<!-- variables: begin (written by python3 -m tests.static.role_readme) -->"
END = "<!-- variables: end -->"

CODE = re.compile(r"\b(?:C|E|M|O|P|RV|V)\(((?:[^()\\]|\\.)*)\)")
BOLD = re.compile(r"\bB\(([^()]*)\)")
ITALIC = re.compile(r"\bI\(([^()]*)\)")
LINK = re.compile(r"\bL\(([^(),]*), *([^()]*)\)")
URL = re.compile(r"\bU\(([^()]*)\)")


def markdown(text: str) -> str:
    """Turn Ansible's markup into Markdown that fits into a table's cell."""
    text = CODE.sub(lambda match: f"`{_unescape(match[1])}`", text)
    text = BOLD.sub(r"**\1**", text)
    text = ITALIC.sub(r"*\1*", text)
    text = LINK.sub(r"[\1](\2)", text)
    text = URL.sub(r"<\1>", text)
    return " ".join(text.split()).replace("|", r"\|")


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text).removeprefix("ignore:")


def _sentences(description: Any) -> str:
    parts = description if isinstance(description, list) else [description or ""]
    return "<br>".join(markdown(str(part)) for part in parts)


def _type(option: Mapping[str, Any]) -> str:
    kind = str(option.get("type", "str"))
    return f"list of {option['elements']}" if kind == "list" and "elements" in option else kind


def _default(option: Mapping[str, Any], computed: Any) -> str:
    if option.get("required"):
        return "**required**"
    if "default" not in option and computed is None:
        return ""
    value = option.get("default", computed)
    if isinstance(value, str) and "{{" in value:
        value = " ".join(value.split()).removeprefix("{{ ").removesuffix(" }}")
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", r"\|")


def _rows(
    options: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    for name, option in options.items():
        said = _sentences(option.get("description"))
        if choices := option.get("choices"):
            said += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
        yield f"| `{prefix}{name}` | {_type(option)} | {_default(option, defaults.get(name))} | {said.strip()} |"
        inner = f"{prefix}{name}[]." if option.get("type") == "list" else f"{prefix}{name}."
        yield from _rows(option.get("options") or {}, {}, inner)


def table(specification: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return the text between the markers, markers included. A default that is computed is shown as its expression."""
    lines = [BEGIN]
    points = specification.get("argument_specs") or {}
    for point, spec in points.items():
        options = spec.get("options") or {}
        lines.append("")
        if len(points) > 1:
            lines += [
                f"### Entry point `{point}`",
                "",
                _sentences(spec.get("short_description")),
                "",
            ]
        if options:
            lines += ["| Variable | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
            lines += _rows(options, defaults)
        else:
            lines.append("It takes no variables.")
    return "\n".join([*lines, "", END])


def current(readme: str, specification: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """Tell whether the README holds the table as the specification has it, exactly once."""
    return (
        readme.count(BEGIN) == readme.count(END) == 1 and table(specification, defaults) in readme
    )


def updated(
    readme: str, role: str, specification: Mapping[str, Any], defaults: Mapping[str, Any]
) -> str:
    """Return the README with the present table; everything outside of the markers stays."""
    start, end = readme.find(BEGIN), readme.find(END)
    if 0 <= start < end:
        return readme[:start] + table(specification, defaults) + readme[end + len(END) :]
    if not readme.strip():
        main = (specification.get("argument_specs") or {}).get("main") or {}
        readme = f"# {role}\n\n{_sentences(main.get('short_description'))}\n"
    return f"{readme.rstrip()}\n\n## Variables\n\n{table(specification, defaults)}\n"


def faults_of_defaults(
    role: str, specification: Mapping[str, Any], defaults: Mapping[str, Any]
) -> list[str]:
    """Compare ``defaults/main.yml``, which acts, with the specification, which only says."""
    options: dict[str, Any] = {}
    for spec in (specification.get("argument_specs") or {}).values():
        options.update(spec.get("options") or {})
    wrong = [
        f"roles/{role}: {name} has a default but is not in the argument specification"
        for name in sorted(set(defaults) - set(options))
    ]
    for name, option in options.items():
        if "default" not in option:
            continue
        if name not in defaults:
            wrong.append(f"roles/{role}: {name} has no default in defaults/main.yml, where it acts")
        elif defaults[name] != option["default"]:
            wrong.append(
                f"roles/{role}: {name} is {defaults[name]!r} in defaults/main.yml"
                f" and {option['default']!r} in the argument specification"
            )
    wrong += [
        f"roles/{role}: {name} does not begin with {role}_"
        for name in sorted({*options, *defaults})
        if not name.startswith((f"{role}_", f"__{role}_", "debvisor_"))
    ]
    return wrong


def load(path: Path) -> dict[str, Any]:
    """Return a YAML file's mapping; an absent or empty file is an empty one."""
    if not path.is_file():
        return {}
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded if isinstance(loaded, dict) else {}


def faults(role: Path) -> list[str]:
    """Say what is wrong with the documentation of the role in this folder."""
    specification = load(role / "meta" / "argument_specs.yml")
    if not specification:
        return [f"roles/{role.name}: has no meta/argument_specs.yml"]
    defaults = load(role / "defaults" / "main.yml")
    wrong = faults_of_defaults(role.name, specification, defaults)
    readme = role / "README.md"
    if not readme.is_file():
        wrong.append(f"roles/{role.name}: has no README.md")
    elif not current(readme.read_text(encoding="utf-8"), specification, defaults):
        wrong.append(
            f"roles/{role.name}: README.md is out of date; run python3 -m tests.static.role_readme"
        )
    return wrong


def roles(root: Path = ROOT) -> list[Path]:
    """Return the folder of every role."""
    return sorted(path for path in (root / "roles").glob("*") if path.is_dir())


def main() -> int:
    """Bring every README up to date."""
    written = 0
    for role in roles():
        specification = load(role / "meta" / "argument_specs.yml")
        if not specification:
            print(f"roles/{role.name} has no meta/argument_specs.yml", file=sys.stderr)
            return 1
        readme = role / "README.md"
        before = readme.read_text(encoding="utf-8") if readme.is_file() else ""
        after = updated(before, role.name, specification, load(role / "defaults" / "main.yml"))
        if after != before:
            readme.write_text(after, encoding="utf-8")
            print(f"wrote {readme.relative_to(ROOT)}")
            written += 1
    print(f"{len(roles())} roles, {written} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
