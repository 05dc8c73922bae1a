# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is believed of a secondary."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, rdata
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.incremental import (
    Delta,
    Record,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.rrset import RRset
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import Key
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.adoption import (
    TRUSTED,
    Grants,
    Step,
    take,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.attestation import (
    Attestation,
    attest,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.writer.content import Content

from tests.fakes.zone_changes import APEX, ZONE, adds, record

KEY = Key("g1.debvisor-role", "hmac-sha256", Secret(b"r" * 32))
GRANTS = Grants(APEX, [{"types": ["A", "TXT"], "kind": "node"}], [names.parse(f"vm.{ZONE}.")])


@pytest.mark.parametrize(
    ("name", "rdtype", "may"),
    [
        ("host", rdata.A, True),
        ("deep.host", rdata.TXT, True),
        ("host", rdata.MX, False),
        ("", rdata.TXT, False),
        ("_writer", rdata.TXT, False),
        ("host.vm", rdata.A, False),
        ("vm", rdata.A, False),
    ],
)
def test_clients_may_what_named_grants_them(name: str, rdtype: int, may: bool) -> None:
    assert GRANTS.allow(record(name, rdtype).key) is may


def test_a_grant_may_be_for_names_below_one_and_for_any_type() -> None:
    grants = Grants(APEX, [{"types": ["ANY"], "below": f"acme.{ZONE}"}], [])
    assert grants.allow(record("x.acme", rdata.MX).key)
    assert not grants.allow(record("x", rdata.MX).key)


def base() -> Content:
    return Content.of(10, {})


def attested(*deltas: Delta) -> Attestation:
    known = base()
    known.take(deltas)
    return attest(KEY, ZONE, 7, known.serial, known.digest)


def names_of(records: Iterable[Record]) -> list[str]:
    return [names.render(each.key[0]) for each in records]


def made(step: Step | None) -> list[tuple[str, bool]]:
    assert step is not None
    return [(names.render(record.key[0]), gone) for record, gone in step.changes]


def test_all_that_the_writer_attested_is_taken() -> None:
    """Also what no client may write: an administrator did."""
    deltas = [adds(10, record("", rdata.TXT)), adds(11, record("m", rdata.MX))]
    found = take(base(), deltas, attested(*deltas), GRANTS)
    assert made(found.proved) == [("z.test.", False), ("m.z.test.", False)]
    assert (found.proved and found.proved.start, found.trusted, found.refused) == (12, (), ())


def test_a_secondary_that_forges_an_apex_record_gets_nowhere() -> None:
    """As the adversary did: a serial far ahead, and a TXT record that no node's key may write."""
    forged = Delta(10, 5010, (), (record("", rdata.TXT),))
    found = take(base(), [forged], attested(), GRANTS)
    assert (found.proved, found.trusted) == (None, ())
    assert names_of(found.refused) == ["z.test."]


def test_what_comes_and_goes_on_the_way_is_not_made() -> None:
    """The sum of the way out and back is nought, and it would have left a record that nobody attested."""
    forged, real = record("", rdata.TXT), adds(12, record("a"))
    way = [Delta(10, 11, (forged,), ()), Delta(11, 12, (), (forged,)), real]
    known = base()
    known.take(way)
    said = attest(KEY, ZONE, 7, known.serial, known.digest)
    found = take(base(), way, said, GRANTS)
    assert made(found.proved) == [("a.z.test.", False)]


def test_a_record_that_comes_twice_proves_nothing() -> None:
    way = [adds(10, record("", rdata.TXT)), adds(11, record("", rdata.TXT))]
    found = take(base(), way, attested(*way), GRANTS)
    assert found.proved is None
    assert len(found.refused) == 2


def test_removals_go_before_what_is_added() -> None:
    old, new = record("c", rdata.A, b"old "), record("c", rdata.A, b"new ")
    way = [adds(10, old), Delta(11, 12, (), (new,)), Delta(12, 13, (old,), ())]
    start = Content.of(11, {old.key: RRset(60, frozenset([old.data]))})
    known = start.copy()
    known.take(way[1:])
    found = take(start, way[1:], attest(KEY, ZONE, 7, 13, known.digest), GRANTS)
    assert made(found.proved) == [("c.z.test.", True), ("c.z.test.", False)]


def test_what_clients_may_write_is_taken_beyond_the_attested() -> None:
    known = adds(10, record("", rdata.TXT))
    tail = [adds(11, record("a")), adds(12, record("m", rdata.MX)), adds(13, record("b"))]
    found = take(base(), [known, *tail], attested(known), GRANTS)
    assert made(found.proved) == [("z.test.", False)]
    assert [made(step) for step in found.trusted] == [
        [("a.z.test.", False)],
        [("b.z.test.", False)],
    ]
    assert [step.start for step in found.trusted] == [None, None]
    assert names_of(found.refused) == ["m.z.test."]


def test_an_epoch_begins_no_later_than_what_was_attested() -> None:
    """Else a former writer that returns would keep its updates for itself: a serial alone proves nothing."""
    found = take(base(), [Delta(10, 53, (), ())], attested(), GRANTS)
    assert found.empty


def test_another_content_under_the_attested_serial_proves_nothing() -> None:
    real, forged = adds(10, record("a")), adds(10, record("", rdata.TXT))
    found = take(base(), [forged], attested(real), GRANTS)
    assert (found.proved, names_of(found.refused)) == (None, ["z.test."])


def test_no_more_than_so_much_is_taken_on_trust() -> None:
    deltas = [adds(10 + number, record(f"n{number}")) for number in range(TRUSTED + 5)]
    found = take(base(), deltas, None, GRANTS)
    assert (len(found.trusted), len(found.refused)) == (TRUSTED, 5)
    big = [adds(10 + number, record(f"n{number}", rdata.TXT, b"x" * 9000)) for number in range(9)]
    found = take(base(), big, None, GRANTS)
    assert (len(found.trusted), len(found.refused)) == (4, 5)


def test_what_the_server_signs_itself_is_left_to_it() -> None:
    delta = adds(10, record("a"), record("a", rdata.RRSIG), record("", rdata.DNSKEY))
    found = take(base(), [delta], None, GRANTS)
    assert [made(step) for step in found.trusted] == [[("a.z.test.", False)]]
    assert found.refused == ()


def test_much_goes_in_several_updates_each_of_which_fits() -> None:
    sizes = [9000, 39_000, 60_000, 100]
    big = [
        adds(10 + number, record(f"n{number}", rdata.TXT, b"x" * size))
        for number, size in enumerate(sizes)
    ]
    found = take(base(), big, attested(*big), GRANTS)
    assert found.proved is not None
    updates = [sum(map(len, each)) for each in found.proved.updates()]
    assert len(updates) == 4
    assert max(updates) < 65_000
