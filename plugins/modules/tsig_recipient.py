#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tsig_recipient
short_description: Keep the key pair for which this host's secrets are sealed
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Makes a private key (X25519) once, for this host alone, and tells the public key that belongs to it.
  - M(debvisor.hci.tsig_keyring) seals TSIG keys for that public key; only M(debvisor.hci.tsig_keys) on this host can
    open them. Neither the control node nor its logs, variables and caches ever hold a secret.
  - Needs the Python library PyNaCl, Debian's C(python3-nacl).
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
options:
  path:
    description:
      - Absolute path of the file of the private key. Its folder must exist. The file has mode 0600.
      - The key can be thrown away at any time; the next run makes another one.
    type: path
    required: true
seealso:
  - module: debvisor.hci.tsig_keyring
  - module: debvisor.hci.tsig_keys
"""

EXAMPLES = r"""
- name: Make sure that secrets can be sealed for this host
  debvisor.hci.tsig_recipient:
    path: /var/lib/debvisor/recipient
  register: recipient
"""

RETURN = r"""
public:
  description: The public key in base64; null in check mode where there is no key yet.
  returned: success
  type: str
  sample: 8Wc1jHxeuZRmjzPUAqLZ4WJcSKQdk9zgEpcrKAz0HHI=
"""

from ..module_utils._core.operation import module, run
from ..module_utils._dns.keys.recipient_operation import SPEC
from ..module_utils._wiring import dns


def main() -> None:
    run(dns.tsig_recipient(), module(SPEC))


if __name__ == "__main__":
    main()
