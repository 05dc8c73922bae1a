#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_keyring
short_description: Manage the TSIG keyring and seal each host's keys
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - The keyring is the one file in which TSIG secrets are made. It holds, for each class of key, the generations that
    are valid, and where their rotation stands. A rotation is a series of states; each can be asked for again at any
    time.
  - For every host in O(recipients) the keys that it is to hold are sealed with that host's public key, so that
    results, variables and logs of the run hold nothing that anybody else could read.
  - The playbook C(debvisor.hci.rotate_tsig) drives a whole rotation. Use this module alone for a rotation of
    your own.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
attributes:
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: partial
    details:
      - Not with O(state=revoked), which makes new secrets each time.
      - RV(sealed) differs each time, because no two seals of the same content are equal.
options:
  path:
    description:
      - Absolute path of the keyring. Its folder must exist, for root alone. The file has mode 0600.
    type: path
    required: true
  classes:
    description:
      - The classes of keys, as the inventory describes them; P(debvisor.hci.tsig_classes#filter) makes the list.
      - A class that the keyring does not have yet is founded. One that is not listed stays as it is.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the class, one label of lower-case letters, digits and hyphens.
        type: str
        required: true
      algorithm:
        description:
          - Algorithm of generations that are made from now on.
        type: str
        choices: [hmac-sha256, hmac-sha384, hmac-sha512]
        default: hmac-sha256
      purpose:
        description:
          - What servers accept the keys for.
        type: str
        choices: [update, transfer]
        default: update
      reads:
        description:
          - Whether keys for updates may transfer whole zones, too.
        type: bool
        default: false
      servers:
        description:
          - Hosts whose name server accepts the keys. All of them must prove it before a generation is promoted.
        type: list
        elements: str
        default: []
      clients:
        description:
          - Hosts that sign with the keys.
        type: list
        elements: str
        default: []
      grants:
        description:
          - What the keys may change. It is for the servers' configuration, and accepted here so that a description
            can be passed on as it is.
        type: list
        elements: dict
        default: []
  state:
    description:
      - V(present) makes sure that every class exists.
      - V(introduced) gives a settled class that is at least O(min_age) old an incoming generation.
      - V(proved) notes O(proofs).
      - V(promoted) notes O(proofs), then makes the incoming generation the current one, and the current one retiring.
        It fails where a server of the class has not proved to accept the incoming generation.
      - V(reverted) drops an incoming generation, or makes the generation before the current one current again.
      - V(retired) drops retiring generations that are neither O(used) nor held by a host in O(absent), or
        whose time has come.
      - V(revoked) puts a new generation in the place of all others of the classes in O(only), at once.
    type: str
    choices: [present, introduced, proved, promoted, reverted, retired, revoked]
    default: present
  only:
    description:
      - Names of the classes to bring to O(state). All of them without it. The others are founded where they are
        missing.
    type: list
    elements: str
    default: []
  min_age:
    description:
      - Seconds that a current generation must be old before another one is introduced.
    type: int
    default: 0
  retire_after:
    description:
      - Seconds after which a generation may go although some client may still use it.
    type: int
    default: 604800
  proofs:
    description:
      - For each server the names of the keys that it was seen to accept.
    type: dict
    default: {}
  used:
    description:
      - Names of retiring keys that some server saw in use lately, or of which that is not known. They are not retired
        before their time.
    type: list
    elements: str
    default: []
  absent:
    description:
      - Hosts that are not part of the run. A key that one of them may still sign with is not retired before its time.
    type: list
    elements: str
    default: []
  found:
    description:
      - Whether a keyring may be made where there is none. Say V(false) where servers hold keys already. Their keyring
        is lost then, or elsewhere, and new keys would lock every client out.
    type: bool
    default: true
  force:
    description:
      - For emergencies. Absent servers need not prove a generation before it is promoted, and retiring generations go
        at once.
    type: bool
    default: false
  recipients:
    description:
      - For each host the public key that M(debvisor.hci.tsig_recipient) returned. Hosts without one are passed over.
    type: dict
    default: {}
seealso:
  - module: debvisor.hci.tsig_keyring_info
  - module: debvisor.hci.tsig_keys
  - module: debvisor.hci.tsig_recipient
"""

EXAMPLES = r"""
- name: Give every class of key a new generation that servers accept and clients do not sign with yet
  debvisor.hci.tsig_keyring:
    path: /var/lib/debvisor/keyring.json
    state: introduced
    classes:
      - name: debvisor-node
        servers: [node1, node2]
        clients: [node1, node2, node3]
    recipients: "{{ public_keys_by_host }}"
  register: keyring
"""

RETURN = r"""
keyring:
  description: For each class its current generation, the age of it in seconds, whether it is settled, and all
    generations with their standing, fingerprint and times (seconds since 1970). No secrets.
  returned: success
  type: dict
incoming:
  description: For each class with an incoming generation the name of its key, in a list.
  returned: success
  type: dict
  sample: {debvisor-node: [g2.debvisor-node]}
retiring:
  description: For each class with retiring generations the names of their keys.
  returned: success
  type: dict
  sample: {debvisor-node: [g1.debvisor-node]}
waiting:
  description: For each key that could not be retired yet, why.
  returned: success
  type: dict
  sample: {g1.debvisor-node: node7 may still sign with it}
dropped:
  description: Names of the keys that are valid no longer.
  returned: success
  type: list
  elements: str
sealed:
  description: For each recipient what it is to hold; only M(debvisor.hci.tsig_keys) on that host can open it.
  returned: success
  type: dict
"""

from ..module_utils._core.operation import module, run
from ..module_utils._dns.keys.keyring_operation import SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    run(wiring.tsig_keyring(), module(SPEC))


if __name__ == "__main__":
    main()
