"""Peers that answer with lies, floods and nonsense: they spoil nothing but their own part."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from servent.codec import frame, write_frame
from servent.errors import BadMessage, NotFound, Refused, ServentError
from servent.net.links import Stream
from servent.net.session import Session
from servent.node import Node
from servent.share import answering_service, asking_service, wire
from servent.share.folding import Hit
from servent.share.shelves import Ask
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet
from tests.share.finding import found, met

Behaviour = Callable[[Stream], Awaitable[None]]


def content(number: int) -> bytes:
    return number.to_bytes(32, "big")


def hit(number: int, path: str = "Music/blue song.mp3", size: int = 1000, **more: object) -> wire.Hit:
    return wire.Hit(content(number), size, path, 1, **more)  # type: ignore[arg-type]


async def instead(node: Node, behave: Behaviour) -> None:
    """From now on `node` answers questions like this."""

    async def handle(session: Session, stream: Stream) -> None:
        await wire.read_question.read(stream)
        await behave(stream)

    node.peers.withdraw(wire.SERVICE)
    node.peers.serve(wire.SERVICE, handle, audience="everyone")


def with_liar(folder: Path, behave: Behaviour, test: Callable[[Node, Node, Node], Awaitable[None]]) -> None:
    """ann asks; bob lies; cat is honest about two songs."""

    async def honest(stream: Stream) -> None:
        await write_frame(stream, wire.Hits([hit(1), hit(2, "Music/blue two.mp3")], free=True))
        await write_frame(stream, wire.Done())

    async def main() -> None:
        async with nodes(3, folder, SimNet(1)) as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            await met([ann, bob, cat])
            await instead(bob, behave)
            await instead(cat, honest)
            await test(ann, bob, cat)

    run(main())


async def flood(stream: Stream) -> None:
    for number in range(10_000):
        await write_frame(stream, wire.Hits([hit(1000 + 200 * number + n) for n in range(200)]))


async def never(stream: Stream) -> None:
    await asyncio.sleep(10_000)


async def drip(stream: Stream) -> None:
    while True:
        await write_frame(stream, wire.Hits([]))
        await asyncio.sleep(0.01)


async def garbage(stream: Stream) -> None:
    await stream.write(b"\x00\x00\x00\x04\xff\xfe\xfd\xfc")


async def huge(stream: Stream) -> None:
    await stream.write(b"\xff\xff\xff\xff" + b"x" * 100_000)


async def wrong_kind(stream: Stream) -> None:
    await write_frame(stream, wire.Listing([], True))


async def leave(stream: Stream) -> None:
    await write_frame(stream, wire.Hits([hit(5)]))
    await stream.reset(1)


@pytest.mark.parametrize("behave", [flood, never, drip, garbage, huge, wrong_kind, leave])
def test_the_others_are_found_whatever_one_does(tmp_path: Path, behave: Behaviour) -> None:
    async def test(ann: Node, bob: Node, cat: Node) -> None:
        hits, told, done = await found(ann, "blue", limit=100, wait=5.0)
        assert {"blue song.mp3", "blue two.mp3"} <= set(hits)
        by = {one.peer: one for one in told}
        assert by[cat.peer].reason == "" and by[bob.peer].reason
        assert done.hits <= 100 and done.took < 6

    with_liar(tmp_path, behave, test)


def test_what_was_not_asked_for_is_not_shown(tmp_path: Path) -> None:
    async def lie(stream: Stream) -> None:
        bad = [
            hit(10, "Music/red song.mp3"),  # no word of the query
            hit(11, "blue without folder.mp3"), hit(12, "Music/"), hit(13, "/blue.mp3"),
            hit(14, "Music/blue\0.mp3"),
            hit(15, "Music/blue \u202egnp.exe"),
            hit(1, "Music/blue song.mp3", size=7),  # cat says 1000, bob says 7: one against one, cat is the friend
        ]  # fmt: skip
        await write_frame(stream, wire.Hits(bad))
        await write_frame(stream, wire.Done())

    async def test(ann: Node, bob: Node, cat: Node) -> None:
        await ann.trust.add_contact(cat.peer, friend=True)
        hits, _, _ = await found(ann, "blue")
        assert set(hits) == {"blue song.mp3", "blue two.mp3", "blue \ufffdgnp.exe"}
        song = hits["blue song.mp3"]
        assert song.size == 1000 and [one.at.peer for one in song.sources] == [cat.peer]

    with_liar(tmp_path, lie, test)


def test_one_peer_cannot_fill_the_answer(tmp_path: Path) -> None:
    async def fill(stream: Stream) -> None:
        await write_frame(stream, wire.Hits([hit(100 + n, f"Music/blue {n}.mp3") for n in range(10)]))
        await write_frame(stream, wire.Done())

    async def test(ann: Node, bob: Node, cat: Node) -> None:
        hits, _, done = await found(ann, "blue", limit=10)
        assert len(hits) == 8 and done.more
        assert {"blue song.mp3", "blue two.mp3"} <= set(hits)

    with_liar(tmp_path, fill, test)


def test_a_search_that_nobody_reads_on_ends_everywhere(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def slow(stream: Stream) -> None:
        await write_frame(stream, wire.Hits([hit(5, "Music/blue five.mp3")]))
        with pytest.raises(ServentError):
            await stream.read(1)
        ended.set()

    async def test(ann: Node, bob: Node, cat: Node) -> None:
        events = ann.share.search.search("five", wait=60)
        while not isinstance(await anext(events), Hit):
            pass
        await events.aclose()
        async with asyncio.timeout(2):
            await ended.wait()

    with_liar(tmp_path, slow, test)


async def too_many_rows(stream: Stream) -> None:
    for _ in range(100):
        await write_frame(stream, wire.Listing([wire.Row(f"{n}") for n in range(200)], False, 10**12))


async def empty_rows(stream: Stream) -> None:
    while True:
        await write_frame(stream, wire.Listing([], False))


@pytest.mark.parametrize("behave", [too_many_rows, empty_rows, garbage, flood, leave])
def test_a_listing_that_is_none_is_refused(tmp_path: Path, behave: Behaviour) -> None:
    async def test(ann: Node, bob: Node, cat: Node) -> None:
        with pytest.raises(ServentError):
            await ann.share.browse.page(bob.peer, "Music", Ask())

    with_liar(tmp_path, behave, test)


def test_rows_with_names_that_lead_elsewhere_are_left_out(tmp_path: Path) -> None:
    async def lie(stream: Stream) -> None:
        rows = [
            wire.Row("../../etc"),
            wire.Row("a/b"),
            wire.Row("a\0"),
            wire.Row("good"),
            wire.Row("x", content=b"short"),
        ]
        await write_frame(stream, wire.Listing(rows, True, 10**12))

    async def test(ann: Node, bob: Node, cat: Node) -> None:
        page = await ann.share.browse.page(bob.peer, "Music", Ask())
        assert [row.name for row in page.rows] == ["good"]
        assert page.total == asking_service.MOST_TOTAL

    with_liar(tmp_path, lie, test)


# -- and those who ask


def test_who_asks_nonsense_is_told_or_dropped_and_the_others_are_served(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path, SimNet(2)) as (ann, bob):
            await gather_in_network([ann, bob])
            await met([ann, bob])
            with pytest.raises(Refused, match="quotation mark"):
                await asking_service.finds(ann.peers, bob.peer, wire.Search('"never'), None, lambda *_: None)
            with pytest.raises(Refused, match="not available here"):
                async with asking_service.asked(ann.peers, bob.peer, wire.Resolve("a/b")) as stream:
                    await asking_service.answer(stream)
            for body in (b"\x00\x00\x00\x02\xc1\xc1", frame(wire.Done()), b"\x7f\xff\xff\xff"):
                stream = await ann.open(bob.peer, wire.SERVICE)
                await stream.write(body)
                with pytest.raises(ServentError):
                    await wire.read_answer.read(stream)
            page = await ann.share.browse.page(bob.peer, "", Ask())
            assert page.rows == []

    run(main())


def test_who_asks_too_much_waits_and_then_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path, SimNet(3)) as (ann, bob):
            await gather_in_network([ann, bob])
            await met([ann, bob])
            refused = 0

            async def ask_on_and_on() -> None:
                nonlocal refused
                for _ in range(40):
                    try:
                        await asking_service.finds(
                            ann.peers, bob.peer, wire.Search("blue"), None, lambda *_: None
                        )
                    except Refused as no:
                        assert "busy" in str(no)
                        refused += 1

            async with asyncio.TaskGroup() as tasks:
                for _ in range(12):
                    tasks.create_task(ask_on_and_on())
            assert 0 < refused <= 12 * 40 - answering_service.BURST
            await asyncio.sleep(10)
            await asking_service.finds(ann.peers, bob.peer, wire.Search("blue"), None, lambda *_: None)

    run(main())


def test_a_broken_listing_is_a_peers_error_not_a_missing_folder(tmp_path: Path) -> None:
    async def test(ann: Node, bob: Node, cat: Node) -> None:
        with pytest.raises(BadMessage):
            await ann.share.browse.page(bob.peer, "Music", Ask())
        with pytest.raises(NotFound):
            ann.share.finding.resolve("nobody by that name")

    with_liar(tmp_path, garbage, test)
