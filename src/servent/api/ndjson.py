"""An answer that comes line by line: one JSON object each, as they happen, and always an end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol, TypeVar

import msgspec
from starlette.responses import StreamingResponse

from servent.errors import ServentError

log = logging.getLogger("servent.api")


class Line(Protocol):
    """What every line is, a Struct of the schema."""

    @property
    def kind(self) -> str: ...


T = TypeVar("T", bound=Line)


async def stream(events: AsyncIterator[T], done: Callable[[str], T]) -> StreamingResponse:
    """Waits for the first event, so that what cannot be understood is a problem and no stream.

    Args:
        events: are closed when the reader hangs up.
        done: the last line, of kind "done", with the reason why it ends early.
    """
    try:
        first = await anext(events)
    except StopAsyncIteration:
        first = done("")
    return StreamingResponse(
        _lines(first, events, done),
        media_type="application/x-ndjson",
        headers={"X-Accel-Buffering": "no"},
    )


async def _lines(first: T, events: AsyncIterator[T], done: Callable[[str], T]) -> AsyncGenerator[bytes]:
    encoder = msgspec.json.Encoder()
    event = first
    async with contextlib.AsyncExitStack() as end:
        if isinstance(events, AsyncGenerator):
            await end.enter_async_context(contextlib.aclosing(events))
        yield encoder.encode(event) + b"\n"
        try:
            async for event in events:
                yield encoder.encode(event) + b"\n"
        except (ServentError, TimeoutError) as wrong:
            event = done(str(wrong) or "it took too long")
            yield encoder.encode(event) + b"\n"
        except Exception:
            log.exception("a search failed")
            event = done("the node made a mistake; its log holds the details")
            yield encoder.encode(event) + b"\n"
        if event.kind != "done":
            yield encoder.encode(done("")) + b"\n"
