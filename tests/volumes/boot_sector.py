# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest disk to boot from: it says something on its first serial port, and waits for its power button."""

from __future__ import annotations

import struct

SECTOR = 512
SIGNATURE = b"\x55\xaa"
CODE = bytes.fromhex(
    "fc"  # cld
    "31c0"  # xor ax, ax
    "8ed8"  # mov ds, ax
    "be2e7c"  # mov si, text: the BIOS loads the sector at 0x7c00, and this code has 0x2e bytes
    "baf803"  # mov dx, 0x3f8: the first serial port
    "ac"  # next: lodsb
    "84c0"  # test al, al
    "7403"  # jz listen
    "ee"  # out dx, al
    "ebf8"  # jmp next
    "ba0206"  # listen: mov dx, 0x602: what may interrupt, of the power management of a PC of QEMU
    "b80001"  # mov ax, 0x100: the power button
    "ef"  # out dx, ax
    "fb"  # sti
    "f4"  # wait: hlt, until the timer ticks
    "ba0006"  # mov dx, 0x600: what happened
    "ed"  # in ax, dx
    "f6c401"  # test ah, 1
    "74f6"  # jz wait
    "ba0406"  # mov dx, 0x604: how to sleep
    "b80020"  # mov ax, 0x2000: at once, for good
    "ef"  # out dx, ax
    "ebed"  # jmp wait
)
"""For the real mode of x86. The text follows it, and ends with a zero."""
DEAF = CODE[:-3] + b"\x90" + CODE[-2:]
"""It does nothing instead of going to sleep."""


def boot_sector(text: str, *, deaf: bool = False) -> bytes:
    """Return a sector whose guest says the text.

    :param deaf: its power button has no effect.
    :raises ValueError: where the text is too long.
    """
    content = (DEAF if deaf else CODE) + text.encode("ascii") + b"\0"
    if len(content) > SECTOR - len(SIGNATURE):
        raise ValueError(f"{text!r} does not fit into a boot sector")
    return struct.pack(f"{SECTOR - len(SIGNATURE)}s", content) + SIGNATURE
