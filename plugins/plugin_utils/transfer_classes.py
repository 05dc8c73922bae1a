# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which class of TSIG keys two DNS servers share.

The primaries share one. Each secondary shares one of its own with the primaries, and none with other secondaries: who
has the keys of a secondary cannot speak for any other server, and revoking one class shuts it out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

PRIMARIES = "dns_primaries"
SECONDARIES = "dns_secondaries"
BETWEEN_PRIMARIES = "debvisor-xfer"
_LONGEST = 63
"""Letters of a class: it is a label of the key's name."""


def class_of_secondary(host: str) -> str:
    """Return the class that a secondary shares with the primaries."""
    label = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")
    return f"{BETWEEN_PRIMARIES}-{label}"


def secondaries(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the DNS servers that never write."""
    primaries = groups.get(PRIMARIES, [])
    return sorted(set(groups.get(SECONDARIES, [])).difference(primaries))


def descriptions(groups: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the classes by which zones are transferred: each with its name, and the hosts that share it.

    :raises ValueError: where two secondaries would have the same class, or a name is too long for one.
    """
    primaries = sorted(groups.get(PRIMARIES, []))
    found = {BETWEEN_PRIMARIES: primaries}
    for host in secondaries(groups):
        name = class_of_secondary(host)
        if len(name) > _LONGEST:
            raise ValueError(f"the name {host} of a DNS server is too long for a class of keys")
        if name in found:
            raise ValueError(f"{host} would have the class of keys {name} of another DNS server")
        found[name] = sorted([*primaries, host])
    return [{"name": name, "hosts": hosts} for name, hosts in found.items()]


def shared_classes(groups: Mapping[str, Sequence[str]], host: str) -> dict[str, str]:
    """Return for each DNS server that a host talks to, itself included, the class that they share.

    Its own is the one with whichever primary has the VIP. It is empty for a host that is no DNS server.
    """
    primaries, others = sorted(groups.get(PRIMARIES, [])), secondaries(groups)
    if host in primaries:
        return {
            **dict.fromkeys(primaries, BETWEEN_PRIMARIES),
            **{other: class_of_secondary(other) for other in others},
        }
    if host in others:
        return dict.fromkeys([*primaries, host], class_of_secondary(host))
    return {}
