# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on a hypervisor beside the jobs: the clean-up at boot, the metrics, and who tends the cache."""

from __future__ import annotations

import pytest

from tests.lab.control_node import ControlNode

TEXTFILES = "/var/lib/prometheus/node-exporter"
ENABLED = (
    "volume-recover.service",
    "debvisor-metrics.timer",
    "image-cache-maintenance@pruned.timer",
    "image-cache-maintenance@verified.timer",
)
WORKS = (
    "volume-recover",
    "debvisor-metrics",
    "image-cache-maintenance@pruned",
    "image-cache-maintenance@verified",
)


@pytest.mark.parametrize("unit", ENABLED)
def test_a_unit_is_enabled(control: ControlNode, unit: str) -> None:
    for node in control.nodes:
        assert control.on(node, f"systemctl is-enabled {unit}") == "enabled\n"


@pytest.mark.parametrize("service", WORKS)
def test_a_service_ends_well(control: ControlNode, service: str) -> None:
    node = control.nodes[0]
    control.on(node, f"systemctl start {service}.service")
    assert control.on(node, f"systemctl show --property=Result --value {service}") == "success\n"


def test_metrics_are_there_before_the_first_job(control: ControlNode) -> None:
    node = control.nodes[0]
    control.on(node, "/usr/libexec/debvisor/debvisor-metrics volumes image_cache")
    told = control.on(
        node, f"cat {TEXTFILES}/debvisor_volumes.prom {TEXTFILES}/debvisor_image_cache.prom"
    )
    names = {
        line.split("{")[0].split()[0] for line in told.splitlines() if line[:1] not in ("", "#")
    }
    assert {
        "libvirt_volume_provisioner_jobs_total",
        "libvirt_volume_provisioner_active_jobs",
        "libvirt_volume_provisioner_cache_images",
    } <= names
