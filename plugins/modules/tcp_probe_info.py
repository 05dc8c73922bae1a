#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tcp_probe_info
short_description: Check which addresses this host reaches by TCP
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Opens a TCP connection to each address, all at once, and closes it without sending anything.
  - An address that does not answer is a result, and no failure. So a play can prove that a host is not reachable.
extends_documentation_fragment:
  - debvisor.hci.attributes.info
options:
  addresses:
    description:
      - The addresses to try, IPv4 or IPv6.
    type: list
    elements: str
    required: true
  port:
    description:
      - The port to try.
    type: int
    required: true
  timeout:
    description:
      - How long to wait for answers, in seconds, up to 60.
    type: float
    default: 2
seealso:
  - module: debvisor.hci.quarantine_host
  - module: ansible.builtin.wait_for
"""

EXAMPLES = r"""
- name: Try the quarantined host from a witness
  debvisor.hci.tcp_probe_info:
    addresses: [192.0.2.11]
    port: 22
  delegate_to: node2
  register: probed

- name: Fail where it is still reachable
  ansible.builtin.assert:
    that: probed.addresses | rejectattr('reachable') | length == 1
"""

RETURN = r"""
addresses:
  description: What was found, in the order of the option.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address.
      type: str
    tried:
      description: Whether this host could try it. It cannot without a route or the address family.
      type: bool
    reachable:
      description: Whether the address answered, be it by refusing the connection.
      type: bool
    answer:
      description: V(open), V(refused) or V(silent); empty where it could not be tried.
      type: str
      sample: silent
    problem:
      description: Why it could not be tried; else empty.
      type: str
      sample: Network is unreachable
duration:
  description: How long it took, in seconds.
  returned: success
  type: float
  sample: 2.0
"""

from ..module_utils._core.operation import inform, module
from ..module_utils._firewall.reachability import SPEC
from ..module_utils._wiring import firewall


def main() -> None:
    inform(firewall.reachability().look, module(SPEC))


if __name__ == "__main__":
    main()
