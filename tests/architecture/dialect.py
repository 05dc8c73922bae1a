# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One dialect of action and one of each helper, as rules over all plugins."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping

CORE = "plugins/module_utils/_core/"
LONGEST_FILE = 450
EXIT_STACKS = ("ExitStack", "contextlib.ExitStack")
RUNNERS: Mapping[str, str] = {
    "plugins/module_utils/_ports/host/command.py": "it is the runner",
    "plugins/action/ssh_access.py": "it runs on the control node, which need not have setpriv(1)",
    "plugins/plugin_utils/ssh_client.py": "it runs on the control node, which need not have setpriv(1)",
}
"""What may import subprocess, and why."""

Sources = Mapping[str, str]


def long_files(plugins: Sources) -> list[str]:
    """Return the files that are too long to be read at once."""
    return [path for path, text in plugins.items() if len(text.splitlines()) > LONGEST_FILE]


def readers_of_text(plugins: Sources) -> list[str]:
    """Return the files that read an action's verb or target, which are for people; its payload is for programs."""
    return [
        path
        for path, text in plugins.items()
        if not path.startswith(CORE) and _reads_text(ast.parse(text))
    ]


def _reads_text(tree: ast.Module) -> bool:
    known = {"action", *_names_of_actions(tree)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr="verb" | "target") if name in known:
                return True
            case ast.Attribute(value=ast.Subscript(value=held), attr="verb" | "target"):
                if _holds_actions(held):
                    return True
            case ast.MatchClass(cls=ast.Name(id="Action"), kwd_attrs=[*read]):
                if {"verb", "target"} & {*read} or node.patterns:
                    return True
    return False


def _names_of_actions(tree: ast.Module) -> Iterator[str]:
    """Yield what actions are called: by annotation, where they are made, and where a plan's are gone through."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name, annotation=ast.Name(id="Action")):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="Action")):
                yield name
            case ast.Assign(
                targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="Action"))
            ):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Subscript(value=held)):
                if _holds_actions(held):
                    yield name
            case ast.For(target=target, iter=held) | ast.comprehension(target=target, iter=held):
                if _holds_actions(held):
                    yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))


def _holds_actions(held: ast.expr) -> bool:
    """Return whether it is a plan's actions, or what a function makes of them."""
    return any(
        isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node).endswith("actions")
        for node in ast.walk(held)
    )


def keepers_of_state(plugins: Sources) -> list[str]:
    """Return where an operation keeps something on self: a container that its constructor makes, be it one of ours, or
    something that another method sets. Each as ``path:method``.
    """
    return [
        f"{path}:{method.name}"
        for path, text in plugins.items()
        for kind in _classes(text, "Operation")
        for method in kind.body
        if isinstance(method, ast.FunctionDef)
        and (_makes_room if method.name == "__init__" else _sets_self)(method)
    ]


def _makes_room(constructor: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, ast.Assign | ast.AnnAssign)
        and node.value is not None
        and _is_room(node.value)
        for node in ast.walk(constructor)
    )


def _is_room(value: ast.expr) -> bool:
    """Return whether something can be put into it later. An exit stack holds nothing but what is to be closed."""
    match value:
        case ast.Call(func=made, args=[], keywords=[]):
            return ast.unparse(made) not in EXIT_STACKS
        case ast.List() | ast.Dict() | ast.Set() | ast.ListComp() | ast.DictComp() | ast.SetComp():
            return True
        case ast.Call(func=ast.Name(id="list" | "dict" | "set" | "deque" | "defaultdict")):
            return True
    return False


def _sets_self(method: ast.FunctionDef) -> bool:
    """Return whether it sets something on self, or on what it found there, also under another name."""
    ours = {"self"}
    for node in ast.walk(method):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute() as value):
                if _root(value) == "self":
                    ours.add(name)
    return any(
        isinstance(node, ast.Attribute | ast.Subscript)
        and isinstance(node.ctx, ast.Store | ast.Del)
        and _root(node) in ours
        for node in ast.walk(method)
    )


def _root(node: ast.expr) -> str:
    """Return the name that a chain of attributes and subscripts begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def protocols_declared_twice(plugins: Sources) -> list[str]:
    """Return the names of protocols that several files declare."""
    names = [kind.name for text in plugins.values() for kind in _classes(text, "Protocol")]
    return sorted({name for name in names if names.count(name) > 1})


def other_runners(plugins: Sources) -> list[str]:
    """Return the files that import subprocess, and are not known for a good reason."""
    return [
        path
        for path, text in plugins.items()
        if path not in RUNNERS
        and any(
            (isinstance(node, ast.Import) and any(name.name == "subprocess" for name in node.names))
            or (isinstance(node, ast.ImportFrom) and node.module == "subprocess")
            for node in ast.walk(ast.parse(text))
        )
    ]


def _classes(text: str, base: str) -> Iterator[ast.ClassDef]:
    """Yield the classes that derive from ``base``, be it generic or of a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and any(
            ast.unparse(each).partition("[")[0].rpartition(".")[2] == base for each in node.bases
        ):
            yield node


RULES: Mapping[str, Callable[[Sources], list[str]]] = {
    rule.__name__: rule
    for rule in (
        long_files,
        readers_of_text,
        keepers_of_state,
        protocols_declared_twice,
        other_runners,
    )
}
