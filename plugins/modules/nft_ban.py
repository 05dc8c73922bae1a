#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nft_ban
short_description: Ban networks for a limited time
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Drops every packet from the networks, those of open connections included, in a table of its own
    (C(inet debvisor_bans)), whose elements the kernel itself removes when their time is over.
  - Who asked for a ban, why and until when is kept in C(/var/lib/debvisor/firewall/bans.json). After a reboot a ban
    lasts as long as it would have without, where the role P(debvisor.hci.blocklist#role) has installed the unit for it.
  - A ban comes before the lists, so it holds for what an allow list names, too.
  - It holds for this host and for what it routes. Frames that a bridge passes on to guests meet it only where
    C(br_netfilter) is loaded, and C(net.bridge.bridge-nf-call-iptables) and C(net.bridge.bridge-nf-call-ip6tables)
    are 1. Where that leaves guests within reach there is a warning.
  - The addresses and gateways of this host, where the connection for this change came from, link-local and loopback
    addresses, and what O(protected) names cannot be banned.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
attributes:
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: partial
    details:
      - Not with O(renew=true).
options:
  networks:
    description:
      - Addresses and networks.
      - With an empty list, bans that have ended are struck off the book, and the kernel is brought to what it says.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(absent) lifts bans of exactly these networks.
    type: str
    choices: [present, absent]
    default: present
  ttl:
    description:
      - How long a ban lasts, in seconds or as in V(15m), V(2h), V(7d) and V(1w); V(forever) has no end.
    type: str
    default: 1h
  reason:
    description:
      - Why. Needed for a ban.
    type: str
  requester:
    description:
      - Who asked for it. By default the account that runs this, and where it came from.
    type: str
  source:
    description:
      - The cause, such as the name of an alert or the number of a ticket.
    type: str
  renew:
    description:
      - Let a ban that is there begin anew, with these options. Without it, it stays as it is.
    type: bool
    default: false
  protected:
    description:
      - Further networks that must not be banned.
    type: list
    elements: str
    default: []
  max_share:
    description:
      - How much of all IPv4 or IPv6 addresses the networks may cover together, in percent. A list that covers more is
        refused, as it is most likely wrong.
    type: float
    default: 1
seealso:
  - module: debvisor.hci.nft_blocklist
  - module: debvisor.hci.block_info
"""

EXAMPLES = r"""
- name: Ban a source of password guesses
  debvisor.hci.nft_ban:
    networks: [203.0.113.7, "2001:db8:bad::/48"]
    ttl: 2h
    reason: guesses passwords
    source: alert SshBruteForce

- name: Lift the ban
  debvisor.hci.nft_ban:
    networks: [203.0.113.7]
    state: absent
"""

RETURN = r"""
bans:
  description: The bans of these networks that are then in force.
  returned: success
  type: list
  elements: dict
  contains:
    network:
      description: The network.
      type: str
    since:
      description: When it was banned, in seconds since 1970.
      type: int
    until:
      description: When that ends, in seconds since 1970; 0 for a ban without end.
      type: int
    reason:
      description: Why.
      type: str
    requester:
      description: Who asked for it.
      type: str
    source:
      description: The cause.
      type: str
count:
  description: How many bans are then in force on this host.
  returned: success
  type: int
"""

from ..module_utils._core.operation import module, run
from ..module_utils._firewall.ban_operation import SPEC
from ..module_utils._wiring import firewall


def main() -> None:
    run(firewall.nft_ban(), module(SPEC))


if __name__ == "__main__":
    main()
