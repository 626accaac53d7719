"""A BitTorrent tracker of twenty lines, for aria2: `python -m bench.rival_tracker HOST PORT`."""

from __future__ import annotations

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

peers: dict[int, bytes] = {}


class Announce(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        port = int(parse_qs(urlsplit(self.path).query)["port"][0])
        peers[port] = socket.inet_aton(self.client_address[0]) + port.to_bytes(2, "big")
        others = b"".join(peer for known, peer in peers.items() if known != port)
        body = b"d8:intervali1e5:peers%d:%se" % (len(others), others)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        return


if __name__ == "__main__":
    server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Announce)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if json.loads(line)["do"] == "stop":
            break
        print(json.dumps({"ok": len(peers)}), flush=True)
