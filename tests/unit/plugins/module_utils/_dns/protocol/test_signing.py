# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG: dnspython accepts what we sign, and we accept what it signs and nothing else."""

from __future__ import annotations

import time

import dns.message
import dns.name
import dns.tsig
import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol import names, signing, wire
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.errors import (
    BadTime,
    UntrustedAnswer,
)
from ansible_collections.debvisor.hci.plugins.module_utils._dns.protocol.tsig import ALGORITHMS, Key

NOW = int(time.time())


def pair(algorithm: str) -> tuple[Key, dict]:
    secret = bytes(range(ALGORITHMS[algorithm]))
    ring = {dns.name.from_text("k.g1."): dns.tsig.Key("k.g1.", secret, algorithm)}
    return Key("k.g1", algorithm, Secret(secret)), ring


def answered(algorithm: str = "hmac-sha256") -> tuple[signing.Exchange, dns.message.Message]:
    key, ring = pair(algorithm)
    exchange = signing.Exchange(key)
    plain = wire.query(7, names.parse("example.org."), 6)
    signed = exchange.sign(plain, int(time.time()))
    assert len(signed) - len(plain) <= signing.LONGEST_SIGNATURE
    return exchange, dns.message.make_response(dns.message.from_wire(signed, keyring=ring))


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_both_sides_agree(algorithm: str) -> None:
    exchange, answer = answered(algorithm)
    exchange.check(wire.read(answer.to_wire()), int(time.time()), "s")


def test_a_transfer_of_many_messages_is_one_chain() -> None:
    exchange, answer = answered()
    context = None
    for _attempt in range(4):
        data = answer.to_wire(multi=True, tsig_ctx=context)
        context = answer.tsig_ctx
        exchange.check(wire.read(data), int(time.time()), "s")
    exchange.finish("s")


def test_any_changed_byte_is_noticed() -> None:
    _exchange, answer = answered()
    good = answer.to_wire()
    for place in range(2, len(good)):
        exchange, again = answered()
        data = bytearray(again.to_wire())
        data[place] ^= 1
        try:
            found = wire.read(bytes(data))
        except wire.Malformed:
            continue
        with pytest.raises((UntrustedAnswer, BadTime)):
            exchange.check(found, int(time.time()), "s")


def test_an_unsigned_answer_is_not_trusted() -> None:
    exchange, _answer = answered()
    plain = dns.message.make_response(dns.message.make_query("example.org.", "SOA"))
    with pytest.raises(UntrustedAnswer, match="without a signature"):
        exchange.check(wire.read(plain.to_wire()), NOW, "s")


def test_a_transfer_must_not_end_unsigned() -> None:
    exchange, answer = answered()
    exchange.check(wire.read(answer.to_wire(multi=True)), int(time.time()), "s")
    plain = dns.message.make_response(dns.message.make_query("example.org.", "SOA"))
    exchange.check(wire.read(plain.to_wire()), NOW, "s")
    with pytest.raises(UntrustedAnswer, match="end of its transfer"):
        exchange.finish("s")


def test_an_old_answer_is_not_trusted_and_says_by_how_much() -> None:
    exchange, answer = answered()
    with pytest.raises(BadTime, match="s behind") as caught:
        exchange.check(wire.read(answer.to_wire()), int(time.time()) + 400, "s")
    assert caught.value.details["skew_seconds"] in (-399, -400, -401)
