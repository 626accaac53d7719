"""Peers who ask to keep others from asking, or to learn what is not for them; and answers that never end."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import msgspec
import pytest

from servent.api.adapter_search import hit_of
from servent.blobs import wire as blobs
from servent.codec import write_frame
from servent.errors import BadMessage
from servent.net.links import Stream
from servent.net.session import Session
from servent.node import Node
from servent.share import answering_service, asking_service, content_service, local, wire, wishes_service
from servent.share import wishes_wire as wishing
from servent.share.shelves import Ask
from servent.share.wishes import Settings
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet
from tests.share.finding import found, met, shares
from tests.share.stock import let_see, stock
from tests.share.test_content import asked
from tests.share.test_hostile_answers import content, hit, with_liar

LONG = "blue " + "x" * 200


async def questions(node: Node, of: Node, count: int, question: wire.Question) -> list[Stream]:
    """Ask, and read nothing of what comes."""
    streams = []
    for _ in range(count):
        stream = await node.peers.open(of.peer, wire.SERVICE)
        await write_frame(stream, question)
        streams.append(stream)
    await asyncio.sleep(1.0)
    return streams


def test_who_takes_no_answers_keeps_nobody_from_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering_service, "MOST_OPEN", 16)
    monkeypatch.setattr(answering_service, "FOR_ALL", 4)
    monkeypatch.setattr(answering_service, "TIME_RATE", 100.0)

    async def main() -> None:
        async with nodes(3, tmp_path / "nodes", SimNet(3, window_bytes=8 * 1024)) as (ann, eve, bob):
            await gather_in_network([ann, eve, bob])
            await met([ann, eve, bob])
            await shares(ann, tmp_path / "a", {f"{LONG}{n}.txt": b"%d" % n for n in range(100)})
            answers = ann.share.finding._answers
            await questions(eve, ann, 16, wire.Search("blue"))
            assert answers._open.used == 12, "the others are left for others"
            hits, told, _ = await found(bob, "blue", limit=200)
            assert len(hits) == 100 and next(one.reason for one in told if one.peer == ann.peer) == ""
            await asyncio.sleep(answering_service.ANSWER_LIMIT + 1)
            assert answers._open.used == 0, "whoever takes no answer is waited for no longer"

    run(main())


def test_who_makes_folders_into_collections_pays_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message makes us look up and lay out a hundred thousand files."""
    monkeypatch.setattr(answering_service, "FILE_TIME", 0.1)
    monkeypatch.setattr(content_service, "PARTS_BURST", 90.0)
    monkeypatch.setattr(content_service, "PARTS_RATE", 1.0)
    most = 0

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(3)) as (ann, eve):
            await gather_in_network([ann, eve])
            await shares(ann, tmp_path / "a", {f"{n}.txt": b"%d" % n for n in range(80)})
            now = 0
            make = ann.share.content._make

            async def counted(*args: object) -> object:
                nonlocal now, most
                now += 1
                most = max(most, now)
                try:
                    await asyncio.sleep(0.2)
                    return await make(*args)  # type: ignore[arg-type]
                finally:
                    now -= 1

            ann.share.content._make = counted  # type: ignore[assignment,method-assign]
            await questions(eve, ann, 3, wire.Resolve("a"))
            await asyncio.sleep(1.0)
            assert most == 1, "one after the other, so that others come in between"
            with pytest.raises(asking_service.Busy):
                await asking_service.folder(eve.peers, ann.peer, "a")
            # nor does asking for its pieces, after it was let go, make it again and again for nothing
            [infohash] = ann.share.content._made
            made = []
            for _ in range(3):
                ann.blobs._uploads.resolved.clear()
                made.append(isinstance((await asked(eve, ann, infohash))[0], blobs.Offer))
            assert made == [True, True, False]

    run(main())


def test_a_sample_tells_nothing_of_files_that_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "MOST_LOOKED_AT", 10)

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(3)) as (ann, eve):
            await gather_in_network([ann, eve])
            await shares(ann, tmp_path / "a", {"open.txt": b"open"})

            async def sampled() -> list[tuple[int, bool]]:
                answers = []
                for start in range(0, 256, 16):
                    got: list[object] = []
                    more = await asking_service.finds(
                        eve.peers,
                        ann.peer,
                        wire.Sample(bytes([start]) * 32),
                        None,
                        lambda new, *_, got=got: got.extend(new),
                    )
                    answers.append((len(got), more))
                return answers

            before = await sampled()
            assert before == [(1, False)] * 16
            await shares(ann, tmp_path / "b", {f"{n}.txt": b"%d" % n for n in range(40)}, "nobody")
            after = await sampled()
            assert all(more is False or count == 0 for count, more in after)

    run(main())


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e300])
def test_numbers_that_json_cannot_say_come_from_nobody(tmp_path: Path, number: float) -> None:
    """One such tag would make the page and the command line throw a whole search away."""

    async def lie(stream: Stream) -> None:
        await write_frame(stream, wire.Hits([hit(7, "Music/blue seven.mp3", tags={"duration_s": number})]))
        await write_frame(stream, wire.Done())

    async def test(ann: Node, bob: Node, cat: Node) -> None:
        hits, told, _ = await found(ann, "blue")
        assert set(hits) == {"blue song.mp3", "blue two.mp3"}
        assert next(one for one in told if one.peer == bob.peer).reason
        for one in hits.values():
            said = msgspec.json.encode(hit_of(one))
            assert json.loads(said) and msgspec.json.decode(said, type=type(hit_of(one))) == hit_of(one)

    with_liar(tmp_path, lie, test)


def test_a_listing_that_trickles_ends(tmp_path: Path) -> None:
    async def trickle(stream: Stream) -> None:
        for number in range(1000):
            await write_frame(stream, wire.Listing([wire.Row(f"{number}")], False))
            await asyncio.sleep(asking_service.FRAME_LIMIT - 1)

    async def test(ann: Node, bob: Node, cat: Node) -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await ann.share.browse.page(bob.peer, "Music", Ask(limit=1000))
        assert asyncio.get_running_loop().time() - began < 80

    with_liar(tmp_path, trickle, test)


def test_who_takes_no_matches_keeps_nobody_from_theirs(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path / "nodes", SimNet(3, window_bytes=8 * 1024)) as (ann, eve, bob):
            await gather_in_network([ann, eve, bob])
            await met([ann, eve, bob])
            streams = []
            for number in range(2):
                stream = await eve.peers.open(ann.peer, wishing.SERVICE)
                for one in range(20):
                    await write_frame(stream, wishing.Watch(20 * number + one, "blue"))
                streams.append(stream)
            await asyncio.sleep(1)
            wish = await bob.share.wishes.add(Settings("blue", created=0.0))
            await asyncio.sleep(1)
            await shares(ann, tmp_path / "a", {f"{LONG}{n}.txt": b"%d" % n for n in range(100)})
            await asyncio.sleep(8)
            assert len(bob.share.wishes.wish(wish.id).matches) == 100
            await asyncio.sleep(120)
            assert {key[0] for key in ann.share.kept_wishes._kept} == {bob.peer}, "she is not waited for"
            assert not ann.share.kept_wishes._telling and not ann.share.kept_wishes._later

    run(main())


def test_a_flood_of_matches_is_slowed_down(tmp_path: Path) -> None:
    sent = 0

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(3)) as (ann, eve):

            async def flood(session: Session, stream: Stream) -> None:
                nonlocal sent
                watch = await wishing.read_ask.read(stream)
                while True:
                    hits = [hit(sent + n, f"Music/blue {sent + n}.mp3") for n in range(200)]
                    await write_frame(stream, wishing.Matches(watch.id, hits))
                    sent += 200

            eve.share.kept_wishes.close()
            eve.peers.serve(wishing.SERVICE, flood, audience="everyone")
            await gather_in_network([ann, eve])
            await ann.share.wishes.add(Settings("blue", created=0.0))
            await asyncio.sleep(60)
            most = wishes_service.TOLD_BURST + 60 * wishes_service.TOLD_RATE
            in_flight = 1 << 20  # of bytes, at 50 and more for each
            assert 1000 < sent < most + in_flight / 50
            assert len(ann.share.wishes.wishes()[0].matches) <= 1000

    run(main())


def test_hashes_nobody_has_and_hashes_not_for_you_cost_the_same_words_for_every_service(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes", SimNet(3)) as (ann, eve):
            await gather_in_network([ann, eve])
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "one").write_bytes(b"one")
            await stock(ann, 1, tmp_path / "a")
            let_see(ann, {})
            await shares(ann, tmp_path / "hidden", {"in/secret blue.txt": b"secret"}, "nobody")
            words = set()
            for path in ("hidden", "hidden/in", "nothing", "nothing/in"):
                for question in (wire.Browse(path), wire.Resolve(path)):
                    async with asking_service.asked(eve.peers, ann.peer, question) as stream:
                        words.add(msgspec.msgpack.encode(await wire.read_answer.read(stream)))
            assert len(words) == 1
            for text in ("secret", "nothing", "blue -x"):
                assert not await asking_service.finds(
                    eve.peers, ann.peer, wire.Search(text), None, lambda new, *_: pytest.fail(str(new))
                )

    run(main())


def test_a_content_of_a_wrong_length_is_no_content(tmp_path: Path) -> None:
    async def lie(stream: Stream) -> None:
        await write_frame(stream, wire.Listing([wire.Row("a", content=content(1)[:31])], True))

    async def test(ann: Node, bob: Node, cat: Node) -> None:
        assert (await ann.share.browse.page(bob.peer, "Music", Ask())).rows == []
        with pytest.raises(BadMessage):
            await asking_service.folder(ann.peers, bob.peer, "Music")

    with_liar(tmp_path, lie, test)
