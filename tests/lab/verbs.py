# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's verbs: each composes host, image, network and nodes."""

from __future__ import annotations

import os
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.lab import access, image, network, nodes
from tests.lab.host import Host, announce_limits
from tests.lab.layout import Lab, Node
from tests.lab.nodes import State
from tests.lab.report import LabError, Stopwatch, say

KEPT = (State.RUNNING, State.DEGRADED, State.BOOTING)


def up(host: Host, lab: Lab) -> None:
    """Bring the lab up.  What runs and is of today's recipe is kept; everything else of this lab is made anew."""
    watch = Stopwatch()
    host.require_tools()
    announce_limits(host.limits)
    tag = image.ensure(host)
    access.prepare(lab)
    seen = {node: nodes.see(host, lab, node, tag) for node in lab.nodes}
    usable = network.is_as_wanted(host, lab)
    for node, sighting in seen.items():
        if sighting.state is State.ABSENT or (usable and sighting.state in (*KEPT, State.OFF)):
            continue
        reason = sighting.state.value if usable else "on a network that has to be made anew"
        say(node.name, f"is {reason}: removed")
        nodes.remove(host, node)
        seen[node] = nodes.Sighting(State.ABSENT)
    if not usable or all(sighting.state is State.ABSENT for sighting in seen.values()):
        network.create(host, lab)
        say("network", f"{lab.name} on bridge {lab.bridge}: {lab.subnet4} and {lab.subnet6}")
    for node, sighting in seen.items():
        _bring_up(host, lab, node, sighting.state, tag)
    for node in lab.nodes:
        nodes.wait_until_ready(host, lab, node)
        say(node.name, f"is ready at {node.address4} and {node.address6}")
    _renew_partitions(host, lab)
    say("lab", f"{len(lab.nodes)} nodes up in {watch}")


def down(host: Host, lab: Lab, with_image: bool = False) -> None:
    """Remove the lab: containers, network, bridge, partitions, and the namespace holder if no other lab needs it."""
    host.require_tools()
    removed = [node.name for node in lab.nodes if nodes.remove(host, node)]
    removed += network.remove(host, lab)
    others = network.all_labs(host) - {lab.name}
    if with_image and not others and (count := image.remove_all(host)):
        removed.append(f"{count} image(s)")
    if not others and host.needs_holder and host.stop_holder():
        removed.append("namespace holder")
    say("lab", f"removed: {', '.join(removed)}" if removed else "there was nothing to remove")
    if others:
        say("lab", f"other labs are still there: {', '.join(sorted(others))}")
    if not with_image:
        say("lab", f"kept for next time: the image, and the keys in {lab.state}")


def kill(host: Host, lab: Lab, node: Node) -> None:
    _require(host, lab, node, running=True)
    nodes.kill(host, node)
    say(node.name, f"is dead; power it on again with `python3 -m tests.lab start {node.name}`")


def start(host: Host, lab: Lab, node: Node) -> None:
    sighting = nodes.see(host, lab, node)
    if sighting.state is State.OFF:
        nodes.start(host, node)
    elif sighting.state not in KEPT:
        raise _not_there(node, sighting.state)
    watch = nodes.wait_until_ready(host, lab, node)
    _renew_partitions(host, lab)
    say(node.name, f"is ready after {watch}")


def cut(host: Host, lab: Lab, node: Node, peers: list[Node], *, one_way: bool = False) -> None:
    """Cut a node off from these peers, or from all of them; the host still reaches it.

    :param one_way: the node still hears them.
    """
    if node in peers:
        raise LabError(
            f"cannot cut {node.name} off from itself",
            "a partition is between two nodes",
            "name its peers",
        )
    _require(host, lab, node, running=True)
    chosen = peers or [peer for peer in lab.nodes if peer != node]
    network.cut(host, lab, node, chosen, nodes.pids(host, lab), one_way=one_way)
    names = ", ".join(peer.name for peer in chosen)
    what = f"is not heard by {names}" if one_way else f"is cut off from {names}"
    say(node.name, f"{what}; the host still reaches it")


def mend(host: Host, lab: Lab, node: Node | None) -> None:
    network.mend(host, lab, node, nodes.pids(host, lab))
    say(node.name if node else "network", "is connected to every node again")


def shell(lab: Lab, node: Node) -> None:
    command = access.ssh_command(lab, node)
    os.execvp(command[0], command)


def podman(host: Host, arguments: list[str]) -> int:
    """Podman as the lab uses it, for a look by hand."""
    done = host.podman(*arguments, check=False, timeout=3600)
    print(done.stdout, end="")
    print(done.stderr, end="", file=sys.stderr)
    return done.returncode


def run_everywhere(lab: Lab, command: list[str]) -> int:
    """Run a command on every node at once; the worst exit code is ours."""
    text = command[0] if len(command) == 1 else shlex.join(command)
    with ThreadPoolExecutor(len(lab.nodes)) as pool:
        results = list(pool.map(lambda node: access.run(lab, node, text, timeout=3600), lab.nodes))
    for node, result in zip(lab.nodes, results, strict=True):
        for line in (result.stdout + result.stderr).splitlines():
            say(node.name, line)
        if result.returncode != 0:
            say(node.name, f"exit code {result.returncode}")
    return max(result.returncode for result in results)


def _bring_up(host: Host, lab: Lab, node: Node, state: State, tag: str) -> None:
    if state in KEPT:
        say(node.name, "is running already: kept")
    elif state is State.OFF:
        say(node.name, "was off: started again with the same disk")
        nodes.start(host, node)
    else:
        nodes.create(host, lab, node, tag)
        nodes.start(host, node)
        say(node.name, "is made and starts")


def _renew_partitions(host: Host, lab: Lab) -> None:
    """A node that was started again has a new port on the bridge."""
    wanted = network.partitions(lab)
    if wanted:
        network.apply(host, lab, wanted, nodes.pids(host, lab))
        say(
            "network",
            "still cut: " + ", ".join(f"{source} to {target}" for source, target in sorted(wanted)),
        )


def _require(host: Host, lab: Lab, node: Node, *, running: bool) -> None:
    state = nodes.see(host, lab, node).state
    if (state in KEPT) is not running:
        raise _not_there(node, state)


def _not_there(node: Node, state: State) -> LabError:
    advice = (
        f"`python3 -m tests.lab start {node.name}`"
        if state is State.OFF
        else "`python3 -m tests.lab up`"
    )
    return LabError(f"{node.name} is {state.value}", "this needs a running node", f"{advice} first")
