# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of signed zones, as BIND's own programs make them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..host import command

POLICY_FILE = "/etc/bind/debvisor-dnssec.conf"
POLICY = "debvisor"
NEW = ".new."
ACCOUNT = "bind"
STATES = [f for each in ("-k", "-z", "-r", "-d") for f in (each, "OMNIPRESENT", "now")]
"""All states are omnipresent from the start, so BIND's key manager has nothing to do, on whichever primary it runs."""


class DnssecKeygen:
    """The folder of keys on this machine."""

    def keys(self, folder: str, zone: str) -> list[str]:
        """Return the names of the zone's keys: what their files have before the suffix."""
        return sorted(path.stem for path in Path(folder).glob(f"K{zone}.+*+*.private"))

    def create(self, folder: str, zone: str) -> None:
        """Make a key as the policy has it. Its private part comes last: without it there is no key.

        What a run that was killed left goes first: a private key may be in it, and a DS may be made of a public one.
        The last step puts the private part in place, so a run that is killed after it leaves nothing else behind.
        """
        self._clear(folder, zone)
        with tempfile.TemporaryDirectory(dir=folder, prefix=NEW) as work:
            made = command.run(
                ["dnssec-keygen", "-q", "-K", work, "-l", POLICY_FILE, "-k", POLICY, zone]
            )
            name = made.stdout.strip()
            command.run(["dnssec-settime", "-s", "-K", work, "-g", "OMNIPRESENT", *STATES, name])
            private = f"{name}.private"
            ready = Path(folder, f"{NEW}{private}")
            places = {
                f"{name}.key": Path(folder, f"{name}.key"),
                f"{name}.state": Path(folder, f"{name}.state"),
                private: ready,
            }
            for made_as, place in places.items():
                path = Path(work, made_as)
                path.chmod(0o600)
                shutil.chown(path, ACCOUNT, ACCOUNT)
                _sync(path)
                path.rename(place)
        _sync(Path(folder))
        ready.rename(Path(folder, private))
        _sync(Path(folder))

    def _clear(self, folder: str, zone: str) -> None:
        """Remove what runs that were killed left: what they worked in, and a key's parts that lack the private one."""
        for left in Path(folder).glob(f"{NEW}*"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
        for part in Path(folder).glob(f"K{zone}.+*+*.*"):
            if part.suffix in (".key", ".state") and not part.with_suffix(".private").exists():
                part.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
