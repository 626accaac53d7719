"""Talks of a hand-over: streams that carry frames both ways, sealed once the core has joined the two sides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from servent.codec import Decoder, encode, frame
from servent.errors import BadMessage, ConnectionLost
from servent.share import codes, codes_wire
from servent.share.pake import Seal
from servent.share.rendezvous_service import Way

Outer = TypeVar("Outer")
Inner = TypeVar("Inner")

WAITING_MOST = 64  # frames to one who does not read
GOODBYE = 1.0  # s for the last words


class Talk:
    """One stream. Words are queued; `hang` lets them out and ends it."""

    def __init__(self, number: int, way: Way) -> None:
        self.number, self.way = number, way
        self.seal: Seal | None = None
        self._out: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_MOST)
        self._hung = asyncio.Event()

    def say(self, message: Struct) -> None:
        """Queue a message; a peer that reads none is hung up on."""
        if self._out.full():
            self._hung.set()
        elif not self._hung.is_set():
            self._out.put_nowait(frame(message))

    def say_sealed(self, message: Struct) -> None:
        """The same for the other side alone."""
        if self.seal is not None:
            self.say(codes_wire.Sealed(self.seal.close(encode(message))))

    def hang(self) -> None:
        """Nothing more; the stream ends when it is all out."""
        if not self._out.full():
            self._out.put_nowait(None)
        self._hung.set()

    async def write(self) -> None:
        """Until hung up: then the other side has a moment to read it. Raises ConnectionLost."""
        while (data := await self._out.get()) is not None:
            await self.way.stream.write(data)
        await self.way.stream.finish()

    async def hung(self) -> None:
        """Hang up on who does not take the last words. Raises ConnectionLost."""
        await self._hung.wait()
        await asyncio.sleep(GOODBYE)
        raise ConnectionLost("hung up")


class Talks(Generic[Outer, Inner]):
    """All talks of one hand-over, the shell around its core.

    Args:
        core: `Offering` or `Pickup`.
        receive: what the core makes of a message.
        opened: what the core makes of a new talk.
        joined: told of a talk that is sealed, and whether it was so before.
        heard: told of each message for us alone.
        over: told of the end, why, and whether the code is burnt.
    """

    def __init__(
        self,
        core: codes.Offering | codes.Pickup,
        outer: Decoder[Outer],
        inner: Decoder[Inner],
        *,
        receive: Callable[[int, Any, float], Sequence[codes.Effect]],
        opened: Callable[[int, float], Sequence[codes.Effect]],
        joined: Callable[[bool], None],
        heard: Callable[[Inner], None],
        over: Callable[[str, bool], None],
    ) -> None:
        self._core, self._outer, self._inner = core, outer, inner
        self._receive, self._opened = receive, opened
        self._joined, self._heard, self._over = joined, heard, over
        self._clock = asyncio.get_running_loop().time
        self._talks: dict[int, Talk] = {}
        self._numbers = 0
        self._nudge = asyncio.Event()

    @property
    def current(self) -> Talk | None:
        """The one with the other side, sealed."""
        talk = self._talks.get(self._core.talk) if self._core.talk is not None else None
        return talk if talk is not None and talk.seal is not None else None

    def tell(self, message: Struct) -> bool:
        """Say it to the other side alone; False: there is no talk now."""
        if self.current is None:
            return False
        self.current.say_sealed(message)
        return True

    def hang_all(self) -> None:
        """End every talk once its last words are out."""
        for talk in self._talks.values():
            talk.hang()

    async def arrived(self, way: Way) -> None:
        """Run a talk over this way to its end. Raises what broke it, in a group."""
        self._numbers += 1
        talk = self._talks[self._numbers] = Talk(self._numbers, way)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(talk.write(), name="words of a talk")
                tasks.create_task(talk.hung(), name="end of a talk")
                self.apply(self._opened(talk.number, self._clock()))
                await self._read(talk)
        except* ConnectionLost:
            pass  # however it ended, it may come back
        finally:
            del self._talks[talk.number]
            self._core.closed(talk.number)
            self._nudge.set()

    async def _read(self, talk: Talk) -> None:
        while True:
            message = await self._outer.read(talk.way.stream)
            if talk.seal is None:
                self.apply(self._receive(talk.number, message, self._clock()))
            elif isinstance(message, codes_wire.Sealed):
                inner = self._inner.decode(talk.seal.open(message.box))
                if self.current is talk:
                    self._heard(inner)
            else:
                raise BadMessage("an open word in a sealed talk")

    def apply(self, effects: Sequence[codes.Effect]) -> None:
        """Carry out what the core decided."""
        for effect in effects:
            match effect:
                case codes.Say(number, message):
                    if number in self._talks:
                        self._talks[number].say(message)
                case codes.Hang(number):
                    if number in self._talks:
                        self._talks[number].hang()
                case codes.Joined(number, seal, again):
                    if number in self._talks:
                        self._talks[number].seal = seal
                        self._joined(again)
                case codes.Over(why, burnt):
                    self._over(why, burnt)
        self._nudge.set()

    async def keep_time(self) -> None:
        """Tick the core, until cancelled."""
        while True:
            self._nudge.clear()
            due, now = self._core.next_tick(), self._clock()
            if due is not None and due <= now:
                self.apply(self._core.tick(max(due, now)))
                continue
            try:
                async with asyncio.timeout_at(due):
                    await self._nudge.wait()
            except TimeoutError:
                continue
