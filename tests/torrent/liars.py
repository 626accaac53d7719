"""Who serves bytes that are not what was asked for: a web server, and a peer of BitTorrent's version 1."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote

BLOCK = 16 * 1024


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Who found us out hangs up."""


class WebSeed:
    """Serves the files below `folder` (BEP 19); with `lies`, random bytes in their place. Use as a context manager."""

    def __init__(self, folder: Path, *, lies: bool = False) -> None:
        self.asked = 0
        seed = self

        class Files(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seed.asked += 1
                path = folder / unquote(self.path.lstrip("/"))
                data = path.read_bytes() if path.is_file() else b""
                first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
                end = min(int(last) + 1 if last else len(data), len(data))
                part = data[int(first) : end]
                if lies:
                    part = os.urandom(len(part))
                with contextlib.suppress(ConnectionError):
                    self.send_response(206 if data else 404)
                    self.send_header("Content-Length", str(len(part)))
                    self.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(data)}")
                    self.end_headers()
                    self.wfile.write(part)

            def log_message(self, format: str, *arguments: object) -> None:
                return

        self._server = _Server(("127.0.0.1", 0), Files)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class BadPeer:
    """Says that it has everything, and sends random bytes."""

    def __init__(self, infohash: bytes, pieces: int) -> None:
        self._infohash, self._pieces = infohash[:20], pieces
        self.sent = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if (await reader.readexactly(1))[0] != 19:  # it wishes for encryption: it comes again without
                return
            await reader.readexactly(67)
            writer.write(
                b"\x13BitTorrent protocol" + bytes(8) + self._infohash + b"-XX0001-" + os.urandom(12)
            )
            field = bytearray(-(-self._pieces // 8))
            for piece in range(self._pieces):
                field[piece // 8] |= 128 >> piece % 8
            self._say(writer, 5, bytes(field))
            self._say(writer, 1)
            while True:
                size = int.from_bytes(await reader.readexactly(4), "big")
                message = await reader.readexactly(size)
                if message[:1] == b"\x06":
                    self._say(writer, 7, message[1:9] + os.urandom(int.from_bytes(message[9:13], "big")))
                    self.sent += 1
                    await writer.drain()
        writer.close()

    def _say(self, writer: asyncio.StreamWriter, kind: int, body: bytes = b"") -> None:
        writer.write((len(body) + 1).to_bytes(4, "big") + bytes([kind]) + body)


@asynccontextmanager
async def bad_peer(infohash: bytes, pieces: int, host: str = "127.0.0.7") -> AsyncIterator[BadPeer]:
    made = BadPeer(infohash, pieces)
    server = await asyncio.start_server(made.serve, host, 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made
