# Copyright (c) 2026 the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The command line of the lab."""

from __future__ import annotations

import argparse
import sys

from tests.lab import image, status, verbs
from tests.lab.host import Host, locked
from tests.lab.layout import Lab, current_lab
from tests.lab.report import LabError, complain

CHANGING = {"up", "down", "image", "kill", "start", "cut", "mend"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.lab",
        description="Three real Debian 13 nodes (node1, node2, node3) on this machine.",
        epilog="DEBVISOR_LAB_NAME=NAME works on a second, independent lab.",
    )
    verb = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verb.add_parser(
        "up", help="bring all nodes up; what runs is kept, leftovers of dead labs are removed"
    )
    down = verb.add_parser(
        "down", help="remove the nodes, their network and everything else of this lab"
    )
    down.add_argument("--image", action="store_true", help="remove the image too")
    verb.add_parser(
        "status", help="show nodes, addresses, roles, who holds the VIP, and zone serials"
    )
    verb.add_parser("image", help="build the nodes' image if its recipe changed")
    run = verb.add_parser("run", help="run a command on every node: run -- uptime")
    run.add_argument("command", nargs="+", metavar="CMD")
    podman = verb.add_parser("podman", help="podman as the lab uses it: podman -- ps")
    podman.add_argument("command", nargs="+", metavar="ARG")
    for name, text in (
        ("shell", "open a root shell on a node"),
        ("kill", "outright death of a node: power lost, disk kept"),
        ("start", "power on again, with the same disk and addresses"),
    ):
        verb.add_parser(name, help=text).add_argument("node", metavar="NODE")
    cut = verb.add_parser("cut", help="cut a node off from its peers; the host still reaches it")
    cut.add_argument("node", metavar="NODE")
    cut.add_argument(
        "--from", dest="peers", nargs="+", default=[], metavar="NODE", help="only from these peers"
    )
    mend = verb.add_parser("mend", help="undo the cuts of a node, or all cuts")
    mend.add_argument("node", nargs="?", metavar="NODE")
    return parser


def _run(options: argparse.Namespace, host: Host, lab: Lab) -> int:
    if options.verb not in CHANGING:
        return _dispatch(options, host, lab)
    with locked("lab"):
        return _dispatch(options, host, lab)


def _dispatch(options: argparse.Namespace, host: Host, lab: Lab) -> int:
    match options.verb:
        case "up":
            verbs.up(host, lab)
        case "down":
            verbs.down(host, lab, with_image=options.image)
        case "status":
            return status.show(host, lab)
        case "image":
            host.require_tools()
            image.ensure(host)
        case "run":
            return verbs.run_everywhere(lab, options.command)
        case "podman":
            return verbs.podman(host, options.command)
        case "shell":
            verbs.shell(lab, lab.node(options.node))
        case "kill":
            verbs.kill(host, lab, lab.node(options.node))
        case "start":
            verbs.start(host, lab, lab.node(options.node))
        case "cut":
            verbs.cut(host, lab, lab.node(options.node), [lab.node(peer) for peer in options.peers])
        case "mend":
            verbs.mend(host, lab, lab.node(options.node) if options.node else None)
    return 0


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return _run(options, Host(), current_lab())
    except LabError as error:
        complain(error)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
