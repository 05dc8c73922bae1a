#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_key
short_description: Keep a TSIG key file
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Creates, keeps, replaces or removes one key file in BIND's format, as C(tsig-keygen) writes it.
    C(named) includes it, C(nsupdate -k) and the DNS modules of this collection read it.
  - A new secret comes from the operating system's random source and is as long as the digest of the algorithm.
  - The file appears whole or not at all, with owner and mode right from its first byte.
  - The secret is never shown. The result and the diff show its fingerprint.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
attributes:
  idempotent:
    description: When run twice in a row with the same options, the second run reports no change.
    support: partial
    details:
      - Not with O(regenerate=always), which makes a new secret each time.
options:
  path:
    description:
      - Absolute path of the key file. Its folder must exist.
    type: path
    required: true
  name:
    description:
      - Name of the key, a domain name. Begins with the key's generation by convention, such as V(g1.debvisor-node),
        so that two generations can be valid at once.
      - Required with O(state=present).
    type: str
  algorithm:
    description:
      - The key's algorithm.
    type: str
    choices: [hmac-sha256, hmac-sha384, hmac-sha512]
    default: hmac-sha256
  secret:
    description:
      - The key itself in base64, to copy a key that was made on another host.
      - Without it a secret is made where one is needed.
    type: str
  regenerate:
    description:
      - When to put a new secret in the place of what is there.
      - V(never) fails where the file holds no valid key, or one of another name or algorithm. A given O(secret) goes
        in all the same.
      - V(if_invalid) replaces it in these cases.
      - V(always) replaces it in each run.
    type: str
    choices: [never, if_invalid, always]
    default: never
  state:
    description:
      - Whether there shall be a key file.
    type: str
    choices: [present, absent]
    default: present
  owner:
    description:
      - Name or number of the account that owns the file. Without it the owner stays, and a new file belongs to the
        account of the run.
    type: str
  group:
    description:
      - Name or number of the file's group, such as V(bind). Without it the group stays.
    type: str
  mode:
    description:
      - Mode of the file as an octal number in quotes. Nothing for others and nothing executable is allowed.
    type: raw
    default: '0640'
seealso:
  - module: debvisor.hci.tsig_key_info
  - module: debvisor.hci.dns_record_sets
"""

EXAMPLES = r"""
- name: Make the key by which nodes update their zone
  debvisor.hci.tsig_key:
    path: /etc/debvisor/keys/debvisor-node.key
    name: g1.debvisor-node
    group: bind

- name: Put a copy of a key on another host
  debvisor.hci.tsig_key:
    path: /etc/debvisor/keys/debvisor-node.key
    name: g1.debvisor-node
    secret: "{{ vault_debvisor_node_key }}"

- name: Remove a key that was retired
  debvisor.hci.tsig_key:
    path: /etc/debvisor/keys/debvisor-node.g1.key
    state: absent
"""

RETURN = r"""
path:
  description: The key file.
  returned: success, and not in check mode
  type: str
  sample: /etc/debvisor/keys/debvisor-node.key
name:
  description: The key's name.
  returned: O(state=present), and not in check mode
  type: str
  sample: g1.debvisor-node
algorithm:
  description: The key's algorithm.
  returned: O(state=present), and not in check mode
  type: str
  sample: hmac-sha256
fingerprint:
  description: The beginning of the SHA-256 hash of the key's bytes; the same on every host that has the same key.
  returned: O(state=present), and not in check mode
  type: str
  sample: sha256:2bb80d537b1da3e3
created:
  description: When the file was written.
  returned: O(state=present), and not in check mode
  type: str
  sample: '2026-11-20T19:27:14+00:00'
age:
  description: Seconds since then.
  returned: O(state=present), and not in check mode
  type: int
  sample: 86400
owner:
  description: The account that owns the file.
  returned: O(state=present), and not in check mode
  type: str
  sample: root
group:
  description: The file's group.
  returned: O(state=present), and not in check mode
  type: str
  sample: bind
mode:
  description: The file's mode.
  returned: O(state=present), and not in check mode
  type: str
  sample: '0640'
"""

from ..module_utils._core.operation import module, run
from ..module_utils._dns.keys.tsig_key_operation import SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    run(wiring.tsig_key(), module(SPEC))


if __name__ == "__main__":
    main()
