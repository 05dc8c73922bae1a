#!/usr/bin/python
# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: blocklist_feed
short_description: Keep the last good copy of a published list of addresses
version_added: 0.1.0
author:
  - the debvisor.hci contributors (@debvisor)
description:
  - Fetches a list of addresses and networks, proves it by its checksum or signature where these are given, reads it as
    M(debvisor.hci.nft_blocklist) will, and replaces the copy in O(dest) only by a list that is fit. A server that knows
    the copy by its ETag or date sends nothing.
  - A feed that cannot be fetched, is torn, has a wrong checksum or signature, holds a line that is no address, is
    empty, or has shrunk suspiciously leaves the copy as it is, with a warning that says why. It is an error where there
    is no good copy yet, and once the copy has not been confirmed for O(max_age). Faults of this machine, such as a full
    disk, are errors at once.
  - Content that is packed by gzip is unpacked; checksum and signature are those of the file as it is published.
  - What is known of the copy is kept in a file beside it whose name ends in C(.json).
extends_documentation_fragment:
  - debvisor.hci.attributes
  - debvisor.hci.operation
options:
  url:
    description:
      - Where the list is published, as an C(https:), C(http:) or C(file:) address. A redirect from https to anything
        else is not followed. Proxies are taken from the environment.
      - Put no secret into it; use O(header_file).
    type: str
  src:
    description:
      - File on this host that holds the list, in place of O(url).
    type: path
  dest:
    description:
      - File for the copy. Its folder must exist.
    type: path
    required: true
  checksum:
    description:
      - V(sha256:) and the digest of the one list that is wanted. Once it is here it is not fetched again.
      - Or the address or path of a list of SHA-256 checksums, as C(sha256sum) writes it, that has one for the file's
        name.
    type: str
  signature:
    description:
      - Address or path of the list's detached OpenPGP signature, to be verified with O(keyring).
    type: str
  keyring:
    description:
      - File with the certificates whose signatures count, as C(gpg --export) writes it, armored or not.
    type: path
  header_file:
    description:
      - File with headers for the requests, one name and value a line with a colon between them, such as that of a
        bearer token. They are sent to the host of O(url) alone. Make it readable for root alone.
    type: path
  min_share:
    description:
      - How many percent of the entries of the last good copy a new list must have. It is not asked of a list that comes
        from another source than the copy.
    type: float
    default: 50
  max_share:
    description:
      - How much of all IPv4 or IPv6 addresses it may cover, in percent, as M(debvisor.hci.nft_blocklist) has it. A new
        copy that covers more is refused.
    type: float
    default: 10
  strict:
    description:
      - Refuse a new copy with bits beyond the prefix of a network, such as C(10.1.2.3/8).
    type: bool
    default: false
  allow_empty:
    description:
      - Whether a list without entries is fit.
    type: bool
    default: false
  max_bytes:
    description:
      - The most that is fetched, and the most that it may unpack to.
    type: int
    default: 100000000
  timeout:
    description:
      - Seconds for fetching one file, however slowly it comes, with up to two further attempts where the connection
        fails.
    type: float
    default: 120
  max_age:
    description:
      - Seconds after which a copy that was not confirmed is an error.
    type: float
    default: 604800
requirements:
  - The package C(sqv) where O(signature) is used. Debian 13 has it for C(apt).
  - The package C(ca-certificates) where an address is an C(https:) one.
seealso:
  - module: debvisor.hci.nft_blocklist
"""

EXAMPLES = r"""
- name: Keep a copy of a list
  debvisor.hci.blocklist_feed:
    url: https://lists.example.org/drop.txt
    dest: /var/lib/debvisor/firewall/feeds/drop.txt

- name: Keep a copy of a packed list that its publisher signs
  debvisor.hci.blocklist_feed:
    url: https://lists.example.org/scanners.txt.gz
    signature: https://lists.example.org/scanners.txt.gz.asc
    keyring: /etc/debvisor/lists.example.org.asc
    dest: /var/lib/debvisor/firewall/feeds/scanners.txt

- name: Hold the one list that was reviewed
  debvisor.hci.blocklist_feed:
    url: https://lists.example.org/2026-08.txt
    checksum: sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
    dest: /var/lib/debvisor/firewall/feeds/reviewed.txt
"""

RETURN = r"""
outcome:
  description:
    - V(fetched) where a new list came, V(not_modified) where the copy is the present one, and V(kept) where the feed
      failed.
  returned: success
  type: str
  sample: fetched
reason:
  description: Why the copy was kept.
  returned: when RV(outcome=kept)
  type: str
entries:
  description: How many entries the copy has.
  returned: success
  type: int
  sample: 1482
age:
  description: Seconds since the publisher last confirmed the copy.
  returned: success
  type: int
  sample: 0
sha256:
  description: Digest of the copy.
  returned: success
  type: str
  sample: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
added:
  description: How many networks the new list has that the copy had not.
  returned: when RV(outcome=fetched)
  type: int
  sample: 12
removed:
  description: How many networks of the copy the new list has not.
  returned: when RV(outcome=fetched)
  type: int
  sample: 3
"""

from ..module_utils._core.operation import module, run
from ..module_utils._firewall.feed_options import SPEC
from ..module_utils._wiring import firewall


def main() -> None:
    run(firewall.blocklist_feed(), module(SPEC))


if __name__ == "__main__":
    main()
