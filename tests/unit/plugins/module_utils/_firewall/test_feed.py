# Copyright: (c) 2026, the debvisor.hci contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records, checksums, headers and packed content of feeds."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator

import pytest
from ansible_collections.debvisor.hci.plugins.module_utils._core.errors import DebvisorError
from ansible_collections.debvisor.hci.plugins.module_utils._firewall import feed
from ansible_collections.debvisor.hci.plugins.module_utils._firewall.feed import (
    BadFeed,
    Record,
    Trouble,
)

RECORD = Record("origin", "0" * 64, 3, 100, 200, '"etag"', "date", Trouble(150, "why"))


def test_a_record_comes_back_as_it_was() -> None:
    assert feed.load_record(RECORD.dump()) == RECORD


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"null",
        b"{}",
        RECORD.dump()[:-10],
        RECORD.dump().replace(b'"format": 1', b'"format": 2'),
        RECORD.dump().replace(b'"entries": 3', b'"entries": "3"'),
        RECORD.dump().replace(b'"etag"', b'"other"', 1),
    ],
)
def test_what_is_no_record_is_none(content: bytes) -> None:
    assert feed.load_record(content) is None


def test_what_may_be_secret_in_an_address_is_not_shown() -> None:
    assert feed.shown("https://user:word@host:8/a/b?key=hidden#x") == "https://host:8/a/b"
    assert feed.shown("/a/list") == "/a/list"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("https://host/a/list.txt?x=/y", "list.txt"),
        ("https://host/my%20list", "my list"),
        ("/a/b/list", "list"),
        ("https://host", ""),
    ],
)
def test_the_name_of_a_file(place: str, name: str) -> None:
    assert feed.file_name(place) == name


ONE, TWO = "1a" * 32, "2b" * 32


@pytest.mark.parametrize(
    "sums",
    [
        f"{ONE}  list.txt\n{TWO}  other.txt\n",
        f"{TWO} *other.txt\r\n{ONE} *./sub/list.txt\r\n",
        f"SHA256 (other.txt) = {TWO}\nSHA256 (list.txt) = {ONE}\n",
        f"{ONE.upper()}\n",
        f"# sums\n{'c' * 128}  list.txt\n{ONE}  list.txt",
    ],
)
def test_a_checksum_is_found_by_its_name(sums: str) -> None:
    assert feed.checksum_in(sums.encode(), "list.txt") == ONE


@pytest.mark.parametrize(
    "sums",
    ["", f"{ONE}  other.txt", f"{ONE}\n{TWO}\n", f"{ONE}  list.txt\n{TWO}  list.txt", "<html>\xff"],
)
def test_no_checksum_or_two_are_no_proof(sums: str) -> None:
    with pytest.raises(BadFeed, match=r"'list\.txt'"):
        feed.checksum_in(sums.encode("latin-1"), "list.txt")


def test_headers_are_secret() -> None:
    headers = feed.headers_in(b"Authorization: Bearer hidden\r\n\nX-Key:a b \n", "/h")
    assert {name: value.reveal() for name, value in headers.items()} == {
        "Authorization": b"Bearer hidden",
        "X-Key": b"a b",
    }
    assert "hidden" not in repr(headers)


@pytest.mark.parametrize("line", [b"hidden", b"A B: hidden", b"X: hidden\x00", b": hidden", b"X:"])
def test_what_is_no_header_is_told_without_showing_it(line: bytes) -> None:
    with pytest.raises(DebvisorError, match="/h:2 is no header") as told:
        feed.headers_in(b"A: b\n" + line, "/h")
    assert "hidden" not in str(told.value)


def cut(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
@pytest.mark.parametrize("length", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 300])
def test_packed_content_is_unpacked(size: int, length: int) -> None:
    content = b"192.0.2.1\n" * (length // 10) + b"#" * (length % 10)
    packed = gzip.compress(content, mtime=0) + gzip.compress(b"second", mtime=0)
    assert b"".join(feed.unpacked(cut(packed, size), 1 << 20)) == content + b"second"


def test_what_does_not_compress_is_unpacked() -> None:
    content = os.urandom(700_000)
    assert b"".join(feed.unpacked(cut(gzip.compress(content, mtime=0), 65536), 1 << 20)) == content


def test_a_bomb_is_put_out_long_before_it_is_whole() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for megabyte in range(200)) + packer.flush()
    taken: list[int] = []
    with pytest.raises(BadFeed, match="unpacks to more than 1000000 bytes"):
        taken.extend(len(block) for block in feed.unpacked([bomb], 1_000_000))
    assert sum(taken) <= 1_000_000


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"192.0.2.1\n" * 100, mtime=0)[:-9],
        gzip.compress(b"192.0.2.1\n" * 100, mtime=0)[:-4] + b"\0\0\0\0",
        gzip.compress(b"192.0.2.1\n", mtime=0) + b"rubbish",
        b"\x1f\x8bnot gzip",
    ],
)
def test_torn_or_damaged_content_is_refused(content: bytes) -> None:
    with pytest.raises(BadFeed, match="the packed content"):
        list(feed.unpacked([content], 1 << 20))
