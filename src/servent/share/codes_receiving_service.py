"""Receiving by code: look for the sender, prove the words once, fetch what is offered from the sender alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from servent.blobs.magnet import Magnet
from servent.blobs.rows import ENDED, How
from servent.errors import NotFound
from servent.net import ticket as tickets
from servent.net.links import PeerAddress
from servent.net.wire import printable
from servent.share import codes, handover
from servent.share import codes_wire as wire
from servent.share.code_words import SpokenCode
from servent.share.codes_base_service import LOOK_EVERY, PASS_LIFETIME, Around, Side
from servent.share.codes_talk_service import Talks
from servent.share.handover import HandOver, Pass, size_words

PARTING = 20.0  # s we try to tell the sender that all is here, when the talk is broken just then


class Receiving(Side):
    """Says `code`. `contact`: keep the sender as a contact if the sender keeps us."""

    def __init__(
        self, around: Around, view: HandOver, code: SpokenCode, to: Path | None, contact: bool
    ) -> None:
        super().__init__(around, view)
        self._code, self._to, self._contact = code, to, contact
        self._core = codes.Pickup(code, self._clock(), os.urandom)
        self._talks = Talks(
            self._core,
            wire.read_to_receiver,
            wire.inner_to_receiver,
            receive=self._core.receive,
            opened=lambda talk, now: self._core.opened(talk),
            joined=self._joined,
            heard=self._heard,
            over=self._lost,
        )
        self._where: PeerAddress | None = None
        self._fetching = False
        self._back = asyncio.Event()  # a talk was joined, or none ever will be

    async def _begin(self, tasks: asyncio.TaskGroup) -> None:
        ways = self.around.rendezvous.ways()
        self._set("meeting", f"looking for the sender {ways}" if ways else self._nowhere())
        tasks.create_task(self._talks.keep_time(), name="time of a code")
        place = codes.place(self._code.number).peer
        tasks.create_task(
            self.around.rendezvous.seek(place, lambda: self._core.wants_talks, self._talks.arrived),
            name="seek who made a code",
        )

    def _nowhere(self) -> str:
        return "there is no place to meet yet: no relay is set, the local network is off, and no peer is connected"

    def last_words(self) -> None:
        self._talks.tell(wire.Done() if self.view.state == "done" else wire.Sorry(self.view.reason[:500]))
        self._talks.hang_all()

    # -- the talk

    def _lost(self, why: str, burnt: bool) -> None:
        self._back.set()
        if self._fetching:  # the talk is over, the transfer need not be
            return
        if burnt:
            self.end("failed", f"{why}. Ask for a new code.")
            return
        ways = self.around.rendezvous.ways() or "nowhere: no relay is set and no peer is connected"
        self.end("failed", f"{why} (looked {ways}). Is it spelt right, and does its sender still wait?")

    def _joined(self, again: bool) -> None:
        self._talks.tell(self.me())
        self._back.set()
        if not again:
            self._set("meeting", "the code is right; getting to know the sender")

    def _heard(self, message: wire.InnerToReceiver) -> None:
        match message:
            case wire.Me():
                self._where = self.meet(message, ())
                if self._where is None:
                    self.end("failed", "the sender is blocked here, or is this node itself")
            case wire.Preparing(name, done, size):
                self.view.name, self.view.size_bytes = printable(name), size
                if not self._fetching:
                    so_far = f"{size_words(done)} of {size_words(size)}"
                    self._set("meeting", f"{self.view.peer_name} prepares it: {so_far}")
            case wire.Offer():
                if self._where is not None and not self._fetching:
                    self._fetching = True
                    assert self._tasks is not None
                    self._tasks.create_task(self._fetch(message, self._where), name="fetch by code")
            case wire.Sorry(reason):
                said = printable(reason)[:300] or "no reason given"
                self.end("failed", f"{self.view.peer_name or 'the sender'} ended it: {said}")
                if self.view.transfer and self._tasks is not None:
                    self._tasks.create_task(self.around.blobs.cancel(self.view.transfer), name="give up")

    # -- the transfer

    async def _fetch(self, offer: wire.Offer, where: PeerAddress) -> None:
        view, around = self.view, self.around
        view.name, view.size_bytes, view.files = printable(offer.name), offer.size_bytes, offer.files
        if offer.contact and self._contact:
            await self.befriend()
        contact = tickets.encode(tickets.Ticket(where, view.peer_name[:64]))
        link = Magnet(offer.infohash, view.name or None, (contact,))
        transfer = await around.blobs.fetch(link, self._to, How(foreground=True, only=[where.peer]))
        view.transfer = transfer.id
        await around.store.write(
            handover.save(Pass(view.id, where.peer, transfer.id, around.wall() + PASS_LIFETIME))
        )
        while True:
            try:
                now = around.blobs.transfer(transfer.id)
            except NotFound:
                self.end("cancelled", "you removed the transfer")
                return
            if now.state in ENDED:
                break
            far = f"{size_words(now.done_bytes)} of {size_words(view.size_bytes)}"
            self._set("moving", now.reason or f"{far} are here")
            await asyncio.sleep(LOOK_EVERY)
        view.path = now.path
        if now.state == "complete":
            await self._part()
            self.end("done", f"all of it is here, in {now.path}")
        elif now.state == "cancelled":
            self.end("cancelled", "you cancelled the transfer")
        else:
            self.end("failed", now.error or now.reason)

    async def _part(self) -> None:
        """Wait a little for a talk on which to say that all is here; the sender notices without it, too."""
        if self._talks.current is None and not self._core.over:
            self._set("moving", "all of it is here; telling the sender")
            self._back.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PARTING):
                    await self._back.wait()
