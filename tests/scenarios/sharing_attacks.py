"""What evil members do to the services of sharing and of talk: questions without sense or end, and answers of the same kind."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable

from servent.codec import frame
from servent.errors import ServentError
from servent.net.links import Stream
from servent.net.session import Session
from servent.share import codes_wire, content_wire, feed_wire, safety_wire, wire
from servent.share import wishes_wire as wishes
from servent.talk import wire as talk
from tests.net.party import Node

HASH, KEY = b"h" * 32, b"k" * 32
NAMES = ("..", "../../etc/passwd", "a\0b", "\u202egnp.exe", "\x1b[2J", "x" * 255, "file", "con", "a\r\nb: c")


def hit(dice: random.Random) -> wire.Hit:
    name = dice.choice(NAMES) if dice.random() < 0.5 else f"file {dice.randrange(1000)}.bin"
    tags: dict[str, str | int | float] = {
        "artist": "file " * 60,
        "duration_s": dice.choice((1.5, 1e300, float("nan"))),
    }
    size = dice.choice((1, 1000, 2**53))
    return wire.Hit(
        dice.randbytes(32),
        size,
        f"Music/{name}",
        dice.randrange(256),
        0.0,
        tags if dice.random() < 0.2 else {},
    )


def questions(dice: random.Random) -> dict[str, list[object]]:
    """By service, what one may be asked."""
    text = dice.choice(
        ("file", "file*", '"file', "-file", "type:audio file", "size:>1", "a" * 500, "fi le bin", "ﬁ")
    )
    path = dice.choice(("", "shared", "shared/in", "..", "shared/../..", "/", "x/" * 2000, "\0"))
    parts = [(dice.randbytes(32), dice.choice((1, 16384, 2**53))) for _ in range(dice.choice((1, 50, 5000)))]
    return {
        wire.SERVICE: [
            wire.Search(text, dice.choice((1, 1000))),
            wire.Sample(dice.randbytes(32)),
            wire.Browse(
                path, dice.choice((0, 10**9)), 1000, dice.choice(("name", "size", "modified")), True, "%_\\"
            ),
            wire.Resolve(path or "shared"),
        ],
        content_wire.SERVICE: [content_wire.Assemble(HASH, 1 << dice.choice((14, 18, 26)), parts)],
        feed_wire.SERVICE: [feed_wire.Follow([feed_wire.Wanted(KEY, f"feed {n}", 0) for n in range(256)])],
        wishes.SERVICE: [wishes.Watch(dice.randrange(100), text), wishes.Unwatch(dice.randrange(100))],
        safety_wire.SERVICE: [safety_wire.Report(KEY, "spam", HASH, dice.choice(NAMES), "x" * 500)],
        codes_wire.MEET: [codes_wire.Wait(KEY, dice.choice((1.0, 86400.0))), codes_wire.Seek(KEY)],
        talk.SERVICE: [
            talk.Stand(dice.random() < 0.5, dice.random(), dice.choice(NAMES)[:200]),
            talk.Here("available", "\u202e" * 100),
            _said(
                dice,
                talk.Text(dice.choice(NAMES) * dice.choice((0, 1, 15)), ["magnet:?xt=urn:btmh:1220"] * 8),
            ),
            _said(dice, talk.TakeBack(dice.randbytes(16))),
            _said(dice, talk.Parcel("room-invitation", dice.randbytes(dice.choice((0, 3000, 32768))))),
        ],
        "servent.delay/1": [wire.Done()],
    }


def _said(dice: random.Random, body: talk.Body) -> talk.Say:
    return talk.Say(dice.choice((b"c" * 16, dice.randbytes(16))), dice.choice((1, 2, 2**53)), 1e11, body)


def answers(dice: random.Random) -> dict[str, list[object]]:
    """By service, what may be said to who asks; sense it makes none."""
    rows = [wire.Row(dice.choice(NAMES), dice.random() < 0.5, 2**53, 10**12, HASH) for _ in range(100)]
    hits = [hit(dice) for _ in range(dice.choice((0, 1, 200)))]
    return {
        wire.SERVICE: [
            wire.Hits(hits), wire.Hits(hits), wire.Done(True), wire.Listing(rows, dice.random() < 0.5, 10**12),
            wire.Folder(HASH, dice.choice(NAMES), 2**53, 10**12), wire.Refuse("no\x1b[2J", 86400.0),
        ],
        content_wire.SERVICE: [content_wire.Assembled(1 << 24)],
        feed_wire.SERVICE: [feed_wire.Newest(dice.randbytes(dice.choice((100, 1400))))],
        wishes.SERVICE: [wishes.Watching(0, True), wishes.Matches(dice.randrange(3), hits or [hit(dice)])],
        safety_wire.SERVICE: [safety_wire.Heard(True)],
        codes_wire.MEET: [codes_wire.Held(1e300), codes_wire.Met(), codes_wire.Nobody()],
        talk.SERVICE: [talk.Stood(), talk.Stored(b"c" * 16, 1), talk.Declined(b"c" * 16, 2**53, "no\x1b[2J" * 10)],
    }  # fmt: skip


async def ask(
    session: Session, dice: random.Random, bent: Callable[[random.Random, object], bytes], done: Counter[str]
) -> None:
    """Some questions to one service: read, not read, cut off, or followed by more."""
    service, messages = dice.choice(list(questions(dice).items()))
    streams: list[Stream] = []
    for _ in range(dice.choice((1, 3, 20))):
        done[f"asked {service.removeprefix('servent.')}"] += 1
        stream = await session.open(service)
        streams.append(stream)
        await stream.write(b"".join(bent(dice, dice.choice(messages)) for _ in range(dice.choice((1, 1, 3)))))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(dice.random() * 0.5):
            for stream in streams:
                while dice.random() < 0.9 and await stream.read(1 << 16):
                    pass
    for stream in streams:
        if dice.random() < 0.5:
            await stream.reset(dice.randrange(2**16))


def answer_badly(node: Node, dice: random.Random, done: Counter[str]) -> None:
    """Serve everything of sharing, for as long as the victim asks us."""

    def handler(service: str) -> Callable[[Session, Stream], object]:
        async def handle(session: Session, stream: Stream) -> None:
            done[f"answered {service.removeprefix('servent.')}"] += 1
            await stream.read(1 << 16)
            with contextlib.suppress(ServentError):
                for _ in range(dice.choice((0, 1, 5, 300))):
                    data = bytearray(frame(dice.choice(answers(dice)[service])))  # type: ignore[arg-type]
                    if dice.random() < 0.05:
                        data[dice.randrange(len(data))] = dice.randrange(256)
                    await stream.write(bytes(data))
                    await asyncio.sleep(dice.choice((0.0, 0.0, 0.05)))
                await asyncio.sleep(dice.choice((0.0, 5.0)))

        return handle

    for service in answers(dice):
        node.peers.serve(service, handler(service), audience="everyone")  # type: ignore[arg-type]
