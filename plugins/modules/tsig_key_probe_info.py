#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_key_probe_info
short_description: Check that servers accept TSIG keys
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Signs requests with keys that this host holds, whether or not anybody uses them yet, and fails unless every server
    takes every key. Keys of a class that O(peers) names are tried by a transfer of O(zone) from each server of that
    class, the others by an update without a change at O(server). Nothing is changed anywhere.
  - Keys that this host does not hold are passed over.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
options:
  keys:
    description:
      - Names of the keys, such as V(g2.debvisor-node).
    type: list
    elements: str
    required: true
  folder:
    description:
      - Folder of the key files.
    type: path
    required: true
  zone:
    description:
      - The zone that is transferred, and that the updates without a change name. A small one is best.
    type: str
    required: true
  server:
    description:
      - Address that takes updates.
    type: str
    required: true
  peers:
    description:
      - Addresses of the servers to transfer from, each with the class of keys to sign with there.
    type: dict
    default: {}
  port:
    description:
      - Port of all servers.
    type: int
    default: 53
  timeout:
    description:
      - How long to wait for an answer, in seconds.
    type: float
    default: 3
  retry_for:
    description:
      - How long to go on where a server is absent for a moment, in seconds.
    type: float
    default: 10
seealso:
  - module: debvisor.hci.tsig_keyring
"""

EXAMPLES = r"""
- name: Transfer a zone from the other servers with the key that comes
  debvisor.hci.tsig_key_probe_info:
    keys: [g2.debvisor-xfer, g2.debvisor-xfer-node3]
    folder: /etc/debvisor/keys
    zone: 2.0.192.in-addr.arpa
    server: 192.0.2.53
    peers:
      192.0.2.53: debvisor-xfer
      192.0.2.12: debvisor-xfer
      192.0.2.13: debvisor-xfer-node3
"""

RETURN = r"""
taken:
  description: For each key the addresses that took it.
  returned: success
  type: dict
  sample: {g2.debvisor-xfer: [192.0.2.53, 192.0.2.12], g2.debvisor-xfer-node3: [192.0.2.13]}
duration:
  description: How long it took, in seconds.
  returned: success
  type: float
"""

from ..module_utils._core.operation import inform, module
from ..module_utils._dns.keys.key_probe import SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    inform(wiring.tsig_key_probe_info().look, module(SPEC))


if __name__ == "__main__":
    main()
