#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nft_ruleset
short_description: Manage the baseline packet filter with confirmation over a new connection
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Makes the nftables table C(inet debvisor_filter) admit the services that O(openings) names, and what a host cannot
    do without; the rest of what comes in is logged at a bounded rate and dropped. It has no forward and no output
    chain.
  - Tables of others are left alone. A table of that name without our comment is refused.
  - The rules are first loaded into a network namespace of their own. What the kernel lists there is compared with what
    is in force, so that a rule which was changed by hand is found and repaired.
  - Where the rules change, there is a warning about open TCP connections from others that these rules would not let in
    again, as from a network of the cluster's own that no opening names.
  - A file brings the rules back at boot. It is replaced when the rules are confirmed, so that a restart before brings
    back the rules from before.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
  - debvisor.hci.commit_confirm
options:
  state:
    description:
      - Whether the table shall be there.
    type: str
    choices: [present, absent]
    default: present
  services:
    description:
      - What services listen on.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Name of the service. The counter of its rules carries it as comment.
        type: str
        required: true
      ports:
        description:
          - Ports and ranges of ports with their protocol, such as V(53/udp) or V(6800-7568/tcp).
        type: list
        elements: str
        default: []
      protocols:
        description:
          - IP protocols without ports, by name (V(ah), V(esp), V(gre), V(ipip), V(ospf), V(sctp), V(vrrp)) or number.
        type: list
        elements: str
        default: []
  openings:
    description:
      - Which services are open, to whom. A packet that one of them admits comes in.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description:
          - Name of one of O(services).
        type: str
        required: true
      sources:
        description:
          - Addresses and networks that may come. An empty list admits no one.
        type: list
        elements: str
        default: [any]
      destinations:
        description:
          - Addresses and networks of this host that they may come to.
        type: list
        elements: str
        default: [any]
      interfaces:
        description:
          - Interfaces that they may come through. They need not exist yet.
        type: list
        elements: str
        default: [any]
  allow_lockout:
    description:
      - Try rules also where none of them admits the address that this SSH session comes from. They are rolled back
        unless a new connection can be opened.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Let in SSH from anywhere, and DNS at the virtual address
  debvisor.hci.nft_ruleset:
    services:
      - name: ssh
        ports: [22/tcp]
      - name: dns
        ports: [53/tcp, 53/udp]
      - name: vrrp
        protocols: [vrrp]
    openings:
      - service: ssh
      - service: dns
        destinations: [192.0.2.53, "2001:db8::53"]
      - service: vrrp
        sources: [192.0.2.11, 192.0.2.12]

- name: Let in everything again
  debvisor.hci.nft_ruleset:
    state: absent
"""

RETURN = r"""
confirmed:
  description: Whether the change was confirmed over a new connection.
  returned: when the rules changed
  type: bool
awaiting:
  description: The change that is yet to be confirmed.
  returned: when the rules changed and were not confirmed
  type: dict
  contains:
    transaction:
      description: Name of the change.
      type: str
    seconds:
      description: How long it can be confirmed.
      type: float
before:
  description: What was found.
  returned: always
  type: dict
  contains:
    table:
      description: The table as nft lists it; null where there is none.
      type: str
    boot_file:
      description: Whether there is a file that brings it back at boot.
      type: bool
after:
  description: What is to be, in the same terms.
  returned: always
  type: dict
"""

from ..module_utils._core import settings
from ..module_utils._core.operation import module, run
from ..module_utils._firewall.ruleset_operation import SPEC
from ..module_utils._ports.host.revert_timer import TransientTimer
from ..module_utils._wiring.firewall import nft_ruleset


def main() -> None:
    run(nft_ruleset(), module(SPEC), revert_timer=TransientTimer(str(settings.LIBEXEC_DIR)))


if __name__ == "__main__":
    main()
