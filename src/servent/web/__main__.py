"""`python -m servent.web`: serve the page beside a running node.

Where the node is and the token come from its data directory (`api.json`, `api.token`), never from the command
line. Prints one line `page URL` when it serves. Ends on SIGTERM, and, started through a pipe, when that closes:
so it never outlives who started it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import stat
import sys
import threading
from pathlib import Path

import uvicorn

from servent.api.client import Client, default_data_dir, read_api_file, read_token
from servent.api.guard import Guard, page_csp
from servent.api.http_server import Patient, calm
from servent.api.keys import Keys
from servent.errors import ServentError


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m servent.web", description="Serve the page of a running node."
    )
    parser.add_argument("--data-dir", type=Path, default=None, help="the node's data directory")
    parser.add_argument(
        "--api-url", default=None, help="the node's API; read from the data directory when missing"
    )
    parser.add_argument(
        "--node-id", default=None, help="names the cookie; read from the data directory when missing"
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1, 0 for any free one")
    return parser.parse_args(given)


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; any free port when `port` is taken."""
    for wanted in (port, 0):
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", wanted))
        except OSError:
            server.close()
            continue
        return server
    raise OSError("no free port on 127.0.0.1")


async def serve(options: argparse.Namespace) -> None:
    data_dir = options.data_dir or default_data_dir()
    api_url, node_id = options.api_url, options.node_id
    if api_url is None or node_id is None:
        file = read_api_file(data_dir)
        api_url, node_id = api_url or file.url, node_id or file.id
    token = read_token(data_dir)
    client = Client(api_url, token)

    from servent.web.app import build  # NiceGUI takes half a second: only once the rest is known to be right
    from servent.web.dashboards import Dashboards

    guard = Guard(build(client, token), Keys.open(data_dir), node_id, need="admin", csp=page_csp())
    listener = listen(options.port)
    guard.port = listener.getsockname()[1]
    config = uvicorn.Config(
        Dashboards(guard, guard, lambda: asyncio.to_thread(client.cluster_doors)),
        http=Patient,
        log_level="warning",
        lifespan="on",
        ws=calm,  # type: ignore[arg-type]  # it is only called
        access_log=False,
        server_header=False,
        ws_per_message_deflate=False,  # loopback: compressing costs more than it saves
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, f"http://127.0.0.1:{guard.port}/")
    if _started_through_a_pipe():
        loop = asyncio.get_running_loop()
        threading.Thread(target=_follow_stdin, args=(loop, server), name="stdin", daemon=True).start()
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Says where the page is once it can be opened."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(f"page {self._url}\n")
            sys.stdout.flush()


def _started_through_a_pipe() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # no stdin at all
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _follow_stdin(loop: asyncio.AbstractEventLoop, server: uvicorn.Server) -> None:
    while os.read(0, 4096):  # not sys.stdin: its lock, held here, would make the interpreter's end fatal
        pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: we are ending anyway
        loop.call_soon_threadsafe(setattr, server, "should_exit", True)


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve(arguments()))
    except ServentError as error:
        sys.stderr.write(f"{error}\n{error.advice}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
