"""The client's end of the fast lane: say which transfers are looked at, hear their numbers. See `lane`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from servent.api.client import NoAnswer, NodeDown
from servent.api.schema import API

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

OPEN_WITHIN = 5.0  # s
MAX_BYTES = 64 * 1024  # of one message: 64 rows are 8 KiB


class LaneEnd:
    """An open lane. Both ways carry JSON texts as `lane` describes them."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def say(self, text: str) -> None:
        """Raises NoAnswer: the lane is closed."""
        from websockets.exceptions import WebSocketException

        try:
            await self._socket.send(text)
        except (OSError, WebSocketException) as wrong:
            raise NoAnswer("the node closed its lane") from wrong

    async def heard(self) -> AsyncIterator[str]:
        """Each message, until the node closes the lane."""
        from websockets.exceptions import WebSocketException

        try:
            async for text in self._socket:
                if isinstance(text, str):
                    yield text
        except (OSError, WebSocketException) as wrong:
            raise NoAnswer("the node closed its lane") from wrong


@asynccontextmanager
async def open_lane(url: str, token: str) -> AsyncIterator[LaneEnd]:
    """A lane to the node at `url`; closed at the end of the block.

    Raises:
        NodeDown: nobody listens there, or it does not let us in.
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    try:
        socket = await connect(
            "ws" + url.removeprefix("http") + f"{API}/transfers/lane",
            additional_headers={"Authorization": f"Bearer {token}"},
            open_timeout=OPEN_WITHIN,
            max_size=MAX_BYTES,
            compression=None,
            proxy=None,
        )
    except (OSError, WebSocketException, TimeoutError) as wrong:
        raise NodeDown("the node opens no lane") from wrong
    try:
        yield LaneEnd(socket)
    finally:
        await socket.close()
