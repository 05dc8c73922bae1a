#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_record_sets
short_description: Manage DNS record sets with TSIG-signed dynamic updates
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Makes any number of record sets of one zone be what is wanted, in one task, by RFC 2136 updates signed with TSIG.
  - The present state is read from the server that takes the updates, by a signed transfer where many record sets are
    wanted and the key may transfer, else by queries. Only what differs is changed.
  - Every update carries prerequisites for all that it touches. What was changed by others since it was read is a
    conflict, and is not overwritten.
  - Changes go in as few messages as fit in 64 KiB, over one TCP connection. One message is made as a whole or not at
    all; several are not one. Where one fails, those that were made are rolled back by further updates. Others may see
    the state between. All changes at one name are in one message.
  - After the updates the changed record sets are read back from the server (50 of them, evenly spread, where there are
    more). Every server in O(servers) must reach the new serial and serve the new data of these record sets. Where that
    fails in O(wait_timeout), the old data are put back.
  - It needs nothing beside Python's standard library, except for O(validate_dnssec).
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
  - debvisor.hci.dns
options:
  zone:
    description:
      - The zone that holds the record sets.
    type: str
    required: true
  records:
    description:
      - The record sets. What is wrong with them is reported all at once, each by its position in the list, such as
        C(records[17].value).
      - Entries that repeat an earlier one are passed over; entries that contradict an earlier one are an error.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name, required. It is relative to O(zone) unless it ends in a dot or in the zone's own name.
            V(@) is the zone itself.
          - Names that are not ASCII become A-labels by IDNA 2003. Where IDNA 2008 differs, write the A-label.
        type: str
      type:
        description:
          - The type, required. Any of the IANA registry, such as V(A), V(MX), V(HTTPS), V(NAPTR), V(LOC) or V(DS), or
            V(TYPE) and a number, such as V(TYPE65280).
          - Refused are types that no zone holds, such as V(ANY) or V(TSIG), and those that the servers keep themselves,
            which are V(SOA) and those of DNSSEC but V(DS).
          - A V(DS) record set stands beside the V(NS) record set of a delegation. This task may bring both.
        type: str
      value:
        description:
          - The value, or a list of them, as in a zone file. Required with O(records[].state=present).
          - With O(records[].state=absent) these values go and others stay. Without it the whole record set goes.
          - A TXT value is taken as it is, and split into strings of 255 bytes where it is longer. When it starts with a
            quote it is a row of quoted strings with the escapes of a zone file.
          - A name inside a value that has dots and no final dot is refused as ambiguous,
            unless it ends in the zone's own name. An address in the place of a name is refused, too.
          - A value of any type but those that are text may be in the generic form of RFC 3597, which is
            C(\# 4 0A000001). Some types have this form only, such as V(APL), V(CSYNC), V(HIP) and V(IPSECKEY).
          - A name server of the zone itself and the target of an MX record that are in the zone need an address
            there, from before or by this task. The target of an SRV record without one is warned of.
        type: raw
        aliases: [values]
      ttl:
        description:
          - The time to live in seconds. Without it O(ttl) holds.
        type: raw
      state:
        description:
          - V(present), the default, or V(absent).
        type: str
      exact:
        description:
          - Whether the record set holds these values only, which is the default. With V(false) values of others stay.
          - Required for the zone's own NS record set, so that its name servers are not replaced by mistake. It cannot
            be left without a server, nor a server of it that is in the zone without an address.
        type: bool
      ptr:
        description:
          - Whether the addresses of this record set point back to its name. Without it O(ptr) holds.
        type: bool
  ttl:
    description:
      - The time to live of record sets that name none, in seconds.
    type: int
    default: 3600
  ptr:
    description:
      - Whether the addresses of A and AAAA record sets point back to their names by PTR records.
      - The reverse zone is found by its SOA record on O(server). An address without a reverse zone there is an error.
      - An address that this task gives to a name points to that name and to no other. Where this task takes an
        address from a name, only the pointer to that name goes.
    type: bool
    default: false
  prune:
    description:
      - Where to remove record sets that O(records) does not name.
      - The SOA record, the zone's own NS record set and the addresses of the servers it names, DNSSEC records, the
        C(_writer) record by which the servers note who writes, and data below a delegation are never removed.
      - This needs a key that may transfer the zone.
    type: dict
    suboptions:
      below:
        description:
          - The name at and below which to remove, relative to O(zone) in the same way as O(records[].name).
        type: str
        required: true
      types:
        description:
          - The types to remove.
        type: list
        elements: str
        required: true
      allow_empty:
        description:
          - Whether O(records) may be empty, so that all in the scope goes.
        type: bool
        default: false
  max_share:
    description:
      - How many percent of the record sets of a zone this task may change or remove, 0 to 100. It holds for O(zone)
        and for each reverse zone that O(ptr) changes. A plan for more is refused, and nothing is changed. So a wrong
        inventory does not empty a zone.
      - Record sets that the task adds do not count. Those whose TTL alone changes do, also with O(lower_ttl).
      - The share is of all record sets of the zone but the SOA record, the zone's own NS record set, DNSSEC records and
        the C(_writer) record. Zones with fewer than 10 of them are not guarded.
      - Where the answer depends on it, the zone is read by a transfer. Where the key may not transfer it, the plan is
        refused, unless this is V(100). Changes of up to 3 record sets with the default never depend on it.
    type: float
    default: 30
  lower_ttl:
    description:
      - Do not make the change. Lower the TTL of every record set whose data would change, or that would go, to at
        most this many seconds.
      - Run the task once with this option, wait RV(caches_hold) seconds, then run it without. By then caches ask again
        soon enough to see the change at once.
    type: int
  servers:
    description:
      - Servers that shall serve the new data before the task ends, each an address or a name, with a port where
        it differs from O(port), such as V(192.0.2.53), V(2001:db8::53) or V([2001:db8::53]:5353).
      - They are asked without a signature.
    type: list
    elements: str
    default: []
  wait_for:
    description:
      - How many of O(servers) must serve the new data.
      - V(primary) waits for none of them.
    type: str
    choices: [all, majority, primary]
    default: all
  wait_timeout:
    description:
      - How long to wait for them, in seconds.
    type: float
    default: 30
  retry_for:
    description:
      - How long to try again where O(server) refuses an update or breaks the connection, in seconds. A server that is
        about to take over the virtual address does both for a moment.
      - After a lost answer the record sets are read first, so nothing is made twice.
    type: float
    default: 5
  validate_dnssec:
    description:
      - Whether the zone's SOA and up to 10 of the changed record sets must validate on every server that is waited for.
      - Answers of an authoritative server are validated against the keys of the zone, those of a validating resolver by
        its own word.
      - This needs dnspython and cryptography (Debian's C(python3-dnspython) and C(python3-cryptography)).
    type: bool
    default: false
seealso:
  - module: debvisor.hci.dns_zone_info
  - module: debvisor.hci.tsig_key
  - module: community.general.nsupdate
"""

EXAMPLES = r"""
- name: Register two machines, with their pointers, on all servers
  debvisor.hci.dns_record_sets:
    zone: vm.example.org
    server: 192.0.2.53
    key_file: /etc/debvisor/keys/debvisor-vm.key
    ptr: true
    records:
      - name: web1
        type: A
        value: 192.0.2.10
      - name: web1
        type: AAAA
        value: 2001:db8::10
      - name: web2
        type: A
        value: 192.0.2.11
    servers: [192.0.2.1, 192.0.2.2, 192.0.2.3]
    wait_for: majority

- name: Keep all addresses below one name, and remove those that are not listed
  debvisor.hci.dns_record_sets:
    zone: example.org
    server: 192.0.2.53
    key_file: /etc/debvisor/keys/debvisor-admin.key
    records: "{{ inventory_records }}"
    prune:
      below: lab
      types: [A, AAAA]

- name: Prepare a move, so that caches hold the old address for a minute at most
  debvisor.hci.dns_record_sets:
    zone: example.org
    server: 192.0.2.53
    key_file: /etc/debvisor/keys/debvisor-admin.key
    lower_ttl: 60
    records: "{{ records_after_the_move }}"
  register: prepared

- name: Wait until no cache holds the old time to live
  ansible.builtin.pause:
    seconds: "{{ prepared.caches_hold }}"
  when: prepared is changed
"""

RETURN = r"""
zone:
  description: The zone, absolute.
  returned: always
  type: str
  sample: example.org.
added:
  description: How many record sets are new.
  returned: always
  type: int
  sample: 2
modified:
  description: How many record sets got other data or another TTL.
  returned: always
  type: int
  sample: 0
removed:
  description: How many record sets are gone.
  returned: always
  type: int
  sample: 0
messages:
  description: How many update messages the changes took.
  returned: always
  type: int
  sample: 1
caches_hold:
  description: The longest TTL that a changed record set had, which is how long caches may hold its old data.
  returned: always
  type: int
  sample: 3600
serials:
  description: For each zone its serial after the change.
  returned: when changed or O(servers) is given, and not in check mode
  type: dict
  sample: {example.org.: 2026112001}
servers:
  description: Where each of O(servers) stands with each zone.
  returned: success, and not in check mode
  type: list
  elements: dict
  contains:
    server:
      description: The server.
      type: str
    zone:
      description: The zone.
      type: str
    serial:
      description: The serial that it had at last.
      type: int
    in_sync:
      description: Whether it serves the new data.
      type: bool
    problem:
      description: Why not.
      type: str
"""

from ..module_utils._core.operation import module, run
from ..module_utils._dns.records.record_sets_operation import SPEC
from ..module_utils._wiring import dns as wiring


def main() -> None:
    run(wiring.dns_record_sets(), module(SPEC))


if __name__ == "__main__":
    main()
