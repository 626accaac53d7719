"""Sending by code: hash, wait at the place, let the one who knows the words fetch this and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path

from servent.blobs.hashing import Cancelled, Shared, collect
from servent.blobs.scan import scan
from servent.blobs.seed import Seed
from servent.blobs.uploads_service import Holding
from servent.errors import ServentError
from servent.net.links import PeerAddress
from servent.net.wire import printable
from servent.share import codes
from servent.share import codes_wire as wire
from servent.share.code_words import SpokenCode
from servent.share.codes_base_service import LOOK_EVERY, PASS_LIFETIME, SERVED, Around, Side
from servent.share.codes_talk_service import Talks
from servent.share.handover import HandOver, size_words

TELL_EVERY = 1.0  # s between two words about hashing
DIAL_LIMIT = 15.0  # s we try to reach the receiver, who tries to reach us, too
QUIET = 10.0  # s without a talk or an upload after everything was sent, then it counts as done


class Sending(Side):
    """Offers `path` under `code`. `contact`: both become contacts."""

    def __init__(self, around: Around, view: HandOver, code: SpokenCode, path: Path, contact: bool) -> None:
        super().__init__(around, view)
        self._code, self._path, self._contact = code, path, contact
        assert view.expires is not None
        until = self._clock() + max(0.0, view.expires - around.wall())
        self._core = codes.Offering(code, until, os.urandom)
        self._until = until
        self._talks = Talks(
            self._core,
            wire.read_to_sender,
            wire.inner_to_sender,
            receive=self._core.receive,
            opened=self._core.opened,
            joined=self._joined,
            heard=self._heard,
            over=lambda why, burnt: self.end("failed", self._why(why, burnt)),
        )
        self._shared: Shared | None = None
        self._hashed = asyncio.Event()
        self._where: PeerAddress | None = None
        self._offered = False
        self._done_bytes = 0

    def _why(self, why: str, burnt: bool) -> str:
        return (
            f"{why}; make a new one, and say it only to whom you mean" if burnt else f"{why}; make a new one"
        )

    async def _begin(self, tasks: asyncio.TaskGroup) -> None:
        tasks.create_task(self._hash(), name=f"hash {self._path.name}")
        tasks.create_task(self._talks.keep_time(), name="time of a code")
        tasks.create_task(
            self.around.rendezvous.wait(codes.place(self._code.number), self._until, self._talks.arrived),
            name="wait for who says a code",
        )
        tasks.create_task(self._watch(), name="a hand-over")

    def last_words(self) -> None:
        if self.view.state != "done":
            self._talks.tell(wire.Sorry(self.view.reason[:500]))
        self._talks.apply(self._core.end())
        self._talks.hang_all()

    def let_go(self) -> None:
        if self._offered and self.view.peer is not None and self._shared is not None:
            self.around.blobs.withdraw_on_demand(self._shared.collection.infohash, self.view.peer)

    # -- the files

    async def _hash(self) -> None:
        stop = threading.Event()

        def note(done: int) -> None:
            self._done_bytes = done

        found = await asyncio.to_thread(scan, self._path)
        self.view.size_bytes, self.view.files = found.size, len(found.files)
        try:
            self._shared = await asyncio.to_thread(collect, self._path, None, note, stop.is_set)
        except Cancelled:
            return
        except asyncio.CancelledError:
            stop.set()
            raise
        self.view.name = self._shared.collection.name
        self._hashed.set()
        await self._give()

    # -- the talk

    def _joined(self, again: bool) -> None:
        self._talks.tell(self.me())
        if not again:
            self._set("meeting", "somebody said the code; making sure where they are")

    def _heard(self, message: wire.InnerToSender) -> None:
        match message:
            case wire.Me():
                self._where = self.meet(message, SERVED)
                if self._where is None:
                    self.end("failed", "whoever said the code is blocked here, or is this node itself")
                    return
                assert self._tasks is not None
                self._tasks.create_task(self._give(), name="offer by code")
            case wire.Done():
                self._finish()
            case wire.Sorry(reason):
                said = printable(reason)[:300] or "no reason given"
                self.end("failed", f"{self.view.peer_name or 'the other side'} gave up: {said}")

    async def _give(self) -> None:
        """Once they are known and the files are hashed: offer it to them alone, and say so."""
        if self._shared is None or self._where is None or self.view.peer is None or self.view.ended:
            return
        shared, peer = self._shared, self.view.peer
        if not self._offered:
            self._offered = True
            seed = Seed(shared.collection, shared.root, shared.paths, shared.stamps)
            holding = Holding(
                shared.collection, seed, lambda why: self.end("failed", f"the files changed: {why}")
            )
            self.around.blobs.offer_on_demand(holding, peer, pinned=True)
            if self._contact:
                await self.befriend()
            assert self._tasks is not None
            self._tasks.create_task(self._reach(self._where), name=f"reach {peer.short}")
        collection = shared.collection
        self._talks.tell(
            wire.Offer(
                collection.infohash,
                collection.name[:255],
                collection.size,
                len(collection.files),
                self._contact,
            )
        )
        self._set("moving", f"{self.view.peer_name} may fetch it now")

    async def _reach(self, where: PeerAddress) -> None:
        """They dial us; that we dial them, too, opens routers on both sides."""
        with contextlib.suppress(ServentError):
            await self.around.peers.connect(where, timeout=DIAL_LIMIT)

    # -- how far it is

    def _finish(self) -> None:
        self.end("done", f"{self.view.peer_name} has all of it")

    async def _watch(self) -> None:
        told, sent, last, idle = 0.0, 0, 0, 0.0
        until: float | None = None
        while True:
            now = self._clock()
            if self._where is None:
                self._explain()
            elif not self._hashed.is_set():
                if now >= told + TELL_EVERY:
                    told = now
                    word = wire.Preparing(self._path.name[:255], self._done_bytes, self.view.size_bytes)
                    self._talks.tell(word)
                    self._explain()
            elif self.view.peer is not None and self._shared is not None:
                until = until or now + PASS_LIFETIME
                infohash = self._shared.collection.infohash
                moved = self.around.blobs.sent(self.view.peer, infohash)
                if moved is not None:
                    sent += moved - last if moved >= last else moved
                    last, idle = moved, now
                    self.view.transfer = f"up-{self.view.peer.short}-{infohash.hex()[:8]}"
                    self._set("moving", f"{self.view.peer_name} has {self._share(sent)}")
                else:
                    last, self.view.transfer = 0, ""
                    everything = sent >= self._shared.collection.size > 0 and idle > 0.0
                    if everything and self._talks.current is None and now >= idle + QUIET:
                        self._finish()
                    elif now >= until:
                        self.end("failed", f"{self.view.peer_name} did not fetch all of it in time")
                    elif idle and self._talks.current is None:
                        self._set(
                            "moving",
                            f"{self.view.peer_name} is away, with {self._share(sent)}; it goes on when they are back",
                        )
            await asyncio.sleep(LOOK_EVERY)

    def _share(self, sent: int) -> str:
        return f"{size_words(min(sent, self.view.size_bytes))} of {size_words(self.view.size_bytes)}"

    def _explain(self) -> None:
        hashing = ""
        if not self._hashed.is_set() and self.view.size_bytes:
            hashing = f"; hashed {size_words(self._done_bytes)} of {size_words(self.view.size_bytes)} so far"
        if self._core.met:
            self._set("meeting", f"they know the code{hashing or '; getting their address'}")
            return
        ways = self.around.rendezvous.ways()
        if ways:
            self._set("waiting", f"say the code to whom you mean; meeting {ways}{hashing}")
        else:
            self._set(
                "preparing",
                "there is no place to meet yet: no relay is set, the local network is off, and no peer is connected",
            )
