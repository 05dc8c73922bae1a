# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new enrolment's owner gets to see, once: by file, or sealed for an OpenPGP certificate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from .._core.secret import Secret
from .enrolment import Enrolment, provisioning_uri

TERMINAL, PNG = "terminal", "png"
WARNING = "Keep the codes where your authenticator is not. Then destroy this text: it is not made a second time.\n"


class Pictures(Protocol):
    """Draws QR codes."""

    def text(self, content: str) -> str: ...

    def png(self, content: str) -> bytes: ...


class MessageSealer(Protocol):
    """Encrypts for the owners of OpenPGP certificates."""

    def recipient(self, certificate: str) -> str: ...

    def seal(self, content: bytes, certificate: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to hand over. ``suffix`` tells its name from those of the others."""

    suffix: str
    content: Secret


@dataclass(frozen=True, slots=True)
class Naming:
    """Under which name an authenticator lists it, and how it is drawn."""

    issuer: str = ""
    label: str = ""
    picture: str = ""
    """:data:`TERMINAL`, :data:`PNG`, or empty for none."""


def suffixes(picture: str) -> tuple[str, ...]:
    """Return the suffixes of the parts, known before there is anything to hand over."""
    return (".txt", ".png") if picture == PNG else (".txt",)


def parts(enrolment: Enrolment, naming: Naming, pictures: Pictures) -> Iterator[Part]:
    """Yield what to hand over, in the order of :func:`suffixes`."""
    uri = provisioning_uri(enrolment, naming.issuer, naming.label).reveal().decode()
    drawn = pictures.text(uri) if naming.picture == TERMINAL else ""
    yield Part(".txt", Secret(_letter(enrolment, naming, uri, drawn)))
    if naming.picture == PNG:
        yield Part(".png", Secret(pictures.png(uri)))


def scratch_part(enrolment: Enrolment, naming: Naming) -> Part:
    """Return what to hand over where the secret stayed: new scratch codes, and nothing that their owner has already."""
    text = f"New scratch codes for the second factor of {naming.label} at {naming.issuer}\n\nThe former ones are void. "
    return Part(".txt", Secret(text + _scratch_codes(enrolment) + WARNING))


def _letter(enrolment: Enrolment, naming: Naming, uri: str, drawn: str) -> str:
    key = enrolment.secret.reveal().decode()
    groups = " ".join(key[start : start + 4] for start in range(0, len(key), 4))
    how = "Scan the picture with your authenticator" if naming.picture else "Open the address"
    return (
        f"The second factor of {naming.label} at {naming.issuer}\n\n"
        f"{how}, or enter the key by hand: by time, 6 digits, {enrolment.step} seconds.\n\n"
        f"Key:      {groups}\n"
        f"Address:  {uri}\n\n"
        f"{drawn}{_scratch_codes(enrolment)}{WARNING}"
    )


def _scratch_codes(enrolment: Enrolment) -> str:
    codes = "".join(f"    {code.reveal().decode()}\n" for code in enrolment.scratch_codes)
    text = f"Each of these codes replaces one code of the authenticator, once:\n\n{codes}\n"
    return text if codes else ""
