# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation behind ``tsig_keys``: one host holds just the keys that the keyring's host sealed for it.

    debvisor-node.g1.key   debvisor-node.g2.key     one file a generation that is valid
    debvisor-node.key -> debvisor-node.g2.key       what to sign with: switched by rename(2)

On a DNS server two more files, which each of its configurations includes, say which keys it accepts; ``rndc reconfig``
makes it so, without a restart. The order of the steps is what makes every moment between them a good one: new keys,
then the server, then the switch, then the old keys go.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .._core import kept_file
from .._core.errors import Conflict, DebvisorError, InvalidInput, Problem, VerificationFailed
from .._core.plan import Action, Difference, Operation, Plan, Receipt
from .._core.waiting import Clock, intervals
from . import keyring, names, rdata, tsig
from .client import Client, Transport
from .errors import BadKey, BadSignature, NotAuthoritative, RequestRefused
from .keyring import HeldClass
from .places import check_address
from .tsig import Key, KeyFileInvalid
from .writing import patiently

TRANSFER_CONF = "bind-transfer.conf"
UPDATE_CONF = "bind-update.conf"
REVISION_FILE = "keyring.revision"
PATIENCE = 10.0
"""Seconds to wait for a name server that is absent for a moment."""
_GENERATION_FILE = re.compile(r"([a-z0-9-]+)\.g([0-9]+)\.key")


class Files(Protocol):
    """The files of the machine."""

    def facts(self, path: str) -> Any: ...

    def read(self, path: str) -> bytes: ...

    def account(self, owner: str | None, group: str | None) -> tuple[int, int]: ...

    def listing(self, folder: str) -> list[str]: ...

    def link_target(self, path: str) -> str | None: ...

    def link(self, path: str, target: str) -> None: ...

    def write(self, path: str, content: bytes, *, mode: int, uid: int, gid: int) -> None: ...

    def copy_aside(self, path: str, aside: str) -> None: ...

    def bring_back(self, aside: str, path: str, *, mode: int, uid: int, gid: int) -> None: ...

    def remove(self, path: str) -> None: ...


class Opener(Protocol):
    """Opens what was sealed for this host."""

    def open(self, sealed: str) -> bytes: ...


class NameServer(Protocol):
    """The name server of this machine."""

    def is_ours(self) -> bool: ...

    def check_text(self, text: str) -> None: ...

    def reconfigure(self, timeout: float = ...) -> None: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options, checked."""

    folder: str
    held: tuple[HeldClass, ...] = field(repr=False)
    peers: tuple[str, ...]
    peer_class: str
    group: str
    revision: int = 0
    """Of the keyring; 0 where it is not known."""

    @property
    def serves(self) -> bool:
        return any(each.serves for each in self.held)

    def path(self, name: str) -> str:
        return posixpath.join(self.folder, name)


@dataclass(frozen=True, slots=True)
class Observed:
    """What the host holds. ``links`` maps a class's link to its target."""

    keys: Mapping[str, Key] = field(repr=False)
    access: Mapping[str, tuple[int, int, int]]
    links: Mapping[str, str]
    confs: Mapping[str, bytes]
    broken: frozenset[str]
    uid: int
    gid: int
    mode: int
    running: bool
    """The name server runs with configurations of ours, so what it accepts can be seen."""
    accepted: frozenset[str]
    """Names of the wanted keys that the running server accepts already."""
    revision: int = 0
    """Of the keyring that the host's keys are from; 0 where it is not known."""


class TsigKeys(Operation[Wanted, Observed]):
    """Hold the sealed keys and no others, and make the name server accept just them."""

    name = "tsig_keys"

    def __init__(
        self,
        files: Files,
        opener: Opener,
        server: NameServer,
        reach: Callable[[str, int, float], Transport],
        clock: Clock,
    ) -> None:
        self._files = files
        self._opener = opener
        self._server = server
        self._reach = reach
        self._clock = clock
        self._gone: list[Key] = []

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        folder = params["folder"]
        if not posixpath.isabs(folder):
            problems.append(Problem("folder", "is not an absolute path"))
        for number, address in enumerate(params["peers"]):
            check_address(f"peers[{number}]", address, problems)
        if problems:
            raise InvalidInput(problems)
        try:
            document = json.loads(self._opener.open(params["sealed"]))
        except (ValueError, RecursionError):
            document = None
        return Wanted(
            folder.rstrip("/"),
            keyring.read_bundle(document),
            tuple(params["peers"]),
            params["peer_class"],
            params["group"],
            keyring.revision_of(document),
        )

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{wanted.folder}"

    # --- what is

    def observe(self, wanted: Wanted) -> Observed:
        files = self._files
        keys: dict[str, Key] = {}
        access: dict[str, tuple[int, int, int]] = {}
        links: dict[str, str] = {}
        confs: dict[str, bytes] = {}
        broken = set()
        revision = 0
        for name in files.listing(wanted.folder):
            path = wanted.path(name)
            target = files.link_target(path)
            if target is not None:
                links[name] = target
            elif _GENERATION_FILE.fullmatch(name):
                facts = files.facts(path)
                access[name] = (facts.mode, facts.uid, facts.gid)
                try:
                    keys[name] = tsig.parse(files.read(path), path)
                except KeyFileInvalid:
                    broken.add(name)
            elif name in (TRANSFER_CONF, UPDATE_CONF):
                confs[name] = files.read(path)
            elif name == REVISION_FILE:
                noted = files.read(path).strip()
                revision = int(noted) if noted.isdigit() else 0
        uid, gid = files.account("root", wanted.group if wanted.serves else "root")
        running = wanted.serves and self._server.is_ours()
        accepted = [key.name for key in _served(wanted) if self._accepts(key)] if running else []
        return Observed(
            keys,
            access,
            links,
            confs,
            frozenset(broken),
            uid,
            gid,
            0o640 if wanted.serves else 0o600,
            running,
            frozenset(accepted),
            revision,
        )

    # --- the way

    def plan(self, observed: Observed, wanted: Wanted) -> Plan:
        if wanted.revision < observed.revision:
            raise Conflict(
                "what was sent is older than what this host holds",
                why=f"revision {wanted.revision} of the keyring, after {observed.revision}",
                hint="Another run went on meanwhile: run again. After the keyring was restored from a backup, rotate or"
                " revoke first",
            )
        right = (observed.mode, observed.uid, observed.gid)
        actions: list[Action] = []
        valid = {
            file_name(each.name, number): key
            for each in wanted.held
            for number, key in each.keys.items()
        }
        for name, key in sorted(valid.items()):
            if observed.keys.get(name) != key or observed.access[name] != right:
                actions.append(
                    Action("write", wanted.path(name), key.secret.fingerprint, payload=(key, right))
                )
        confs = configurations(wanted) if wanted.serves else {}
        served = sorted(key.name for key in _served(wanted))
        # Files that are right do not help where the server was not told of them.
        deaf = observed.running and not observed.accepted.issuperset(served)
        if confs != dict(observed.confs) or deaf:
            accepted = ", ".join(served)
            actions.append(
                Action(
                    "serve",
                    wanted.folder,
                    f"the server accepts {accepted or 'no key'}",
                    payload=(confs, right, observed.running),
                )
            )
        for each in wanted.held:
            link, target = f"{each.name}.key", file_name(each.name, each.current)
            if observed.links.get(link) != target:
                effect = f"sign with generation {each.current}"
                actions.append(Action("switch", wanted.path(link), effect, payload=target))
        gone = sorted((observed.keys.keys() | observed.broken) - valid.keys())
        links = {f"{each.name}.key" for each in wanted.held}
        gone += sorted(
            name
            for name, target in observed.links.items()
            if name not in links and _GENERATION_FILE.fullmatch(target)
        )
        actions += [Action("remove", wanted.path(name), "not valid any more") for name in gone]
        if wanted.revision != observed.revision:
            actions.append(
                Action(
                    "note", wanted.path(REVISION_FILE), f"revision {wanted.revision}", payload=right
                )
            )
        before = _shown(observed.keys, observed.links)
        after = _shown(
            valid, {f"{each.name}.key": file_name(each.name, each.current) for each in wanted.held}
        )
        return Plan(
            before,
            after,
            tuple(actions),
            [Difference(wanted.folder, _lines(before), _lines(after))] if actions else [],
            facts={
                "accepts": sorted(key.name for key in _served(wanted)),
                "signs_with": {each.name: each.keys[each.current].name for each in wanted.held},
                "server_running": observed.running,
            },
        )

    def prepare(self, action: Action, wanted: Wanted) -> Receipt:
        paths = [action.target]
        if action.verb == "serve":
            paths = [wanted.path(name) for name in (TRANSFER_CONF, UPDATE_CONF)]
        elif action.verb == "remove" and self._files.link_target(action.target) is None:
            self._remember(action.target)
        kept: list[dict[str, Any]] = []
        try:
            for path in paths:
                kept.append(self._kept(path))
        except BaseException:
            for each in kept:  # no receipt knows of these copies
                kept_file.forget(self._files, each)
            raise
        return {"files": kept, "reconfigure": action.verb == "serve" and action.payload[2]}

    def _remember(self, path: str) -> None:
        """Keep a key that goes in memory: its refusal is to be proved."""
        try:
            self._gone.append(tsig.parse(self._files.read(path), path))
        except KeyFileInvalid:
            return

    def _kept(self, path: str) -> dict[str, Any]:
        """Describe what is at a path, a link or a file, and keep a copy of a file."""
        target = self._files.link_target(path)
        if target is not None:
            return {"path": path, "link": target, "aside": None}
        return {**kept_file.keep(self._files, path), "link": None}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        files = self._files
        if action.verb == "write":
            key, (mode, uid, gid) = action.payload
            files.write(action.target, tsig.render(key), mode=mode, uid=uid, gid=gid)
        elif action.verb == "note":
            mode, uid, gid = action.payload
            content = f"{wanted.revision}\n".encode()
            files.write(action.target, content, mode=mode, uid=uid, gid=gid)
        elif action.verb == "switch":
            files.link(action.target, action.payload)
        elif action.verb == "remove":
            files.remove(action.target)
        else:
            confs, (mode, uid, gid), running = action.payload
            for content in confs.values():
                self._server.check_text(content.decode())
            for name in (TRANSFER_CONF, UPDATE_CONF):
                if name in confs:
                    files.write(wanted.path(name), confs[name], mode=mode, uid=uid, gid=gid)
                else:
                    files.remove(wanted.path(name))
            if running:
                self._reconfigure()

    def undo(self, receipt: Receipt) -> None:
        for kept in receipt["files"]:
            if kept["link"] is not None:
                self._files.link(kept["path"], kept["link"])
            else:
                kept_file.restore(self._files, kept)
        if receipt["reconfigure"]:
            self._reconfigure()

    def _reconfigure(self) -> None:
        """Put the files in force. A server that died a moment ago is being brought back by systemd."""
        deadline = self._clock.monotonic() + PATIENCE
        for pause in intervals(0.1, 1.0):
            try:
                self._server.reconfigure()
            except DebvisorError:
                if self._clock.monotonic() >= deadline:
                    raise
                self._clock.sleep(pause)
            else:
                return

    def commit(self, receipt: Receipt) -> None:
        for kept in receipt["files"]:
            kept_file.forget(self._files, kept)

    # --- the proof

    def verify(self, plan: Plan, wanted: Wanted) -> Mapping[str, Any]:
        """Ask the name server itself: it must accept each valid key, and know none of those that went."""
        if not plan.facts["server_running"]:
            return {"proved": [], "refused": []}
        proved = [key.name for key in _served(wanted) if self._accepts(key)]
        if missing := sorted({key.name for key in _served(wanted)} - set(proved)):
            raise VerificationFailed(
                f"the name server does not accept {', '.join(missing)}",
                hint="Its log says why; the former keys are in force again",
            )
        serves = {each.name for each in wanted.held if each.serves}
        gone = [key for key in self._gone if _class(key) in serves]
        if still := sorted(key.name for key in gone if self._accepts(key)):
            raise VerificationFailed(
                f"the name server still accepts {', '.join(still)}",
                hint="Another include of its configuration may name that key",
            )
        return {"proved": sorted(proved), "refused": sorted(key.name for key in gone)}

    def _accepts(self, key: Key) -> bool:
        return patiently(lambda: self._is_accepted(key), PATIENCE, self._clock)

    def _is_accepted(self, key: Key) -> bool:
        """Sign a question with the key. Whatever the answer is: signed with the key, it proves the secret.

        A key that is known with another secret (BADSIG) is a no as well: a keyring that was lost and begun anew gives
        numbers again that this server has seen, and then the new secret has to take the place of the old one.
        """
        client = Client(self._reach("127.0.0.1", 53, 3.0), lambda: key)
        try:
            client.ask(names.ROOT, rdata.SOA)
        except (BadKey, BadSignature):
            return False
        except (
            RequestRefused,
            NotAuthoritative,
        ):  # a signed no: it knows the key, and not the name
            return True
        finally:
            client.close()
        return True


def file_name(of_class: str, number: int) -> str:
    """Return the name of the file that holds one generation."""
    return f"{of_class}.g{number}.key"


def configurations(wanted: Wanted) -> dict[str, bytes]:
    """Return the two files that the name server's configurations include, by name."""
    transfer = [each for each in wanted.held if each.serves == "transfer"]
    update = [each for each in wanted.held if each.serves == "update"]
    head = "// Written by the module debvisor.hci.tsig_keys: which keys this server accepts.\n"
    lines = [head]
    lines += [_include(wanted, each, number) for each in transfer for number in sorted(each.keys)]
    readers = [each for each in update if each.reads]
    lines.append(_access_list("debvisor-transfer", transfer))
    lines.append(_access_list("debvisor-readers", readers))
    lines.append(_access_list("debvisor-proof", update))
    signer = next((each for each in transfer if each.name == wanted.peer_class), None)
    if signer is not None:
        name = signer.keys[signer.current].name
        lines += [f'server {peer} {{ keys "{name}"; }};\n' for peer in wanted.peers]
    found = {TRANSFER_CONF: "".join(lines).encode()}
    lines = [head]
    lines += [_include(wanted, each, number) for each in update for number in sorted(each.keys)]
    found[UPDATE_CONF] = "".join(lines).encode()
    return found


def _include(wanted: Wanted, each: HeldClass, number: int) -> str:
    return f'include "{wanted.path(file_name(each.name, number))}";\n'


def _access_list(name: str, classes: Sequence[HeldClass]) -> str:
    keys = [key.name for each in classes for _number, key in sorted(each.keys.items())]
    members = " ".join(f'key "{key}";' for key in keys) or "none;"
    return f'acl "{name}" {{ {members} }};\n'


def _served(wanted: Wanted) -> list[Key]:
    return [key for each in wanted.held if each.serves for key in each.keys.values()]


def _class(key: Key) -> str:
    found = keyring.class_of(key.name)
    return found[0] if found else ""


def _shown(keys: Mapping[str, Key], links: Mapping[str, str]) -> dict[str, Any]:
    return {
        "keys": {name: key.secret.fingerprint for name, key in sorted(keys.items())},
        "links": dict(sorted(links.items())),
    }


def _lines(shown: Mapping[str, Any]) -> str:
    return "".join(
        [f"{name}: {fingerprint}\n" for name, fingerprint in shown["keys"].items()]
        + [f"{name} -> {target}\n" for name, target in shown["links"].items()]
    )
