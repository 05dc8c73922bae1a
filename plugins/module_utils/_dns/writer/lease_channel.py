# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the lease's messages travel: signed, short, and of no use to whoever records them.

A datagram is the name of the key that signed it, the hexadecimal HMAC-SHA256 of the rest, and the rest, which is JSON,
with spaces between them. Keys can so be rotated under way, and nothing is parsed that nobody signed.

A voter takes requests in a *session* alone, whose random name it gives to a program that asks for the first time
(:class:`Challenge`): what was recorded before either of the two started is thereby stale. Within a session the numbers
of requests grow. Replies carry the *life* of the program that asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

from ..protocol.tsig import Key
from .lease import Ask, Candidate, Grant, Refusal, Release, Reply, Request, Voter
from .signed_text import sign, verified

VERSION = 1
PURPOSE = b"debvisor lease "
"""Signed with each message, so that no signature is one of TSIG, which uses the same keys."""


def electorate(servers: Iterable[str], quorum: int, duration: float) -> str:
    """Return a digest of who votes and for how long."""
    text = json.dumps([sorted(servers), quorum, duration])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Challenge:
    """A voter's answer to a request outside its session: ask again in this one."""

    voter: str
    number: int
    session: str


Content: TypeAlias = "Request | Reply | Challenge"
_KINDS: Mapping[str, type[Any]] = {
    kind.__name__.lower(): kind for kind in (Ask, Release, Grant, Refusal, Challenge)
}
_TYPES: Mapping[str, Any] = {"str": str, "int": int, "float": (int, float)}


@dataclass(frozen=True, slots=True)
class Letter:
    """A message on its way. ``life`` is of the program that asks; ``session`` is the voter's, and empty in replies.

    ``electorate`` is a digest of who votes and for how long: servers that differ in that have nothing to say to each
    other, since each side could find a majority of its own.
    """

    source: str
    target: str
    electorate: str
    life: str
    session: str
    content: Content


def seal(letter: Letter, key: Key) -> bytes:
    """Return the datagram of a letter."""
    body = {
        "v": VERSION,
        "from": letter.source,
        "to": letter.target,
        "electorate": letter.electorate,
        "life": letter.life,
        "session": letter.session,
        "kind": type(letter.content).__name__.lower(),
        "content": asdict(letter.content),
    }
    return sign(PURPOSE, json.dumps(body, separators=(",", ":")).encode(), key)


def unseal(datagram: bytes, keys: Callable[[str], Key | None]) -> Letter | None:
    """Return the letter of a datagram; None where it is none, or nobody who holds a key made it.

    :param keys: gives the key of a name, or None where there is none.
    """
    text = verified(PURPOSE, datagram, keys)
    if text is None:
        return None
    try:
        body = json.loads(text)
        if body["v"] != VERSION:
            return None
        kind, given = _KINDS[body["kind"]], body["content"]
        if not all(isinstance(given[each.name], _TYPES[str(each.type)]) for each in fields(kind)):
            return None
        content = kind(**given)
        source, target, ours = body["from"], body["to"], body["electorate"]
        return Letter(source, target, ours, body["life"], body["session"], content)
    except (ValueError, KeyError, TypeError):
        return None


class VoterDesk:
    """A voter and its sessions. Everything comes from one thread.

    :param nodes: who may ask.
    :param electorate: of this voter. It answers no other.
    :param token: makes a random name.
    """

    def __init__(
        self, voter: Voter, nodes: Iterable[str], electorate: str, token: Callable[[], str]
    ) -> None:
        self._voter = voter
        self._electorate = electorate
        self._token = token
        self._session = dict.fromkeys(nodes, "")
        self._offered = {node: token() for node in self._session}

    def answer(self, letter: Letter, now: float) -> Letter | None:
        """Return the reply to a letter; None where it needs none, or is not for this voter."""
        node = letter.source
        if letter.target != self._voter.name or node not in self._session:
            return None
        if letter.electorate != self._electorate:
            return None
        if not isinstance(letter.content, Ask | Release) or letter.content.node != node:
            return None
        reply: Reply | Challenge | None
        if letter.session == self._offered[node]:
            self._session[node] = letter.session
            self._offered[node] = self._token()
            self._voter.begin_anew(node)
        if letter.session != self._session[node] or not letter.session:
            reply = Challenge(self._voter.name, letter.content.number, self._offered[node])
        else:
            reply = self._voter.answer(letter.content, now)
        if reply is None:
            return None
        return Letter(self._voter.name, node, letter.electorate, letter.life, "", reply)


class CandidateDesk:
    """A candidate and the sessions that voters gave it. Everything comes from one thread.

    :param life: the random name of this program's life.
    """

    def __init__(
        self, candidate: Candidate, voters: Iterable[str], electorate: str, life: str
    ) -> None:
        self._candidate = candidate
        self._electorate = electorate
        self._life = life
        self._sessions = dict.fromkeys(voters, "")
        self._last: Request | None = None

    def address(self, requests: Iterable[Request]) -> list[Letter]:
        """Return a letter to each voter for each request."""
        letters = []
        for request in requests:
            self._last = request
            letters += [self._letter(voter, request) for voter in self._sessions]
        return letters

    def hear(self, letter: Letter, now: float) -> list[Letter]:
        """Take a reply in; return what is to be sent because of it."""
        reply = letter.content
        if isinstance(reply, Ask | Release) or letter.life != self._life:
            return []
        if letter.target != self._candidate.node or reply.voter != letter.source:
            return []
        if letter.source not in self._sessions:
            return []
        if not isinstance(reply, Challenge):
            self._candidate.hear(reply, now)
            return []
        self._sessions[letter.source] = reply.session
        last = self._last
        if last is None or last.number != reply.number:
            return []
        return [self._letter(letter.source, last)]

    def _letter(self, voter: str, request: Request) -> Letter:
        node, session = self._candidate.node, self._sessions[voter]
        return Letter(node, voter, self._electorate, self._life, session, request)
