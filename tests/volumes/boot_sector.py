# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest disk that a guest can boot from: it says something on its first serial port, and halts."""

from __future__ import annotations

import struct

SECTOR = 512
SIGNATURE = b"\x55\xaa"
CODE = bytes.fromhex(
    "fa"  # cli
    "fc"  # cld
    "31c0"  # xor ax, ax
    "8ed8"  # mov ds, ax
    "be177c"  # mov si, text: the BIOS loads the sector at 0x7c00, and this code has 0x17 bytes
    "baf803"  # mov dx, 0x3f8: the first serial port
    "ac"  # next: lodsb
    "84c0"  # test al, al
    "7403"  # jz end
    "ee"  # out dx, al
    "ebf8"  # jmp next
    "f4"  # end: hlt
    "ebfd"  # jmp end
)
"""For the real mode of x86. The text follows it, and ends with a zero."""


def boot_sector(text: str) -> bytes:
    """Return a sector whose guest says the text.

    :raises ValueError: where the text is too long.
    """
    content = CODE + text.encode("ascii") + b"\0"
    if len(content) > SECTOR - len(SIGNATURE):
        raise ValueError(f"{text!r} does not fit into a boot sector")
    return struct.pack(f"{SECTOR - len(SIGNATURE)}s", content) + SIGNATURE
