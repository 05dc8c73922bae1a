# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A packet filter in a file: it takes the part of nft's language that our lists and bans are written in.

A script is a transaction, as in the kernel: it works on a copy, which takes the place of the original where all of it
went well. As the kernel does, it outlives the process that changes it. Whatever is not understood is refused, so that
a test cannot pass by a typing error.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.debvisor.hci.plugins.module_utils._ports.firewall.nft import NftFailed


@dataclass
class FakeTable:
    comment: str = ""
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)
    sets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Elements of each set, and what follows the address: a timeout, or nothing."""
    chains: dict[str, list[str]] = field(default_factory=dict)


def _nothing(script: str) -> None:
    """Let the script through."""


@dataclass
class FakeNft:
    path: Path
    loads: list[str] = field(default_factory=list)
    before_load: Callable[[str], None] = _nothing
    after_load: Callable[[str], None] = _nothing

    @property
    def tables(self) -> dict[str, FakeTable]:
        found: dict[str, FakeTable] = (
            pickle.loads(self.path.read_bytes()) if self.path.exists() else {}
        )
        return found

    @tables.setter
    def tables(self, tables: dict[str, FakeTable]) -> None:
        self.path.write_bytes(pickle.dumps(tables))

    def table(
        self, family: str, name: str, *, elements: bool = False
    ) -> list[dict[str, Any]] | None:
        assert family == "inet"
        found = self.tables.get(name)
        if found is None:
            return None
        items: list[dict[str, Any]] = [
            {"table": {"family": family, "name": name, "comment": found.comment}}
        ]
        items += [
            {"counter": {"name": counter, "packets": packets, "bytes": size, "handle": 1}}
            for counter, (packets, size) in found.counters.items()
        ]
        for each, held in found.sets.items():
            told: dict[str, Any] = {"name": each, "handle": 2}
            if elements:
                told["elem"] = [
                    {"elem": {"val": address}} if rest else address
                    for address, rest in held.items()
                ]
            items.append({"set": told})
        for chain, rules in found.chains.items():
            items.append({"chain": {"name": chain, "handle": 3}})
            items += [
                {
                    "rule": {
                        "chain": chain,
                        "expr": [{"text": rule}, {rule.split()[-1]: None}],
                        "handle": 4,
                    }
                }
                for rule in rules
            ]
        return items

    def load(self, script: Iterable[str]) -> None:
        text = "".join(script)
        self.before_load(text)
        tables = self.tables
        lines = iter(text.splitlines())
        for line in lines:
            _command(tables, line.strip(), lines)
        self.tables = tables
        self.loads.append(text)
        self.after_load(text)

    def elements(self, table: str) -> dict[str, set[str]]:
        return {name: set(held) for name, held in self.tables[table].sets.items() if held}


def _command(tables: dict[str, FakeTable], line: str, lines: Iterable[str]) -> None:
    words = line.split()
    match words:
        case ["table", "inet", name]:
            tables.setdefault(name, FakeTable())
        case ["table", "inet", name, "{"]:
            _block(tables.setdefault(name, FakeTable()), lines)
        case ["delete", "table", "inet", name]:
            _there(tables, name)
            del tables[name]
        case ["destroy", "table", "inet", name]:
            tables.pop(name, None)
        case ["add", "counter", "inet", table, name]:
            tables[table].counters.setdefault(name, (0, 0))
        case ["delete", "counter", "inet", table, name]:
            _unused(tables[table], f"counter name {name} ")
            del tables[table].counters[name]
        case ["add", "set", "inet", table, name, "{", *_kind]:
            tables[table].sets.setdefault(name, {})
        case ["delete", "set", "inet", table, name]:
            _unused(tables[table], f"@{name} ")
            del tables[table].sets[name]
        case ["add", "chain", "inet", table, name]:
            tables[table].chains.setdefault(name, [])
        case ["delete", "chain", "inet", table, name]:
            _there(tables[table].chains, name)
            del tables[table].chains[name]
        case ["flush", "chain", "inet", table, name]:
            _there(tables[table].chains, name)
            tables[table].chains[name] = []
        case ["add", "rule", "inet", table, chain, *rule]:
            tables[table].chains[chain].append(_rule(tables[table], " ".join(rule)))
        case [("add" | "destroy") as verb, "element", "inet", table, name, *_elements]:
            _there(tables[table].sets, name)
            _change(tables[table].sets[name], verb, line.partition("{")[2].rpartition("}")[0])
        case _:
            raise NftFailed("nft refused the rules", why=f"syntax error: {line}")


def _block(table: FakeTable, lines: Iterable[str]) -> None:
    chain = ""
    for line in lines:
        text = line.strip()
        if found := re.fullmatch(r'comment "(.*)"', text):
            table.comment = found[1]
        elif found := re.fullmatch(r"counter (\S+) \{ packets (\d+) bytes (\d+) \}", text):
            table.counters[found[1]] = (int(found[2]), int(found[3]))
        elif found := re.fullmatch(r"set (\S+) \{ type ipv[46]_addr; (flags timeout; )?\}", text):
            table.sets[found[1]] = {}
        elif found := re.fullmatch(r"chain (\S+) \{ \}", text):
            table.chains[found[1]] = []
        elif found := re.fullmatch(r"chain (\S+) \{", text):
            chain = found[1]
            table.chains[chain] = []
        elif text.startswith("type filter hook ") and chain:
            continue
        elif text == "}":
            if not chain:
                return
            chain = ""
        elif chain:
            table.chains[chain].append(_rule(table, text))
        else:
            raise NftFailed("nft refused the rules", why=f"syntax error: {text}")


def _rule(table: FakeTable, text: str) -> str:
    for name in re.findall(r"@(\S+)", text):
        _there(table.sets, name)
    for name in re.findall(r"counter name (\S+)", text):
        _there(table.counters, name)
    return text


def _change(held: dict[str, str], verb: str, listed: str) -> None:
    for each in listed.split(","):
        address, _space, rest = each.strip().partition(" ")
        if re.search(r"\d{9}", rest):
            raise NftFailed("nft refused the rules", why="value too large")
        if verb == "destroy":
            held.pop(address, None)
        else:
            held.setdefault(address, rest)


def _there(held: Iterable[str], name: str) -> None:
    if name not in held:
        raise NftFailed("nft refused the rules", why=f"No such file or directory: {name}")


def _unused(table: FakeTable, mention: str) -> None:
    if any(mention in f"{rule} " for rules in table.chains.values() for rule in rules):
        raise NftFailed("nft refused the rules", why=f"Device or resource busy: {mention}")
