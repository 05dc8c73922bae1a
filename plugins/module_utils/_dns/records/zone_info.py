# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``dns_zone_info`` reports: serial, role and lag of every zone on every server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._core.checks import refuse_any
from ..._core.errors import DebvisorError, Problem, TimedOut, Unreachable
from ..._core.spec import Spec
from ..protocol import fields, names, options, rdata, serials, wire
from ..protocol.client import Client
from ..protocol.connections import Connections
from ..protocol.endpoints import Endpoint, check_address, read_endpoint
from ..writer import epoch, takeover

SPEC = Spec(
    {
        **options.SERVER,
        "zones": {"type": "list", "elements": "str", "required": True},
        "servers": {"type": "list", "elements": "str", "default": []},
    }
)
HOSTNAME = names.parse("hostname.bind.")
WRITER, FOLLOWER, AUTHORITATIVE, OTHER, SILENT = (
    "writer",
    "follower",
    "authoritative",
    "not_authoritative",
    "unreachable",
)


class ZoneInfo:
    """Asks every server for every zone."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def look(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a list of zones with their servers.

        :raises InvalidInput: with every problem of the options.
        """
        problems: list[Problem] = []
        zones = [_zone(number, text, problems) for number, text in enumerate(params["zones"])]
        check_address("server", params["server"], problems)
        endpoints = [Endpoint(params["server"], params["port"])]
        for number, text in enumerate(params["servers"]):
            endpoint = read_endpoint(f"servers[{number}]", text, params["port"], problems)
            if endpoint not in endpoints:
                endpoints.append(endpoint)
        refuse_any(problems)
        found: dict[bytes, list[dict[str, Any]]] = {zone: [] for zone in zones}
        for number, endpoint in enumerate(endpoints):
            # The key is the writer's; the other addresses need not know it.
            key_file = params["key_file"] if number == 0 else None
            client = self._connections.client(endpoint, key_file, params["timeout"])
            silent: DebvisorError | None = None
            hostname: str | None = None
            for zone in zones:
                if silent is None:
                    entry, silent = _ask(client, zone)
                    if entry["role"] == AUTHORITATIVE and hostname is None:
                        hostname = _hostname(client)
                else:
                    entry = _entry(SILENT, silent.what)
                found[zone].append({"server": str(client), "node": hostname or "", **entry})
            client.close()
        return {"zones": [_summary(zone, entries) for zone, entries in found.items()]}


def _zone(number: int, text: str, problems: list[Problem]) -> bytes:
    try:
        return names.parse(text.removesuffix(".") + ".")
    except names.NameProblem as cause:
        problems.append(Problem(f"zones[{number}]", f"{fields.shortened(text)} {cause}"))
        return names.ROOT


def _entry(
    role: str, problem: str = "", serial: int | None = None, history: Any = ()
) -> dict[str, Any]:
    return {"role": role, "serial": serial, "problem": problem, "history": history}


def _ask(client: Client, zone: bytes) -> tuple[dict[str, Any], DebvisorError | None]:
    """Return what the server says of the zone, and the error where asking it further is of no use."""
    try:
        soa = client.soa(zone)
        history = takeover.history(client, zone)
    except (TimedOut, Unreachable) as silence:
        return _entry(SILENT, silence.what), silence
    except DebvisorError as denial:
        return _entry(OTHER, denial.what), None
    return _entry(AUTHORITATIVE, "", soa.serial, history), None


def _hostname(client: Client) -> str:
    """Ask a server for the name of its machine; "" where it keeps it to itself."""
    try:
        answer = client.ask(HOSTNAME, rdata.TXT, rdclass=wire.CHAOS)
        return next(
            (rdata.render(rdata.TXT, found.data).strip('"') for found in answer.answers), ""
        )
    except (DebvisorError, fields.DataProblem):
        return ""


def _summary(zone: bytes, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Compare the servers of one zone. The newest serial is the measure; the youngest epoch names the writer."""
    newest: int | None = None
    history: set[epoch.Epoch] = set()
    for entry in entries:
        history |= entry["history"] or set()
        serial = entry["serial"]
        if serial is not None and (newest is None or serials.ahead(serial, newest) > 0):
            newest = serial
    latest = epoch.latest(history)
    servers = []
    for entry in entries:
        shown = {key: value for key, value in entry.items() if key != "history"}
        serial = entry["serial"]
        shown["lag"] = None if serial is None or newest is None else serials.ahead(newest, serial)
        if shown["role"] == AUTHORITATIVE and latest and shown["node"]:
            node = shown["node"].partition(".")[0]
            shown["role"] = WRITER if node == latest.node.partition(".")[0] else FOLLOWER
        servers.append(shown)
    return {
        "zone": names.render(zone),
        "serial": newest,
        "writer": latest.node if latest else None,
        "epoch": latest.number if latest else None,
        "in_sync": all(shown["lag"] == 0 for shown in servers),
        "servers": servers,
    }
