"""The fast lane: the numbers of those few transfers that somebody looks at right now, up to 30 times a second.

`/events` says everything twice a second, which is as fast as a table is read. A bar that moves smoothly needs
more, and only for the rows on a screen. Who looks says which (`{"see": ["id", …]}`, again whenever it changes);
the answers are lists of `[id, done_bytes, rate_bytes_per_s, eta_s]`, of rows that changed alone. A slow reader
gets fewer of them, never a queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from servent.api.context import Context
from servent.api.schema import Transfer

MOST_ROWS = 64  # a tall screen shows 30
MOST_LANES = 16  # open pages
FASTEST = 1 / 30  # s between two looks
CALM = 0.25  # s between them while nothing moves
PATIENCE = 15  # looks without a change until it is calm

Glance = tuple[str, int, float, float | None]


class See(Struct, forbid_unknown_fields=True):
    """The rows that are looked at now; none: nothing is sent."""

    see: Annotated[list[Annotated[str, Meta(max_length=128)]], Meta(max_length=MOST_ROWS)]


class Seen:
    """A core: which numbers whoever looks has not got yet, and how soon to look again."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._known: dict[str, Glance] = {}
        self._still = 0

    def want(self, ids: list[str]) -> None:
        self.ids = ids
        self._known = {id: known for id, known in self._known.items() if id in ids}
        self._still = 0

    def fresh(self, transfers: Iterable[Transfer]) -> list[Glance]:
        """The rows whose numbers differ from what was said last."""
        changed = []
        for one in transfers:
            glance = (one.id, one.done_bytes, one.rate_bytes_per_s, one.eta_s)
            if self._known.get(one.id) != glance:
                self._known[one.id] = glance
                changed.append(glance)
        self._still = 0 if changed else self._still + 1
        return changed

    @property
    def pause(self) -> float:
        """Seconds to the next look."""
        return CALM if self._still >= PATIENCE else FASTEST


def lane(ctx: Context) -> Callable[[WebSocket], Awaitable[None]]:
    """The WebSocket at `/transfers/lane`."""
    decoder = msgspec.json.Decoder(See)

    async def stream(socket: WebSocket) -> None:
        await socket.accept()
        if ctx.lanes >= MOST_LANES:
            await socket.close(1013, "too many pages look at once")
            return
        ctx.lanes += 1
        seen, wanted = Seen(), asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(listen(socket, seen, wanted), name="lane: which rows")
                await show(socket, seen, wanted)
                raise WebSocketDisconnect(1001)
        except* (WebSocketDisconnect, RuntimeError):  # RuntimeError: Starlette's "already closed"
            pass
        finally:
            ctx.lanes -= 1

    async def listen(socket: WebSocket, seen: Seen, wanted: asyncio.Event) -> None:
        while True:
            try:
                seen.want(decoder.decode(await socket.receive_text()).see)
            except (msgspec.MsgspecError, KeyError) as wrong:  # KeyError: bytes in place of text
                await socket.close(1008, "not what this socket understands")
                raise WebSocketDisconnect(1008) from wrong
            if seen.ids:
                wanted.set()
            else:
                wanted.clear()

    async def show(socket: WebSocket, seen: Seen, wanted: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while not ctx.stopping:
            due = loop.time() + seen.pause
            if not wanted.is_set():
                await wanted.wait()
            if glances := seen.fresh(ctx.node.some_transfers(seen.ids)):
                await socket.send_text(msgspec.json.encode(glances).decode())
            await asyncio.sleep(max(FASTEST / 2, due - loop.time()))

    return stream
