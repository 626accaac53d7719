"""The least of HTTP/1.1 that a command needs: one request, one answer, over one loopback connection.

`http.client` would cost every command 35 ms of imports (it brings `email` and `ssl`).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 256 * 1024 * 1024


class BadAnswer(OSError):
    """What came back is not HTTP, or more than we take."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Exchange:
    """One request under way. Use `read()` for the whole body or `lines()` for a stream; then `close()`."""

    def __init__(
        self,
        base_url: str,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | None,
        timeout: float | None,
    ) -> None:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "127.0.0.1", parts.port or 80
        # As bytes: of a str the codec for international names is loaded first, for 3 ms.
        place: Any = (host.encode() if host.isascii() else host, port)
        self._socket = socket.create_connection(place, timeout=timeout)
        try:
            head = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
            head += [f"{name}: {value}" for name, value in headers.items()]
            if body is not None:
                head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
            elif method in ("POST", "PUT", "PATCH"):
                head.append("Content-Length: 0")
            if any("\r" in line or "\n" in line for line in head):
                raise BadAnswer("a header may not hold a line break")
            self._socket.sendall("\r\n".join(head).encode("utf-8") + b"\r\n\r\n" + (body or b""))
            self._file = self._socket.makefile("rb")
            self.status, self.headers = self._read_head()
        except BaseException:
            self._socket.close()
            raise

    def _read_head(self) -> tuple[int, dict[str, str]]:
        status_line = self._file.readline(MAX_HEAD_BYTES).split(None, 2)
        if len(status_line) < 2 or not status_line[0].startswith(b"HTTP/1.") or not status_line[1].isdigit():
            raise BadAnswer("the answer is not HTTP")
        headers: dict[str, str] = {}
        seen = 0
        while True:
            line = self._file.readline(MAX_HEAD_BYTES)
            seen += len(line)
            if line in (b"\r\n", b"\n"):
                return int(status_line[1]), headers
            if not line or seen > MAX_HEAD_BYTES:
                raise BadAnswer("the answer ends in its headers" if not line else "the headers are too long")
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while True:
                try:
                    size = int(self._file.readline(100).split(b";")[0], 16)
                except ValueError as wrong:
                    raise BadAnswer("the answer is cut off") from wrong
                if size > MAX_BODY_BYTES or size < 0:
                    raise BadAnswer("the answer is too long")
                piece = self._file.read(size + 2)
                if len(piece) < size + 2:
                    raise BadAnswer("the answer is cut off")
                if size == 0:
                    return
                yield piece[:-2]
        elif "content-length" in self.headers:
            length = int(self.headers["content-length"])
            if length > MAX_BODY_BYTES:
                raise BadAnswer("the answer is too long")
            body = self._file.read(length)
            if len(body) < length:
                raise BadAnswer("the answer is cut off")
            yield body
        else:
            yield self._file.read(MAX_BODY_BYTES)

    def read(self) -> Answer:
        body = bytearray()
        for piece in self._pieces():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise BadAnswer("the answer is too long")
        return Answer(self.status, self.headers, bytes(body))

    def lines(self) -> Iterator[str]:
        """Text lines as they arrive, without their ends, until the other side closes."""
        rest = b""
        for piece in self._pieces():
            *whole, rest = (rest + piece).split(b"\n")
            if len(rest) > MAX_BODY_BYTES:
                raise BadAnswer("a line is too long")
            for line in whole:
                yield line.decode("utf-8", "replace")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def request(
    base_url: str,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes | None = None,
    timeout: float | None = 30.0,
) -> Answer:
    """Raises OSError (also TimeoutError) when the answer does not come."""
    exchange = Exchange(base_url, method, target, headers, body, timeout)
    try:
        return exchange.read()
    finally:
        exchange.close()
