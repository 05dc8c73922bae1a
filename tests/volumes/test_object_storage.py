# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from a real object gateway: signed addresses, and ``volume_image`` with them as an operator calls it."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.secret import Secret
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images.sigv4 import (
    Credentials,
    Signer,
    object_url,
)

from tests.lab.cluster import eventually
from tests.lab.control_node import ControlNode
from tests.volumes.gateway import AUTHORITY, CURL, POOL, PORT, USER, Gateway

pytestmark = pytest.mark.long

BUCKET = "images"
HOUR = timedelta(hours=1)
DISK = """
set -e
cd $(mktemp -d)
truncate -s 64M disk
dd if=/dev/urandom of=disk bs=1M count=12 seek=3 conv=notrunc status=none
qemu-img convert -c -f raw -O qcow2 disk image.qcow2
sha256sum image.qcow2 > image.qcow2.sha256
mkdir -p /var/lib/libvirt/images /var/lib/volumes
pwd
"""


@dataclass(frozen=True)
class Store:
    """A bucket with an image in it that nobody has fetched before."""

    gateway: Gateway
    key: str
    folder: Path

    @property
    def path(self) -> str:
        """As it stands in the gateway's log."""
        return f"/{BUCKET}/{quote(self.key)}"

    def downloads(self) -> int:
        """Count the bytes of the image that the gateway has sent."""
        return sum(each.sent for each in self.gateway.settled_requests(self.path))

    def ansible(self, *arguments: str, ok: bool = True, **options: Any) -> dict[str, Any]:
        """Call ``volume_image`` on the node, with the image of this store."""
        given = {
            "image_url": f"s3://{BUCKET}/{self.key}",
            "s3": {
                "endpoint": self.gateway.url,
                "access_key": USER["access_key"],
                "secret_key": USER["secret_key"],
            },
            "ca_path": AUTHORITY,
            "size": "128M",
            **options,
        }
        run = ControlNode(self.gateway.cluster.lab).ansible(
            self.gateway.node,
            "--module-name=debvisor.hci.volume_image",
            f"--args={json.dumps(given)}",
            *arguments,
            log=self.folder / "run.log",
            program="ansible",
            ANSIBLE_LOAD_CALLBACK_PLUGINS="1",
            ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
        )
        result: dict[str, Any]
        [result] = run.results().values()
        assert (run.status == 0) is ok, result
        assert "X-Amz-" not in run.output, "a signed address is a credential"
        return result

    def run(self, command: str) -> str:
        return self.gateway.cluster.run(self.gateway.node, command)


@pytest.fixture(scope="module")
def bucket(gateway: Gateway) -> str:
    """Make an image on the node; return the folder that has it."""
    gateway.make_bucket(BUCKET)
    return gateway.cluster.run(gateway.node, DISK).strip()


@pytest.fixture
def store(gateway: Gateway, bucket: str, tmp_path: Path) -> Iterator[Store]:
    key = f"debian +{secrets.token_hex(3)}/image.qcow2"
    sent = quote(key)
    for ending in ("", ".sha256"):
        gateway.put_file(BUCKET, sent + ending, f"{bucket}/image.qcow2{ending}")
    yield Store(gateway, key, tmp_path)
    for ending in ("", ".sha256"):
        gateway.delete(BUCKET, sent + ending)


@pytest.fixture(params=["directory", "rbd"])
def place(request: pytest.FixtureRequest, store: Store) -> Iterator[dict[str, Any]]:
    """Say where volumes go that do not outlive the test."""
    pools = {"directory": "/var/lib/volumes", "rbd": f"{POOL}@{POOL}"}
    yield {"backend": request.param, "pool": pools[request.param]}
    store.run("rm -f /var/lib/volumes/*; rm -rf /var/lib/libvirt/images/*")
    store.gateway.empty_pool()


def presigned(
    store: Store,
    key: str = "",
    *,
    host_style: bool = False,
    secret: str = USER["secret_key"],
    ago: timedelta = timedelta(0),
) -> str:
    url = object_url(store.gateway.url, BUCKET, key or store.key, host_style=host_style)
    signer = Signer(Credentials(USER["access_key"], Secret(secret)), region="default")
    return signer.presigned(url, moment=datetime.now(UTC) - ago, lifetime=HOUR)


def fetched(store: Store, url: str, *options: str) -> str:
    """Return the status of a request that curl makes without any key."""
    address = store.gateway.cluster.address(store.gateway.node)
    host = f"{BUCKET}.{store.gateway.host}:{PORT}:{address}"
    words = ["curl", "-s", "--cacert", AUTHORITY, "--resolve", host, "-o", "/dev/null"]
    return store.run(shlex.join([*words, "-w", "%{http_code}", *options, url]))


@pytest.mark.parametrize("host_style", [False, True], ids=["path", "host"])
def test_a_signed_address_opens_the_object_and_its_ranges(store: Store, host_style: bool) -> None:
    url = presigned(store, host_style=host_style)
    assert fetched(store, url) == "200"
    assert fetched(store, url, "-r", "5-9") == "206"
    assert fetched(store, url, "-H", 'If-Match: "other"') == "412"


def test_a_signed_address_opens_nothing_else(store: Store) -> None:
    url = presigned(store)
    assert fetched(store, url.partition("?")[0]) == "403"
    assert fetched(store, url.replace("image.qcow2?", "image.qcow2.sha256?")) == "403"
    assert fetched(store, url, "-X", "DELETE") == "403"
    assert fetched(store, presigned(store, ago=2 * HOUR)) == "403"
    assert fetched(store, presigned(store, secret="guessed")) == "403"
    assert fetched(store, presigned(store, "missing")) == "404"


def test_the_second_volume_of_an_image_downloads_nothing(
    store: Store, place: dict[str, Any]
) -> None:
    first = store.ansible(volume_name="one", **place)
    assert first["changed"]
    assert not first["cache_hit"]
    downloaded = store.downloads()
    size = int(store.run(f"stat -c %s {first['image_path']}"))
    assert size <= downloaded < size + 2 * 65536, "once, and its first bytes to look at before"
    second = store.ansible(volume_name="two", **place)
    assert second["changed"]
    assert second["cache_hit"]
    assert store.ansible(volume_name="one", **place)["changed"] is False
    assert store.downloads() == downloaded
    for device in (each["volume"]["device"] for each in (first, second)):
        compared = f"qemu-img compare -f qcow2 -F raw {first['image_path']} {device}"
        assert store.run(compared).endswith("Images are identical.\n")


def test_check_mode_makes_nothing(store: Store, place: dict[str, Any]) -> None:
    result = store.ansible("--check", volume_name="one", **place)
    assert result["changed"]
    assert "populate" in [each["verb"] for each in result["actions"]]
    assert store.run(f"ls /var/lib/volumes /var/lib/libvirt/images; rbd ls {POOL}").split() == [
        "/var/lib/libvirt/images:",
        "/var/lib/volumes:",
    ]
    assert store.downloads() <= 65536


def test_a_run_that_is_not_waited_for_signs_too(store: Store) -> None:
    place = {"backend": "directory", "pool": "/var/lib/volumes"}
    result = store.ansible("--background=120", "--poll=1", volume_name="later", **place)
    assert result["changed"]
    removed = "ls -d /root/.ansible/tmp/* >/dev/null 2>&1 || echo yes"
    eventually(
        "what async_wrapper ran is removed, which it does up to 5 s later",
        lambda: store.run(removed),
    )
    store.run("rm -f /var/lib/volumes/later.raw; rm -rf /var/lib/libvirt/images/*")


def test_the_host_never_has_the_keys(store: Store, place: dict[str, Any]) -> None:
    store.ansible(volume_name="one", **place)
    kept = "/root /tmp /var/lib/debvisor /var/log /var/tmp /run /etc/debvisor"
    words = f"grep -rlF --exclude-dir=ceph -e {shlex.quote(USER['secret_key'])} -e X-Amz-Signature="
    found = store.run(f"{words} {kept} 2>/dev/null || true")
    assert found.split() == [CURL], "the tests' own"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"s3": {"endpoint": "", "access_key": "a", "secret_key": "b"}}, "s3.endpoint"),
        ({"s3": None}, "need endpoint"),
        ({"image_url": f"s3://{BUCKET}/missing"}, "404"),
        ({"image_url": "s3://missing/missing"}, "404"),
    ],
)
def test_what_cannot_be_reached_is_told(store: Store, options: dict[str, Any], told: str) -> None:
    checksum = "sha256:" + "ab" * 32
    place = {"backend": "directory", "pool": "/var/lib/volumes", "volume_name": "one"}
    result = store.ansible(ok=False, checksum=checksum, **place, **options)
    assert told in result["msg"]


def test_a_wrong_key_is_refused_at_once(store: Store) -> None:
    wrong = {
        "endpoint": store.gateway.url,
        "access_key": USER["access_key"],
        "secret_key": "guessed",
    }
    place = {"backend": "directory", "pool": "/var/lib/volumes", "volume_name": "one"}
    result = store.ansible(ok=False, s3=wrong, **place)
    assert "403" in result["msg"]
    asked = store.gateway.settled_requests(f"{store.path}.sha256")
    assert [(each.method, each.status) for each in asked] == [("PUT", 200), ("GET", 403)]


def test_the_role_fetches_images_ahead_as_the_inventory_says(store: Store) -> None:
    keys = {name: USER[name] for name in ("access_key", "secret_key")}
    inventory = {
        "debvisor_images": [{"image_url": f"s3://{BUCKET}/{store.key}"}],
        "debvisor_image_s3": {"endpoint": store.gateway.url, **keys},
        "debvisor_image_ca_path": AUTHORITY,
    }
    try:
        run = ControlNode(store.gateway.cluster.lab).ansible(
            f"--limit={store.gateway.node}",
            f"--extra-vars={json.dumps(inventory)}",
            "debvisor.hci.volumes",
            "-vv",
            log=store.folder / "run.log",
        )
        assert run.status == 0, run.output[-4000:]
        assert keys["secret_key"] not in run.output
        assert "X-Amz-" not in run.output, "a signed address is a credential"
        assert store.downloads() > 0
    finally:
        store.run("rm -rf /var/lib/libvirt/images/*")
