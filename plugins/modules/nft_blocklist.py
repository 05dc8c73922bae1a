#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nft_blocklist
short_description: Drop packets from listed networks, up to a million
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Brings the table C(inet debvisor_blocklist) to what lists say, in one transaction of the kernel that holds only what
    changed. Each list has one hash set per family and prefix length, so that adding one network takes milliseconds
    however many there are.
  - What allow lists name is taken out of the block lists, by splitting networks around it, and is let through first by
    rules of its own. So are protected networks, which are the addresses and gateways of this host, where the connection
    for this change came from, link-local and loopback addresses, and what O(protected) names.
  - Packets of connections that are established, and of the loopback interface, are not checked.
  - Lists are plain text with one address, network or range (C(first-last)) a line, IPv4 or IPv6. C(#) and C(;) begin a
    comment. Every line that is wrong is named, and then nothing is changed.
  - What is in force is kept in C(/var/lib/debvisor/firewall/blocklist) for the next boot, and for
    M(debvisor.hci.block_info).
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
attributes:
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: partial
    details:
      - Not with O(rebuild=true).
options:
  lists:
    description:
      - The lists, in the order in which they are asked. A packet counts for the first list that has its address.
      - Needed with O(state=present). An empty list blocks nothing.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - Name of the list, of letters, digits and underscores. Sets and counters are called after it.
        type: str
        required: true
      action:
        description:
          - Whether packets from its networks are dropped or let through.
        type: str
        choices: [block, allow]
        default: block
      files:
        description:
          - Files on this host that make up the list.
        type: list
        elements: path
        default: []
      entries:
        description:
          - Further lines of the list.
        type: list
        elements: str
        default: []
  protected:
    description:
      - Networks that stay reachable whatever the lists say, such as virtual addresses and other hosts of the cluster.
    type: list
    elements: str
    default: []
  max_share:
    description:
      - How much of all IPv4 or IPv6 addresses one list may cover, in percent. A list that covers more is refused.
    type: float
    default: 10
  strict:
    description:
      - Refuse lines that have bits beyond their prefix, such as C(10.1.2.3/8), instead of warning about them.
    type: bool
    default: false
  rebuild:
    description:
      - Load everything anew even where the kernel seems to have it.
    type: bool
    default: false
  state:
    description:
      - V(absent) removes the table and what is kept.
    type: str
    choices: [present, absent]
    default: present
notes:
  - Frames that a bridge passes on to guests meet the lists only where C(br_netfilter) is loaded, and
    C(net.bridge.bridge-nf-call-iptables) and C(net.bridge.bridge-nf-call-ip6tables) are 1. Where that leaves guests
    within reach there is a warning whenever elements come.
  - Changes that other programs made to the table's rules or sets are found and repaired. Elements that they added to a
    set or took out of it are not seen; O(rebuild=true) repairs that, and so does a reload of
    C(debvisor-blocklist.service), where the role P(debvisor.hci.blocklist#role) has installed that.
seealso:
  - module: debvisor.hci.nft_ban
  - module: debvisor.hci.block_info
  - module: debvisor.hci.blocklist_feed
"""

EXAMPLES = r"""
- name: Drop what two feeds list, but never the office
  debvisor.hci.nft_blocklist:
    lists:
      - name: office
        action: allow
        entries: [198.51.100.0/28, "2001:db8:100::/48"]
      - name: drop
        files: [/etc/debvisor/blocklists/drop.txt]
      - name: scanners
        files:
          - /etc/debvisor/blocklists/scanners4.txt
          - /etc/debvisor/blocklists/scanners6.txt
    protected: [192.0.2.53]
"""

RETURN = r"""
lists:
  description: What is in force, list by list; the first is what is protected.
  returned: success, and not with O(state=absent)
  type: list
  elements: dict
  contains:
    name:
      description: Name of the list.
      type: str
    action:
      description: V(block) or V(allow).
      type: str
    sources:
      description: What it was made from, each with C(where), C(sha256), C(lines) and C(networks).
      type: list
      elements: dict
    elements:
      description: How many elements it has in the kernel, after the allow lists were taken out, by family.
      type: dict
    prefix_lengths:
      description: The prefix lengths of them, by family. Each costs a new connection one lookup.
      type: dict
protected_met:
  description: Lines of the lists that would have blocked something protected.
  returned: success, and not with O(state=absent)
  type: list
  elements: dict
notices:
  description: Lines that may not be meant as they are written.
  returned: success, and not with O(state=absent)
  type: list
  elements: str
added:
  description: How many elements came.
  returned: success, and not with O(state=absent)
  type: int
removed:
  description: How many elements went.
  returned: success, and not with O(state=absent)
  type: int
problems:
  description: What is wrong with the lists, each with C(where) and C(what).
  returned: when the lists are refused
  type: list
  elements: dict
"""

from ..module_utils._core.operation import module, run
from ..module_utils._firewall.blocklist_options import SPEC
from ..module_utils._wiring import firewall


def main() -> None:
    run(firewall.nft_blocklist(), module(SPEC))


if __name__ == "__main__":
    main()
