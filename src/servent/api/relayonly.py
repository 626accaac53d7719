"""What `servent relay` runs: the relay server alone, without a node."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import msgspec
from msgspec import Struct

from servent.api.daemon import first_of, say, signals
from servent.errors import UsageError
from servent.net.relay.server import RelayServer
from servent.net.relay.settings import RelaySettings


class RelayOptions(Struct, kw_only=True):
    """None: the server's own default. `unlimited`: no rate limit for a client."""

    hosts: list[str] | None = None
    port: int | None = None
    urls: list[str] = []
    certificate: str | None = None
    key: str | None = None
    clients: int | None = None
    rate_bytes_per_s: int | None = None
    unlimited: bool = False
    json: bool = False


def run_relay(options: RelayOptions) -> int:
    """Run until a signal; prints a line starting with `ready` when it listens. Returns the exit code."""
    given: dict[str, Any] = {"public_urls": tuple(options.urls)}
    if options.hosts:
        given["hosts"] = tuple(options.hosts)
    if options.port is not None:
        given["port"] = options.port
    if (options.certificate is None) != (options.key is None):
        raise UsageError(
            "a certificate needs its key, and a key its certificate", advice="Give both, or none."
        )
    if options.certificate is not None:
        given |= {"certificate": options.certificate, "certificate_key": options.key}
    if options.clients is not None:
        given["clients"] = options.clients
    if options.rate_bytes_per_s is not None or options.unlimited:
        given["rate_bytes_per_s"] = options.rate_bytes_per_s
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    with asyncio.Runner() as runner:
        try:
            return runner.run(_run(RelaySettings(**given), options.json))
        except BaseExceptionGroup as group:
            raise first_of(group) from group


async def _run(settings: RelaySettings, as_json: bool) -> int:
    stop = asyncio.Event()
    server = RelayServer(settings)
    with signals(asyncio.get_running_loop(), stop):
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.run(), name="relay")
            ready = tasks.create_task(server.ready.wait(), name="relay: ready")
            await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                ready.cancel()
                return 1
            if as_json:
                say(msgspec.json.encode({"ready": True, "port": server.port, "urls": server.urls}).decode())
            else:
                for url in server.urls:
                    say(f"relay  {url}")
                say(
                    f"ready  on port {server.port}; nodes use it with `servent up --relay URL`; Ctrl-C stops it"
                )
            await stop.wait()
            await server.close()
    return 0
