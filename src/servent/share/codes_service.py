"""Hand-overs by spoken code: owns those of this node, and the passes that outlive a restart."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from servent.blobs import rows as transfers
from servent.blobs.service import Blobs
from servent.errors import NotFound, UsageError, WorldError
from servent.net.peers import Peers
from servent.share import code_words, handover
from servent.share.codes_base_service import Around, Side
from servent.share.codes_receiving_service import Receiving
from servent.share.codes_sending_service import Sending
from servent.share.handover import HandOver, Pass
from servent.share.meet_service import MeetService
from servent.share.rendezvous_service import Meeting, Rendezvous
from servent.store import Store
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

MOST_AT_ONCE = 32  # hand-overs; each sender has an endpoint of its own
MOST_ENDED = 50  # that stay on the list
TIDY_EVERY = 5.0  # s


class Codes:
    """Owns the hand-overs.

    Args:
        store: the node's, not open yet.
        meet: the places that others wait at with us.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        blobs: Blobs,
        store: Store,
        meeting: Meeting,
        meet: MeetService,
        *,
        wall: Callable[[], float],
    ) -> None:
        self._around = Around(
            peers,
            trust,
            blobs,
            store,
            meeting,
            Rendezvous(peers, meeting, partial(meet.take, me=trust.me)),
            wall,
            self._told,
        )
        self._views: dict[str, HandOver] = {}
        self._turned = asyncio.Event()
        self._running: dict[str, tuple[Side, asyncio.Task[None]]] = {}
        self._passes: dict[str, Pass] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._early: list[Side] = []
        self._waiting: set[str] = set()  # codes of ours that are remembered as good
        self._closed = False
        store.migrate(handover.ROOM, handover.STEPS)

    async def open(self) -> None:
        """Let senders in whose transfers were under way. The store is open."""
        for one in await self._around.store.read(handover.load):
            self._passes[one.id] = one
            try:
                self._around.trust.admit(f"pass {one.id}", one.peer, ())
            except UsageError as full:
                log.warning("a transfer by code cannot go on: %s", full)
        for view in await self._around.store.read(handover.lost):
            if view.expires is not None and view.expires > self._around.wall():
                self._views[view.id] = view
            await self._around.store.write(handover.over(view.id))

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for side in self._early:
                    self._run(tasks, side)
                self._early.clear()
                tasks.create_task(self._remember(), name="remember codes")
                while True:
                    await self._tidy()
                    await asyncio.sleep(TIDY_EVERY)
        finally:
            self._tasks = None

    async def close(self) -> None:
        """End what is under way, in good order."""
        self._closed = True
        for side, _ in self._running.values():  # `open` tells of them after the next start
            self._waiting.discard(side.view.id)
        ending = [task for _, task in self._running.values()]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when a hand-over changed."""
        self._callbacks.append(callback)

    def _told(self) -> None:
        self._turned.set()
        for callback in self._callbacks:
            callback()

    async def _remember(self) -> None:
        """Which codes are good, so that it can be said that a restart ended them."""
        while True:
            await self._turned.wait()
            self._turned.clear()
            good = {view.id: view for view in self._views.values() if view.sending and not view.ended}
            for id in self._waiting - good.keys():
                self._waiting.discard(id)
                await self._around.store.write(handover.over(id))
            for id in good.keys() - self._waiting:
                self._waiting.add(id)
                await self._around.store.write(handover.waiting(good[id]))

    # -- hand-overs

    def views(self) -> list[HandOver]:
        """Those under way and lately ended, newest first."""
        return [replace(view) for view in reversed(self._views.values())]

    def send(self, path: Path, *, contact: bool = False, lifetime: float = 3600.0) -> HandOver:
        """Offer a file or folder under a new code, which is there at once.

        Raises:
            NotFound: there is no such path.
            UsageError: too many at once.
        """
        path = path.expanduser().absolute()
        if not path.exists():
            raise NotFound(f"{path} does not exist", advice="Check the path.")
        numbers = {
            int(view.code.partition("-")[0]) for view in self._views.values() if view.code and not view.ended
        }
        code = code_words.make(os.urandom(6))
        while code.number in numbers:
            code = code_words.make(os.urandom(6))
        now = self._around.wall()
        view = HandOver(
            secrets.token_hex(6), True, now, str(code), name=path.name, path=str(path), expires=now + lifetime
        )
        view.reason = "looking for a place to meet"
        return self._start(Sending(self._around, view, code, path, contact))

    def receive(self, text: str, to: Path | None = None, *, contact: bool = True) -> HandOver:
        """Say a code, and fetch what is offered under it into `to`.

        Args:
            contact: keep the sender as a contact, if the sender wants that.

        Raises:
            UsageError: no code, or too many at once.
        """
        code = code_words.parse(text)
        view = HandOver(
            secrets.token_hex(6), False, self._around.wall(), state="meeting", reason="looking for the sender"
        )
        return self._start(Receiving(self._around, view, code, to, contact))

    def _start(self, side: Side) -> HandOver:
        if self._closed:
            raise WorldError("the node is not running")
        if len(self._running) >= MOST_AT_ONCE:
            raise UsageError(
                f"{MOST_AT_ONCE} hand-overs are under way already", advice="Cancel one of them, or wait."
            )
        view = side.view
        self._views[view.id] = view
        if self._tasks is None:  # the node is just starting
            self._early.append(side)
        else:
            self._run(self._tasks, side)
        self._told()
        return replace(view)

    def _run(self, tasks: asyncio.TaskGroup, side: Side) -> None:
        task = tasks.create_task(side.run(), name=f"hand-over {side.view.id}")
        self._running[side.view.id] = side, task
        task.add_done_callback(lambda _: self._ended(side.view.id))

    def _ended(self, id: str) -> None:
        self._running.pop(id, None)
        ended = [view.id for view in self._views.values() if view.ended]
        for old in ended[:-MOST_ENDED]:
            del self._views[old]
        self._told()

    async def cancel(self, id: str) -> None:
        """End a hand-over; the other side is told. Takes one that has ended off the list. Raises NotFound."""
        view = self._views.get(id)
        if view is None:
            raise NotFound(f"no hand-over is called {id[:40]!r}", advice="It may have ended.")
        if view.ended or id not in self._running:
            del self._views[id]
            self._told()
            return
        side, _ = self._running[id]
        side.end("cancelled", "it was cancelled")
        if not view.sending and view.transfer:
            await self._around.blobs.cancel(view.transfer)

    # -- passes of receivers

    async def _tidy(self) -> None:
        """Take back what a transfer needs no more, whether it began in this run or before."""
        for one in await self._around.store.read(handover.load):
            self._passes.setdefault(one.id, one)
        for one in list(self._passes.values()):
            if one.id in self._running:
                continue
            try:
                over = self._around.blobs.transfer(one.transfer).state in transfers.ENDED
            except NotFound:
                over = True
            if over or self._around.wall() >= one.expires:
                self._around.dismiss(f"pass {one.id}", one.peer)
                await self._around.store.write(handover.drop(one.id))
                del self._passes[one.id]
