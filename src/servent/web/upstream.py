"""The node's event stream on an event loop: server-sent events over one loopback connection, until it breaks.

The API's own client reads such a stream in a thread; here that thread and the loop would take the interpreter
from each other at every event. `Client.watch` hides when the node is away, which the page has to tell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from servent.api.client import NoAnswer, NodeDown
from servent.api.schema import Event
from servent.web.exchange import exchange

MAX_LINE_BYTES = 256 * 1024 * 1024  # a table of 100,000 rows


async def events(url: str, token: str, topics: tuple[str, ...]) -> AsyncIterator[Event]:
    """Events as they come.

    Raises:
        NodeDown: nobody listens there, or it does not let us in.
        NoAnswer: the stream broke, ended, or fell silent.
    """
    decoder = msgspec.json.Decoder(Event)
    wish = {"Accept": "text/event-stream"}
    async with exchange(url, token, "GET", f"/events?topics={','.join(topics)}", wish) as answer:
        if answer.status != 200:
            raise NodeDown(f"the node answered {answer.status} to the wish for its events")
        rest = bytearray()
        try:
            async for piece in answer.pieces():
                rest += piece
                if len(rest) > MAX_LINE_BYTES:
                    raise NoAnswer("an event of the node is too long")
                if (end := rest.rfind(b"\n")) < 0:
                    continue
                whole = bytes(rest[:end])
                del rest[: end + 1]
                for line in whole.split(b"\n"):
                    if line.startswith(b"data: "):
                        yield decoder.decode(line[6:])
        except msgspec.MsgspecError as wrong:
            raise NoAnswer(f"an event of the node does not fit this version: {wrong}") from wrong
    raise NoAnswer("the node ended its stream")
