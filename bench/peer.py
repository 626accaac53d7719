"""A node's lower floors in a process of its own, driven by JSON lines: what `bench.transfer` and tests measure.

    python -m bench.peer DIR [--no-bulk] [--bind IP:PORT] [--torrent]

Reads one request per line on stdin and answers each with one line on stdout:

    {"do": "ticket"} {"do": "join", "ticket": …} {"do": "add", "path": …} {"do": "fetch", "link": …, "to": …}
    {"do": "wait", "id": …} {"do": "transfers"} {"do": "pause"|"resume"|"cancel"|"verify", "id": …}
    {"do": "limits", "up": bytes/s, "down": bytes/s} {"do": "usage"} {"do": "stop"}
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from servent import keyfile
from servent.blobs.service import Blobs
from servent.blobs.views import Limits
from servent.config import BlobsSettings
from servent.errors import ServentError
from servent.net import endpoint as endpoints
from servent.net import ticket as tickets
from servent.net.peers import Peers
from servent.net.wire import Profile
from servent.store import Store
from servent.torrent.service import Torrents
from servent.torrent.session import Session
from servent.torrent.views import SessionSettings
from servent.trust.service import TrustService


class Peer:
    """Endpoint, trust, peers and blobs on one directory. Use it as an async context manager."""

    def __init__(self, folder: Path, *, bulk: bool = True, bind: str = "", torrent: bool = False) -> None:
        self.folder, self.bulk, self.bind, self.torrent = folder, bulk, bind, torrent

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.identity = keyfile.load_or_create(self.folder / "identity.key")
        self.store = Store(self.folder / "node.db")
        self.trust = TrustService(self.store, self.identity)
        self.endpoint = await endpoints.bind(self.identity, bind=[self.bind] if self.bind else [])
        self.peers = Peers(self.endpoint, self.trust, self._profile, store=self.store)
        settings = BlobsSettings(bulk=self.bulk)
        self.blobs = Blobs(self.peers, self.trust, self.store, settings, self.folder / "downloads")
        await self.store.open()
        await self.trust.open()
        await self.blobs.open()
        self._tasks = [asyncio.create_task(self.peers.run()), asyncio.create_task(self.blobs.run())]
        self.session: Session | None = None
        if self.torrent:  # on loopback, without DHT
            self.session = Session(
                self.folder,
                SessionSettings(listen=("127.0.0.1",), dht=False, local=False, map_ports=False),
            )
            self.torrents = Torrents(self.session, self.blobs, self.folder)
            await self.torrents.open()
            self._tasks += [
                asyncio.create_task(self.session.run()),
                asyncio.create_task(self.torrents.run()),
            ]
        ready = asyncio.create_task(self.peers.ready.wait())
        await asyncio.wait([ready, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        return self

    def _profile(self) -> Profile:
        return Profile(name=self.folder.name, services=self.peers.services(), bulk=self.blobs.bulk())

    async def __aexit__(self, *_: object) -> None:
        await self.blobs.close()
        await self.peers.close()
        if self.session is not None:
            await self.session.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for task in self._tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        await self.endpoint.close()
        await self.store.close()

    async def ticket(self) -> str:
        secret = await self.trust.issue_ticket_secret()
        return tickets.encode(tickets.Ticket(self.endpoint.address(), self.folder.name, secret))

    async def join(self, text: str) -> None:
        ticket = tickets.decode(text)
        await self.trust.add_contact(ticket.address.peer, friend=True)
        await self.peers.connect(ticket.address, secret=ticket.secret)

    async def wait(self, id: str, limit: float = 600.0) -> Any:
        """The transfer once it has ended or is paused."""
        end = time.monotonic() + limit
        changed = asyncio.Event()
        self.blobs.on_change(changed.set)
        while (view := self.blobs.transfer(id)).state not in ("complete", "failed", "paused", "cancelled"):
            changed.clear()
            try:
                async with asyncio.timeout(min(0.5, end - time.monotonic())):
                    await changed.wait()
            except TimeoutError:
                if time.monotonic() > end:
                    break
        return view


def usage() -> dict[str, float]:
    """CPU seconds and memory of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu": used.ru_utime + used.ru_stime,
        "user": used.ru_utime,
        "system": used.ru_stime,
        "peak_rss_mb": used.ru_maxrss / 1024,
    }


def threads() -> dict[str, float]:
    """CPU seconds of every thread that still runs."""
    named = {str(thread.native_id): thread.name for thread in threading.enumerate()}
    used = {}
    for path in Path("/proc/self/task").iterdir():
        fields = (path / "stat").read_text().rpartition(")")[2].split()
        used[f"{named.get(path.name, 'native')} {path.name}"] = (int(fields[11]) + int(fields[12])) / 100
    return {name: seconds for name, seconds in used.items() if seconds > 0.05}


def _place(task: asyncio.Task[Any]) -> str:
    """The innermost frame that `task` stands in."""
    coroutine: Any = task.get_coro()
    places = []
    while coroutine is not None and (frame := getattr(coroutine, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        coroutine = getattr(coroutine, "cr_await", None)
    return " > ".join(places[-3:])


async def answer(peer: Peer, request: dict[str, Any]) -> Any:
    match request["do"]:
        case "ticket":
            return await peer.ticket()
        case "join":
            return await peer.join(request["ticket"])
        case "add":
            share = await peer.blobs.add(Path(request["path"]))
            assert share.infohash is not None
            return peer.blobs.link(share.infohash, request.get("contacts", ()))
        case "fetch":
            return (await peer.blobs.fetch(request["link"], Path(request["to"]))).id
        case "wait":
            return _plain(await peer.wait(request["id"], request.get("limit", 600.0)))
        case "transfers":
            return [_plain(view) for view in peer.blobs.transfers()]
        case "pause" | "resume" | "cancel" | "verify" as verb:
            return await getattr(peer.blobs, verb)(request["id"])
        case "limits":
            return await peer.blobs.set_limits(Limits(request.get("up"), request.get("down")))
        case "usage":
            return {**usage(), "up_bytes": peer.blobs.total("up"), "down_bytes": peer.blobs.total("down")}
        case "tasks":
            return sorted(f"{task.get_name()}: {_place(task)}" for task in asyncio.all_tasks())
        case "threads":
            return threads()
    raise ValueError(request["do"])


def _plain(view: Any) -> Any:
    return json.loads(json.dumps(asdict(view), default=lambda value: str(value)))


async def main(folder: Path, bulk: bool, bind: str, torrent: bool) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Peer(folder, bulk=bulk, bind=bind, torrent=torrent) as peer:
        print(json.dumps({"ready": str(peer.identity.peer), "pid": os.getpid()}), flush=True)
        while line := await reader.readline():
            request = json.loads(line)
            if request["do"] == "stop":
                break
            try:
                reply: Any = {"ok": await answer(peer, request)}
            except ServentError as wrong:
                reply = {"error": str(wrong)}
            print(json.dumps(reply, default=str), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--no-bulk", action="store_true", help="QUIC lanes only")
    parser.add_argument("--bind", default="", help="ip:port, so that it is found again after a restart")
    parser.add_argument("--torrent", action="store_true", help="with the BitTorrent door, on loopback")
    parser.add_argument("--log", default="WARNING")
    options = parser.parse_args()
    logging.basicConfig(level=options.log, format="%(relativeCreated)d %(name)s %(message)s")
    asyncio.run(main(options.folder, not options.no_bulk, options.bind, options.torrent))
