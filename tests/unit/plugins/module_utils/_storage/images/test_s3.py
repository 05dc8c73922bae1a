# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to a host in place of keys and ``s3:`` addresses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import InvalidInput
from ansible_collections.debvisor.hci.plugins.module_utils._storage.images import s3

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
STORAGE = {
    "endpoint": "https://s3.test:7443",
    "access_key": "OPEN",
    "secret_key": "hidden-key",
    "session_token": None,
    "region": "here-1",
    "addressing": "path",
    "valid_for": 900,
}
IMAGE = "s3://images/debian/13 base.qcow2"


def sent(**options: Any) -> dict[str, Any]:
    return s3.signed({"image_url": IMAGE, "checksum": None, "s3": STORAGE, **options}, NOW)


def place(url: str) -> str:
    """Return where a signed address leads, having looked at its signature."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    assert query["X-Amz-Credential"] == ["OPEN/20260131/here-1/s3/aws4_request"]
    assert query["X-Amz-Date"] == ["20260131T120000Z"]
    assert query["X-Amz-Expires"] == ["900"]
    assert len(query["X-Amz-Signature"][0]) == 64
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def test_image_and_checksum_are_signed_and_no_key_is_sent() -> None:
    options = sent(volume_name="web1")
    assert set(options) == {"image_url", "checksum", "volume_name", "signed_urls"}
    assert options["image_url"] == IMAGE
    assert {name: place(url) for name, url in options["signed_urls"].items()} == {
        "image": "https://s3.test:7443/images/debian/13%20base.qcow2",
        "checksum": "https://s3.test:7443/images/debian/13%20base.qcow2.sha256",
    }
    assert "hidden-key" not in str(options)


def test_the_bucket_may_stand_in_the_hosts_name() -> None:
    options = sent(s3={**STORAGE, "addressing": "host"})
    assert place(options["signed_urls"]["image"]).startswith("https://images.s3.test:7443/debian/")


def test_a_session_token_is_part_of_the_permission() -> None:
    url = sent(s3={**STORAGE, "session_token": "for a while"})["signed_urls"]["image"]
    assert parse_qs(urlsplit(url).query)["X-Amz-Security-Token"] == ["for a while"]


@pytest.mark.parametrize("checksum", ["ab" * 32, "sha256:" + "ab" * 32, "none", " none "])
def test_a_checksum_that_is_given_needs_no_address(checksum: str) -> None:
    assert set(sent(checksum=checksum)["signed_urls"]) == {"image"}


def test_image_and_checksum_may_be_in_different_places() -> None:
    elsewhere = "https://web.test/SHA256SUMS"
    assert sent(checksum=elsewhere)["signed_urls"]["checksum"] == elsewhere
    assert place(sent(checksum="s3://sums/all")["signed_urls"]["checksum"]).endswith("/sums/all")
    options = sent(image_url="https://web.test/image", checksum="s3://sums/all")
    assert options["signed_urls"]["image"] == "https://web.test/image"
    assert place(options["signed_urls"]["checksum"]) == "https://s3.test:7443/sums/all"


@pytest.mark.parametrize("image", ["https://web.test/image", None])
def test_other_addresses_are_left_alone_and_the_keys_stay_here(image: str | None) -> None:
    assert sent(image_url=image) == {"image_url": image, "checksum": None}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"image_url": " \n"}, "image_url: it is empty"),
        ({"s3": None}, "need endpoint, access_key, secret_key"),
        ({"image_url": "s3://images"}, "s3://BUCKET/KEY"),
        ({"image_url": "s3:///key"}, "s3://BUCKET/KEY"),
        ({"checksum": "s3://sums/"}, "s3://sums/: an address is"),
        ({"s3": {**STORAGE, "endpoint": "s3.test"}}, "s3.endpoint: it must begin with https://"),
        ({"s3": {**STORAGE, "valid_for": 0}}, "s3.valid_for: must be 1 to 604800"),
        ({"s3": {**STORAGE, "valid_for": 604801}}, "s3.valid_for: must be 1 to 604800"),
    ],
)
def test_what_cannot_be_signed_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        sent(**options)
    assert told in str(caught.value)
    assert "hidden-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("image", "checksum"),
    [
        ("https://bob:hidden-word@web.test/i?sig=hidden-sign\n", None),
        ("https://web.test/i?X-Amz-Signature=hidden-sign", "sha256:" + "ab" * 32),
        ("s3://images/debian", "https://bob:hidden-word@web.test/sums?sig=hidden-sign"),
        ("https://web.test/i?X-Amz-Signature=hidden-sign", "s3://sums/all"),
    ],
)
def test_what_may_be_a_credential_goes_where_nothing_is_shown(
    image: str, checksum: str | None
) -> None:
    options = sent(image_url=image, checksum=checksum)
    hidden = options.pop("signed_urls")
    assert "hidden-" not in str(options)
    if not image.startswith("s3:"):
        assert hidden["image"] == image.strip()
    if checksum and checksum.startswith("https:"):
        assert hidden["checksum"] == checksum


@pytest.mark.parametrize("option", ["image_url", "checksum"])
@pytest.mark.parametrize(
    "address",
    [
        "ftp://bob:hidden-word@web.test/i",
        "https://bob:hidden-word@web.test:notaport/i?sig=hidden-sign",
        "https://bob:hidden-word@web.test:99999/i",
        "https://bob:hidden-word@[::1/i?sig=hidden-sign",
        "https://bob:hidden/word@web.test/i",
        "https://web.test/a b?sig=hidden-sign",
        "web.test/i?sig=hidden-sign",
        "S3://images/i?sig=hidden-sign",
        "file:///etc/shadow?hidden-",
    ],
)
def test_what_is_no_address_is_refused_without_being_repeated(option: str, address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        sent(**{option: address})
    assert f"{option}: this is not a valid" in str(caught.value)
    assert "hidden-" not in str(caught.value)
