# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sshd as a port: what is asked of which program, in a scene where programs are scripts."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access import sshd
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.pam_modules import (
    PamModules,
)
from ansible_collections.debvisor.hci.plugins.module_utils._ports.access.sshd import SESSION, Sshd
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host import command
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.clock_sync import ClockSync
from ansible_collections.debvisor.hci.plugins.module_utils._ports.host.command import ProgramFailed

from tests.lab.cluster import eventually


class Scene:
    """Programs that note how they are called, and answer what they are told to."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        monkeypatch.setattr(sshd, "SSHD", str(folder / "sshd"))
        monkeypatch.setattr(command, "MOURNER", ())

    def program(self, name: str, answer: str = "", status: int = 0) -> None:
        path = self.folder / name
        path.write_text(
            f'#!/bin/sh\necho {name} "$*" >> {self.folder}/calls\ncat <<END\n{answer}\nEND\nexit {status}\n'
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_settings_are_by_sshds_own_word(scene: Scene) -> None:
    scene.program("sshd", "usepam yes\nauthenticationmethods publickey,keyboard-interactive:pam")
    [told] = Sshd(scene.folder / "d/10.conf").effective([("anna", "192.0.2.1")])
    assert told["authenticationmethods"] == "publickey,keyboard-interactive:pam"
    asked = "user=anna,host=192.0.2.1,addr=192.0.2.1,laddr=127.0.0.1,lport=22"
    assert scene.calls == [f"sshd -T -C {asked}"]


def test_lists_that_sshd_tells_in_several_lines_are_whole(scene: Scene) -> None:
    scene.program("sshd", "allowusers anna\nallowusers ben\nusepam yes")
    [told] = Sshd(scene.folder / "d/10.conf").effective([("anna", "192.0.2.1")])
    assert told == {"allowusers": "anna ben", "usepam": "yes"}


def test_the_files_of_others_are_read_with_what_they_include(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_ins = scene.folder / "d"
    (drop_ins / "more").mkdir(parents=True)
    texts = {
        scene.folder / "sshd_config": f'Include d/*.conf\n include "{drop_ins}/more/a" d/none\n',
        drop_ins / "10.conf": "ours\n",
        drop_ins / "50.conf": "INCLUDE=50.conf\n",
        drop_ins / "more/a": "Match all\n",
    }
    for path, text in texts.items():
        path.write_text(text)
    monkeypatch.setattr(sshd, "CONFIGURATION", scene.folder / "sshd_config")
    found = Sshd(drop_ins / "10.conf").others()
    assert found == {
        str(path): text for path, text in texts.items() if path != drop_ins / "10.conf"
    } | {str(drop_ins / "50.conf"): texts[drop_ins / "50.conf"]}


def test_a_rehearsal_leaves_the_drop_ins_alone(scene: Scene) -> None:
    place = scene.folder / "d"
    place.mkdir()
    (place / "05-other.conf").write_text("UsePAM no\n")
    scene.program("unshare", "usepam no")
    [told] = Sshd(place / "10.conf").rehearsed("UsePAM yes\n", [("a", "::1")])
    assert told["usepam"] == "no"
    assert [path.name for path in place.iterdir()] == ["05-other.conf"]
    assert "sshd -T -C user=a,host=::1,addr=::1" in scene.calls[0]


@pytest.mark.parametrize(("status", "reloads"), [(0, 1), (3, 0)])
def test_only_a_server_that_runs_is_reloaded(scene: Scene, status: int, reloads: int) -> None:
    scene.program("systemctl", status=status)
    Sshd(scene.folder / "10.conf").reload()
    assert len([call for call in scene.calls if "reload ssh.service" in call]) == reloads


def test_a_wrong_configuration_is_an_error(scene: Scene) -> None:
    scene.program("sshd", status=255)
    with pytest.raises(ProgramFailed):
        Sshd(scene.folder / "10.conf").check()


@pytest.mark.parametrize(
    ("line", "user"),
    [
        (b"sshd-session: anna@pts/0", b"anna"),
        (b"sshd: root@notty", b"root"),
        (b"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", None),
        (b"sshd-session: anna [priv]", None),
    ],
)
def test_sessions_are_told_by_the_names_of_processes(line: bytes, user: bytes | None) -> None:
    found = SESSION.fullmatch(line)
    assert (found["user"] if found else None) == user


TRACKING = "7F7F0101,ntp.test,2,0.0,{offset},0,0,0,0,0,0,0,1,{leap}"


@pytest.mark.parametrize(
    ("offset", "leap", "expected"),
    [("-20.5", "Normal", 20.5), ("0.001", "Normal", 0.001), ("0", "Not synchronised", None)],
)
def test_chrony_tells_how_far_the_clock_is_off(
    scene: Scene, offset: str, leap: str, expected: float | None
) -> None:
    scene.program("chronyc", TRACKING.format(offset=offset, leap=leap))
    reading = ClockSync().reading()
    assert (reading.source, reading.offset) == ("chrony", expected)


@pytest.mark.parametrize(
    ("told", "status", "known"), [("yes", 0, True), ("no", 0, False), ("", 1, False)]
)
def test_without_chrony_the_kernel_is_asked(
    scene: Scene, told: str, status: int, known: bool
) -> None:
    scene.program("chronyc", status=1)
    scene.program("timedatectl", told, status)
    reading = ClockSync().reading()
    assert (reading.source, reading.offset is not None) == ("the kernel", known)
    assert bool(reading.why) is not known


def test_pam_modules_are_looked_for_where_they_lie(tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/x86_64-linux-gnu/security"
    folder.mkdir(parents=True)
    assert not PamModules(tmp_path).has("pam_x.so")
    (folder / "pam_x.so").touch()
    assert PamModules(tmp_path).has("pam_x.so")


@pytest.mark.parametrize(
    ("title", "own"),
    [
        ("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", []),
        (
            "sshd: /usr/sbin/sshd -f /etc/ssh/other -D [listener] 0 of 10-100 startups",
            ["-f /etc/ssh/other -D"],
        ),
        ("sshd: sshd -Do UsePAM=no [listener] 1 of 10-100 startups", ["-Do UsePAM=no"]),
        ("sshd: anna [priv]", []),
    ],
)
def test_a_server_with_options_of_its_own_is_found(title: str, own: list[str]) -> None:
    """By the title that sshd gives its process."""
    words = ["bash", "-c", 'exec -a "$0" sleep 60', title]
    with subprocess.Popen(words) as process:
        try:
            told = Path(f"/proc/{process.pid}/cmdline")
            eventually("it has its title", lambda: told.read_bytes().startswith(b"sshd: "), 10)
            assert [
                found for found in Sshd(Path("/d/10.conf")).own_options() if found in title
            ] == own
        finally:
            process.kill()
