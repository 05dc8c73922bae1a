# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses from the kernel."""

from __future__ import annotations

from ansible_collections.debvisor.hci.plugins.module_utils._ports.net import ip_addresses


def test_the_loopback_address_is_here() -> None:
    assert "127.0.0.1" in ip_addresses.here()


def test_a_documentation_address_is_not() -> None:
    assert not ip_addresses.here() & {"192.0.2.1", "2001:db8::1"}
