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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..._core import file_backup
from ..._core.checks import refuse_any
from ..._core.errors import Conflict, DebvisorError, Problem, VerificationFailed
from ..._core.plan import Action, Difference, Operation, Plan, Receipt
from ..._core.ports import Clock, Files
from ..._core.spec import Spec
from ..protocol import names, rdata, tsig
from ..protocol.client import Client, Transport
from ..protocol.errors import BadKey, BadSignature, NotAuthoritative, RequestRefused
from ..protocol.retrying import retry_transient
from ..protocol.tsig import Key, KeyFileInvalid, class_of
from . import host_bundle
from .bind_keys import TRANSFER_CONF, UPDATE_CONF, configurations, file_name
from .host_bundle import HeldClass
from .peers import check_peers
from .tsig_keys_actions import Access, NoteRevision, RemoveKey, Serve, Switch, WriteKey

REVISION_FILE = "keyring.revision"
PATIENCE = 10.0
"""Seconds to wait for a name server that is absent for a moment."""
SPEC = Spec(
    {
        "sealed": {"type": "str", "required": True, "no_log": False},
        "private_key": {"type": "path", "required": True, "no_log": False},
        "folder": {"type": "path", "required": True},
        "group": {"type": "str", "default": "bind"},
        "peers": {"type": "dict", "default": {}},
    }
)
_GENERATION_FILE = re.compile(r"([a-z0-9-]+)\.g([0-9]+)\.key")


class Opener(Protocol):
    """Opens what was sealed for this host."""

    def open(self, sealed: str, private_key: str) -> bytes: ...


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
    peers: Mapping[str, str]
    group: str
    revision: int = 0
    """Of the keyring; 0 where it is not known."""

    @property
    def serves(self) -> bool:
        return any(each.serves for each in self.held)

    def path(self, name: str) -> str:
        return posixpath.join(self.folder, name)

    def configurations(self) -> dict[str, bytes]:
        """Return what the name server's configurations include."""
        return configurations(self.folder, self.held, self.peers)


@dataclass(frozen=True, slots=True)
class Observed:
    """What the host holds. ``links`` maps a class's link to its target."""

    keys: Mapping[str, Key] = field(repr=False)
    access: Mapping[str, Access]
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

    def parse(self, params: Mapping[str, Any]) -> Wanted:
        problems: list[Problem] = []
        folder = params["folder"]
        if not posixpath.isabs(folder):
            problems.append(Problem("folder", "is not an absolute path"))
        check_peers("peers", params["peers"], problems)
        refuse_any(problems)
        try:
            document = json.loads(self._opener.open(params["sealed"], params["private_key"]))
        except (ValueError, RecursionError):
            document = None
        return Wanted(
            folder.rstrip("/"),
            host_bundle.read_bundle(document),
            params["peers"],
            params["group"],
            host_bundle.revision_of(document),
        )

    def scope(self, wanted: Wanted) -> str:
        return f"{self.name}:{wanted.folder}"

    # --- what is

    def observe(self, wanted: Wanted) -> Observed:
        files = self._files
        keys: dict[str, Key] = {}
        access: dict[str, Access] = {}
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
                if (facts := files.facts(path)) is None:
                    continue  # removed meanwhile
                access[name] = Access(facts.mode, facts.uid, facts.gid)
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
                "the sealed keys are older than those on this host",
                why=f"revision {wanted.revision} of the keyring, after {observed.revision}",
                hint="Another run went on meanwhile: run again. After the keyring was restored from a backup, rotate or"
                " revoke first",
            )
        right = Access(observed.mode, observed.uid, observed.gid)
        actions: list[Action] = []
        valid = {
            file_name(each.name, number): key
            for each in wanted.held
            for number, key in each.keys.items()
        }
        for name, key in sorted(valid.items()):
            if observed.keys.get(name) != key or observed.access[name] != right:
                path = wanted.path(name)
                payload = WriteKey(path, key, right)
                actions.append(Action("write", path, key.secret.fingerprint, payload=payload))
        confs = wanted.configurations() if wanted.serves else {}
        served = sorted(key.name for key in _served(wanted))
        # Files that are right do not help where the server has not read them.
        deaf = observed.running and not observed.accepted.issuperset(served)
        if confs != dict(observed.confs) or deaf:
            accepted = ", ".join(served)
            actions.append(
                Action(
                    "serve",
                    wanted.folder,
                    f"the server accepts {accepted or 'no key'}",
                    payload=Serve(confs, right, observed.running),
                )
            )
        for each in wanted.held:
            link, target = f"{each.name}.key", file_name(each.name, each.current)
            if observed.links.get(link) != target:
                effect = f"sign with generation {each.current}"
                path = wanted.path(link)
                actions.append(Action("switch", path, effect, payload=Switch(path, target)))
        gone = sorted((observed.keys.keys() | observed.broken) - valid.keys())
        links = {f"{each.name}.key" for each in wanted.held}
        gone += sorted(
            name
            for name, target in observed.links.items()
            if name not in links and _GENERATION_FILE.fullmatch(target)
        )
        actions += [
            Action(
                "remove",
                wanted.path(name),
                "not valid any more",
                payload=RemoveKey(wanted.path(name), observed.keys.get(name)),
            )
            for name in gone
        ]
        if wanted.revision != observed.revision:
            path = wanted.path(REVISION_FILE)
            note = NoteRevision(path, wanted.revision, right)
            actions.append(Action("note", path, f"revision {wanted.revision}", payload=note))
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
        reconfigure = False
        match action.payload:
            case Serve(running=running):
                paths = [wanted.path(name) for name in (TRANSFER_CONF, UPDATE_CONF)]
                reconfigure = running
            case (
                WriteKey(path=path)
                | Switch(path=path)
                | RemoveKey(path=path)
                | NoteRevision(path=path)
            ):
                paths = [path]
        kept: list[dict[str, Any]] = []
        try:
            for path in paths:
                kept.append(self._kept(path))
        except BaseException:
            for each in kept:  # no receipt knows of these copies
                file_backup.forget(self._files, each)
            raise
        return {"files": kept, "reconfigure": reconfigure}

    def _kept(self, path: str) -> dict[str, Any]:
        """Describe what is at a path, a link or a file, and keep a copy of a file."""
        target = self._files.link_target(path)
        if target is not None:
            return {"path": path, "link": target, "aside": None}
        return {**file_backup.keep(self._files, path), "link": None}

    def apply(self, action: Action, receipt: Receipt, wanted: Wanted) -> None:
        match action.payload:
            case WriteKey(path, key, access):
                self._write(path, tsig.render(key), access)
            case NoteRevision(path, revision, access):
                self._write(path, f"{revision}\n".encode(), access)
            case Switch(path, target):
                self._files.link(path, target)
            case RemoveKey(path):
                self._files.remove(path)
            case Serve(confs, access, running):
                for content in confs.values():
                    self._server.check_text(content.decode())
                for name in (TRANSFER_CONF, UPDATE_CONF):
                    if name in confs:
                        self._write(wanted.path(name), confs[name], access)
                    else:
                        self._files.remove(wanted.path(name))
                if running:
                    self._reconfigure()

    def _write(self, path: str, content: bytes, access: Access) -> None:
        self._files.write(path, content, mode=access.mode, uid=access.uid, gid=access.gid)

    def undo(self, receipt: Receipt) -> None:
        for kept in receipt["files"]:
            if kept["link"] is not None:
                self._files.link(kept["path"], kept["link"])
            else:
                file_backup.restore(self._files, kept)
        if receipt["reconfigure"]:
            self._reconfigure()

    def _reconfigure(self) -> None:
        """Put the files in force. A server that died a moment ago is being brought back by systemd."""
        retry_transient(
            self._server.reconfigure, PATIENCE, self._clock, (DebvisorError,), first=0.1
        )

    def commit(self, receipt: Receipt) -> None:
        for kept in receipt["files"]:
            file_backup.forget(self._files, kept)

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
        removed = [each.payload for each in plan.actions if isinstance(each.payload, RemoveKey)]
        gone = [each.key for each in removed if each.key and _class(each.key) in serves]
        if still := sorted(key.name for key in gone if self._accepts(key)):
            raise VerificationFailed(
                f"the name server still accepts {', '.join(still)}",
                hint="Another include of its configuration may name that key",
            )
        return {"proved": sorted(proved), "refused": sorted(key.name for key in gone)}

    def _accepts(self, key: Key) -> bool:
        return retry_transient(lambda: self._is_accepted(key), PATIENCE, self._clock)

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


def _served(wanted: Wanted) -> list[Key]:
    return [key for each in wanted.held if each.serves for key in each.keys.values()]


def _class(key: Key) -> str:
    found = class_of(key.name)
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
