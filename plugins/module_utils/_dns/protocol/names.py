# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domain names. Inside, a name is its wire form in lower case: bytes that compare, hash and join as they are.

Text becomes a name by these rules. ``@`` is the zone itself. A final dot makes a name absolute. Without it a name is
relative to the zone, unless it ends in the zone's own name, which is never meant twice.

Labels that are not ASCII become A-labels by the standard library's IDNA 2003 codec. The four characters that IDNA 2008
reads otherwise, and whatever IDNA 2003 cannot hold, are refused with the advice to write the A-label (``xn--...``).
"""

from __future__ import annotations

import ipaddress
import re
from encodings import idna

LONGEST_NAME = 255
LONGEST_LABEL = 63
_MOST_KEPT = 4096
"""Names of parents that are kept, in either direction; nearly all names of a call share theirs."""
ROOT = b"\0"

_PLAIN = re.compile(r"[A-Za-z0-9_*/-]{1,63}(?:\.[A-Za-z0-9_*/-]{1,63})*\.?")
_PLAIN_LABEL = re.compile(rb"[a-z0-9_*/-]+")
_DEVIATIONS = {"ß": "ss", "ς": "σ", "\u200c": "nothing", "\u200d": "nothing"}
_PUNCTUATION = frozenset(b'"();@$.\\')


class NameProblem(ValueError):
    """A text is not a domain name; the message says why, as the end of a sentence."""


def parse(text: str, zone: bytes = ROOT) -> bytes:
    """Turn text into a name.

    :raises NameProblem: saying what is wrong.
    """
    if _PLAIN.fullmatch(text):
        labels = [part.encode().lower() for part in text.removesuffix(".").split(".")]
        absolute = text[-1] == "."
    elif text == "@":
        return zone
    elif text == ".":
        return ROOT
    else:
        labels, absolute = _split(text)
    name = b"".join([_COUNT[len(label)] + label for label in labels])
    if absolute:
        name += ROOT
    elif zone != ROOT and (name + ROOT == zone or is_below(name + ROOT, zone)):
        name += ROOT
    else:
        name += zone
    if len(name) > LONGEST_NAME:
        raise NameProblem(f"is {len(name)} bytes long as a whole; {LONGEST_NAME} is the most")
    return name


_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_TAILS: dict[tuple[str, bytes], bytes] = {}


def parse_below(text: str, zone: bytes) -> bytes | None:
    """Turn the text of an ordinary name below the zone into a name, fast; None sends the caller to :func:`parse`."""
    label, dot, rest = text.partition(".")
    if not _LABEL.fullmatch(label):
        return None
    tail = _TAILS.get((rest, zone)) if dot else zone
    if tail is None:
        if not _PLAIN.fullmatch(rest):
            return None
        tail = parse(rest, zone)
        if (
            not is_below(tail, zone)
            or parse(text, zone) != _COUNT[len(label)] + label.encode() + tail
        ):
            return None  # such as the zone's own name without its final dot
        if len(_TAILS) >= _MOST_KEPT:
            _TAILS.clear()
        _TAILS[rest, zone] = tail
    if len(tail) + len(label) >= LONGEST_NAME:
        return None
    return _COUNT[len(label)] + label.encode() + tail


_COUNT = [bytes([number]) for number in range(LONGEST_LABEL + 1)]


def _split(text: str) -> tuple[list[bytes], bool]:
    """Return the labels and whether the name is absolute; the way for all that is not plain ASCII."""
    if not text:
        raise NameProblem("is empty")
    labels: list[bytes] = []
    label: list[str | int] = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == ".":
            labels.append(_label(label))
            label = []
        elif character == "\\":
            digits = text[position : position + 3]
            if re.fullmatch("[0-9]{3}", digits):
                if int(digits) > 255:
                    raise NameProblem(f"has the escape \\{digits}, and a byte ends at 255")
                label.append(int(digits))
                position += 3
            elif position < len(text) and "!" <= text[position] <= "~" and not digits[:1].isdigit():
                label.append(ord(text[position]))
                position += 1
            else:
                raise NameProblem("has a backslash that escapes nothing")
        else:
            label.append(character)
    if not label:
        return labels, True
    return [*labels, _label(label)], False


def _label(parts: list[str | int]) -> bytes:
    if not parts:
        raise NameProblem("has an empty label (two dots in a row, or a dot at the start)")
    for part in parts:
        if isinstance(part, str) and (ord(part) < 33 or 127 <= ord(part) < 160 or part.isspace()):
            raise NameProblem(
                f"has the character U+{ord(part):04X}, which is not allowed in a name"
            )
        if isinstance(part, str) and part in _DEVIATIONS:
            raise NameProblem(
                f"has U+{ord(part):04X}, which IDNA 2003 and 2008 read differently;"
                " write the label as its A-label (xn--...)"
            )
    if any(isinstance(part, str) and not part.isascii() for part in parts):
        raw = _a_label("".join(part if isinstance(part, str) else chr(part) for part in parts))
    else:
        raw = bytes(part if isinstance(part, int) else ord(part) for part in parts).lower()
        for part in parts:
            if isinstance(part, str) and not _PLAIN_LABEL.fullmatch(part.lower().encode()):
                raise NameProblem(f"has {part!r}, which must be escaped in a name")
    if len(raw) > LONGEST_LABEL:
        raise NameProblem(f"has a label of {len(raw)} bytes; {LONGEST_LABEL} is the most")
    return raw


def _a_label(label: str) -> bytes:
    try:
        raw = idna.ToASCII(label).lower()
    except UnicodeError as cause:
        raise NameProblem(
            f"has the label {label!r}, which is no IDNA 2003 name ({cause});"
            " where it is one by IDNA 2008, write its A-label (xn--...)"
        ) from cause
    if not _PLAIN_LABEL.fullmatch(raw):
        raise NameProblem(f"has the label {label!r}, which is no name after IDNA mapping")
    return raw


def labels_of(name: bytes) -> list[bytes]:
    """Return the labels, first one first, without the root."""
    labels = []
    position = 0
    while count := name[position]:
        labels.append(name[position + 1 : position + 1 + count])
        position += count + 1
    return labels


def end_of(wire: bytes, position: int) -> int:
    """Return where an uncompressed name ends that starts at ``position``."""
    while count := wire[position]:
        position += count + 1
    return position + 1


def parent(name: bytes) -> bytes:
    """Return the name without its first label. The root has no parent."""
    return name[name[0] + 1 :]


def is_below(name: bytes, zone: bytes) -> bool:
    """Return whether ``name`` is ``zone`` or below it."""
    if not name.endswith(zone):
        return False
    position = 0
    last = len(name) - len(zone)
    while position < last:
        position += name[position] + 1
    return position == last


def _render_label(label: bytes) -> str:
    if _PLAIN_LABEL.fullmatch(label):
        return label.decode()
    return "".join(
        f"\\{chr(byte)}"
        if byte in _PUNCTUATION
        else chr(byte)
        if 33 <= byte < 127 and _plain(byte)
        else f"\\{byte:03d}"
        for byte in label
    )


def _plain(byte: int) -> bool:
    return _PLAIN_LABEL.fullmatch(bytes([byte])) is not None


_RENDERED: dict[bytes, str] = {}


def render(name: bytes) -> str:
    """Return the text of a name, absolute, with a final dot; :func:`parse` reads it back."""
    if name == ROOT:
        return "."
    first = name[0] + 1
    above = name[first:]
    if above == ROOT:
        return _render_label(name[1:first]) + "."
    tail = _RENDERED.get(above)
    if tail is None:
        if len(_RENDERED) >= _MOST_KEPT:
            _RENDERED.clear()
        tail = _RENDERED[above] = render(above)
    return f"{_render_label(name[1:first])}.{tail}"


def reverse(address: str) -> bytes:
    """Return the name below in-addr.arpa or ip6.arpa where the address's PTR records live."""
    return parse(ipaddress.ip_address(address).reverse_pointer + ".")


def is_address(text: str) -> bool:
    """Return whether the text is an IP address, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
