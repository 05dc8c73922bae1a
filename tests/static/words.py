# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that must not be in the repository: where packages come from, and one machine's absolute paths.

Tools know their own registries; a mirror is a variable. The names below are put together from parts, so that this file
does not hold what it looks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

DOT = r"\."
HOSTS = (
    ("debian", "org", "(?:archive|cdimage|cdn-fastly|deb|ftp|http|httpredir|security|snapshot)(?:\\.[a-z]{2})?"),
    ("debian", "net", "cdn"),
    ("ubuntu", "com", "(?:[a-z]{2}\\.)?(?:archive|security)"),
    ("pypi", "org", ""),
    ("python", "org", "pypi"),
    ("pythonhosted", "org", ""),
    ("npmjs", "(?:com|org)", ""),
    ("yarnpkg", "com", ""),
    ("crates", "io", ""),
    ("rubygems", "org", ""),
    ("golang", "org", "proxy"),
    ("ansible", "com", "galaxy"),
    ("docker", "(?:com|io)", "(?:registry-1|hub|registry)"),
    ("docker", "io", ""),
    ("quay", "io", ""),
    ("ghcr", "io", ""),
    ("k8s", "io", "(?:dl|pkgs|registry)"),
    ("ceph", "com", "(?:download|eu)"),
)  # fmt: skip
"""Domain, top-level domain, and the host names below it that count (empty: the domain itself and all below it)."""
HOST = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(
        (host + DOT if host else r"(?:[\w-]+\.)*") + domain + DOT + top
        for domain, top, host in HOSTS
    )
    + r")(?![\w-]|\.\w)",
    re.IGNORECASE,
)
WORKPLACES = re.compile(r"(?<![\w.}\]-])/(?:" + "|".join(("work", "farm")) + r")/")
SOURCE = re.compile(
    r"(?:^\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s*)?|\bURIs:\s*|\b(?:extra-)?index-url[\s=:]+|\bregistry\s*=\s*)"
    r"(?P<url>(?:https?|ftp)://[^\s'\"]+)",
    re.MULTILINE,
)
"""A package source that is spelled out, whatever its host."""
EXAMPLES = re.compile(
    r"//(?:[^/\s@]*@)?(?:[\w.-]*\.)?(?:example(?:\.(?:com|net|org))?|test|invalid|localhost)(?=[:/]|$)|\{\{"
)
"""Hosts that stand for no machine (RFC 2606), and variables."""


def forbidden(name: str, text: str) -> Iterator[str]:
    """Yield one sentence for each forbidden word in the file ``name``, its own name included."""
    for what, found in (
        ("host of a package source", HOST),
        ("path of one machine", WORKPLACES),
        ("package source", SOURCE),
    ):
        for where, subject in (("", name), (":{}", text)):
            for match in found.finditer(subject):
                if found is SOURCE and EXAMPLES.search(match["url"]):
                    continue
                line = where.format(subject.count("\n", 0, match.start()) + 1)
                yield f"{name}{line}: {what}: {match[0].strip()}"
