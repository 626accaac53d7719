"""The node's event stream on an event loop: server-sent events over one loopback connection, until it breaks.

The API's own client reads such a stream in a thread; here that thread and the loop would take the interpreter
from each other at every event. `Client.watch` hides when the node is away, which the page has to tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import msgspec

from servent.api.client import NoAnswer, NodeDown
from servent.api.schema import API, Event

OPEN_WITHIN = 5.0  # s
SILENCE = 60.0  # s without a single byte: the node says something every 15 s even when nothing happens
MAX_LINE_BYTES = 256 * 1024 * 1024  # a table of 100,000 rows
BUFFER_BYTES = 4 * 1024 * 1024


async def events(url: str, token: str, topics: tuple[str, ...]) -> AsyncIterator[Event]:
    """Events as they come.

    Raises:
        NodeDown: nobody listens there, or it does not let us in.
        NoAnswer: the stream broke, ended, or fell silent.
    """
    where = urlsplit(url)
    try:
        async with asyncio.timeout(OPEN_WITHIN):
            reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=BUFFER_BYTES)
    except (OSError, TimeoutError) as wrong:
        raise NodeDown(f"no node answers at {url}") from wrong
    try:
        head = (
            f"GET {API}/events?topics={','.join(topics)} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Authorization: Bearer {token}\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode("ascii"))
        decoder = msgspec.json.Decoder(Event)
        async with asyncio.timeout(SILENCE) as silence:
            chunked = await _head(reader)
            rest = bytearray()
            while True:
                piece = await _piece(reader, chunked)
                silence.reschedule(asyncio.get_running_loop().time() + SILENCE)
                if not piece:
                    raise NoAnswer("the node ended its stream")
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
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError) as wrong:
        raise NoAnswer("the stream of the node broke") from wrong
    except (msgspec.MsgspecError, ValueError) as wrong:
        raise NoAnswer(f"an event of the node does not fit this version: {wrong}") from wrong
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> bool:
    """Read status and headers; whether the body comes in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = head.split(None, 2)[1]
    if status != "200":
        raise NodeDown(f"the node answered {status} to the wish for its events")
    return "\r\ntransfer-encoding: chunked\r\n" in head


async def _piece(reader: asyncio.StreamReader, chunked: bool) -> bytes:
    if not chunked:
        return await reader.read(BUFFER_BYTES)
    size = int((await reader.readline()).split(b";")[0] or b"0", 16)
    if not 0 <= size <= MAX_LINE_BYTES:
        raise ValueError("a chunk of impossible size")
    return (await reader.readexactly(size + 2))[:-2]
