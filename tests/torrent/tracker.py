"""A BitTorrent tracker over HTTP, in a thread: who announced which infohash, compact peers."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import unquote_to_bytes, urlsplit


class Tracker:
    """Use as a context manager. `url` is where to announce."""

    def __init__(self, host: str, port: int = 0) -> None:
        self._known: dict[bytes, dict[tuple[str, int], int]] = {}  # what is left of each peer
        self.asked = 0
        self.from_hosts: set[str] = set()
        tracker = self

        class Announce(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not self.path.startswith("/announce"):  # how many there are is not told
                    self.send_error(404)
                    return
                tracker.asked += 1
                tracker.from_hosts.add(self.client_address[0])
                body = tracker.answer(urlsplit(self.path).query, self.client_address[0])
                with contextlib.suppress(ConnectionError):  # who says goodbye does not wait for an answer
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer((host, port), Announce)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_port}/announce"

    def answer(self, query: str, host: str) -> bytes:
        fields = dict(part.partition("=")[::2] for part in query.split("&"))
        infohash = unquote_to_bytes(fields["info_hash"])
        peers = self._known.setdefault(infohash, {})
        here = host, int(fields["port"])
        if fields.get("event") == "stopped":
            peers.pop(here, None)
        else:
            peers[here] = int(fields.get("left", "0"))
        others = b"".join(
            socket.inet_aton(peer[0]) + peer[1].to_bytes(2, "big") for peer in list(peers) if peer != here
        )
        return b"d8:intervali2e12:min intervali1e5:peers%d:%se" % (len(others), others)

    def seeds(self, infohash: bytes) -> int:
        """How many who have all of it announced it. Version 2 announces the first 20 bytes of its infohash."""
        return sum(left == 0 for left in self._known.get(infohash[:20], {}).values())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
