#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_canary
short_description: Measure DNS updates and transfers during a play
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Starts a program on this host, as a transient unit of systemd, that changes one TXT record and transfers a zone at
    a steady pace, with the key files of this host as they are at each moment; or ends it and reports what it counted.
  - It ends by itself after O(limit) seconds, so that an interrupted play leaves nothing behind.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
attributes:
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: partial
    details:
      - Not with O(state=restarted).
options:
  name:
    description:
      - Name of the unit.
    type: str
    default: debvisor-dns-canary
  state:
    description:
      - Whether the canary shall run. V(restarted) lets it count from nothing, whether or not it ran before.
    type: str
    choices: [running, restarted, stopped]
    default: running
  zone:
    description:
      - The zone of the record.
    type: str
  record:
    description:
      - First label of the record's name. Each host needs one of its own.
    type: str
  server:
    description:
      - Address that takes updates.
    type: str
  key_file:
    description:
      - Key file to sign updates with.
    type: path
  interval:
    description:
      - Seconds between updates.
    type: float
    default: 0.1
  limit:
    description:
      - Seconds after which it ends by itself.
    type: float
    default: 900
  report:
    description:
      - File that it writes its counts to.
    type: path
    default: /run/debvisor/dns-canary.json
  transfer_from:
    description:
      - Addresses of servers to transfer from, each with the key file to sign with there.
    type: dict
    default: {}
  transfer_zone:
    description:
      - The zone to transfer.
    type: str
  transfer_interval:
    description:
      - Seconds between rounds of transfers.
    type: float
    default: 1
seealso:
  - module: debvisor.hci.tsig_keyring
"""

EXAMPLES = r"""
- name: Watch from every node what the next steps do to DNS clients
  debvisor.hci.dns_canary:
    zone: example.internal
    record: "_canary-{{ inventory_hostname_short }}"
    server: 192.0.2.53
    key_file: /etc/debvisor/keys/debvisor-node.key

- name: See what it counted
  debvisor.hci.dns_canary:
    state: stopped
  register: canary
"""

RETURN = r"""
report:
  description: What was counted so far; null where there is no report.
  returned: success, and not in check mode
  type: dict
  contains:
    seconds:
      description: How long it has run.
      type: float
    updates:
      description: How many updates were C(made), C(failed) and C(retried), the C(slowest_ms), and the last C(errors).
      type: dict
    transfers:
      description: The same of transfers.
      type: dict
    fallbacks:
      description: When another generation of a key had to serve.
      type: list
      elements: str
    ended:
      description: Whether it has ended.
      type: bool
"""

from ..module_utils._core.operation import module, run
from ..module_utils._dns.keys.canary_operation import spec
from ..module_utils._wiring import dns as wiring


def main() -> None:
    run(wiring.dns_canary(), module(spec(wiring.CANARY_REPORT)))


if __name__ == "__main__":
    main()
