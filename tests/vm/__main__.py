# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the virtual machine."""

from __future__ import annotations

import argparse
import os
import sys

from tests.lab.host import Host, locked
from tests.lab.report import LabError, Stopwatch, complain, say
from tests.vm import access, deploy, image, machine, storage
from tests.vm.layout import DISKS, NAME, THIN_POOL, VOLUME_GROUP, ZPOOL

TEXT = {
    "up": "start it on fresh disks and make the storage; one that runs gets today's code",
    "down": "end it and remove its disks; the image stays",
    "reset": "press its reset button, and wait until it is up again",
    "shell": "open a root shell in it",
    "image": "build its image if the recipe changed",
}


def up() -> None:
    watch = Stopwatch()
    if machine.pid() is None:
        machine.stop()  # what a machine that died has left
        machine.start(image.ensure(Host()))
        say(NAME, f"is up after {machine.wait_until_ready()}")
        storage.prepare()
        disks = ", ".join(f"{disk.name} ({disk.gib} GiB)" for disk in DISKS)
        say(NAME, f"has disks {disks}; {VOLUME_GROUP}/{THIN_POOL} and zpool {ZPOOL} are made")
    else:
        say(NAME, "is running already: kept, with its disks")
        machine.wait_until_ready()
    deploy.collection()
    say(NAME, f"ready in {watch}: ssh -F {os.path.relpath(access.SSH_CONFIG)} {NAME}")


def down() -> None:
    say(NAME, "ended; its disks are removed" if machine.stop() else "there was nothing to end")


def reset() -> None:
    require_running()
    say(NAME, f"is up again after {machine.reset()}")


def shell() -> None:
    require_running()
    command = access.ssh_command("-t")
    os.execvp(command[0], command)


def require_running() -> None:
    if machine.pid() is None:
        raise LabError("the virtual machine is down", "this needs it running", "`make vm` first")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.vm",
        description="A Debian 13 machine under QEMU, with LVM and ZFS.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, text in TEXT.items():
        verbs.add_parser(name, help=text)
    verb = parser.parse_args(arguments).verb
    try:
        if verb == "shell":
            shell()
        with locked("vm"):
            match verb:
                case "up":
                    up()
                case "down":
                    down()
                case "reset":
                    reset()
                case "image":
                    image.ensure(Host())
    except LabError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
