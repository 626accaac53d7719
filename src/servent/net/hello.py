"""The hello: one round trip in which two peers find out whether they know each other.

A stranger learns the version of the software and nothing else: every refusal is the same bytes after the
same time, whether the key is blocked, unknown, banned, or what it sent was garbage.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec import structs

import servent
from servent.codec import frame, write_frame
from servent.errors import BadMessage, ConnectionLost, PeerError
from servent.errors import Refused as RefusedError
from servent.identity import PeerId
from servent.net import wire
from servent.net.links import Connection, Stream
from servent.net.wire import Profile
from servent.trust.book import Verdict

LIMIT = 10.0  # s for a whole hello
REFUSE_AFTER = (
    0.2  # s; refusals leave this long after the hello came (or at multiples), so that time tells nothing
)
LINGER = 1.0  # s that a refused peer is given to read the refusal

SOFTWARE = f"servent/{servent.__version__}"
REFUSAL = wire.Refused(wire.PROTOCOL, SOFTWARE, "not known here")

CODE_OK = 0
CODE_REFUSED = 1
CODE_BUSY = 2
CODE_BROKEN = 3
CODE_REPLACED = 4
CODE_SILENT = 5


class Papers(Protocol):
    """What a hello needs of trust."""

    def proofs(self, to: PeerId, nonce: bytes) -> Sequence[bytes]: ...
    def contact_proof(self, secret: bytes, to: PeerId, nonce: bytes) -> bytes: ...
    async def removed(self, records: Sequence[bytes]) -> None:
        """We are told that we were removed from networks. Believed where it is signed; never raises."""
        ...

    async def judge(
        self, peer: PeerId, nonce: bytes, boxes: Sequence[bytes], contact: bytes | None
    ) -> Verdict: ...


@dataclass(frozen=True)
class Introduction:
    """What we say of ourselves in a hello.

    Attributes:
        papers: asks trust.
        profile: only for those we know.
        run: drawn when this node started.
        nonce: 32 fresh random bytes, for the dialer.
        secret: of a contact ticket, or None.
        last: the newest connection we had with this peer in this run, or None.
    """

    papers: Papers
    profile: Callable[[], Profile]
    run: bytes
    nonce: bytes = b""
    secret: bytes | None = None
    last: bytes | None = None


@dataclass(frozen=True)
class Greeting:
    """A completed hello.

    Attributes:
        control: the first stream, from now on the control stream.
        tag: names this connection, the same on both sides.
        run: the peer's current run.
        last: what the dialer named as its newest connection with the acceptor.
        observed: the address the peer sees us at, or None.
        seen: the address we told it we see it at, or None.
    """

    control: Stream
    profile: Profile
    software: str
    verdict: Verdict
    tag: bytes
    run: bytes
    last: bytes | None
    observed: str | None
    seen: str | None


def seen_at(connection: Connection) -> str | None:
    """The address we see the peer at: of its selected direct path, or of any other direct one."""
    direct = [path for path in connection.paths() if path.kind == "direct"]
    return next((p.address for p in direct if p.selected), direct[0].address if direct else None)


async def greet(connection: Connection, me: Introduction, *, limit: float = LIMIT) -> Greeting:
    """The dialer's side. On any error the connection is closed.

    Raises:
        Refused: they do not know us, or we do not know them.
        BadMessage: what they said is no hello.
        ConnectionLost: the connection broke, or no answer came within `limit` s.
    """
    peer = connection.peer
    try:
        async with asyncio.timeout(limit):
            stream = await connection.open()
            contact = None if me.secret is None else me.papers.contact_proof(me.secret, peer, me.nonce)
            boxes = list(me.papers.proofs(peer, me.nonce))
            await write_frame(
                stream, wire.Hello(wire.PROTOCOL, SOFTWARE, me.nonce, me.run, boxes, contact, me.last)
            )
            answer = await wire.read_answer.read(stream)
            if isinstance(answer, wire.Refused):
                await me.papers.removed(answer.removed)
                raise RefusedError(f"{peer.short} refused us: {wire.printable(answer.reason)}")
            verdict = await me.papers.judge(peer, me.nonce, answer.boxes, None)
            if not verdict.known:
                raise RefusedError(f"{peer.short} is not known here")
            seen = seen_at(connection)
            await write_frame(stream, wire.Enter(me.profile(), seen))
    except TimeoutError:
        await connection.close(CODE_BROKEN, "no hello in time")
        raise ConnectionLost(f"{peer.short} did not answer our hello in {limit:.0f} s") from None
    except RefusedError:
        await connection.close(CODE_REFUSED, "")
        raise
    except BaseException:
        await connection.close(CODE_BROKEN, "")
        raise
    return Greeting(
        stream,
        clean(answer.profile),
        wire.printable(answer.software),
        verdict,
        me.nonce[:8],
        answer.run,
        me.last,
        answer.observed,
        seen,
    )


async def welcome(connection: Connection, me: Introduction, *, limit: float = LIMIT) -> Greeting:
    """The acceptor's side. On any error the connection is closed, strangers after the one polite refusal.

    Raises:
        Refused: a stranger.
        BadMessage: what they said is no hello.
        ConnectionLost: the connection broke, or the hello was not over within `limit` s.
    """
    clock = asyncio.get_running_loop().time
    peer = connection.peer
    try:
        async with asyncio.timeout(limit):
            stream = await connection.accept()
            heard, refusal = None, REFUSAL
            try:
                hello = await wire.read_hello.read(stream)
                heard = clock()
                verdict = await me.papers.judge(peer, hello.nonce, hello.boxes, hello.contact)
                if not verdict.known:
                    if verdict.removed:
                        refusal = structs.replace(REFUSAL, removed=list(verdict.removed))
                    raise RefusedError(f"{peer.short} is not known here")
            except (BadMessage, RefusedError):
                await _refuse(connection, stream, clock() if heard is None else heard, refusal)
                raise
            boxes = list(me.papers.proofs(peer, hello.nonce))
            seen = seen_at(connection)
            answer = wire.Welcome(wire.PROTOCOL, SOFTWARE, me.run, boxes, me.profile(), seen)
            await write_frame(stream, answer)
            enter = await wire.read_enter.read(stream)
    except TimeoutError:
        await connection.close(CODE_BROKEN, "no hello in time")
        raise ConnectionLost(f"{peer.short} did not finish its hello in {limit:.0f} s") from None
    except PeerError:
        await connection.close(CODE_REFUSED, "")
        raise
    except BaseException:
        await connection.close(CODE_BROKEN, "")
        raise
    return Greeting(
        stream,
        clean(enter.profile),
        wire.printable(hello.software),
        verdict,
        hello.nonce[:8],
        hello.run,
        hello.last,
        enter.observed,
        seen,
    )


async def _refuse(connection: Connection, stream: Stream, heard: float, refusal: wire.Refused) -> None:
    """Say no: to strangers the same bytes at a moment that does not depend on why. Never raises."""
    loop = asyncio.get_running_loop()
    ticks = int((loop.time() - heard) / REFUSE_AFTER) + 1
    await asyncio.sleep(heard + ticks * REFUSE_AFTER - loop.time())
    try:
        await stream.write(frame(refusal))
        await stream.finish()
        async with asyncio.timeout(LINGER):
            await connection.wait_closed()
    except (ConnectionLost, TimeoutError):
        return


def clean(profile: Profile) -> Profile:
    """The same without anything that could disturb a terminal or a page."""
    return Profile(
        name=wire.printable(profile.name).strip(),
        software=wire.printable(profile.software),
        roles=[wire.printable(role) for role in profile.roles],
        services=[wire.printable(service) for service in profile.services],
        bulk=profile.bulk,
    )
