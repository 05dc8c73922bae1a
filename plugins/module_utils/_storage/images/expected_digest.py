# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which digest an image is to have, by what an operator wrote for its checksum."""

from __future__ import annotations

from collections.abc import Callable

from ..._core.errors import Refused
from ..jobs.job_protocols import ImageSource
from . import checksums

UNPUBLISHED = "none"
"""The checksum of an image without a published digest: it is taken as it comes."""


def literal(checksum: str) -> str:
    """Return the digest where it was written out, or "" where it has to be asked for.

    :raises BadChecksum: where it is neither a SHA-256 nor an address.
    """
    if not checksum or checksum == UNPUBLISHED or "/" in checksum:
        return ""
    return checksums.given(checksum)


def digest(
    checksum: str, source: ImageSource, check: Callable[[], None] | None = None
) -> str | None:
    """Return the digest; None where none is to be published.

    :raises Refused: where there is no object that holds it.
    """
    if checksum == UNPUBLISHED:
        return None
    if written := literal(checksum):
        return written
    text = source.checksum_text(check)
    if text is None:
        source.look(check)  # where the image is not there either, that is what to say
        raise Refused(
            f"there is no checksum of {source.shown}",
            why="the object that should hold it does not exist",
            hint="Publish <url>.sha256, give checksum, or say checksum: none to take the image as it comes",
        )
    return checksums.published(text, source.shown)
