"""The fast lane from the node to one table: which rows are seen goes up, their numbers come down, nothing is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from servent.api.client_lane import LaneEnd, open_lane
from servent.errors import ServentError

MOST_BYTES = 16 * 1024  # 64 ids
TRY_LATER = 1013


class End(Protocol):
    """What `client_lane.LaneEnd` gives."""

    async def say(self, text: str) -> None: ...


class Lane:
    """The page's WebSocket `/lane`, one for each table on a screen."""

    def __init__(
        self,
        url: str,
        token: str,
        opener: Callable[[str, str], AbstractAsyncContextManager[LaneEnd]] = open_lane,
    ) -> None:
        self._url, self._token, self._open = url, token, opener

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        away = False
        try:
            async with self._open(self._url, self._token) as node, asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(_ask(socket, node), name="lane: which rows")
                try:
                    async for text in node.heard():
                        await socket.send_text(text)
                finally:
                    asking.cancel()
        except* ServentError:
            away = True
        except* (WebSocketDisconnect, RuntimeError):  # the browser left, in the middle of a message
            pass
        if away:
            await _close(socket)


async def _ask(socket: WebSocket, node: End) -> None:
    while True:
        text = await socket.receive_text()
        if len(text) > MOST_BYTES:
            raise WebSocketDisconnect(1009)
        await node.say(text)


async def _close(socket: WebSocket) -> None:
    try:
        await socket.close(TRY_LATER)
    except (WebSocketDisconnect, RuntimeError):
        return
