"""A node that exists only in memory, for tests of the API, the commands and the page.

`python -m tests.api.fake --data-dir DIR [--api-port N] [--web]` runs the real daemon on it, with lively content;
`--transfers 1000` for a crowd, `--fresh` for a first run, `--lively` for friends who come and write, `--seconds 0.3 --pace 0.02 --transfers 0` for tests.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from servent.api import schema, schema_cluster, schema_grid
from servent.api.daemon import OpenNode, Options, run_daemon
from servent.api.face import Face
from servent.errors import DiskTrouble, NotFound, Refused, Unreachable, UsageError
from servent.identity import Identity
from tests.api.fake_cluster import FakeClusters
from tests.api.fake_grid import FakeGrid
from tests.api.fake_network import FakeNetworks
from tests.api.fake_share import FakeShare, crowd
from tests.api.fake_talk import FakeTalk
from tests.api.fake_torrent import FakeTorrents

ME = Identity(b"\x01" * 32).peer
ANN = Identity(b"\x02" * 32).peer
BOB = Identity(b"\x03" * 32).peer
LINK = "magnet:?xt=urn:btmh:1220" + "ab" * 32 + "&dn=holiday"


class FakeNode(FakeNetworks, FakeTalk, FakeTorrents, FakeGrid, FakeClusters, FakeShare):
    """Answers like a node with two peers, one network, and downloads that end after `seconds` of wall clock.

    `pace`: see FakeShare. `crowd`: so many transfers more, which never end. `fresh`: nothing was ever done here.
    `more_networks`: one of each mode.
    """

    def __init__(
        self,
        data_dir: Path,
        seconds: float = 0.3,
        *,
        pace: float = 0.02,
        crowd_of: int = 0,
        fresh: bool = False,
        more_networks: bool = False,
    ) -> None:
        FakeShare.__init__(self, data_dir, pace, fresh=fresh)
        FakeNetworks.__init__(self, pace, more=more_networks)
        FakeTalk.__init__(self, pace, fresh=fresh)
        FakeTorrents.__init__(self, fresh=fresh)
        FakeGrid.__init__(self, pace, fresh=fresh)
        FakeClusters.__init__(self, fresh=fresh)
        self._data_dir = data_dir
        self.seconds = seconds
        self.name = "me"
        self._peers = {
            str(ANN): schema.Peer(
                id=str(ANN),
                short_id=ANN.short,
                name="ann",
                petname="ann",
                path="direct",
                rtt_ms=1.5,
                address="192.0.2.7:4433",
                networks=["home"],
                friend=True,
                connected=True,
                since=time.time() - 60,
                software="servent/0.1.0",
            ),
            str(BOB): schema.Peer(
                id=str(BOB),
                short_id=BOB.short,
                name="bob",
                path="relayed",
                rtt_ms=48.0,
                address="https://relay.example",
                connected=True,
                reason="both routers give every connection another port",
            ),
        }
        self._grants = {"servent.blobs": schema.Grant(service="servent.blobs", audience="network")}
        self._shares: dict[str, schema.Share] = {}
        self._transfers: dict[str, tuple[schema.Transfer, float]] = {}
        self._limits = schema.Limits(upload_slots=8)
        self._lasts: dict[str, float] = {}  # seconds; those in here begin again at their end
        for number, row in enumerate(crowd(crowd_of)):
            self.add_transfer(row, 20.0 + number % 60)

    async def create_cluster(self, new: schema_cluster.NewCluster) -> schema_cluster.Cluster:
        made = await FakeClusters.create_cluster(self, new)
        if new.work and new.lend:
            await self.change_lending(schema_grid.LendChange(on=True))
        return made

    @property
    def data_dir(self) -> Path:
        return self._data_dir

    def status(self) -> schema.Status:
        now = self.transfers()
        return schema.Status(
            id=str(ME),
            short_id=ME.short,
            name=self.name,
            version="0.1.0",
            uptime=0.0,
            data_dir=str(self._data_dir),
            download_dir=str(self._data_dir / "downloads"),
            api_url="",
            networks=list(self._networks),
            reach=self.reach(),
            peers=schema.PeerCounts(total=2, direct=1, relayed=1),
            transfers=schema.TransferCounts(active=sum(t.state == "active" for t in now)),
        )

    def id(self) -> schema.NodeId:
        return schema.NodeId(id=str(ME), short_id=ME.short, name=self.name, uri=f"servent:{ME}")

    async def backup_id(self, passphrase: str) -> str:
        return "servent-identity-backup:0:not-a-real-one"

    def reach(self) -> schema.ReachStatus:
        return schema.ReachStatus(
            summary="directly reachable over IPv4", nat="easy", ipv4=True, addresses=["203.0.113.5:4433"]
        )

    async def doctor(self) -> schema.Doctor:
        return schema.Doctor(
            checks=[
                schema.Check(name="ipv4", title="IPv4", outcome="pass", detail="203.0.113.5"),
                schema.Check(
                    name="ipv6",
                    title="IPv6",
                    outcome="warn",
                    detail="this network has none",
                    remedy="Switch IPv6 on in the router.",
                ),
            ],
            peers=[
                schema.PeerWhy(id=str(BOB), name="bob", path="relayed", why="symmetric NAT on both sides")
            ],
            networks=self.network_roles(),
            roles=self.roles(),
        )

    async def ticket(self, *, once: bool, lifetime: float | None) -> schema.Ticket:
        return schema.Ticket(
            ticket=f"servent:{ME}", expires=None if lifetime is None else time.time() + lifetime
        )

    async def join(self, text: str) -> schema.Joined:
        if not text.startswith("servent:"):
            raise UsageError("this is no ticket", advice="A ticket begins with servent:")
        if "refused" in text:
            raise Refused("they do not know this ticket")
        if "far" in text:
            raise Unreachable("far", 15.0, ["direct", "relay"])
        return schema.Joined(kind="contact", peer=str(ANN), connected=True)

    # peers

    def peers(self) -> list[schema.Peer]:
        return list(self._peers.values())

    def _peer(self, text: str) -> schema.Peer:
        for peer in self._peers.values():
            if text in (peer.id, peer.short_id, peer.name):
                return peer
        raise NotFound(f"nobody here is called {text!r}", advice="`servent peers` lists who is.")

    async def ping(self, peer: str, count: int) -> schema.PingResult:
        found = self._peer(peer)
        return schema.PingResult(
            id=found.id, name=found.name, rtts_ms=[1.0] * count, path=found.path, address=found.address
        )

    async def change_peer(self, peer: str, change: schema.PeerChange) -> schema.Peer:
        found = self._peer(peer)
        if change.petname is not None:
            found = msgspec.structs.replace(found, petname=change.petname or None)
        if change.friend is not None:
            found = msgspec.structs.replace(found, friend=change.friend)
        if change.blocked is not None:
            found = msgspec.structs.replace(found, blocked=change.blocked)
        self._peers[found.id] = found
        return found

    async def forget_peer(self, peer: str) -> None:
        del self._peers[self._peer(peer).id]

    def grants(self) -> list[schema.Grant]:
        return list(self._grants.values())

    async def set_grant(self, grant: schema.Grant) -> None:
        if grant.service not in ("servent.blobs", "servent.share"):
            raise NotFound(f"this node has no service {grant.service!r}", advice="It has servent.blobs.")
        self._grants[grant.service] = grant

    async def unset_grant(self, service: str) -> None:
        if self._grants.pop(service, None) is None:
            raise NotFound(f"nothing was decided about {service!r}")

    # files

    def shares(self) -> list[schema.Share]:
        return list(self._shares.values())

    async def add_share(self, path: str, *, wait: bool) -> schema.Share:
        target = Path(path)
        share = hashlib.sha256(path.encode()).hexdigest()
        self._shares[share] = schema.Share(
            id=share, name=target.name, path=path, state="ready", link=LINK, infohash=share, progress=1.0
        )
        return self._shares[share]

    def begun_share(self, share: str) -> schema.Share | None:
        return None

    async def remove_share(self, share: str) -> None:
        del self._shares[share]

    async def download(self, link: str, to: str | None, files: Sequence[str] = ()) -> schema.Transfer:
        if not link.startswith("magnet:"):
            raise UsageError("this is no link", advice="A link begins with magnet:?xt=urn:btmh:")
        transfer = hashlib.sha256(link.encode()).hexdigest()
        if "full" in link:
            raise DiskTrouble("the disk is full")
        made = schema.Transfer(
            id=transfer,
            direction="down",
            name="holi\x1b[31mday" if "evil" in link else "holiday",
            state="failed" if "broken" in link else "active",
            link=link,
            size_bytes=1_000_000,
            files=3,
            peers=1,
            path=to,
            error="nobody has it" if "broken" in link else None,
            advice="Ask for a fresh link." if "broken" in link else None,
            started=time.time(),
        )
        self._transfers[transfer] = (made, time.time())
        return self._now(transfer)

    def _now(self, transfer: str) -> schema.Transfer:
        made, started = self._transfers[transfer]
        if made.state != "active":
            return made
        lasts = self._lasts.get(transfer, self.seconds)
        part = (time.time() - started) / lasts
        part = part % 1.0 if transfer in self._lasts else min(1.0, part)
        if part == 1.0:
            done = msgspec.structs.replace(
                made, state="complete", done_bytes=made.size_bytes, finished=time.time()
            )
            self._transfers[transfer] = (done, started)
            return done
        return msgspec.structs.replace(
            made,
            done_bytes=int(part * made.size_bytes),
            rate_bytes_per_s=made.size_bytes / lasts,
            eta_s=round(lasts * (1 - part), 1),
        )

    def add_transfer(self, transfer: schema.Transfer, lasts: float | None = None) -> schema.Transfer:
        started = self._transfers[transfer.id][1] if transfer.id in self._transfers else time.time()
        self._transfers[transfer.id] = (transfer, started)
        if lasts is not None:
            self._lasts[transfer.id] = lasts
        return self._now(transfer.id)

    async def act(self, action: str, transfer: str) -> None:
        acts = {
            "pause": self.pause, "resume": self.resume, "cancel": self.cancel, "verify": self.verify,
            "remove": self.remove_transfer, "clear-ended": self.remove_transfer,
        }  # fmt: skip
        await acts[action](transfer)

    def transfers(self) -> list[schema.Transfer]:
        return [self._now(transfer) for transfer in self._transfers]

    def transfer_ids(self) -> list[str]:
        return list(self._transfers)

    def some_transfers(self, ids: Sequence[str]) -> list[schema.Transfer]:
        return [self._now(transfer) for transfer in ids if transfer in self._transfers]

    def _turn(self, transfer: str, state: schema.TransferState) -> None:
        _made, started = self._transfers[transfer]
        self._transfers[transfer] = (msgspec.structs.replace(self._now(transfer), state=state), started)

    async def pause(self, transfer: str) -> None:
        self._turn(transfer, "paused")

    async def resume(self, transfer: str) -> None:
        made, _ = self._transfers[transfer]
        self._transfers[transfer] = (msgspec.structs.replace(made, state="active"), time.time())

    async def cancel(self, transfer: str) -> None:
        self._turn(transfer, "cancelled")

    async def verify(self, transfer: str) -> None:
        self._turn(transfer, "complete" if self._now(transfer).state == "complete" else "checking")

    async def remove_transfer(self, transfer: str) -> None:
        del self._transfers[transfer]

    def limits(self) -> schema.Limits:
        return self._limits

    async def set_limits(self, limits: schema.Limits) -> None:
        self._limits = limits


def opener(
    seconds: float,
    pace: float,
    crowd_of: int,
    *,
    fresh: bool,
    more_networks: bool = False,
    lively: bool = False,
) -> OpenNode:
    @asynccontextmanager
    async def open_it(options: Options) -> AsyncIterator[Face]:
        node = FakeNode(
            options.data_dir,
            seconds,
            pace=pace,
            crowd_of=crowd_of,
            fresh=fresh,
            more_networks=more_networks,
        )
        node.name = options.name or node.name
        async with asyncio.TaskGroup() as tasks:
            living = tasks.create_task(node.live(), name="the fake's friends live") if lively else None
            yield node
            if living is not None:
                living.cancel()

    return open_it


open_fake = opener(0.3, 0.02, 0, fresh=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--api-port", type=int)
    parser.add_argument("--web", action="store_true")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long a download takes")
    parser.add_argument(
        "--pace", type=float, default=1.0, help="1: peers answer as real ones; 0.02: for tests"
    )
    parser.add_argument("--transfers", type=int, default=40, help="so many transfers that never end")
    parser.add_argument("--fresh", action="store_true", help="nothing shared yet, the wizard not done")
    parser.add_argument("--networks", action="store_true", help="a network of each mode")
    parser.add_argument("--lively", action="store_true", help="friends come, go and write by themselves")
    given = parser.parse_args()
    raise SystemExit(
        run_daemon(
            Options(data_dir=given.data_dir, api_port=given.api_port, web=given.web),
            opener(
                given.seconds,
                given.pace,
                given.transfers,
                fresh=given.fresh,
                more_networks=given.networks,
                lively=given.lively,
            ),
        )
    )
