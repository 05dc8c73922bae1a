# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the firewall's benchmark that runs on a node, with Debian's own tools as peers; prints JSON lines.

``python3 firewall_node.py STEP ...``. What fills the kernel runs in a network namespace of its own.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from socket import AF_INET, inet_ntop

sys.path.insert(0, "/usr/share/ansible/collections/ansible_collections/debvisor/hci")

FOLDER = Path("/var/tmp/bench")
TABLE = "inet bench"
STEPS: dict[str, Callable[..., None]] = {}


def step(function: Callable[..., None]) -> Callable[..., None]:
    STEPS[function.__name__] = function
    return function


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)


def mixed(count: int, seed: int) -> list[str]:
    """Return distinct lines, 70 % of them hosts, the rest networks of the lengths that real lists have."""
    rng = random.Random(seed)
    lines: dict[str, None] = {}
    while len(lines) < count:
        address = rng.randrange(11 << 24, 223 << 24)
        length = (
            32
            if rng.random() < 0.7
            else rng.choice([24] * 6 + [20, 22, 23, 25, 26, 27, 28, 29, 30, 31])
        )
        address &= 0xFFFFFFFF << (32 - length) & 0xFFFFFFFF
        text = inet_ntop(AF_INET, address.to_bytes(4, "big"))
        lines[text if length == 32 else f"{text}/{length}"] = None
    return list(lines)


@step
def make(*counts: str) -> None:
    """Write the lists: block.COUNT, a variant of each with 100 lines changed, and 10,000 allows."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "allow").write_text("\n".join(mixed(10_000, 1)) + "\n")
    for count in map(int, counts):
        lines = mixed(count, 2)
        (FOLDER / f"block.{count}").write_text("\n".join(lines) + "\n")
        rng = random.Random(3)
        fresh = mixed(100, 4)
        for line in rng.sample(range(count), 100):
            lines[line] = fresh.pop()
        (FOLDER / f"block.{count}.changed").write_text("\n".join(lines) + "\n")


def timed(words: list[str], stdin: Path | None = None) -> dict[str, float]:
    """Run a program to its end; return its wall time in ms and its peak memory in MB."""
    started = time.perf_counter()
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(os.open(stdin, os.O_RDONLY) if stdin else null, 0)
        os.dup2(null, 1)
        os.execvp(words[0], words)
    _pid, status, used = os.wait4(process, 0)
    took = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{words} failed")
    return {"ms": 1000 * took, "mb": used.ru_maxrss / 1024}


def me(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", __file__, name, *arguments]


@step
def effective(count: str, rounds: str, netaddr: str) -> None:
    """Time the effective set in a process of its own, against iprange, and once against netaddr."""
    block, allow = str(FOLDER / f"block.{count}"), str(FOLDER / "allow")
    for _round in range(int(rounds)):
        tell(who="ours", **timed(me("one_effective", block, allow)))
        tell(who="iprange", **timed(["iprange", "--print-binary", block, "--except", allow]))
    if netaddr == "with":
        tell(who="netaddr", **timed(["/usr/bin/python3", __file__, "one_netaddr", block, allow]))


@step
def one_effective(block: str, allow: str) -> None:
    import gc

    gc.disable()  # as the executor does
    from plugins.module_utils._firewall import lists, networks
    from plugins.module_utils._firewall.networks import V4
    from plugins.module_utils._firewall.packed import pack
    from plugins.module_utils._ports.host.files import Files

    allowed = lists.read(Files().blocks(allow)).columns[V4].keys
    blocked = lists.read(Files().blocks(block)).columns[V4]
    holes = networks.ungroup(networks.aggregate(V4, allowed))
    found = networks.effective(V4, blocked.keys, holes)
    sys.stdout.buffer.write(b"".join(bytes(pack(V4, each).data) for each in found.values()))


@step
def one_netaddr(block: str, allow: str) -> None:
    import netaddr

    merged = netaddr.cidr_merge(Path(block).read_text().split())
    holes = netaddr.IPSet(netaddr.cidr_merge(Path(allow).read_text().split()))
    print(len(merged), len(holes.iter_cidrs()))


@step
def load(count: str, rounds: str) -> None:
    """Load one list: ours in hash sets with all that the module does, against one interval set by nft alone."""
    interval = FOLDER / f"interval.{count}"
    with interval.open("w") as out:
        out.write(f"table {TABLE} {{ set s {{ type ipv4_addr; flags interval; auto-merge; }}; }}\n")
        lines = (FOLDER / f"block.{count}").read_text().split()
        for start in range(0, len(lines), 2048):
            out.write(f"add element {TABLE} s {{ {','.join(lines[start : start + 2048])} }}\n")
    for _round in range(int(rounds)):
        run_ours(count, "load", me("one_run", str(FOLDER / f"block.{count}")))
        clear()
        tell(who="interval", **timed(["nft", "-f", str(interval)]))
        subprocess.run(["nft", "delete", "table", *TABLE.split()], check=True)


def run_ours(count: str, what: str, words: list[str]) -> None:
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    tell(what=what, count=count, **json.loads(done.stdout.splitlines()[-1]))


def clear() -> None:
    subprocess.run(me("one_run", "-"), check=True, capture_output=True)


@step
def one_run(path: str, *protected: str) -> None:
    """Run the operation behind nft_blocklist as the module does; tell time and memory, nft's included."""
    import gc

    gc.disable()
    from plugins.module_utils._core.audit import Audit
    from plugins.module_utils._core.executor import Records, execute
    from plugins.module_utils._core.journal import Journal
    from plugins.module_utils._core.spec import filled
    from plugins.module_utils._core.waiting import SystemClock
    from plugins.module_utils._firewall.blocklist_operation import NftBlocklist
    from plugins.module_utils._firewall.blocklist_options import SPEC
    from plugins.module_utils._ports.firewall import nft as ports
    from plugins.module_utils._ports.host.files import Files
    from plugins.module_utils._ports.net.network_identity import NetworkIdentity

    lists = [
        {"name": "bench", "files": [path]},
        {"name": "office", "action": "allow", "files": [str(FOLDER / "allow")]},
    ]
    given = {"lists": [], "state": "absent"} if path == "-" else {"lists": lists}
    params = filled(SPEC, {**given, "protected": list(protected), "max_share": 90})
    told = FOLDER / "memory"
    told.unlink(missing_ok=True)
    watched = FOLDER / "nft"  # a child's peak counts from its parent's, so nft gets a small parent
    watched.write_text(
        f'#!/bin/sh\n/usr/bin/time --append --output={told} --format=%M /usr/sbin/nft "$@"\n'
    )
    watched.chmod(0o755)
    ports.NFT = str(watched)
    nft = ports.Nft()
    loads: list[float] = []

    def load(script: object, plain: Callable[..., None] = nft.load) -> None:
        began = time.perf_counter()
        plain(script)
        loads.append(1000 * (time.perf_counter() - began))

    nft.load = load  # type: ignore[method-assign]
    operation = NftBlocklist(nft, Files(), NetworkIdentity(), SystemClock(), str(FOLDER / "store"))
    records = Records(Journal(FOLDER / "journal"), Audit(FOLDER / "audit"), FOLDER / "lock")
    started = time.perf_counter()
    outcome = execute(operation, params, records)
    took = time.perf_counter() - started
    if outcome.failure:
        raise outcome.failure
    tell(
        who="ours",
        ms=1000 * took,
        load_ms=sum(loads),
        mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        nft_mb=max(int(line) for line in told.read_text().split() if line.isdigit()) / 1024,
        changed=outcome.changed,
    )


@step
def change(count: str, rounds: str) -> None:
    """Change 100 lines of a list that is in force, back and forth; and run with nothing to change."""
    first, second = FOLDER / f"block.{count}", FOLDER / f"block.{count}.changed"
    run_ours(count, "first", me("one_run", str(first)))
    for _round in range(int(rounds)):
        for path in (second, first):
            run_ours(count, "change", me("one_run", str(path)))
            run_ours(count, "nothing", me("one_run", str(path)))
    clear()


@step
def ban(count: str, rounds: str) -> None:
    """Ban one address while a big list is in force: the module's work, and the kernel's part against ipset."""
    run_ours(count, "first", me("one_run", str(FOLDER / f"block.{count}")))
    subprocess.run(["ipset", "create", "bench", "hash:net", "maxelem", "2000000"], check=True)
    restore = "".join(
        f"add bench {line}\n" for line in (FOLDER / f"block.{count}").read_text().split()
    )
    subprocess.run(["ipset", "restore", "-exist"], input=restore, text=True, check=True)
    done = subprocess.run(me("one_ban", rounds), check=True, capture_output=True, text=True)
    sys.stdout.write(done.stdout)
    for number in range(int(rounds)):
        tell(who="ipset", **timed(["ipset", "add", "bench", f"225.0.0.{number}"]))
        address = f"226.0.0.{number}"
        words = [
            "nft",
            "add",
            "element",
            "inet",
            "debvisor_bans",
            "v4_32",
            f"{{ {address} timeout 1h }}",
        ]
        tell(who="kernel", **timed(words))
    subprocess.run(["ipset", "destroy", "bench"], check=True)
    clear()
    # Now what a single interval set costs, once: it takes minutes.
    subprocess.run(["nft", "-f", str(FOLDER / f"interval.{count}")], check=True)
    tell(who="interval", **timed(["nft", "add", "element", *TABLE.split(), "s", "{ 225.0.0.1 }"]))


@step
def one_ban(rounds: str) -> None:
    import gc

    gc.disable()
    from plugins.module_utils._core.audit import Audit
    from plugins.module_utils._core.executor import Records, execute
    from plugins.module_utils._core.journal import Journal
    from plugins.module_utils._core.spec import filled
    from plugins.module_utils._core.waiting import SystemClock
    from plugins.module_utils._firewall.ban_operation import SPEC, NftBan
    from plugins.module_utils._firewall.blocklist_state import BlocklistState
    from plugins.module_utils._ports.firewall.nft import Nft
    from plugins.module_utils._ports.host.files import Files
    from plugins.module_utils._ports.net.network_identity import NetworkIdentity

    records = Records(Journal(FOLDER / "journal"), Audit(FOLDER / "audit"), FOLDER / "lock")
    book = str(FOLDER / "bans.json")
    Path(book).unlink(missing_ok=True)
    looking = BlocklistState(Files(), SystemClock(), str(FOLDER / "store"), book)
    for number in range(int(rounds) + 1):
        operation = NftBan(Nft(), Files(), NetworkIdentity(), SystemClock(), looking, "bench")
        given = {"networks": [f"224.0.0.{number}"], "reason": "bench"}
        params = filled(SPEC, given)
        started = time.perf_counter()
        outcome = execute(operation, params, records)
        took = time.perf_counter() - started
        if outcome.failure:
            raise outcome.failure
        if number:  # the first makes the table
            tell(who="module", ms=1000 * took)
    listed = (
        (FOLDER / "block.1000000").read_text().split()
        if (FOLDER / "block.1000000").exists()
        else []
    )
    for number in range(int(rounds)):
        asked = (listed[number * 997 % len(listed)] if listed else "224.0.0.1").partition("/")[0]
        started = time.perf_counter()
        looking.why({"addresses": [asked]})
        tell(who="why", ms=1000 * (time.perf_counter() - started))


if __name__ == "__main__":
    STEPS[sys.argv[1]](*sys.argv[2:])
