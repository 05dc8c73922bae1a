#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: quarantine_host
short_description: Isolate a host except for named paths, and release it
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Keeps evidence of the host first, then stops its guests and switches their autostart off, then cuts the host off in
    one transaction of nftables, for IPv4 and IPv6, in both directions, for itself and for what it forwards or bridges.
  - What stays are the named paths, the path that Ansible came by, the loopback interface, ARP, and what IPv6 needs to
    find neighbours on the link. Flows that were open before are cut, too. The rules are in force again after a restart,
    by a unit that the role C(debvisor.hci.node) installs.
  - It proves that none of O(forbidden_peers) can be reached any more, and rolls everything back where one can.
  - With O(state=released) everything is as it was before. Guests that were paused go on, those that were shut down
    start.
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
  - debvisor.hci.commit_confirm
options:
  host:
    description:
      - Name of the host, for the metric, the log, and O(cut_off_quorum_member).
    type: str
    required: true
  state:
    description:
      - Whether the host is cut off.
    type: str
    choices: [quarantined, released]
    default: quarantined
  reason:
    description:
      - Why it is cut off. Needed for O(state=quarantined).
    type: str
  requester:
    description:
      - Who asked for it.
    type: str
    default: ""
  management:
    description:
      - Who may still open TCP connections to the host. The address that Ansible comes from always may, to the port
        that it came to.
    type: list
    elements: dict
    default: []
    suboptions:
      networks:
        description: Addresses and networks.
        type: list
        elements: str
        required: true
      ports:
        description: Ports of the host.
        type: list
        elements: int
        default: [22]
  evidence:
    description:
      - Further paths that stay, such as the one to a collector of logs, or to the DHCP server that the host has its
        address from.
    type: list
    elements: dict
    default: []
    suboptions:
      networks:
        description: Addresses and networks at the other end.
        type: list
        elements: str
        required: true
      ports:
        description: Ports of whoever does not open the path.
        type: list
        elements: int
        required: true
      protocol:
        description: The protocol.
        type: str
        choices: [tcp, udp]
        default: tcp
      direction:
        description: Who opens the path. V(outbound) means the host.
        type: str
        choices: [outbound, inbound]
        default: outbound
  shared_addresses:
    description:
      - Addresses that others may take over, such as virtual ones of VRRP. The host must not claim them any more, be it
        by ARP or by neighbour advertisements, else it takes the packets that are for the one who took over.
    type: list
    elements: str
    default: []
  guests:
    description:
      - What becomes of the running guests. Autostart is switched off in any case.
      - One that does not shut down within a minute is paused. So is one that would be gone for good once it is shut
        down.
      - Only with V(leave) is a host cut off whose libvirt does not answer.
    type: str
    choices: [pause, shutdown, leave]
    default: pause
  quorum_roles:
    description:
      - Groups of this host whose members need each other, for a quorum or for enough copies of data. Where there are
        any, the host is not cut off unless O(cut_off_quorum_member) is its name.
    type: list
    elements: str
    default: []
  cut_off_quorum_member:
    description:
      - Name of the host that may be cut off although others may lose their quorum, or copies of their data, with it.
    type: str
    default: ""
  forbidden_peers:
    description:
      - Addresses of others that the host must not reach any more. Those at the end of a named path are passed over.
      - They are tried at port 22, before and afterwards. Those that did not answer before prove nothing.
    type: list
    elements: str
    default: []
  journal_minutes:
    description:
      - How many minutes of the journal are kept as evidence.
    type: int
    default: 60
  metrics_file:
    description:
      - File for the textfile collector of node_exporter. Its folder has to exist.
    type: path
    default: /var/lib/prometheus/node-exporter/debvisor_quarantine.prom
  confirm_within:
    description:
      - Seconds within which the change must be confirmed, counted from its start. Gathering evidence may take 20 of
        them, and guests that shut down a minute.
    type: float
    default: 180
notes:
  - Whoever is root on the host can remove the rules. They keep what runs there from the network, and nobody from the
    rules.
  - Guests whose interfaces go past the bridges of the kernel (Open vSwitch, macvtap, passed through devices) are not
    reached by rules; pause them, or shut them down.
  - Evidence that was gathered by a compromised host may be what an intruder wants to be seen.
seealso:
  - module: debvisor.hci.dns_record_sets
"""

EXAMPLES = r"""
- name: Isolate a host that may still send its logs
  debvisor.hci.quarantine_host:
    host: node3
    reason: beacons to a known address
    requester: alice
    management:
      - networks: [192.0.2.0/28, "2001:db8:0:1::/64"]
    evidence:
      - networks: [192.0.2.99]
        ports: [6514]
    forbidden_peers: [192.0.2.11, "2001:db8::11"]

- name: Let it back
  debvisor.hci.quarantine_host:
    host: node3
    state: released
"""

RETURN = r"""
awaiting:
  description: The C(transaction) that is to be confirmed, and the C(seconds) that are left for it.
  returned: when the host was cut off, until it is confirmed
  type: dict
forbidden_peers:
  description: Those of O(forbidden_peers) outside every named path. They must not reach the host either; try it there.
  returned: success
  type: list
  elements: str
before:
  description: Whether the host was cut off, why, which guests were stopped for it, and where the evidence is.
  returned: always
  type: dict
after:
  description: The same, afterwards.
  returned: always
  type: dict
  contains:
    state:
      description: V(quarantined) or V(released). Only with the first there is more.
      type: str
    since:
      description: When its evidence was gathered, in UTC; empty in check mode where it is not cut off yet.
      type: str
      sample: 20260801T120000Z
    reason:
      description: Why.
      type: str
    requester:
      description: Who asked for it first.
      type: str
    stopped:
      description: Guests that ran before.
      type: list
      elements: str
    autostart_off:
      description: Guests that started with the host before.
      type: list
      elements: str
    evidence:
      description: The C(path) of the bundle on the host, and its C(sha256).
      type: dict
"""

from ..module_utils._core import settings
from ..module_utils._core.operation import module, run
from ..module_utils._firewall.quarantine_options import SPEC
from ..module_utils._ports.host.revert_timer import TransientTimer
from ..module_utils._wiring import firewall


def main() -> None:
    timer = TransientTimer(str(settings.LIBEXEC_DIR))
    run(firewall.quarantine_host(), module(SPEC), revert_timer=timer)


if __name__ == "__main__":
    main()
