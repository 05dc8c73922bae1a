#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_keys
short_description: Hold the TSIG keys that were sealed for this host, and make its name server accept them
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Opens what M(debvisor.hci.tsig_keyring) sealed for this host, and makes the key files be just that. Each
    generation that is valid has a file of its own, C(CLASS.gN.key); C(CLASS.key) is a link to the one to sign with,
    switched atomically.
  - On a DNS server, C(bind-transfer.conf) and C(bind-update.conf) in the same folder say which keys the server
    accepts. Its configuration includes them; C(rndc reconfig) puts them in force without a restart.
  - New keys come first, then the server, then the switch, and old keys go last, so that no moment between is a bad
    one.
  - Where C(named) runs with the cluster's configuration, it must prove over the loopback address that it accepts each
    valid key and knows none of the removed ones. Else everything is rolled back.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
options:
  sealed:
    description:
      - What RV(debvisor.hci.tsig_keyring#module:sealed) holds for this host.
    type: str
    required: true
  private_key:
    description:
      - Path of the private key that M(debvisor.hci.tsig_recipient) keeps.
    type: path
    required: true
  folder:
    description:
      - Folder of the key files.
    type: path
    required: true
  group:
    description:
      - Group that reads the keys on a DNS server, where the files have mode 0640. On other hosts they belong to root
        alone, mode 0600.
    type: str
    default: bind
  peers:
    description:
      - On a DNS server, the addresses of the servers that it talks to, the virtual ones included, each with the class
        of keys to sign with there. P(debvisor.hci.transfer_classes#filter) tells the classes.
    type: dict
    default: {}
seealso:
  - module: debvisor.hci.tsig_keyring
  - module: debvisor.hci.tsig_recipient
"""

EXAMPLES = r"""
- name: Hold the keys of this host
  debvisor.hci.tsig_keys:
    sealed: "{{ keyring.sealed[inventory_hostname] }}"
    private_key: /var/lib/debvisor/recipient
    folder: /etc/debvisor/keys
    peers:
      192.0.2.53: debvisor-xfer
      192.0.2.12: debvisor-xfer
      192.0.2.13: debvisor-xfer-node3
"""

RETURN = r"""
accepts:
  description: Names of the keys that this host's name server is to accept.
  returned: success
  type: list
  elements: str
  sample: [g1.debvisor-node, g2.debvisor-node]
signs_with:
  description: For each class the name of the key that this host signs with.
  returned: success
  type: dict
  sample: {debvisor-node: g2.debvisor-node}
server_running:
  description: Whether the name server runs with the cluster's configuration, so that it could be asked.
  returned: success
  type: bool
proved:
  description: Names of the keys that the name server was seen to accept.
  returned: success, and not in check mode
  type: list
  elements: str
refused:
  description: Names of the removed keys that the name server was seen to refuse.
  returned: success, and not in check mode
  type: list
  elements: str
"""

from ..module_utils._core.operation import module, run
from ..module_utils._dns.keys.tsig_keys_operation import SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    run(wiring.tsig_keys(), module(SPEC))


if __name__ == "__main__":
    main()
