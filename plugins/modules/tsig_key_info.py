#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_key_info
short_description: Show name, fingerprint and age of a TSIG key file
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Reads one key file in BIND's format and returns what may be known of the key. The secret is never shown.
  - Fails where the file is there and is not one whole TSIG key.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
options:
  path:
    description:
      - Path of the key file.
    type: path
    required: true
seealso:
  - module: debvisor.hci.tsig_key
"""

EXAMPLES = r"""
- name: Find out how old the key is
  debvisor.hci.tsig_key_info:
    path: /etc/debvisor/keys/debvisor-node.key
  register: key

- name: Say so
  ansible.builtin.debug:
    msg: "{{ key.name }} is {{ key.age // 86400 }} days old"
  when: key.exists
"""

RETURN = r"""
path:
  description: The key file.
  returned: always
  type: str
  sample: /etc/debvisor/keys/debvisor-node.key
exists:
  description: Whether there is such a file.
  returned: success
  type: bool
name:
  description: The key's name.
  returned: when the file exists
  type: str
  sample: g1.debvisor-node
algorithm:
  description: The key's algorithm.
  returned: when the file exists
  type: str
  sample: hmac-sha256
fingerprint:
  description: The beginning of the SHA-256 hash of the key's bytes; the same on every host that has the same key.
  returned: when the file exists
  type: str
  sample: sha256:2bb80d537b1da3e3
created:
  description: When the file was written.
  returned: when the file exists
  type: str
  sample: '2026-11-20T19:27:14+00:00'
age:
  description: Seconds since then.
  returned: when the file exists
  type: int
  sample: 86400
owner:
  description: The account that owns the file.
  returned: when the file exists
  type: str
  sample: root
group:
  description: The file's group.
  returned: when the file exists
  type: str
  sample: bind
mode:
  description: The file's mode.
  returned: when the file exists
  type: str
  sample: '0640'
duration:
  description: How long it took to find out, in seconds.
  returned: success
  type: float
  sample: 0.01
"""

from ..module_utils._core.operation import inform, module
from ..module_utils._dns.keys.tsig_key_operation import INFO_SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    inform(wiring.tsig_key_info().look, module(INFO_SPEC))


if __name__ == "__main__":
    main()
