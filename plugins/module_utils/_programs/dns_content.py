# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each server's zones hold, compared in the background: equal serials must mean equal content.

Every server follows its own zones by IXFR and tells the others their digests. The writer attests its own.
"""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import Any, NamedTuple, TypeAlias

from .._core.errors import DebvisorError
from .._dns.protocol import names
from .._dns.protocol.client import Client
from .._dns.protocol.serials import reached
from .._dns.writer import epoch, takeover
from .._dns.writer.attestation import Attestation, attest, passed_over, whole_number
from .._dns.writer.content import Content
from .._dns.writer.signed_text import LONGEST, sign, verified
from .dns_keys import Keys, SharedKeys
from .dns_settings import LOCAL, Settings

PURPOSE = b"debvisor zone "
PAUSE = 0.5
"""Seconds between two looks."""
SOON = 0.1
"""The same for the writer, where its serial moves: the sooner it attests, the less is left to trust when it dies."""
FUDGE = 300.0
"""Seconds by which the clocks of two servers may differ, as for TSIG (RFC 8945 section 10)."""
WHOLE_AGAIN = 300.0
"""Seconds after which a whole zone is read again: a file that was changed by hand has the serial that it had."""
SUSPECT_AGAIN = 2.0
"""The same, where the zone is suspected to differ: it may just be on its way."""
FRESH = 2.0
"""Seconds for which it is believed that a writer writes that said so."""
BEYOND = 3.0
"""Seconds for which a follower may be ahead of the writer, before its zone is not the writer's any more."""
TIMEOUT = 5.0

Send: TypeAlias = Callable[[bytes, tuple[str, int]], object]


class Word(NamedTuple):
    """What a server told last of a zone."""

    serial: int
    digest: str
    agrees: bool
    """It held what was attested, at that serial."""
    attested: Attestation | None
    writes: bool
    at: float
    epoch: int
    """The number of the zone's youngest epoch there."""
    said_at: int
    """Nanoseconds on the teller's wall clock: a word that is no later than the last one is a repeated one."""


class ContentKeeper:
    """A thread that follows the zones, tells, attests and compares. What it found may be read from any other."""

    def __init__(
        self,
        config: Settings,
        lease: Callable[[], tuple[int, int]],
        serials: Callable[[], Mapping[str, int]],
        able: Callable[[], bool],
    ) -> None:
        """Begin with nothing known.

        :param lease: gives the number of the lease in which this server writes, 0 for none, and its term.
        :param serials: gives the zones' serials here, as they were a moment ago: what did not move is not asked for.
        :param able: tells whether this server could take the writing over, for the others to know.
        """
        self._config = config
        self._lease = lease
        self._serials = serials
        self._able = able
        self.shared_keys = SharedKeys(config.peers)
        self._role_keys = Keys(str(config.role_key))
        self._name_of = {server.address: server.name for server in config.peers}
        self._began = time.monotonic()
        self._read_at: dict[str, float] = {}
        self._started = 0
        self._stamped = 0
        self._read_whole = False
        """Whether this look has read a whole zone again: one a look, or those that move would wait for all."""
        self._lock = threading.Lock()
        """Over what follows."""
        self._contents: dict[str, Content] = {}
        self._pasts: dict[str, dict[int, str]] = {}
        """Digests at earlier serials, of zones that are to be read again."""
        self._epochs: dict[str, int] = {}
        """The number of the youngest epoch in each zone."""
        self._attested: dict[str, Attestation] = {}
        self._words: dict[tuple[str, str], Word] = {}
        self._suspected: dict[tuple[str, str], bool] = {}
        """Server and zone: whether it differed also after all was read again."""
        self._told_able: dict[str, tuple[bool, float]] = {}
        """Whether each server said that it is able to write, and when."""
        self._beyond: dict[str, tuple[int, float]] = {}
        """A serial that a zone had here, and when; the writer has not told of it or a later one since."""

    # --- what others read

    def differing(self, server: str) -> list[str]:
        """Return the zones of a server, maybe this one, that are not what the writer has."""
        at = time.monotonic()
        with self._lock:
            found = {
                zone for (name, zone), sure in self._suspected.items() if sure and name == server
            }
            if server == self._config.node:
                found |= {
                    zone for zone, (_serial, since) in self._beyond.items() if at - since > BEYOND
                }
        return sorted(found)

    def proved(self) -> dict[str, frozenset[str]]:
        """Return the servers that say that they held just what the writer attested last, each with those zones."""
        with self._lock:
            found: dict[str, set[str]] = {}
            for (name, zone), word in self._words.items():
                if word.agrees and word.attested and word.attested == self._attested.get(zone):
                    found.setdefault(name, set()).add(zone)
        return {name: frozenset(zones) for name, zones in found.items()}

    def outdated(self) -> frozenset[tuple[str, str]]:
        """Return other servers, each with a zone in which a high serial there stands for less than was attested."""
        now = time.monotonic()
        with self._lock:
            return frozenset(
                (name, zone)
                for (name, zone), word in self._words.items()
                if now - word.at < FRESH
                and (attested := self._attested.get(zone)) is not None
                and passed_over(word.serial, word.epoch, attested)
            )

    def attested(self, zone: str) -> Attestation | None:
        """Return the writer's last word on a zone."""
        with self._lock:
            return self._attested.get(zone)

    def writers(self) -> frozenset[str]:
        """Return the other primaries that said lately that they write."""
        now = time.monotonic()
        with self._lock:
            return frozenset(
                name
                for (name, _zone), word in self._words.items()
                if word.writes and name in self._config.other_primaries and now - word.at < FRESH
            )

    def hears_of_able_primary(self) -> bool:
        """Return whether another primary said lately that it is able to write."""
        return any(self.says_able(name) for name in self._config.other_primaries)

    def says_able(self, server: str) -> bool | None:
        """Return whether a server said lately that it is able to write; None where it says nothing about it."""
        with self._lock:
            able, at = self._told_able.get(server, (None, float("-inf")))
        return able if time.monotonic() - at < FRESH else None

    def has_listened(self) -> bool:
        """Return whether it had the time to hear every other server once."""
        return time.monotonic() - self._began > 3 * PAUSE

    def settled(self, zone: str) -> Content:
        """Return the content of a zone as it is now.

        :raises DebvisorError: where the local server does not give it.
        """
        self._notice_restart()
        with self._client() as client:
            return self._catch_up(client, zone).copy()

    def is_as_attested(self, zone: str, *, afresh: bool = False) -> bool:
        """Look whether a zone is what the writer attested, where it can be told; and remember where it is not.

        :param afresh: read all of it, and take what cannot be told for a no.
        """
        if afresh:
            self._forget(zone)
        held = self.settled(zone)
        with self._lock:
            attested = self._attested.get(zone)
            ours = held.past.get(attested.serial) if attested else None
            if attested and passed_over(held.serial, self._epochs.get(zone, 0), attested):
                self._suspected[self._config.node, zone] = True
                return False
            if attested is None or ours is None:
                return not afresh
            if ours == attested.digest:
                self._suspected.pop((self._config.node, zone), None)
            else:
                self._suspected[self._config.node, zone] = True
            return ours == attested.digest

    def suspect(self, zone: str) -> None:
        """Take a zone of this server for another than the writer's, until it is seen to be the same."""
        with self._lock:
            self._suspected[self._config.node, zone] = True
            self._beyond.pop(zone, None)

    def trust(self, zone: str) -> None:
        """Take a zone of this server for the writer's: it was seen to be."""
        with self._lock:
            self._suspected.pop((self._config.node, zone), None)
            self._beyond.pop(zone, None)

    # --- the thread

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop."""
        family = socket.AF_INET6 if ":" in self._config.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.bind((self._config.address, 0))
            due, told = 0.0, dict[str, int]()
            while not stop.wait(SOON):
                serials, at = dict(self._serials()), time.monotonic()
                if at >= due:
                    due, told = at + PAUSE, serials
                    self.look(channel.sendto)
                elif self._lease()[0]:
                    moved = [zone for zone in serials if serials[zone] != told.get(zone)]
                    told = serials
                    self.look(channel.sendto, moved)

    def look(self, send: Send, zones: Iterable[str] | None = None) -> None:
        """Follow every zone, or these, once, compare, and tell the others."""
        self._notice_restart()
        self._read_whole = False
        for zone in self._config.zones if zones is None else zones:
            with contextlib.suppress(DebvisorError, ValueError):
                content = self._attest(zone)
                self._compare(zone, content)
                self._tell(zone, content, send)

    def hear(self, datagram: bytes, address: str) -> None:
        """Take what another server tells; whatever is not signed, or not its own, is passed over."""
        text = verified(PURPOSE, datagram, functools.partial(self.shared_keys.named, address))
        if text is None:
            return
        try:
            body = json.loads(text)
            name, zone, digest = body["from"], body["zone"], body["digest"]
            if not isinstance(digest, str) or not digest.isascii():
                return
            attested = Attestation.parse(body["attested"]) if body["attested"] else None
            word = Word(
                whole_number(body["serial"]),
                digest,
                body["agrees"] is True,
                attested,
                body["writes"] is True,
                time.monotonic(),
                whole_number(body["epoch"]),
                int(body["at"]),
            )
        except (ValueError, KeyError, TypeError):
            return
        if self._name_of.get(address) != name or zone not in self._config.zones:
            return
        if abs(time.time() - word.said_at / 1e9) > FUDGE:
            return
        believed = attested is not None and attested.zone == zone and self._believes(name, attested)
        with self._lock:
            last = self._words.get((name, zone))
            if last is not None and word.said_at <= last.said_at:
                return
            if isinstance(able := body.get("able"), bool):  # a former version does not tell
                self._told_able[name] = (able, word.at)
            self._words[name, zone] = word if believed else word._replace(attested=None)
            if believed and attested and attested.newer(self._attested.get(zone)):
                self._attested[zone] = attested

    def _believes(self, teller: str, attested: Attestation) -> bool:
        """A primary can check the signature; the others pass on what a primary tells, and decide nothing by it."""
        if self._config.primary:
            return attested.holds(self._role_keys.named)
        return teller in self._config.other_primaries

    def _client(self) -> closing[Client]:
        return self._config.client(LOCAL, TIMEOUT, self._config.transfer_key)

    def _notice_restart(self) -> None:
        try:
            started = self._config.pid_file.stat().st_mtime_ns
        except OSError:
            return
        if started != self._started:
            self._started = started
            with self._lock:
                self._contents.clear()

    def _forget(self, zone: str) -> None:
        """Have a zone read again. Where it turns out the same, its past still counts."""
        with self._lock:
            if content := self._contents.pop(zone, None):
                self._pasts[zone] = content.past

    def _due(self, zone: str) -> bool:
        with self._lock:
            suspected = (self._config.node, zone) in self._suspected
        age = time.monotonic() - self._read_at.get(zone, float("-inf"))
        return age >= (SUSPECT_AGAIN if suspected else WHOLE_AGAIN)

    def _catch_up(self, client: Client, zone: str) -> Content:
        """Follow a zone by what changed since; by the whole of it where that is not to be had."""
        apex = names.parse(f"{zone}.")
        with self._lock:
            known = self._contents.get(zone)
            content = known.copy() if known else None
        if content is None:
            self._read_at[zone] = time.monotonic()
            content = Content.of(*client.transfer(apex))
            with self._lock:
                past = self._pasts.pop(zone, {})
            if past.get(content.serial) == content.digest:
                content.past = {**past, **content.past}
        else:
            news = client.changes(apex, content.serial)
            if news.whole is not None:
                past, content = content.past, Content.of(news.serial, news.whole)
                content.past = {**past, **content.past}
            content.take(news.deltas)
            if news.serial != content.serial:  # it went back
                content = Content.of(*client.transfer(apex))
        last = epoch.latest(takeover.history(client, apex))
        with self._lock:
            self._contents[zone] = content
            self._epochs[zone] = last.number if last else 0
        return content

    def _followed(self, zone: str) -> Content:
        """Return the content as it is, or was a moment ago."""
        if not self._read_whole and self._due(zone):
            self._read_whole = True
            self._forget(zone)
        with self._lock:
            known = self._contents.get(zone)
        if known is not None and self._serials().get(zone) == known.serial:
            return known
        with self._client() as client:
            return self._catch_up(client, zone)

    def _attest(self, zone: str) -> Content:
        """Follow a zone; where this server wrote all the while, attest what it holds."""
        before = self._lease()
        content = self._followed(zone)
        key = self._role_keys.current() if self._config.primary else None
        if before[0] and before == self._lease() and key is not None:
            said = attest(key, zone, before[1], content.serial, content.digest)
            with self._lock:
                if said.newer(self._attested.get(zone)):
                    self._attested[zone] = said
        return content

    def _compare(self, zone: str, content: Content) -> None:
        """Hold this server against the writer's word, and the others where this one is the writer."""
        writes, node = bool(self._lease()[0]), self._config.node
        with self._lock:
            attested = self._attested.get(zone)
            words = {name: word for (name, of), word in self._words.items() if of == zone}
            if writes:
                self._beyond.pop(zone, None)
                self._suspected.pop((node, zone), None)
                seen = {name: (word.serial, word.digest) for name, word in words.items()}
            else:
                self._note_beyond(zone, content, words)
                if attested and passed_over(content.serial, self._epochs.get(zone, 0), attested):
                    self._suspected[node, zone] = True
                for name in words:
                    self._suspected.pop((name, zone), None)
                seen = {node: (attested.serial, attested.digest)} if attested else {}
            for name, (serial, digest) in seen.items():
                if (ours := content.past.get(serial)) is not None:
                    self._judge(name, zone, same=ours == digest)

    def _judge(self, server: str, zone: str, *, same: bool) -> None:
        """Note what a comparison showed. Only the second difference is sure: our own sum may be what is wrong."""
        if same:
            self._suspected.pop((server, zone), None)
        elif (server, zone) in self._suspected:
            self._suspected[server, zone] = True
        else:
            self._suspected[server, zone] = False
            if time.monotonic() - self._read_at.get(zone, 0.0) > SUSPECT_AGAIN:
                self._contents.pop(zone, None)

    def _note_beyond(self, zone: str, content: Content, words: Mapping[str, Word]) -> None:
        """Keep a serial that this follower had, until a writer that writes tells that it has it, too."""
        now = time.monotonic()
        writers = [
            word.serial
            for name, word in words.items()
            if word.writes and name in self._config.other_primaries and now - word.at < FRESH
        ]
        had, _since = self._beyond.get(zone, (content.serial, now))
        if not writers or any(reached(serial, had) for serial in writers):
            self._beyond[zone] = (content.serial, now)
        else:
            self._beyond.setdefault(zone, (content.serial, now))

    def _stamp(self) -> int:
        """Return the time for a word: later than that of the last one, also where the clock was set back a little."""
        now = time.time_ns()
        later = self._stamped + 1
        self._stamped = later if now < later < now + FUDGE / 2 * 1e9 else now
        return self._stamped

    def _tell(self, zone: str, content: Content, send: Send) -> None:
        attested = self.attested(zone)
        with self._lock:
            epoch_number = self._epochs.get(zone, 0)
        body: Mapping[str, Any] = {
            "from": self._config.node,
            "zone": zone,
            "serial": content.serial,
            "digest": content.digest,
            "agrees": attested is not None and content.past.get(attested.serial) == attested.digest,
            "attested": list(attested) if attested else None,
            "writes": bool(self._lease()[0]),
            "able": self._able(),
            "epoch": epoch_number,
            "at": self._stamp(),
        }
        text = json.dumps(body, separators=(",", ":")).encode()
        for address in self._name_of:
            key = self.shared_keys.current(address)
            if key is None or len(datagram := sign(PURPOSE, text, key)) > LONGEST:
                continue
            with contextlib.suppress(OSError):
                send(datagram, (address, self._config.lease_port))
