# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout as the static checks see it: its files, physical copies of it, and programs to run on them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tests.checkout import NAME, ROOT

TIMEOUT = 1800.0
"""Seconds for one program. The slowest takes two minutes, where nothing else runs."""
NOT_OURS = frozenset({".ansible", ".venv", "build"})


class CannotCheck(Exception):
    """A check could not even begin; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check did: how many things it looked at (``what`` they are), and what is wrong with them."""

    checked: int
    what: str
    problems: Sequence[str] = ()
    note: str = ""

    @property
    def passed(self) -> bool:
        """True where there was something to check and nothing was wrong."""
        return self.checked > 0 and not self.problems


@dataclass(frozen=True, slots=True)
class Run:
    """A program's end."""

    command: Sequence[str]
    code: int
    output: str
    """Standard output and standard error as they came."""

    @property
    def problems(self) -> list[str]:
        """Empty after a success."""
        if self.code == 0:
            return []
        return [f"{' '.join(self.command)} ended with {self.code}\n{self.output.strip()}"]


@dataclass(frozen=True)
class Project:
    """A checkout."""

    root: Path = ROOT
    copies: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)
    """Checks run side by side, and share copies."""

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """Every file that git tracks, or would if asked to, relative to the root."""
        command = ["git", "-c", "safe.directory=*", "-C", str(self.root), "ls-files", "-z"]
        command += ["--cached", "--others", "--exclude-standard"]
        try:
            listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        except (OSError, subprocess.CalledProcessError) as cause:
            raise CannotCheck(f"git cannot list the files of {self.root}: {cause}") from cause
        paths = (Path(name) for name in sorted(set(listed.split("\0"))) if name)
        return tuple(
            path
            for path in paths
            if path.parts[0] not in NOT_OURS and os.path.lexists(self.root / path)
        )

    def matching(self, pattern: str) -> list[Path]:
        """Return the files below the root that match the pattern (``roles/*/meta/argument_specs.yml``)."""
        depth = len(Path(pattern).parts)
        return [path for path in self.files if len(path.parts) == depth and path.match(pattern)]

    def with_suffix(self, suffix: str) -> list[Path]:
        """Return the files of one kind, wherever they are."""
        return [path for path in self.files if path.suffix == suffix]

    def text(self, path: Path) -> str:
        """Return a file's text."""
        return (self.root / path).read_text(encoding="utf-8")

    def build(self, *parts: str) -> Path:
        """Return a path below ``build/``, where everything goes that can be made anew."""
        return self.root.joinpath("build", *parts)

    def copy(self, name: str, wanted: Callable[[Path], bool] = lambda path: True) -> Path:
        """Return a physical copy of the files as ``ansible_collections/debvisor/hci`` below ``build/<name>``.

        It is a git repository of its own: tools that walk up to the nearest one would find ours, which ignores
        ``build/``, and so would see no file at all.
        """
        target = self.build(name).joinpath(*NAME)
        with self.lock:
            if name in self.copies:
                return target
            shutil.rmtree(self.build(name), ignore_errors=True)
            for path in filter(wanted, self.files):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.root / path, target / path, follow_symlinks=False)
            if wrong := self.run("git", "init", "--quiet", "--template=", str(target)).problems:
                raise CannotCheck("\n".join(wrong))
            self.copies.add(name)
            return target

    def run(
        self,
        *command: str,
        where: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        """Run a program of the virtual environment that this Python belongs to, or of the system.

        It gets an empty home folder of its own: what this account has configured or installed must not decide, and
        ansible-lint installs the collection into the home folder.
        """
        home = self.build("static-home")
        home.mkdir(parents=True, exist_ok=True)
        binaries = Path(sys.executable).parent
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ANSIBLE_", "MOLECULE_", "PYTHON", "VIRTUAL_ENV", "XDG_"))
        }
        variables = {
            **inherited,
            "HOME": str(home),
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "ANSIBLE_NOCOLOR": "1",
            "NO_COLOR": "1",
            "PY_COLORS": "0",
            **(environment or {}),
        }
        program = shutil.which(command[0], path=variables["PATH"])
        if program is None:
            raise CannotCheck(f"{command[0]} is not installed")
        try:
            done = subprocess.run(
                [program, *command[1:]],
                cwd=where or self.root,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode(errors="replace")
            return Run(command, 124, f"{said}\nno end after {TIMEOUT:g} s")
        return Run(command, done.returncode, done.stdout)
