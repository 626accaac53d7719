"""A node's API without a node: peers that breathe and transfers that move, for the page's tests and for looking at it.

`python -m tests.web.fake_api --data-dir DIR` writes `api.json` and `api.token` there, like a running node.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from servent.api import schema, schema_doctor, schema_network
from servent.api import schema_getting as getting
from servent.api import schema_share as sharing
from servent.api.keys import write_private
from servent.identity import Identity
from tests.web.fake_finding import FakeFinding

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "report\u202egnp.exe",
    "W" * 64,
    "{{constructor.constructor('document.title=1')()}}</script><script>document.title='owned'</script>",
)
NAMES = ("Ada's laptop", "workshop", "Grace", "attic-nas", "Lin", "Ursula (phone)", "studio", "Marie", "old-thinkpad",
         "Kurt", "Radia", "barn")  # fmt: skip
THINGS = ("Summer in Lofoten", "field-recordings-2024", "thesis-data", "family-archive", "Debian-12-sources",
          "maps-openstreetmap", "lecture-videos", "raw-photos", "backup-ada", "podcast-masters")  # fmt: skip


def peer_id(number: int) -> str:
    return str(Identity(number.to_bytes(32, "big")).peer)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _problem(status: int, kind: str, detail: str, advice: str = "") -> Response:
    problem = schema.Problem(
        type=f"urn:servent:{kind}", title=detail, status=status, detail=detail, advice=advice
    )
    return Response(msgspec.json.encode(problem), status, media_type="application/problem+json")


class FakeNode:
    """What the API would know. `move` lets time pass."""

    def __init__(
        self, *, peers: int = 12, transfers: int = 1000, hostile: bool = False, seed: int = 7
    ) -> None:
        self.dice = random.Random(seed)
        self.began = time.time()
        self.token = secrets.token_urlsafe(32)
        self.refuse_actions = False
        self.queue = getting.Queue(now="No rule holds now.")
        self.wanted: list[str] = []  # every change asked for, for tests to read
        self.peers: dict[str, dict[str, Any]] = {}
        self.transfers: dict[str, dict[str, Any]] = {}
        self.shares: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {}
        self.invitations: list[dict[str, Any]] = []
        self.members: list[dict[str, Any]] = []
        for number in range(peers):
            self._add_peer(number, HOSTILE[number % len(HOSTILE)] if hostile else None)
        for number in range(transfers):
            self._add_transfer(number, HOSTILE[number % len(HOSTILE)] if hostile else None)
        for number, path in enumerate(
            ("/home/you/Pictures/Crete", "/home/you/thesis.pdf", "/mnt/archive/field-recordings-2024")
            if transfers > 1
            else ()
        ):
            self._add_share(number, path)
        if peers:
            self.networks["family"] = {
                "id": "family",
                "name": "Family",
                "admin": True,
                "members": 5,
                "online": 3,
            }
            self.members = [
                {"id": peer_id(n), "short_id": peer_id(n)[:8], "name": ("kitchen-table", *NAMES)[n], "admin": n == 0, "connected": n != 3}
                for n in range(4)
            ]  # fmt: skip
            self.invitations = [
                {"id": "b677450af3066787", "network": "Family", "uses": 3, "used": 1, "expires": self.began + 6 * 86400.0},
                {"id": "90ab12cd34ef5678", "network": "Family", "uses": None, "used": 2, "expires": None},
            ]  # fmt: skip

    def _add_share(self, number: int, path: str) -> None:
        key = f"{number + 0xABC:064x}"
        self.shares[key] = {
            "id": key, "name": path.rsplit("/", 1)[-1], "path": path, "state": "ready", "size_bytes": 41_000_000 * 37**number,
            "files": (1240, 1, 212)[number % 3], "progress": 1.0, "infohash": key, "uploaded_bytes": number * 903_000_000,
            "link": f"magnet:?xt=urn:btmh:1220{key}&dn={path.rsplit('/', 1)[-1]}&x.sv=servent:{'ybndrfg8' * 12}",
        }  # fmt: skip

    def _add_peer(self, number: int, name: str | None) -> None:
        relayed, away = number % 4 == 3, number % 12 == 10
        key = peer_id(number + 1)
        self.peers[key] = {
            "id": key, "short_id": key[:8], "name": name or NAMES[number % len(NAMES)], "petname": None,
            "path": None if away else "relayed" if relayed else "direct",
            "rtt_ms": None if away else self.dice.choice((52.0, 88.0, 160.0) if relayed else (0.4, 2.1, 11.0, 18.0, 34.0, 95.0)),
            "address": None if away else f"203.0.113.{number + 10}:{40000 + number}", "networks": ["Family"],
            "friend": number % 3 == 0, "blocked": False, "connected": not away, "since": time.time() - 600 * (number + 1),
            "sent_bytes": number * 73_000_000, "received_bytes": number * 412_000_000, "up_bytes_per_s": 0.0,
            "down_bytes_per_s": 0.0, "software": "servent 0.1.0",
            "reason": "Both sides sit behind a NAT that gives each destination another port." if relayed
            else "Last seen two hours ago; trying again every minute." if away else "",
        }  # fmt: skip

    def _add_transfer(self, number: int, name: str | None) -> None:
        size = self.dice.randint(4_000_000, 9_000_000_000)
        state = ("active", "active", "queued", "complete", "paused", "complete", "failed", "connecting")[
            number % 8
        ]
        done = size if state == "complete" else int(size * self.dice.random() * 0.9)
        reason = {
            "queued": f"place {number % 7 + 1} in the queue of {NAMES[number % 12]}",
            "paused": "you paused it",
            "connecting": "Looking for a peer that has it; none of the three known ones answers yet.",
            "failed": "The disk is full.",
        }.get(state, "")
        connected = [peer for peer in self.peers.values() if peer["connected"]]
        sources = [
            {"peer": peer["id"], "name": peer["name"], "path": peer["path"], "lane": "tcp" if peer["path"] == "direct" else "quic",
             "rate_bytes_per_s": 0.0, "state": "giving", "position": None, "reason": ""}
            for peer in self.dice.sample(connected, min(len(connected), 1 + number % 3))
        ] if state == "active" else []  # fmt: skip
        key = f"{number:064x}"
        self.transfers[key] = {
            "id": key, "direction": "up" if number % 5 == 1 else "down",
            "name": name or f"{THINGS[number % len(THINGS)]}{'' if number < 10 else f' {number // 10}'}",
            "state": state, "link": f"magnet:?xt=urn:btmh:1220{key}", "infohash": key, "peers": len(sources),
            "reason": reason, "size_bytes": size, "done_bytes": done, "rate_bytes_per_s": 0.0, "eta_s": None,
            "files": number % 400 + 1, "sources": sources, "started": self.began - number * 30, "finished": None,
            "path": f"/home/you/Downloads/servent/{number}", "error": reason if state == "failed" else None,
            "advice": "Free some space, then resume; nothing verified is lost." if state == "failed" else None,
        }  # fmt: skip

    def move(self, passed: float) -> tuple[list[str], list[str]]:
        """Let `passed` seconds go by; which peers and transfers changed."""
        flows: dict[str, list[float]] = {}
        moved = []
        for key, transfer in self.transfers.items():
            if transfer["state"] != "active":
                continue
            total = 0.0
            for source in transfer["sources"]:
                source["rate_bytes_per_s"] = self.dice.uniform(0.4, 9) * 1e6
                total += source["rate_bytes_per_s"]
                flow = flows.setdefault(source["peer"], [0.0, 0.0])
                flow[transfer["direction"] == "down"] += source["rate_bytes_per_s"] / max(
                    1, len(self.transfers) / 40
                )
            transfer["rate_bytes_per_s"] = total
            transfer["done_bytes"] = min(transfer["size_bytes"], transfer["done_bytes"] + int(total * passed))
            left = transfer["size_bytes"] - transfer["done_bytes"]
            transfer["eta_s"] = left / total if total else None
            if not left:
                transfer["done_bytes"] = transfer["size_bytes"] // 20  # the demonstration never ends
            moved.append(key)
        breathing = []
        for key, peer in self.peers.items():
            if not peer["connected"]:
                continue
            peer["rtt_ms"] = max(0.2, peer["rtt_ms"] * self.dice.uniform(0.97, 1.031))
            peer["up_bytes_per_s"], peer["down_bytes_per_s"] = flows.get(key, [0.0, 0.0])
            breathing.append(key)
        return breathing, moved

    def status(self) -> schema.Status:
        here = [peer for peer in self.peers.values() if peer["connected"]]
        states = [transfer["state"] for transfer in self.transfers.values()]
        relayed = sum(peer["path"] == "relayed" for peer in here)
        return schema.Status(
            id=peer_id(0), short_id=peer_id(0)[:8], name="kitchen-table", version="0.1.0", uptime=time.time() - self.began,
            data_dir="/home/you/.local/share/servent", download_dir="/home/you/Downloads/servent", api_url="",
            networks=["Family"],
            reach=schema.ReachStatus(
                summary="Most peers reach you directly; three of them only through a relay.", nat="symmetric", ipv4=True,
                addresses=["203.0.113.7:41234"], relayed_because="Your router gives each destination another port.",
                remedies=["Turn on UPnP or PCP in your router, or forward one UDP port.", "IPv6 on the router would do as well."],
            ) if here else schema.ReachStatus(summary="Nobody has told us yet how we look from outside.", nat="unknown"),
            peers=schema.PeerCounts(total=len(here), direct=len(here) - relayed, relayed=relayed),
            transfers=schema.TransferCounts(
                active=states.count("active"),
                waiting=sum(state in ("queued", "paused", "connecting") for state in states), done=states.count("complete"),
            ),
            up_bytes_per_s=sum(peer["up_bytes_per_s"] for peer in here),
            down_bytes_per_s=sum(peer["down_bytes_per_s"] for peer in here), memory_bytes=61_000_000,
        )  # fmt: skip

    def doctor(self) -> schema.Doctor:
        check = schema.Check
        return schema.Doctor(
            checks=[
                check(name="udp", title="UDP gets out", outcome="pass", detail="Three peers in three networks answered."),
                check(name="ipv6", title="IPv6", outcome="fail", detail="This machine has no global IPv6 address.",
                      remedy="Turn IPv6 on in your router; most providers offer it."),
                check(name="nat", title="Your router's NAT", outcome="warn", detail="Each destination sees another port (symmetric).",
                      remedy="Turn on UPnP or PCP, or run `servent relay` on a machine that everyone can reach."),
                check(name="disk", title="Room for downloads", outcome="pass", detail="212 GB free."),
                check(name="lan", title="Peers on this network", outcome="skip", detail="Discovery is turned off in the settings."),
            ],
            peers=[
                schema.PeerWhy(id=peer["id"], name=peer["name"], path=peer["path"], address=peer["address"], rtt_ms=peer["rtt_ms"],
                               why=peer["reason"] or "A direct path opened in the first second.")
                for peer in self.peers.values()
            ],
            ways=[
                schema_doctor.Way(name="dht", title="Mainline DHT", on=False, detail="switched off in the settings",
                                  tells="strangers whom you look for", off='rendezvous.dht = "off"'),
            ],
        )  # fmt: skip


class FakeApi:
    """Serves a FakeNode on a port. `with FakeApi(node, data_dir): …` runs it in a thread."""

    def __init__(self, node: FakeNode, data_dir: Path, *, port: int = 0, rate: float = 2.0) -> None:
        self.node, self.data_dir, self.port, self.rate = node, data_dir, port, rate
        self.streams = 0
        self.finding = FakeFinding()
        self._stop = threading.Event()
        self._seq = 0
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def app(self) -> Starlette:
        node = self.node

        def known(table: dict[str, dict[str, Any]], request: Request, what: str) -> dict[str, Any] | None:
            return table.get(request.path_params[what])

        async def ticket(request: Request) -> Response:
            wish = await request.json()
            node.wanted.append(f"ticket {wish}")
            return _json(
                schema.Ticket(
                    ticket="servent:" + "ybndrfg8" * 22, expires=time.time() + (wish.get("lifetime") or 86400)
                )
            )

        async def join(request: Request) -> Response:
            text = (await request.json())["ticket"]
            node.wanted.append(f"join {text}")
            if not text.startswith("servent:"):
                return _problem(
                    400, "usage", "this is no ticket", "A ticket begins with servent: and is one line."
                )
            return _json(schema.Joined(kind="contact", peer=peer_id(1), connected=True))

        async def create_network(request: Request) -> Response:
            name = (await request.json())["name"]
            node.networks[name] = {"id": name.lower(), "name": name, "admin": True, "members": 1, "online": 0}
            return _json(node.networks[name])

        async def invite(request: Request) -> Response:
            wish = await request.json()
            node.wanted.append(f"invite {wish}")
            return _json(
                schema_network.Invitation(
                    id="i1", network=request.path_params["network"], invitation="servent:" + "jkmcpqxo" * 30,
                    uses=wish.get("uses"), expires=time.time() + (wish.get("lifetime") or 86400),
                )
            )  # fmt: skip

        async def change_peer(request: Request) -> Response:
            peer = known(node.peers, request, "peer")
            if peer is None:
                return _problem(404, "not-found", "no such peer")
            wish = {key: value for key, value in (await request.json()).items() if value is not None}
            node.wanted.append(f"change {peer['short_id']} {wish}")
            peer.update(wish)
            return _json(peer)

        async def ping(request: Request) -> Response:
            key = request.path_params["peer"]
            return _json(schema.PingResult(id=key, rtts_ms=[11.2, 11.9, 12.4, 11.4], path="direct"))

        async def add_share(request: Request) -> Response:
            path = (await request.json())["path"]
            if not path.startswith("/"):
                return _problem(
                    400,
                    "usage",
                    f"{path} is not an absolute path",
                    "Write it from the root, with a / in front.",
                )
            key = secrets.token_hex(32)
            node.shares[key] = {
                "id": key, "name": path.rsplit("/", 1)[-1], "path": path, "state": "hashing", "size_bytes": 1_230_000_000,
                "files": 212, "progress": 0.4,
            }  # fmt: skip
            return _json(node.shares[key])

        async def shares(_: Request) -> Response:
            listed = [dict(share) for share in node.shares.values()]
            for share in node.shares.values():  # ready at the second look
                share.update(state="ready", progress=1.0, infohash=share["id"],
                             link=f"magnet:?xt=urn:btmh:1220{share['id']}&dn={share['name']}&x.sv=servent:{'ybndrfg8' * 12}")  # fmt: skip
            return _json(listed)

        async def download(request: Request) -> Response:
            link = (await request.json())["link"]
            node.wanted.append(f"get {link}")
            if not link.startswith("magnet:"):
                return _problem(400, "usage", "this is no link", "A link begins with magnet:?xt=urn:btmh:")
            number = len(node.transfers)
            node._add_transfer(number, "Something new")
            return _json(node.transfers[f"{number:064x}"])

        async def act(request: Request) -> Response:
            transfer = known(node.transfers, request, "transfer")
            action = request.path_params["action"]
            node.wanted.append(f"{action} {request.path_params['transfer'].lstrip('0') or '0'}")
            await asyncio.sleep(0.15)
            if transfer is None:
                return _problem(404, "not-found", "no such transfer")
            if action == "verify" and not node.refuse_actions:
                return _json(transfer)
            if node.refuse_actions:
                return _problem(409, "world", "the disk did not take it", "Free some space, then try again.")
            states = {
                "pause": ("paused", "you paused it"),
                "resume": ("active", ""),
                "cancel": ("cancelled", "you cancelled it"),
            }
            transfer["state"], transfer["reason"] = states[action]
            transfer["error"] = transfer["advice"] = None
            return _json(transfer)

        async def remove(request: Request) -> Response:
            """DELETE of a row of the table that the path begins with."""
            table, key = request.url.path.removeprefix(f"{schema.API}/").split("/")
            if getattr(node, table).pop(key, None) is None:
                return _problem(404, "not-found", "no such row")
            node.wanted.append(f"remove {table} {key[:8]}")
            return _json({"ok": True})

        async def network_list(request: Request) -> Response:
            return _json(node.invitations if request.url.path.endswith("invitations") else node.members)

        async def end_invitation(request: Request) -> Response:
            found = [each for each in node.invitations if each["id"] == request.path_params["which"]]
            found += [each for each in node.members if each["id"] == request.path_params["which"]]
            if not found:
                return _problem(404, "not-found", "no such thing")
            node.wanted.append(f"revoke {found[0]['id'][:8]}")
            found[0]["revoked"] = True
            node.members = [each for each in node.members if each is not found[0]]
            return _json({"ok": True})

        async def listed(request: Request) -> Response:
            return _json(list(getattr(node, request.url.path.rsplit("/", 1)[-1]).values()))

        async def many(request: Request) -> Response:
            wish = await request.json()
            node.wanted.append(f"{wish['action']} {len(wish['ids'])}")
            states = {"pause": "paused", "resume": "active", "cancel": "cancelled"}
            for key in wish["ids"]:
                if wish["action"] in states:
                    node.transfers[key].update(state=states[wish["action"]], error=None, advice=None)
                else:
                    node.transfers.pop(key, None)
            return _json(getting.ManyDone(done=len(wish["ids"])))

        async def put_queue(request: Request) -> Response:
            node.queue = msgspec.convert(await request.json(), getting.Queue)
            node.wanted.append(f"alternative {node.queue.alternative}")
            return _json(node.queue)

        routes = {
            ("GET", "/limits"): lambda _: _json(schema.Limits(upload_slots=8)),
            ("GET", "/queue"): lambda _: _json(node.queue),
            ("PUT", "/queue"): put_queue,
            ("GET", "/history"): lambda _: _json(getting.History()),
            ("GET", "/setup"): lambda _: _json(getting.Setup(done=True, name="me", folder="", downloads="")),
            ("GET", "/library"): lambda _: _json(sharing.Library()),
            ("GET", "/grants"): lambda _: _json([schema.Grant(service="servent.blobs", audience="network")]),
            ("POST", "/transfers/many"): many,
            ("GET", "/status"): lambda _: _json(node.status()),
            ("GET", "/doctor"): lambda _: _json(node.doctor()),
            ("GET", "/peers"): listed,
            ("GET", "/transfers"): listed,
            ("GET", "/networks"): listed,
            ("GET", "/shares"): shares,
            ("POST", "/shares"): add_share,
            ("POST", "/downloads"): download,
            ("POST", "/ticket"): ticket,
            ("POST", "/join"): join,
            ("POST", "/networks"): create_network,
            ("POST", "/networks/{network}/invitations"): invite,
            ("PATCH", "/peers/{peer}"): change_peer,
            ("POST", "/peers/{peer}/ping"): ping,
            **self.finding.routes(),
            ("POST", "/transfers/{transfer}/{action}"): act,
            ("DELETE", "/transfers/{transfer}"): remove,
            ("DELETE", "/shares/{share}"): remove,
            ("DELETE", "/peers/{peer}"): remove,
            ("GET", "/networks/{network}/invitations"): network_list,
            ("GET", "/networks/{network}/members"): network_list,
            ("DELETE", "/networks/{network}/invitations/{which}"): end_invitation,
            ("DELETE", "/networks/{network}/members/{which}"): end_invitation,
            ("GET", "/events"): self._events,
        }
        return Starlette(
            routes=[
                Route(schema.API + path, call, methods=[method]) for (method, path), call in routes.items()
            ]
        )  # type: ignore[arg-type]

    async def _events(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.node.token}":
            return _problem(401, "unauthorized", "a token is needed")
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    def _event(self, topic: str, data: dict[str, Any]) -> bytes:
        self._seq += 1
        event = {"seq": self._seq, "topic": topic, "data": data}
        return f"id: {self._seq}\nevent: {topic}\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"

    async def _stream(self) -> AsyncIterator[bytes]:
        node = self.node
        self.streams += 1
        seen: dict[str, dict[str, str]] = {"peers": {}, "transfers": {}, "shares": {}}
        try:
            for table in ("peers", "transfers", "shares"):
                rows = getattr(node, table)
                seen[table] = {key: repr(row) for key, row in rows.items()}
                yield self._event(table, {"full": True, "items": list(rows.values()), "gone": []})
            folders = [msgspec.to_builtins(folder) for folder in self.finding.folders.values()]
            yield self._event("folders", {"full": True, "items": folders, "gone": []})
            ticks, due = 0, time.monotonic()
            while not self._stop.is_set():
                if ticks % max(1, int(self.rate)) == 0:
                    yield self._event("status", msgspec.to_builtins(node.status()))
                due += 1 / self.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                breathing, moving = node.move(1 / self.rate)
                ticks += 1
                for table, moved in (
                    ("transfers", set(moving)),
                    ("peers", set(breathing)),
                    ("shares", set[str]()),
                ):
                    rows = getattr(node, table)
                    still = {key: repr(row) for key, row in rows.items() if key not in moved}
                    changed = [rows[key] for key in moved]
                    changed += [rows[key] for key, text in still.items() if seen[table].get(key) != text]
                    gone = [key for key in seen[table] if key not in rows]
                    seen[table] = still | dict.fromkeys(moved, "")
                    if changed or gone:
                        yield self._event(table, {"full": False, "items": changed, "gone": gone})
        finally:
            self.streams -= 1

    def write_files(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        write_private(self.data_dir / "api.token", self.node.token + "\n")
        file = schema.ApiFile(url=self.url, pid=0, version="0.1.0", id=peer_id(0))
        write_private(self.data_dir / "api.json", msgspec.json.encode(file))

    @contextlib.contextmanager
    def running(self) -> Iterator[FakeApi]:
        """Serve from a thread of its own until the block ends."""
        self.resume()
        try:
            yield self
        finally:
            self.pause()

    def resume(self) -> None:
        """Serve, on the port of the last time."""
        self._stop.clear()
        config = uvicorn.Config(
            self.app(),
            host="127.0.0.1",
            port=self.port,
            log_config=None,  # what it sets would hold for all tests after this one
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
        )
        self._listener = config.bind_socket()
        self.port = self._listener.getsockname()[1]
        self.write_files()
        self._server = uvicorn.Server(config)
        sockets = [self._listener]
        self._thread = threading.Thread(target=self._server.run, args=(sockets,), name="fake api")
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)

    def pause(self) -> None:
        """Stop serving, as a node that was ended."""
        if self._thread is None:
            return
        self._stop.set()
        self._server.should_exit = True
        self._thread.join(timeout=60)
        self._listener.close()
        self._thread = None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--peers", type=int, default=12)
    parser.add_argument("--transfers", type=int, default=1000)
    parser.add_argument("--hostile", action="store_true")
    given = parser.parse_args()
    node = FakeNode(peers=given.peers, transfers=given.transfers, hostile=given.hostile)
    with FakeApi(node, given.data_dir, port=given.port, rate=given.rate).running() as api:
        print(f"ready {api.url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
