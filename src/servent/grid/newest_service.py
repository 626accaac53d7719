"""What a project that this node has nothing to do with says of itself, and which is its newest ledger: its coordinators are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from servent.codec import write_frame
from servent.errors import BadMessage, NotFound, Refused, ServentError
from servent.grid import wire
from servent.grid.manifests import Project, open_project
from servent.identity import PeerId
from servent.net.links import Stream

ANSWER_WITHIN = 20.0  # s

Open = Callable[[PeerId, str], Awaitable[Stream]]
T = TypeVar("T")


async def newest_ledger(open_stream: Open, project: bytes, coordinators: Sequence[bytes]) -> bytes:
    """The infohash.

    Raises:
        NotFound: it has published none. ServentError: nobody could be asked, or nobody answers us; what the last one said.
    """
    nobody = NotFound(
        "no ledger of this project is known here",
        advice="Its owner publishes one within a minute of the first credit. Of others, give the project's link, or that of the ledger.",
    )

    async def ledger(peer: PeerId) -> bytes:
        shown, welcome = await _ask(open_stream, project, peer)
        if welcome.ledger is None:
            raise NotFound(
                f"{shown.name!r} has published no ledger yet", advice="There is nothing credited so far."
            )
        return welcome.ledger

    return await _first(ledger, coordinators, nobody, "which ledger is the newest")


async def look_at(
    open_stream: Open, project: bytes, coordinators: Sequence[bytes]
) -> tuple[Project, wire.Welcome]:
    """What it says of itself, signed by it, and how it does. An invitation is not shown for that: it would be used up.

    Raises:
        Refused: it is not for us. ServentError: nobody could be asked, or nobody answers us; what the last one said.
    """
    nobody = NotFound("the link names nobody who coordinates the project")
    return await _first(
        lambda peer: _ask(open_stream, project, peer), coordinators, nobody, "what the project is"
    )


async def _first(
    ask: Callable[[PeerId], Awaitable[T]], coordinators: Sequence[bytes], wrong: ServentError, what: str
) -> T:
    """The answer of the first who gives one; else raises what the last one said, `wrong` where there is none."""
    for peer in map(PeerId, coordinators):
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await ask(peer)
        except TimeoutError:
            wrong = NotFound(f"{peer.short} did not say in {ANSWER_WITHIN:.0f} s {what}")
        except ServentError as trouble:
            wrong = trouble
    raise wrong


async def _ask(open_stream: Open, project: bytes, peer: PeerId) -> tuple[Project, wire.Welcome]:
    stream = await open_stream(peer, wire.SERVICE)
    try:
        await write_frame(stream, wire.Join(project))
        answer = await wire.read_answer.read(stream)
    finally:
        await stream.reset(0)
    if isinstance(answer, wire.Sorry):
        raise Refused(f"{peer.short} does not show this project: {answer.reason}", advice="")
    if not isinstance(answer, wire.Welcome) or answer.manifest is None:
        raise BadMessage("a coordinator that does not show its project's manifest")
    return open_project(answer.manifest, project), answer
