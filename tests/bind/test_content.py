# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers hold, compared: real servers, of which one may lie, and what is taken from it at a take-over."""

from __future__ import annotations

import dataclasses
import itertools
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core import settings
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import Refused
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import (
    names,
    rdata,
    tsig,
    wire,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.client import Client
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.incremental import (
    Delta,
    Record,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer import epoch, takeover
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.attestation import attest
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.epoch import Epoch
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.signed_text import (
    LONGEST,
    sign,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.writer import Role, Situation
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns import bind as tools
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_probe import (
    Question,
    Sign,
    ask,
    serials,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.dns.dns_server import DnsServer
from ansible_collections.debvisor.hci.plugins.module_utils._programs import (
    dns_content,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_adoption import Adoption
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_client import (
    signing_client,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_content import (
    PURPOSE,
    ContentKeeper,
)
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_keys import SharedKeys
from ansible_collections.debvisor.hci.plugins.module_utils._programs.dns_settings import (
    ServerEntry,
    Settings,
)

from tests.bind.conftest import (
    ZONE,
    ZONE_TEXT,
    Named,
    free_port,
    key_text,
    program,
    secret_of,
    settings_for,
)

APEX = names.parse(ZONE)
NAME = ZONE.rstrip(".")
HERE, THERE, ELSEWHERE = "127.0.0.1", "127.0.0.2", "127.0.0.3"
LEASE = (3, 7)
LEAPT = 65537


@pytest.fixture
def config(primary: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What n1 is told; it is the server at the first address."""
    monkeypatch.setattr(settings, "SYSTEM_STATE_DIR", tmp_path / "state")
    monkeypatch.setattr(settings, "audit_file", lambda: tmp_path / "audit.jsonl")
    monkeypatch.setattr(tools, "COMPILEZONE", program("named-compilezone"))
    return settings_for(
        primary,
        tmp_path,
        servers=(
            ServerEntry("n1", HERE, True, tmp_path / "transfer.key"),
            ServerEntry("n3", THERE, False, tmp_path / "shared.key"),
            ServerEntry("n2", ELSEWHERE, True, tmp_path / "transfer.key"),
        ),
        quorum=2,
        grants=({"kind": "node", "types": ["A"]},),
        kinds={NAME: "node"},
        pid_file=primary.folder / "named.pid",
    )


@pytest.fixture
def other(tmp_path: Path, config: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Named]:
    """A server with a zone of its own, which began as the same: what n3 has, or says that it has."""
    policy = "update-policy { grant all zonesub ANY; };"
    zone = f'zone "{ZONE}" {{ type primary; file "{ZONE}zone"; {policy} }};\n'
    named = Named(tmp_path / "other", free_port(), zone)

    def reach(self: Settings, address: str, timeout: float, key_file: Path) -> closing[Client]:
        port = named.port if address == THERE else self.port
        return closing(signing_client(HERE, port, timeout, str(key_file))[0])

    monkeypatch.setattr(Settings, "client", reach)
    (named.folder / f"{ZONE}zone").write_text(ZONE_TEXT)
    named.start()
    yield named
    named.stop()


def client_of(server: Named) -> closing[Client]:
    key = tsig.parse(key_text("all").encode(), "all")
    return closing(Client(DnsServer(server.address, server.port, 5.0), lambda: key))


def add(server: Named, name: str, rdtype: int, data: bytes) -> None:
    owner = names.parse(name, APEX) if name else APEX
    with client_of(server) as client:
        message = wire.update(APEX, [], [wire.record(owner, rdtype, wire.IN, 60, data)])
        assert client.update(message) == [None]


def host(server: Named, name: str, last: int) -> None:
    add(server, name, rdata.A, bytes([192, 0, 2, last]))


def held(server: Named) -> dict[str, set[bytes]]:
    with client_of(server) as client:
        _serial, sets = client.transfer(APEX)
    return {
        f"{names.render(name)} {rdata.type_text(rdtype)}": set(each.data)
        for (name, rdtype), each in sets.items()
    }


def keeper(config: Settings, lease: tuple[int, int] = (0, 0)) -> ContentKeeper:
    return ContentKeeper(config, lambda: lease, dict, bool)


def test_a_zone_that_did_not_move_is_not_asked_for(
    primary: Named, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {NAME: 1}
    followed = ContentKeeper(config, lambda: (0, 0), lambda: now, bool)
    followed.look(nowhere)
    asked: list[str] = []
    monkeypatch.setattr(Client, "changes", lambda *given: asked.append("changes"))
    followed.look(nowhere)
    assert asked == []


Send = Callable[[bytes, tuple[str, int]], object]


def into(receiver: ContentKeeper, address: str) -> Send:
    """Deliver what one keeper tells to another one, from this address."""

    def send(datagram: bytes, to: tuple[str, int]) -> None:
        assert len(datagram) <= LONGEST
        receiver.hear(datagram, address)

    return send


def nowhere(datagram: bytes, to: tuple[str, int]) -> None:
    """Tell nobody."""


def test_changes_come_as_deltas_and_whole_where_the_journal_does_not_reach(primary: Named) -> None:
    host(primary, "a", 1)
    host(primary, "b", 2)
    with client_of(primary) as client:
        assert client.changes(APEX, 3).deltas == ()
        news = client.changes(APEX, 1)
        assert [(delta.start, delta.end, len(delta.added)) for delta in news.deltas] == [
            (1, 2, 1),
            (2, 3, 1),
        ]
        far = client.changes(APEX, (1 << 32) - 5)
        assert far.serial == 3
        assert far.whole is not None
        assert (names.parse("a", APEX), rdata.A) in far.whole


def test_a_digest_follows_the_server_and_is_that_of_the_whole(
    primary: Named, config: Settings
) -> None:
    followed = keeper(config)
    first = followed.settled(NAME).digest
    host(primary, "a", 1)
    add(primary, "Mail", rdata.CNAME, b"\x02Mx\x07Example\x04Test\x00")
    second = followed.settled(NAME)
    assert second.serial == 3
    assert second.digest == keeper(config).settled(NAME).digest != first
    assert second.past[1] == first


def test_a_file_that_was_edited_is_seen_at_the_next_start(
    primary: Named, other: Named, config: Settings
) -> None:
    """At the same serial: no transfer ever mends it, and no serial tells."""
    writer, follower = keeper(config, LEASE), keeper(config)
    writer.look(into(follower, ELSEWHERE))
    follower.look(nowhere)
    assert follower.attested(NAME) is None, "n1's own word, from another address"
    there = ContentKeeper(_as(config, "n2"), lambda: LEASE, dict, bool)
    for _look in range(3):
        there.look(into(follower, ELSEWHERE))
        follower.look(nowhere)
        assert follower.differing("n1") == []
    assert follower.attested(NAME) is not None
    primary.stop()
    (primary.folder / f"{ZONE}zone").write_text(ZONE_TEXT + "forged A 192.0.2.66\n")
    primary.start()
    follower.look(nowhere)
    assert follower.differing("n1") == [], "once may be a slip of our own"
    follower.look(nowhere)
    assert follower.differing("n1") == [NAME]
    primary.stop()
    (primary.folder / f"{ZONE}zone").write_text(ZONE_TEXT)
    primary.start()
    follower.look(nowhere)
    follower.look(nowhere)
    assert follower.differing("n1") == []


def _as(config: Settings, node: str) -> Settings:
    """Return what another server is told. A secondary has the key that it shares with the primaries, and no other."""
    entries = config.servers
    if node == "n3":
        own = next(each.key for each in entries if each.name == node)
        entries = tuple(dataclasses.replace(each, key=own) for each in entries)
    return dataclasses.replace(config, node=node, servers=entries)


def test_the_writer_sees_who_holds_something_else(
    primary: Named, other: Named, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = keeper(config, LEASE)
    beside = ContentKeeper(_as(config, "n3"), lambda: (0, 0), dict, bool)
    monkeypatch.setattr(beside, "_client", lambda: client_of(other))
    for look in range(3):
        writer.look(into(beside, HERE))
        beside.look(into(writer, THERE))
        assert writer.differing("n3") == []
        assert look == 0 or writer.proved() == {"n3": frozenset({NAME})}
    host(primary, "a", 1)
    host(other, "a", 2)
    for _look in range(4):
        writer.look(into(beside, HERE))
        beside.look(into(writer, THERE))
    assert writer.differing("n3") == [NAME] == beside.differing("n3")
    assert writer.proved() == {}


@pytest.mark.parametrize("sent", [b"", b"no key", b"transfer 00 {}", b"\xff" * 900])
def test_noise_is_passed_over(config: Settings, sent: bytes) -> None:
    found = keeper(config)
    found.hear(sent, THERE)
    assert found.proved() == {}


def test_nobody_attests_who_does_not_write_or_lost_the_lease_meanwhile(
    primary: Named, config: Settings
) -> None:
    idle = keeper(config)
    idle.look(nowhere)
    assert idle.attested(NAME) is None
    leases = itertools.chain([(3, 7)], itertools.repeat((4, 9)))
    moved = ContentKeeper(config, lambda: next(leases), dict, bool)
    moved.look(nowhere)
    assert moved.attested(NAME) is None


def signer(path: Path) -> Sign:
    return SharedKeys([ServerEntry("n2", HERE, True, path)]).sign


def test_a_server_that_does_not_sign_its_answers_is_none(
    primary: Named, config: Settings, tmp_path: Path
) -> None:
    question = Question(HERE, NAME, primary.port)
    assert serials(ask([question], 2.0, signer(tmp_path / "transfer.key"))) == {HERE: {NAME: 1}}
    (tmp_path / "strange.key").write_text(key_text("strange"))
    assert serials(ask([question], 0.5, signer(tmp_path / "strange.key"))) == {}
    (tmp_path / "none.key").touch()
    assert serials(ask([question], 0.5, signer(tmp_path / "none.key"))) == {}
    (tmp_path / "wrong.key").write_text(key_text("transfer", secret_of("wrong")))
    assert serials(ask([question], 0.5, signer(tmp_path / "wrong.key"))) == {}


def test_a_word_that_comes_again_is_passed_over(
    primary: Named, other: Named, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever hears it can send it again, with the address of who said it."""
    known, said = keeper(config), list[bytes]()
    able = True
    there = ContentKeeper(_as(config, "n2"), lambda: LEASE, dict, lambda: able)
    monkeypatch.setattr(there, "_client", lambda: client_of(other))
    there.look(lambda datagram, to: said.append(datagram))
    known.hear(said[0], ELSEWHERE)
    assert known.says_able("n2") is True
    able = False
    there.look(into(known, ELSEWHERE))
    known.hear(said[0], ELSEWHERE)
    assert known.says_able("n2") is False
    fresh = keeper(config)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + 2 * dns_content.FUDGE)
    fresh.hear(said[0], ELSEWHERE)
    assert fresh.says_able("n2") is None


def attested_by_n2(there: Named, config: Settings, known: ContentKeeper) -> None:
    """Let n2 write there in a lease, and tell us."""
    writer = ContentKeeper(_as(config, "n2"), lambda: LEASE, dict, bool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "_client", lambda: client_of(there))
        writer.look(into(known, ELSEWHERE))


def test_a_serial_that_was_raised_in_vain_is_no_later_content(
    primary: Named, other: Named, config: Settings
) -> None:
    """We began to write, and did not get through. Another one wrote from the serial of before, in a younger term."""
    known = keeper(config)
    known.look(nowhere)
    with client_of(primary) as client:
        takeover.take_over(client, APEX, epoch.leap(1, 1), [Epoch(6, 1, "n1", "t")])
    with client_of(other) as client:
        takeover.take_over(client, APEX, epoch.leap(1, 0), [Epoch(7, 1, "n2", "t")])
    host(other, "a", 1)
    attested_by_n2(other, config, known)
    assert not known.is_as_attested(NAME)
    assert known.differing("n1") == [NAME]


def test_a_serial_of_the_same_writer_is_later_content(
    primary: Named, other: Named, config: Settings
) -> None:
    with client_of(other) as client:
        takeover.take_over(client, APEX, epoch.leap(1, 0), [Epoch(7, 1, "n2", "t")])
    known = keeper(config)
    attested_by_n2(other, config, known)
    with client_of(primary) as client:
        takeover.take_over(client, APEX, epoch.leap(1, 0) + 5, [Epoch(7, 1, "n2", "t")])
    assert known.is_as_attested(NAME)


@pytest.mark.parametrize("late", [rdata.A, rdata.TXT])
def test_what_came_over_is_proved_by_the_way_from_what_was_attested(
    primary: Named, other: Named, config: Settings, late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """n3 has what n2 attested, and an update more: one that a client may make, or one that none may."""
    known, n3 = keeper(config), next(each for each in config.peers if each.name == "n3")
    host(other, "a", 1)
    attested_by_n2(other, config, known)
    add(
        other,
        "late" if late == rdata.A else "",
        late,
        b"\xc0\0\2\2" if late == rdata.A else b"\2hi",
    )
    monkeypatch.setattr(known, "_client", lambda: client_of(other))  # the zone came over from there
    adoption = Adoption(config, known, print)
    assert not known.is_as_attested(NAME, afresh=True)
    assert adoption.leads_here(NAME, n3) is (late == rdata.A)


def test_an_epoch_begins_with_all_that_a_secondary_has(
    primary: Named, other: Named, config: Settings
) -> None:
    """In one message: whatever ends us on the way, the raised serial never stands for less."""
    known = keeper(config)
    known.look(nowhere)
    host(other, "a", 1)
    attested_by_n2(other, config, known)
    host(other, "late", 2)
    adopted = Adoption(config, known, print).collect(seen(1, 3))[NAME]
    assert adopted.together is not None
    changes, start = adopted.together
    assert start == 2
    with client_of(primary) as client:
        takeover.take_over(client, APEX, epoch.leap(1, 0), [Epoch(8, start, "n1", "t")], changes)
        assert client.soa(APEX).serial == epoch.leap(1, 0)
    assert {"a.example.test. A", "late.example.test. A"} <= set(held(primary))


def test_nothing_is_taken_over_without_the_lease(
    primary: Named, other: Named, config: Settings
) -> None:
    known = keeper(config)
    known.look(nowhere)
    host(other, "a", 1)
    adoption = Adoption(config, known, print)
    adopted = adoption.collect(seen(1, 2))[NAME]

    def lost() -> None:
        raise Refused("the lease was lost")

    with client_of(primary) as client, pytest.raises(Refused):
        adoption.make(client, NAME, Epoch(1, 1, "n1", "t"), adopted, lost)
    assert "a.example.test. A" not in held(primary)
    [left] = adopted.left  # no other try finds n3 ahead
    assert left.data == bytes([192, 0, 2, 1])


def test_a_primary_with_a_serial_that_was_raised_in_vain_is_no_leader(
    primary: Named, other: Named, config: Settings
) -> None:
    """It came back, and we hold what n2 attested in a younger term, at a lower serial."""
    known = keeper(config)
    host(other, "a", 1)
    attested_by_n2(other, config, known)
    tell(known, config, ELSEWHERE, **WRITER, serial=LEAPT, epoch=LEASE[1] - 1)
    assert known.outdated() == {("n2", NAME)}
    tell(known, config, ELSEWHERE, **WRITER, serial=LEAPT, epoch=LEASE[1])
    assert known.outdated() == frozenset()


def test_a_zone_that_is_read_again_and_is_the_same_keeps_its_past(
    primary: Named, config: Settings
) -> None:
    """Whoever holds what was attested says so also minutes after the writer died."""
    followed = keeper(config)
    first = followed.settled(NAME)
    host(primary, "a", 1)
    followed.settled(NAME)
    followed._forget(NAME)
    assert followed.settled(NAME).past[first.serial] == first.digest
    primary.stop()
    (primary.folder / f"{ZONE}zone").write_text(ZONE_TEXT + "forged A 192.0.2.66\n")
    primary.start()
    followed._forget(NAME)
    assert list(followed.settled(NAME).past) == [followed.settled(NAME).serial]


def test_words_are_later_than_those_before_also_on_a_clock_that_is_set_back(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, now = keeper(config), [10**18]
    monkeypatch.setattr(dns_content.time, "time_ns", lambda: now[0])
    stamps = [found._stamp()]
    for step in (0, -100 * 10**9, 1):
        now[0] += step
        stamps.append(found._stamp())
    assert stamps == [10**18, 10**18 + 1, 10**18 + 2, 10**18 + 3]
    now[0] -= 10**12
    assert found._stamp() == now[0], "so far off, nothing that it says would be believed"


def taken_over(primary: Named, other: Named, config: Settings, known: ContentKeeper) -> list[str]:
    """Take over as dns-role does; return what it logs."""
    log: list[str] = []
    adoption = Adoption(config, known, log.append)
    with client_of(primary) as client:
        own = client.soa(APEX).serial
        with client_of(other) as peer:
            theirs = peer.soa(APEX).serial
        adopted = adoption.collect(seen(own, theirs))
        begun = Epoch(1, own, "n1", "t")
        takeover.take_over(client, APEX, epoch.leap(own, 0), [begun])
        for zone, each in adopted.items():
            adoption.make(client, zone, begun, each, lambda: None)
    adoption.report(adopted)
    return [line.partition(": /")[0] for line in log]


def seen(own: int, theirs: int) -> Situation:
    return Situation(Role.FOLLOWER, True, True, (NAME,), {NAME: own}, {"n3": {NAME: theirs}}, 3, 2)


def test_what_the_writer_attested_is_taken_from_a_secondary(
    primary: Named, other: Named, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer n2 is gone; n3 has updates of it that we do not, among them an administrator's."""
    known = keeper(config)
    known.look(nowhere)
    host(other, "a", 1)
    add(other, "", rdata.TXT, b"\x02hi")
    gone = ContentKeeper(_as(config, "n2"), lambda: LEASE, dict, bool)
    monkeypatch.setattr(gone, "_client", lambda: client_of(other))
    gone.look(into(known, ELSEWHERE))
    host(other, "late", 2)
    log = taken_over(primary, other, config, known)
    found = held(primary)
    assert {"a.example.test. A", "late.example.test. A", "example.test. TXT"} <= set(found)
    assert log == [f"{NAME}: took 2 attested and 1 other changes from n3, and left 0"]
    with client_of(primary) as client:
        assert takeover.history(client, APEX) == {Epoch(1, 3, "n1", "t")}


@pytest.mark.parametrize("data", [b"\x01\x02\x03", b""])
def test_a_record_that_bind_refuses_costs_itself_alone(
    primary: Named,
    other: Named,
    config: Settings,
    data: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A secondary may send what no server would take; it must not keep us from writing."""
    known = keeper(config)
    known.look(nowhere)
    host(other, "a", 1)

    def forge(
        self: Any, zone: str, client: Client, ours: Any, patience: float
    ) -> tuple[Delta, ...]:
        owner = names.parse("b", APEX), rdata.A
        return (
            *client.changes(APEX, ours.serial).deltas,
            Delta(2, 3, (), (Record(owner, 60, data),)),
        )

    monkeypatch.setattr(Adoption, "_deltas", forge)
    log = taken_over(primary, other, config, known)
    assert "a.example.test. A" in held(primary)
    assert log[-1] == f"{NAME}: took 0 attested and 2 other changes from n3, and left 1"
    [path] = config.unshared.glob("*.report.json")
    [left] = json.loads(path.read_bytes())["conflicts"]
    assert left["name"] == "b.example.test."


def test_what_nobody_attested_and_no_client_may_write_is_left_to_a_person(
    primary: Named, other: Named, config: Settings, tmp_path: Path
) -> None:
    with client_of(other) as client:  # a serial far ahead, as the adversary did
        takeover.take_over(client, APEX, 5001, [Epoch(1, 1, "n3", "t")])
    host(other, "a", 1)
    add(other, "", rdata.TXT, b"\x06forged")
    known = keeper(config)
    known.look(nowhere)
    log = taken_over(primary, other, config, known)
    found = held(primary)
    assert "a.example.test. A" in found
    assert "example.test. TXT" not in found
    assert log == [f"{NAME}: took 0 attested and 1 other changes from n3, and left 2"]
    with client_of(primary) as client:
        assert takeover.history(client, APEX) == {Epoch(1, 1, "n1", "t")}
    [path] = config.unshared.glob("*.report.json")
    report = json.loads(path.read_bytes())
    assert [(each["name"], each["type"]) for each in report["conflicts"]] == [
        ("_writer.example.test.", "TXT"),
        ("example.test.", "TXT"),
    ]
    [line] = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["result"] == "refused"


def test_a_secondary_that_hangs_holds_nothing_up(
    primary: Named, other: Named, config: Settings
) -> None:
    log: list[str] = []
    known = keeper(config)
    assert other.process is not None
    other.process.send_signal(signal.SIGSTOP)
    while ") T " not in Path(f"/proc/{other.process.pid}/stat").read_text():
        time.sleep(0.01)
    try:
        assert Adoption(config, known, log.append).collect(seen(1, 9)) == {}
    finally:
        other.process.send_signal(signal.SIGCONT)
    assert "n3" in " ".join(log)


def test_a_secondary_that_sends_drop_by_drop_is_left_behind(
    primary: Named, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers in time again and again, and never comes to an end."""
    over, ended, log = threading.Event(), list[str](), list[str]()

    def drip(self: Any, *what: Any) -> tuple[Delta, ...]:
        over.wait(20)
        ended.append("ended")
        return ()

    monkeypatch.setattr(Adoption, "_deltas", drip)
    impatient = dataclasses.replace(config, adopt_patience=0.2)
    try:
        assert Adoption(impatient, keeper(config), log.append).collect(seen(1, 9)) == {}
        assert ended == [], "it was waited for"
    finally:
        over.set()
    assert log == [f"n3 says that it has more of {NAME}, and does not give it: going on without it"]


BODY = {
    "from": "n3",
    "zone": NAME,
    "serial": 1,
    "digest": "d",
    "agrees": True,
    "attested": None,
    "writes": False,
    "epoch": 7,
}


WRITER = {"from": "n2"}


def tell(
    known: ContentKeeper, config: Settings, at: str = THERE, key_of: str = "", **change: Any
) -> None:
    """Let n3, or who is at another address, say something, signed with the key that is shared with it."""
    key = SharedKeys(config.peers).current(key_of or at)
    assert key is not None
    known.hear(
        sign(PURPOSE, json.dumps({**BODY, "at": time.time_ns(), **change}).encode(), key), at
    )


def test_who_has_the_key_of_a_secondary_does_not_speak_for_a_primary(config: Settings) -> None:
    known = keeper(config)
    tell(known, config, ELSEWHERE, key_of=THERE, **WRITER, able=True)
    assert known.says_able("n2") is None
    tell(known, config, ELSEWHERE, **WRITER, able=True)
    assert known.says_able("n2") is True


def test_who_says_that_it_is_able_to_write_is_believed_for_a_moment(
    config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = ContentKeeper(config, lambda: (0, 0), dict, bool)
    other = next(iter(config.other_primaries))
    at = next(server.address for server in config.peers if server.name == other)
    tell(known, config, at, **{"from": other})
    assert known.says_able(other) is None, "a former version does not say"
    tell(known, config, at, **{"from": other, "able": False})
    assert known.says_able(other) is False
    assert not known.hears_of_able_primary()
    tell(known, config, at, **{"from": other, "able": True})
    assert known.hears_of_able_primary()
    tell(known, config, able=True)
    assert known.says_able("n3") is True
    later = time.monotonic() + dns_content.FRESH
    monkeypatch.setattr(dns_content.time, "monotonic", lambda: later)
    assert known.says_able(other) is None
    assert not known.hears_of_able_primary()


@pytest.mark.parametrize("key", [key_text("transfer"), key_text("all", secret_of("guessed"))])
def test_only_primaries_attest(primary: Named, config: Settings, key: str) -> None:
    """A node that has the key of transfers alone signs as well as it can."""
    known = keeper(config)
    forged = attest(tsig.parse(key.encode(), "key"), NAME, 99, 1, "d")
    tell(known, config, attested=list(forged))
    assert known.attested(NAME) is None
    assert known.proved() == {}


@pytest.mark.parametrize(
    "change",
    [
        {"serial": float("inf")},
        {"serial": "1"},
        {"serial": True},
        {"digest": "\u00e9"},
        {"digest": 1},
        {"attested": [NAME, "x", 1, "d", "all", "m"]},
        {"attested": [NAME, 99, 1, "d", "all", "\u00e9"]},
        {"attested": {"zone": NAME}},
        {"zone": ["a"]},
        {"from": None},
    ],
)
def test_whoever_has_the_key_of_transfers_cannot_stop_the_program(
    primary: Named, config: Settings, change: dict[str, Any]
) -> None:
    """It comes to the thread of the lease: an error there would have ended the program."""
    known = keeper(config)
    tell(known, config, **change)
    known.look(nowhere)
    assert known.attested(NAME) is None


def test_a_follower_beyond_the_writer_is_told_from_one_that_is_quick(
    primary: Named, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A serial that was raised by hand by more than the next leap was followed by nobody, for ever."""
    known = keeper(config)
    now = [1000.0]
    monkeypatch.setattr(dns_content.time, "monotonic", lambda: now[0])
    for number in range(9):
        tell(known, config, ELSEWHERE, **WRITER, serial=4_294_900_000, writes=number < 8)
        known.look(nowhere)
        assert known.differing("n1") == ([NAME] if 4 <= number < 8 else []), number
        now[0] += 1.0


def test_a_follower_that_is_always_a_little_ahead_of_the_last_word_is_fine(
    primary: Named, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is with every stream of updates: a word is half a second old."""
    known = keeper(config)
    now = [1000.0]
    monkeypatch.setattr(dns_content.time, "monotonic", lambda: now[0])
    for number in range(10):
        with client_of(primary) as client:
            serial = client.soa(APEX).serial
        tell(known, config, ELSEWHERE, **WRITER, serial=serial, writes=True)
        host(primary, f"h{number}", number)
        known.look(nowhere)
        assert known.differing("n1") == []
        now[0] += 1.0


def test_a_pull_from_a_secondary_has_to_prove_itself(primary: Named, config: Settings) -> None:
    """What was pulled was promoted as soon as anything had come."""
    writer = keeper(config, LEASE)
    writer.look(nowhere)
    said = writer.attested(NAME)
    assert said is not None
    known = keeper(config)
    known.suspect(NAME)
    assert not known.is_as_attested(NAME, afresh=True), "nobody attested anything"
    assert known.differing("n1") == [NAME]
    known._attested[NAME] = said
    assert known.is_as_attested(NAME, afresh=True)
    assert known.differing("n1") == []
    known._attested[NAME] = said._replace(digest="other")
    assert not known.is_as_attested(NAME)
    assert known.differing("n1") == [NAME]
