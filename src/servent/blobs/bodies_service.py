"""The long answers on a source's control stream: info dictionaries and piece layers, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from servent.blobs import wire
from servent.errors import BadMessage, ConnectionLost
from servent.net.links import Stream

ANSWER_LIMIT = 20.0  # s for an answer on the control stream, and for every MiB of a body


class Bodies:
    """One question at a time: `expect`, ask, wait for `begun`, then `get`. The reader calls `take`."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()  # the answer has begun to come
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._expected: Callable[[wire.Body], bool] | None = None

    def expect(self, kind: wire.Kind, fits: Callable[[int], bool]) -> None:
        """The next body is to be of this kind, and of a size that `fits`."""
        self._expected = lambda body: body.kind == kind and fits(body.size)
        self.begun.clear()

    async def get(self) -> bytes | None:
        """What came; None: they have it not."""
        return await self._answers.get()

    async def take(self, message: wire.Body | wire.Missing, stream: Stream) -> None:
        """Read the body that `message` announces.

        Raises:
            BadMessage: nobody asked, or it is not what was asked for.
            ConnectionLost: it ended early, or trickled.
        """
        expected, self._expected = self._expected, None
        if expected is None:
            raise BadMessage("an answer nobody asked for")
        self.begun.set()
        if isinstance(message, wire.Missing):
            await self._answers.put(None)
            return
        if not expected(message):
            raise BadMessage(f"a {message.kind} of {message.size} bytes")
        parts: list[bytes] = []
        left = message.size
        try:
            async with asyncio.timeout(ANSWER_LIMIT * (1 + message.size / 2**20)):
                while left:
                    part = await stream.read(min(left, 1 << 20))
                    if not part:
                        raise ConnectionLost("they stopped in the middle of an answer")
                    parts.append(part)
                    left -= len(part)
        except TimeoutError:
            raise ConnectionLost("they were too slow in the middle of an answer") from None
        await self._answers.put(b"".join(parts))
