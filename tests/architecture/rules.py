# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the house as functions over source text, so that every rule can be shown to bite.

Each function takes a path inside the collection and the file's source, and returns what is wrong as sentences
that begin with ``path:line``.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

COLLECTION = "ansible_collections.debvisor.hci"
CONTROLLER = f"{COLLECTION}.plugins.plugin_utils"
UTILS = f"{COLLECTION}.plugins.module_utils"
DOMAINS = frozenset({"_dns", "_firewall", "_storage", "_virt", "_cluster", "_access"})
EXECUTOR = "plugins/module_utils/_core/operation.py"
SETTINGS = "plugins/module_utils/_core/settings.py"

MODULE_CODE_LINES = 60
DOCUMENTATION_NAMES = ("DOCUMENTATION", "EXAMPLES", "RETURN")
RETURNED = frozenset({"actions", "transaction", "duration"})
"""What every module that changes something returns; the fragment ``operation`` documents it, once."""

ANSIBLE_MODULE_CALLS = frozenset({"deprecate", "exit_json", "fail_json", "run_command", "warn"})
NOT_ANSIBLE_MODULES = frozenset({"log", "logger", "logging", "warnings"})
# fmt: off
IMPURE = frozenset({
    "asyncio", "fcntl", "ftplib", "glob", "http", "mmap", "multiprocessing", "os", "pty", "pwd", "resource", "select",
    "selectors", "shutil", "signal", "smtplib", "socket", "socketserver", "ssl", "subprocess", "syslog", "tempfile",
    "threading", "time", "urllib.request",
})
# fmt: on
"""Doors to the outside in the standard library. A domain package takes ports as arguments instead."""
PURE_PARTS = frozenset(
    {"socket.AF_INET", "socket.AF_INET6", "socket.inet_ntop", "socket.inet_pton"}
)
"""Arithmetic that merely lives behind such a door: the text form of an address and its bytes."""
PLACES = (
    "/etc/debvisor",
    "/run/debvisor",
    "/usr/libexec/debvisor",
    "/var/lib/debvisor",
    "/var/log/debvisor",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one layer may import.

    ``ours`` names packages (``_core``), rooms of packages (``_ports/host``) or single modules (``_core.plan``).
    """

    ours: frozenset[str] = frozenset()
    one_domain: bool = False
    ansible: bool = False
    plugin_utils: bool = False
    third_party: bool = False
    pure: bool = False


_CORE_OF_PORTS = frozenset(
    f"_core.{name}"
    for name in ("durable", "errors", "ports", "secret", "settings", "urls", "waiting")
)
_CORE_OF_DOMAINS = frozenset(
    f"_core.{name}"
    for name in (
        "checks",
        "confirmation",
        "errors",
        "file_backup",
        "limits",
        "metrics",
        "plan",
        "ports",
        "resource",
        "secret",
        "spec",
        "urls",
        "waiting",
    )
)
_PORT_ROOMS: Mapping[str, frozenset[str]] = {
    "_ports/host": frozenset(),
    "_ports/net": frozenset({"_ports/host"}),
    "_ports/http": frozenset({"_ports/host", "_ports/net"}),
    "_ports/dns": frozenset({"_ports/host"}),
    "_ports/firewall": frozenset({"_ports/host"}),
    "_ports/access": frozenset({"_ports/host"}),
    "_ports/crypto": frozenset({"_ports/host"}),
    "_ports/virt": frozenset({"_ports/host"}),
    "_ports/storage": frozenset({"_ports/host", "_ports/http"}),
}
"""The rooms of ``_ports``, and which other rooms each may use."""
_KNOWING_A_DOMAIN = frozenset({"_ports/net", "_ports/storage", "_ports/virt"})
"""The rooms of ``_ports`` that may import values of one domain; the others are for all."""
_DOMAIN_ROOMS: Mapping[str, frozenset[str]] = {
    "_dns/protocol": frozenset(),
    "_dns/keys": frozenset({"_dns/protocol"}),
    "_dns/writer": frozenset({"_dns/protocol"}),
    "_dns/records": frozenset({"_dns/protocol", "_dns/writer"}),
    "_storage/jobs": frozenset(),
    "_storage/images": frozenset({"_storage/jobs"}),
    "_storage/volumes": frozenset({"_storage/jobs", "_storage/images"}),
    **{name: frozenset() for name in DOMAINS - {"_dns", "_storage"}},
}
"""The rooms of the domains, and which other rooms of the same domain each may use."""

RULES: Mapping[str, Rule] = {
    "modules": Rule(frozenset({"_core", "_ports", "_wiring"}), one_domain=True, ansible=True),
    "action": Rule(
        frozenset({"_core", "_ports", "_wiring"}), one_domain=True, ansible=True, plugin_utils=True
    ),
    "plugin_utils": Rule(frozenset({"_core"}), one_domain=True, ansible=True),
    "callback": Rule(frozenset({"_core"}), ansible=True),
    "filter": Rule(frozenset({"_core.errors"}), one_domain=True, ansible=True, plugin_utils=True),
    "doc_fragments": Rule(),
    "_core": Rule(frozenset({"_core"})),
    "_wiring": Rule(frozenset({"_core", "_ports", "_wiring"}), one_domain=True),
    "_programs": Rule(frozenset({"_core", "_ports", "_wiring", "_programs"}), one_domain=True),
    **{
        room: Rule(_CORE_OF_PORTS | others | {room}, room in _KNOWING_A_DOMAIN, third_party=True)
        for room, others in _PORT_ROOMS.items()
    },
    **{
        room: Rule(_CORE_OF_DOMAINS | others | {room}, pure=True)
        for room, others in _DOMAIN_ROOMS.items()
    },
}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name, absolute. ``guarded``: an ImportError is caught; ``typing``: never runs."""

    name: str
    line: int
    guarded: bool = False
    typing: bool = False

    def __str__(self) -> str:
        return self.name.removeprefix(f"{UTILS}.")

    @property
    def utility(self) -> str:
        """The path below ``module_utils`` (``_dns/protocol/names/parse``) where it is ours; else ""."""
        if not self.name.startswith(f"{UTILS}."):
            return ""
        return self.name.removeprefix(f"{UTILS}.").replace(".", "/")

    @property
    def package(self) -> str:
        """The package below ``module_utils`` (``_dns``) where it is ours; else ""."""
        return self.utility.partition("/")[0]

    @property
    def ours(self) -> bool:
        return self.name == COLLECTION or self.name.startswith(f"{COLLECTION}.")

    @property
    def ansible(self) -> bool:
        return not self.ours and self.name.partition(".")[0] in {"ansible", "ansible_collections"}

    @property
    def standard(self) -> bool:
        return self.name.partition(".")[0] in {*sys.stdlib_module_names, "__future__"}

    @property
    def impure(self) -> bool:
        return self.name not in PURE_PARTS and any(
            self.name == door or self.name.startswith(f"{door}.") for door in IMPURE
        )


class ComputedImport(ValueError):
    """An import whose target cannot be read from the source."""


def imports(path: str, source: str) -> list[Import]:
    """Return every import in the file, wherever it stands."""
    found: list[Import] = []
    _collect(ast.parse(source), path, found, guarded=False, typing=False)
    return found


def _collect(node: ast.AST, path: str, found: list[Import], *, guarded: bool, typing: bool) -> None:
    def note(name: str) -> None:
        found.append(Import(name, node.lineno, guarded, typing))  # type: ignore[attr-defined]

    if isinstance(node, ast.Import):
        for alias in node.names:
            note(alias.name)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(path, node)
        for alias in node.names:
            note(f"{base}.{alias.name}" if base else alias.name)
    elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
        match node.args:
            case [ast.Constant(value=str(name))] if not name.startswith("."):
                note(name)
            case _:
                raise ComputedImport(f"{path}:{node.lineno}: imports a computed name")
    for field, value in ast.iter_fields(node):
        inside_try = isinstance(node, ast.Try) and field == "body" and _catches_import_error(node)
        inside_typing = isinstance(node, ast.If) and field == "body" and _is_type_checking(node)
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                _collect(
                    child,
                    path,
                    found,
                    guarded=guarded or inside_try,
                    typing=typing or inside_typing,
                )


def _absolute(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = [*COLLECTION.split("."), *PurePosixPath(path).parent.parts]
    base = package[: len(package) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _names(node: ast.AST | None) -> set[str]:
    return {
        part.id if isinstance(part, ast.Name) else part.attr
        for part in ast.walk(node or ast.Pass())
        if isinstance(part, (ast.Name, ast.Attribute))
    }


def _catches_import_error(node: ast.Try) -> bool:
    return any(
        _names(handler.type) & {"ImportError", "ModuleNotFoundError"} for handler in node.handlers
    )


def _is_type_checking(node: ast.If) -> bool:
    return isinstance(node.test, (ast.Name, ast.Attribute)) and "TYPE_CHECKING" in _names(node.test)


def layer_of(path: str) -> str:
    """Return the name under which :data:`RULES` knows the file's layer, or "" where no rule fits."""
    match PurePosixPath(path).parts:
        case ("plugins", "module_utils", *folders, name) if folders and name:
            layer = "/".join(folders)
            return layer if layer in RULES else ""
        case ("plugins", kind, name) if name and kind in RULES and not kind.startswith("_"):
            return kind
    return ""


def wrong_imports(path: str, source: str) -> list[str]:
    """Who may import whom."""
    layer = layer_of(path)
    if not layer:
        return [f"{path}:1: no rule says what this layer may import"]
    try:
        found = imports(path, source)
    except ComputedImport as problem:
        return [str(problem)]
    rule = RULES[layer]
    wrong = [
        f"{path}:{item.line}: {layer} must not import {item}{reason}"
        for item in found
        if (reason := _refusal(rule, layer, path, item)) is not None
    ]
    domains = sorted({item.package for item in found} & DOMAINS)
    if rule.one_domain and len(domains) > 1:
        wrong.append(
            f"{path}:1: {layer} may import one domain package, not {' and '.join(domains)}"
        )
    return wrong


def _refusal(rule: Rule, layer: str, path: str, item: Import) -> str | None:
    """Say why the import is refused, or None where it is allowed."""
    if item.utility:
        allowed = (rule.one_domain and item.package in DOMAINS) or any(
            f"{item.utility}/".startswith(f"{name.replace('.', '/')}/") for name in rule.ours
        )
        return None if allowed else ""
    if item.ours:
        return None if rule.plugin_utils and item.name.startswith(f"{CONTROLLER}.") else ""
    if item.ansible:
        return None if rule.ansible or path == EXECUTOR else ""
    if item.standard:
        return ": it is pure and takes ports as arguments" if rule.pure and item.impure else None
    if not rule.third_party:
        return ": third-party clients belong into _ports"
    return None if item.guarded or item.typing else " without catching ImportError"


def ansible_reached(sources: Mapping[str, str]) -> list[str]:
    """Name the files that must run without Ansible but import it, directly or through others of ours."""
    graph = {path: imports(path, source) for path, source in sources.items()}
    wrong = []
    for start in sorted(graph):
        if layer_of(start).partition("/")[0] not in {"_programs", "_wiring", "_ports", *DOMAINS}:
            continue
        trail = _trail_to_ansible(graph, start)
        if trail:
            wrong.append(f"{start}:1: reaches Ansible through {' -> '.join(trail)}")
    return wrong


def _trail_to_ansible(graph: Mapping[str, list[Import]], start: str) -> list[str]:
    queue, seen = [[start]], {start}
    while queue:
        trail = queue.pop(0)
        for item in graph[trail[-1]]:
            if item.typing:
                continue
            if item.ansible:
                return [*trail, item.name]
            if not item.utility:
                continue
            # What is imported is a module, or a name of one.
            for name in (item.utility, item.utility.rpartition("/")[0]):
                target = f"plugins/module_utils/{name}.py"
                if target in graph and target not in seen:
                    seen.add(target)
                    queue.append([*trail, target])
    return []


def impure_calls(path: str, source: str) -> list[str]:
    """A domain package opens no file and talks to nobody."""
    if layer_of(path).partition("/")[0] not in DOMAINS:
        return []
    return [
        f"{path}:{node.lineno}: {layer_of(path)} must not call {node.func.id}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"open", "input", "print", "exec", "eval", "breakpoint"}
    ]


def module_touches(path: str, source: str) -> list[str]:
    """Only the executor ends a module, warns through it, or runs programs with it."""
    if path == EXECUTOR:
        return []
    wrong = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute) or node.attr not in ANSIBLE_MODULE_CALLS:
            continue
        if isinstance(node.value, ast.Name) and node.value.id in NOT_ANSIBLE_MODULES:
            continue
        wrong.append(f"{path}:{node.lineno}: only {EXECUTOR} may use {node.attr}")
    return wrong


def documentation(source: str) -> dict[str, Any]:
    """Return a module's DOCUMENTATION and RETURN as data, by name; EXAMPLES too."""
    return {
        name: yaml.safe_load(text) or {}
        for name, text, end in _documentation_nodes(ast.parse(source))
    }


def _documentation_nodes(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))) if (
                name in DOCUMENTATION_NAMES
            ):
                yield name, text, node.end_lineno or node.lineno


def code_lines(source: str) -> int:
    """Count the lines below the documentation that hold code: no blanks, comments or docstrings."""
    tree = ast.parse(source)
    start = max((end for name, text, end in _documentation_nodes(tree)), default=0)
    prose = {
        line
        for node in _free_strings(tree)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    ignored = {
        tokenize.COMMENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
        tokenize.INDENT,
        tokenize.NEWLINE,
        tokenize.NL,
    }
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in ignored
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len([line for line in lines - prose if line > start])


def _free_strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield strings that stand as statements: docstrings, and the notes below attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as text):
                yield text


def too_long(path: str, source: str) -> list[str]:
    """A module is wiring."""
    count = code_lines(source)
    if count <= MODULE_CODE_LINES:
        return []
    return [f"{path}:1: {count} code lines below the documentation; {MODULE_CODE_LINES} are enough"]


def command_options(path: str, source: str) -> list[str]:
    """No option is called ``command``: an option says what shall be, not what to do."""
    options = documentation(source).get("DOCUMENTATION", {}).get("options")
    return [f"{path}:1: has an option {where}" for where in _command_options(options or {}, "")]


def _command_options(options: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for name, option in options.items():
        option = option or {}
        if "command" in {name, *option.get("aliases", [])}:
            yield f"{prefix}{name}"
        yield from _command_options(option.get("suboptions") or {}, f"{prefix}{name}.")


def missing_attributes(path: str, source: str) -> list[str]:
    """Every module says where it stands on check mode, diff mode, platform and idempotence."""
    own = set(documentation(source).get("DOCUMENTATION", {}).get("attributes") or {})
    wanted = {"check_mode", "diff_mode", "idempotent", "platform"}
    if wanted <= own or extends(source, "attributes") or extends(source, "attributes.info"):
        return []
    return [f"{path}:1: extends no debvisor.hci.attributes fragment"]


def wrong_returns(path: str, source: str) -> list[str]:
    """What the executor returns is documented in a fragment; a module may say more of ``before`` and ``after``."""
    if PurePosixPath(path).stem.endswith("_info"):
        return []
    returned = documentation(source).get("RETURN", {})
    wrong = [f"RETURN repeats {name}" for name in sorted(RETURNED & set(returned))]
    states = [returned[name].get("type") for name in ("before", "after") if name in returned]
    if states not in ([], ["dict", "dict"]):
        wrong.append("RETURN must have both before and after of type dict, or neither")
    if not extends(source, "operation"):
        wrong.append("it must extend the fragment operation, which documents what is returned")
    return [f"{path}:1: {each}" for each in wrong]


def stray_places(path: str, source: str) -> list[str]:
    """Our folders on a node are spelled out in one file. Documentation may name them."""
    if path == SETTINGS or layer_of(path) == "doc_fragments":
        return []
    tree = ast.parse(source)
    prose = {id(text) for text in _free_strings(tree)}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (
                name in DOCUMENTATION_NAMES
            ):
                prose.add(id(value))
    return [
        f"{path}:{node.lineno}: spells out {place}, which is {SETTINGS}'s to say"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        for place in PLACES
        if place in node.value
    ]


def extends(source: str, fragment: str) -> bool:
    """Tell whether a module has what one of our documentation fragments describes."""
    told = documentation(source).get("DOCUMENTATION", {}).get("extends_documentation_fragment")
    return f"debvisor.hci.{fragment}" in ([told] if isinstance(told, str) else told or [])


def group_faults(
    group: str, members: Collection[str], belonging: Collection[str], existing: Collection[str]
) -> list[str]:
    """An action group holds exactly the modules that belong to it, each of which exists."""
    return [
        *(
            f"meta/runtime.yml:1: {name} belongs into the action group {group}"
            for name in sorted(set(belonging) - set(members))
        ),
        *(
            f"meta/runtime.yml:1: {name} in the action group {group} does not exist"
            for name in sorted(set(members) - set(existing))
        ),
        *(
            f"meta/runtime.yml:1: {name} does not belong into the action group {group}"
            for name in sorted(set(members) & set(existing) - set(belonging))
        ),
        *(
            f"meta/runtime.yml:1: {name} stands twice in the action group {group}"
            for name in sorted(set(members))
            if list(members).count(name) > 1
        ),
    ]
