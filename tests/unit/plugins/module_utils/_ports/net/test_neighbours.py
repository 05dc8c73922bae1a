# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames that claim an address, byte for byte against what tcpdump(8) reads."""

from __future__ import annotations

import struct

from ansible_collections.debvisor.hci.plugins.module_utils._ports.net.neighbours import frame

MAC = bytes.fromhex("02aabbccddee")


def test_an_ipv4_address_is_announced_by_arp() -> None:
    assert frame("192.0.2.53", MAC).hex() == (
        "ffffffffffff02aabbccddee0806000108000604000102aabbccddeec0000235000000000000c0000235"
    )


def test_an_ipv6_address_is_announced_by_a_neighbour_advertisement() -> None:
    sent = frame("2001:db8::53", MAC)
    assert sent[:14].hex() == "33330000000102aabbccddee86dd"
    version, length, following, hops = struct.unpack_from("!IHBB", sent, 14)
    source, target, message = sent[22:38], sent[38:54], sent[54:]
    assert (version >> 28, length, following, hops) == (6, 32, 58, 255)
    assert target.hex() == "ff020000000000000000000000000001"
    assert message[:2] == b"\x88\0"
    assert message[4:].hex() == "20000000" + source.hex() + "020102aabbccddee"
    total = sum(struct.unpack("!36H", source + target + struct.pack("!II", 32, 58) + message))
    assert (total & 0xFFFF) + (total >> 16) in (0xFFFF, 0x1FFFE), "the checksum holds"
