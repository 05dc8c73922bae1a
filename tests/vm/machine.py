# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's process: start, hard reset, end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.report import LabError, Stopwatch, say
from tests.vm import access
from tests.vm.image import Image
from tests.vm.layout import (
    DISKS,
    MEMORY_MIB,
    MONITOR,
    NAME,
    PID_FILE,
    PORT_FILE,
    RUN,
    SERIAL_LOG,
    STATE,
)

BOOT_TIMEOUT = 600.0
PROBE_TIMEOUT = 15.0
STOP_TIMEOUT = 10.0
POLL = 0.5
PROGRESS_EVERY = 15.0
UNUSED = "ahci,cfg80211,evdev,i2c_i801,iTCO_wdt,lpc_ich,pcspkr,psmouse,serio_raw"
KERNEL_OPTIONS = (
    "root=/dev/vda rw console=ttyS0 mitigations=off nowatchdog audit=0 cryptomgr.notests"
    " init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off norandmaps apparmor=0"
    " rcupdate.rcu_expedited=1"
    f" module_blacklist={UNUSED}"
)
"""Without what costs an emulated processor time and shows us nothing."""
PROCESSORS = {"tcg": "Nehalem,+rdrand", "kvm": "max"}
"""Emulated, a simple one: ZFS tries out each vector extension that it finds, for half a minute."""
TERMINAL_CODES = re.compile(r"\x1b[\[\]][0-?]*[ -/]*[@-~]")
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def pid() -> int | None:
    """QEMU's process id, if it is ours and alive: the number may be another process's by now."""
    try:
        number = int(PID_FILE.read_text(encoding="utf-8"))
        argv = Path(f"/proc/{number}/cmdline").read_text(encoding="utf-8").split("\0")
    except (OSError, ValueError):
        return None
    return number if str(PID_FILE) in argv else None


def start(image: Image) -> None:
    """Start the machine on fresh disks; see :func:`wait_until_ready`."""
    RUN.mkdir(parents=True, exist_ok=True)
    _make_disks(image)
    port = _free_port()
    access.prepare(port)
    PORT_FILE.write_text(f"{port}\n", encoding="utf-8")
    SERIAL_LOG.unlink(missing_ok=True)
    accelerator = "kvm" if _kvm_boots(image) else "tcg"
    say(NAME, f"starts with {MEMORY_MIB} MiB, accelerator {accelerator}")
    command = [*_base_command(image, accelerator), *_machine_options(port)]
    started = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    if started.returncode != 0:
        raise LabError("QEMU does not start", started.stderr, "run `make deps` first")


def wait_until_ready(before: str = "") -> Stopwatch:
    """Wait until the machine has booted and ssh answers.

    :param before: the boot id before a reset; it has to be another one.
    """
    watch = Stopwatch()
    told = 0.0
    while watch.seconds < BOOT_TIMEOUT:
        if pid() is None or "Kernel panic" in _console():
            raise LabError(
                "the machine has died", _last_lines(15), f"the serial console is {SERIAL_LOG}"
            )
        if boot_id() not in ("", before):
            _settle(watch)
            return watch
        if watch.seconds - told > PROGRESS_EVERY:
            told = watch.seconds
            say(NAME, f"[{watch}] {_last_lines(1) or 'nothing on the console yet'}")
        time.sleep(POLL)
    raise LabError(
        "the machine does not come up", _last_lines(15), f"the serial console is {SERIAL_LOG}"
    )


def boot_id() -> str:
    """Which boot this is; empty where the machine does not answer."""
    try:
        answer = access.run(["cat", BOOT_ID], timeout=30, check=False)
    except access.CommandFailed:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def reset() -> Stopwatch:
    """Press the reset button: nothing is written back. What the disks had acknowledged is there afterwards."""
    before = boot_id()
    access.hang_up()
    monitor("system_reset")
    return wait_until_ready(before)


def stop() -> bool:
    """Power off, and remove what belongs to the running machine, disks included."""
    access.hang_up()
    number = pid()
    if number is not None:
        os.kill(number, signal.SIGKILL)  # the disks go anyway
        _wait(lambda: pid() is None, STOP_TIMEOUT)
    for file in (*RUN.iterdir(),) if RUN.exists() else ():
        file.unlink()
    return number is not None


def monitor(command: str, **arguments: Any) -> Any:
    """Run a command of QEMU's monitor (QMP) and return its answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(MONITOR))
        with connection.makefile("rw", encoding="utf-8") as stream:
            stream.readline()  # the greeting
            _ask(stream, "qmp_capabilities", {})
            return _ask(stream, command, arguments)


def _ask(stream: Any, command: str, arguments: dict[str, Any]) -> Any:
    stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    stream.flush()
    for line in stream:
        answer = json.loads(line)
        if "error" in answer:
            raise LabError(f"QEMU refuses {command}", answer["error"]["desc"], "see QEMU's manual")
        if "return" in answer:  # events may come first
            return answer["return"]
    raise LabError(f"QEMU did not answer {command}", "the connection ended", "see whether it runs")


def _base_command(image: Image, accelerator: str) -> list[str]:
    return [
        "qemu-system-x86_64",
        *("-name", NAME),
        *("-accel", accelerator),
        *("-machine", "q35"),
        *("-cpu", PROCESSORS[accelerator]),
        # One: two emulated ones trip over kernel code that is patched while it runs ("Oops: int3"), now and then.
        *("-smp", "1"),
        *("-m", str(MEMORY_MIB)),
        "-nodefaults",
        *("-display", "none"),
        *("-kernel", str(image.kernel)),
        *("-initrd", str(image.initrd)),
    ]


def _machine_options(port: int) -> list[str]:
    drives = [("root", RUN / "root.qcow2", "qcow2", True)]
    drives += [(disk.name, disk.file, "raw", disk.zeroes) for disk in DISKS]
    options = []
    for name, file, form, zeroes in drives:
        # A disk with a write cache that a loss of power does not empty: only a reset is asked of it.
        backend = f"if=none,id={name},file={file},format={form},cache=unsafe,discard=unmap"
        able = "on" if zeroes else "off"
        device = f"virtio-blk-pci,drive={name},serial={name},discard={able},write-zeroes={able}"
        options += ["-drive", backend, "-device", device]
    return [
        *options,
        *("-append", KERNEL_OPTIONS),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"),
        *("-device", "virtio-net-pci,netdev=net"),
        *("-device", "virtio-rng-pci"),
        *("-fw_cfg", f"name=opt/io.systemd.credentials/tmpfiles.extra,file={access.CREDENTIAL}"),
        *("-serial", f"file:{SERIAL_LOG}"),
        *("-qmp", f"unix:{MONITOR},server=on,wait=off"),
        *("-pidfile", str(PID_FILE)),
        "-daemonize",
    ]


def _make_disks(image: Image) -> None:
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image.root), "-F", "raw"]
    subprocess.run([*command, str(RUN / "root.qcow2")], check=True, timeout=60)
    for disk in DISKS:
        with disk.file.open("wb") as handle:
            handle.truncate(disk.gib * 2**30)


def _kvm_boots(image: Image) -> bool:
    """Whether a kernel really boots with KVM; that there is a /dev/kvm does not say so.

    The init that it is given ends at once, so the kernel panics and, as it shall not reboot, QEMU ends.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    log = STATE / "kvm.log"
    options = ["-append", "console=ttyS0 panic=-1 rdinit=/bin/true", "-no-reboot"]
    command = [*_base_command(image, "kvm"), *options, "-serial", f"file:{log}"]
    try:
        subprocess.run(command, capture_output=True, timeout=PROBE_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return False
    return log.exists() and "Kernel panic" in log.read_text(errors="replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _settle(watch: Stopwatch) -> None:
    """Wait until systemd has nothing left to start, and say what failed."""
    left = max(BOOT_TIMEOUT - watch.seconds, 1)
    state = access.run(
        ["systemctl", "is-system-running", "--wait"], timeout=left, check=False
    ).stdout.strip()
    if state != "running":
        failed = access.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"])
        raise LabError(f"the machine is {state}", failed.stdout, "look: make vm-shell")


def _wait(met: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not met() and time.monotonic() < deadline:
        time.sleep(0.05)


def _last_lines(count: int) -> str:
    lines = [line.strip() for line in TERMINAL_CODES.sub("", _console()).splitlines()]
    return "\n".join([line for line in lines if line][-count:])


def _console() -> str:
    try:
        return SERIAL_LOG.read_text(errors="replace")
    except OSError:
        return ""
