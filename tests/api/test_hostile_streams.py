"""Bytes of strangers on their way to a browser: their names in headers, their types, their ranges, who may ask."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from servent.api.streaming import HARMLESS, respond, type_of

PAGES = (
    "html",
    "htm",
    "xhtml",
    "svg",
    "xml",
    "pdf",
    "mht",
    "swf",
    "js",
    "css",
    "hta",
    "wasm",
    "xsl",
    "shtml",
    "jar",
    "",
)
NAMES = (
    'a".html', "a\r\nSet-Cookie: x=1\r\n\r\n<script>", "a\nb", "a\0b", "\u202egnp.exe", "\udcff.png", "ä" * 255, "a;b=c", "..",
    "a'b''c", "%0d%0a", "x" * 5000,
)  # fmt: skip


class File:
    """A stranger's file."""

    def __init__(self, name: str, size: int = 1000, content: str = "ab" * 32) -> None:
        self.name, self.size_bytes, self.content = name, size, content
        self.closed = 0
        self.asked: list[tuple[int, int]] = []

    async def read(self, offset: int, size: int) -> bytes:
        self.asked.append((offset, size))
        return b"<script>alert(1)</script>".ljust(size, b"!")[:size]

    async def close(self) -> None:
        self.closed += 1


def answered(file: File, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """What a browser gets."""
    given = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "headers": given,
        "path": "/",
        "query_string": b"",
    }
    said: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(3600)

    async def send(message: Any) -> None:
        said.append(message)

    async def main() -> None:
        await respond(Request(scope), file)(scope, receive, send)

    asyncio.run(main())
    fields = {name.decode(): value.decode("latin-1") for name, value in said[0]["headers"]}
    return said[0]["status"], fields, b"".join(one.get("body", b"") for one in said[1:])


@pytest.mark.parametrize("name", NAMES)
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    file = File(name)
    status, fields, body = answered(file)
    assert status == 200 and len(body) == 1000 and file.closed
    for field, value in fields.items():
        assert value.isascii() and value.isprintable(), field
    shown, _, rest = fields["content-disposition"].partition("; filename*=UTF-8''")
    assert shown in ("inline", "attachment") and all(letter.isalnum() or letter in "%-._~" for letter in rest)
    assert "set-cookie" not in fields


@pytest.mark.parametrize("ext", PAGES)
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_nothing_of_a_strangers_is_a_page(ext: str, case: Any) -> None:
    kind, shown = type_of(f"x.{case(ext)}")
    assert kind in ("text/plain; charset=utf-8", "application/octet-stream")
    assert shown == (kind != "application/octet-stream")
    _, fields, _ = answered(File(f"x.{case(ext)}"))
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["content-security-policy"] == HARMLESS
    assert "sandbox" in HARMLESS and "default-src 'none'" in HARMLESS and "script" not in HARMLESS


@given(st.text(max_size=40), st.integers(0, 2**53), st.sampled_from(["GET", "HEAD"]))
def test_no_range_gives_more_than_the_file_or_reads_elsewhere(text: str, size: int, method: str) -> None:
    file = File("x.mp4", min(size, 3000))
    header = ("bytes=" + text).encode("latin-1", "replace").decode("latin-1")
    status, fields, body = answered(file, method, range=header)
    assert status in (200, 206, 416)
    assert len(body) == (0 if method == "HEAD" else int(fields["content-length"]))
    for offset, count in file.asked:
        assert 0 <= offset < offset + count <= file.size_bytes
    assert file.closed


@pytest.mark.parametrize("etag", ['"' + "ab" * 32 + '"', "W/" + '"' + "ab" * 32 + '"', "*", "x", ""])
def test_a_range_of_another_version_is_not_mixed_in(etag: str) -> None:
    status, _, _ = answered(File("x.mp4"), range="bytes=0-9", if_range=etag)
    assert status == (206 if etag == '"' + "ab" * 32 + '"' else 200)
