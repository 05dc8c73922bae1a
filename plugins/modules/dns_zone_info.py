#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_zone_info
short_description: Show serial, role and lag of every zone on every server
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Asks every server for every zone, and compares the answers.
  - A server that does not answer is part of the result, and not an error.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
  - debvisor.hci.dns
options:
  zones:
    description:
      - The zones.
    type: list
    elements: str
    required: true
  servers:
    description:
      - Further servers, each an address or a name, with a port where it differs from O(port), such as
        V(192.0.2.53) or V([2001:db8::53]:5353). They are asked without a signature.
    type: list
    elements: str
    default: []
seealso:
  - module: debvisor.hci.dns_record_sets
"""

EXAMPLES = r"""
- name: Compare the servers
  debvisor.hci.dns_zone_info:
    zones: [example.org, 2.0.192.in-addr.arpa]
    server: 192.0.2.53
    servers: [192.0.2.1, 192.0.2.2, 192.0.2.3]
  register: dns

- name: Stop where one lags
  ansible.builtin.assert:
    that: dns.zones | map(attribute='in_sync') is all
"""

RETURN = r"""
zones:
  description: The zones, in the order of O(zones).
  returned: success
  type: list
  elements: dict
  contains:
    zone:
      description: The zone, absolute.
      type: str
      sample: example.org.
    serial:
      description: The newest serial on any server; null where none holds the zone.
      type: int
      sample: 2026112001
    writer:
      description: The node that took over writing last, as the zone itself says; null where it does not.
      type: str
      sample: node1
    epoch:
      description: The number of that take-over; null where the zone does not say.
      type: int
      sample: 3
    in_sync:
      description: Whether all servers have the newest serial.
      type: bool
    servers:
      description: The servers, O(server) first.
      type: list
      elements: dict
      contains:
        server:
          description: The server as it was given.
          type: str
          sample: 192.0.2.53
        node:
          description: What the server says that its machine is called, or empty.
          type: str
          sample: node1
        role:
          description:
            - V(writer) or V(follower) where the zone names the writer and the server names itself,
              V(authoritative) where one of them does not, V(not_authoritative) where the server does not hold the zone,
              and V(unreachable) where it did not answer.
          type: str
          sample: writer
        serial:
          description: The zone's serial there; null where it has none.
          type: int
          sample: 2026112001
        lag:
          description: How far the serial is behind the newest one; null where there is none.
          type: int
          sample: 0
        problem:
          description: Why there is no serial, or empty.
          type: str
          sample: ''
duration:
  description: How long it took to find out, in seconds.
  returned: success
  type: float
  sample: 0.02
"""

from ..module_utils._core.operation import inform, module
from ..module_utils._dns.records.zone_info import SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    inform(wiring.dns_zone_info().look, module(SPEC))


if __name__ == "__main__":
    main()
