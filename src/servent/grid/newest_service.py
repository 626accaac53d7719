"""Which is the newest ledger of a project that this node has nothing to do with: its coordinators are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from servent.codec import write_frame
from servent.errors import BadMessage, NotFound, ServentError
from servent.grid import wire
from servent.grid.manifests import open_project
from servent.identity import PeerId
from servent.net.links import Stream

ANSWER_WITHIN = 20.0  # s

Open = Callable[[PeerId, str], Awaitable[Stream]]


async def newest_ledger(open_stream: Open, project: bytes, coordinators: Sequence[bytes]) -> bytes:
    """The infohash.

    Raises:
        NotFound: it has published none. ServentError: nobody could be asked, or nobody answers us; what the last one said.
    """
    wrong: ServentError = NotFound(
        "no ledger of this project is known here",
        advice="Its owner publishes one within a minute of the first credit. Of others, give the project's link, or that of the ledger.",
    )
    for peer in coordinators:
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await _ask(open_stream, project, PeerId(peer))
        except TimeoutError:
            wrong = NotFound(
                f"{PeerId(peer).short} did not say in {ANSWER_WITHIN:.0f} s which ledger is the newest"
            )
        except ServentError as trouble:
            wrong = trouble
    raise wrong


async def _ask(open_stream: Open, project: bytes, peer: PeerId) -> bytes:
    stream = await open_stream(peer, wire.SERVICE)
    try:
        await write_frame(stream, wire.Join(project))
        answer = await wire.read_answer.read(stream)
    finally:
        await stream.reset(0)
    if isinstance(answer, wire.Sorry):
        raise NotFound(f"{peer.short} does not show its ledger: {answer.reason}")
    if not isinstance(answer, wire.Welcome) or answer.manifest is None:
        raise BadMessage("a coordinator that does not show its project's manifest")
    name = open_project(answer.manifest, project).name
    if answer.ledger is None:
        raise NotFound(f"{name!r} has published no ledger yet", advice="There is nothing credited so far.")
    return answer.ledger
