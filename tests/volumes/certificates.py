# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority of the tests' own, that no machine trusts unless told to."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")


@dataclass(frozen=True, slots=True)
class Certificate:
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """Keeps what it made in a folder, and makes nothing twice."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self._root().certificate

    def issue(self, name: str, *alternatives: str) -> Certificate:
        """Return a certificate for a server or a client; alternatives are like ``DNS:a.test`` or ``IP:10.1.1.1``."""
        issued = self._files(name)
        if not issued.certificate.exists():
            root = self._root()
            alternative = ",".join(alternatives or (f"DNS:{name}",))
            self._request(
                issued,
                name,
                *("-CA", str(root.certificate), "-CAkey", str(root.key)),
                *("-addext", f"subjectAltName={alternative}"),
                *("-addext", "basicConstraints=critical,CA:FALSE"),
            )
        return issued

    def _root(self) -> Certificate:
        root = self._files("authority")
        if not root.certificate.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._request(root, "authority of a test", "-addext", "keyUsage=critical,keyCertSign")
        return root

    def _files(self, name: str) -> Certificate:
        return Certificate(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    @staticmethod
    def _request(made: Certificate, name: str, *options: str) -> None:
        unfinished = made.certificate.with_suffix(".new")
        subprocess.run(
            [
                *("openssl", "req", "-x509", *KEY, "-subj", f"/CN={name}", *options),
                *("-keyout", str(made.key), "-out", str(unfinished)),
            ],
            check=True,
            capture_output=True,
        )
        unfinished.rename(made.certificate)
