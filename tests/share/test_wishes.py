"""Wishes: what is new, what may be fetched unasked, and how soon a friend's new file is heard of."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.codec import write_frame
from servent.errors import BadMessage, NotFound, UsageError
from servent.identity import Identity, PeerId
from servent.node import Node
from servent.share import wishes, wishes_wire
from servent.share.folding import Hit, Source, Standing
from servent.share.safety import Filters
from servent.share.wishes import Settings, make, note, why_not
from servent.testing.nodes import nodes

ANN, BOB = (Identity(bytes([n]) * 32).peer for n in (1, 2))


def hit(
    name: str = "nina.flac", size: int = 1000, kind: Any = "audio", peer: PeerId = ANN, here: bool = False
) -> Hit:
    content = name.encode().ljust(32, b".")[:32]
    return Hit(
        content, name, kind, size, {}, (Source(Standing(peer), f"music/{name}", size, 0.0),), 1.0, here
    )


def wish(q: str = "nina", **settings: Any) -> wishes.Wish:
    return make("w", Settings(q, **settings))


def test_a_find_is_new_once_and_learns_of_more_sources() -> None:
    one = wish()
    first = note(one, hit(), 1.0)
    assert first is not None and one.new == 1 and one.last_match == 1.0
    assert note(one, hit(peer=BOB), 2.0) is None
    (match,) = one.matches.values()
    assert {source.peer for source in match.sources} == {bytes(ANN), bytes(BOB)} and match.found == 1.0
    wishes.see(one)
    assert one.new == 0


def test_a_paused_wish_takes_nothing() -> None:
    assert note(wish(paused=True), hit(), 1.0) is None


@pytest.mark.parametrize(
    ("settings", "found", "reason"),
    [
        ({}, hit(), "only tells"),
        ({"auto": True}, hit(), ""),
        ({"auto": True}, hit(here=True), "already"),
        ({"auto": True, "max_bytes": 999}, hit(), "larger"),
        ({"auto": True, "max_bytes": 1000}, hit(), ""),
        ({"auto": True}, hit(size=wishes.AUTO_BYTES + 1), "larger"),
        ({"auto": True}, hit("nina.exe", kind="program"), "program"),
        ({"auto": True}, hit("nina.exe", kind="audio"), "program"),  # whatever a peer calls it
        ({"auto": True, "q": "nina type:program"}, hit("nina.exe", kind="program"), ""),
        ({"auto": True, "peers": (bytes(BOB),)}, hit(), "none of the peers"),
        ({"auto": True, "peers": (bytes(ANN),)}, hit(), ""),
        ({"auto": True, "most": 3, "fetched": 3}, hit(), "most"),
    ],
)
def test_what_is_fetched_unasked(settings: dict[str, Any], found: Hit, reason: str) -> None:
    one = wish(**settings)
    match = note(one, found, 1.0)
    assert match is not None
    said = why_not(one, match)
    assert reason in said and bool(said) == bool(reason)


def test_another_query_begins_anew_and_a_bad_one_changes_nothing() -> None:
    one = wish()
    note(one, hit(), 1.0)
    with pytest.raises(UsageError):
        wishes.change(one, q='"never closed')
    assert one.settings.q == "nina" and len(one.matches) == 1
    wishes.change(one, auto=True)
    assert len(one.matches) == 1
    wishes.change(one, q="simone")
    assert not one.matches


@given(st.lists(st.tuples(st.integers(0, 2000), st.booleans()), max_size=60))
def test_a_flood_of_finds_fetches_no_more_than_the_most(found: list[tuple[int, bool]]) -> None:
    one = wish(auto=True, most=5)
    for at, (number, _) in enumerate(found):
        match = note(one, hit(f"nina {number}.mp3"), float(at))
        if match is not None and not why_not(one, match):
            wishes.fetched(one, match.content, "t")
    assert one.settings.fetched <= 5
    assert sum(bool(match.transfer) for match in one.matches.values()) == one.settings.fetched


def test_old_matches_make_room() -> None:
    one = wish()
    for number in range(wishes.MOST_MATCHES + 10):
        note(one, hit(f"nina {number}.mp3"), float(number))
    assert len(one.matches) == wishes.MOST_MATCHES
    assert min(match.found for match in one.matches.values()) == 10.0


@given(st.binary(max_size=300))
def test_bytes_from_outside_decode_or_are_a_bad_message(data: bytes) -> None:
    for decoder in (wishes_wire.read_ask, wishes_wire.read_told):
        try:
            decoder.decode(data)
        except BadMessage:
            continue


# -- nodes


async def befriend(*pair: Node) -> None:
    one, other = pair
    await one.join(await other.ticket())
    async with asyncio.timeout(60.0):
        while one.peers.session(other.peer) is None or not other.trust.verdict(one.peer).friend:
            await asyncio.sleep(0.02)


async def until(true: Any, limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        while not true():
            await asyncio.sleep(0.01)


@pytest.mark.real
def test_what_a_friend_gets_is_offered_and_fetched(tmp_path: Path) -> None:
    async def main() -> None:
        folder = tmp_path / "music"
        folder.mkdir()
        (folder / "old.txt").write_text("nothing")
        async with nodes(2, tmp_path) as (ann, bob):
            await befriend(ann, bob)
            await bob.share.library.add(folder, audience="friends")
            await bob.share.library.settled()
            one = await ann.share.wishes.add(Settings("nina simone", auto=True))
            await asyncio.sleep(0.5)
            assert not one.matches
            (folder / "Nina Simone - Sinnerman.mp3").write_bytes(b"sinnerman" * 5000)
            (folder / "Nina Simone.exe").write_bytes(b"MZ" + b"virus" * 5000)
            while len(await bob.share.search.local("nina simone")) < 2:
                await asyncio.sleep(0.02)
            await until(lambda: len(one.matches) == 2)
            transfers = lambda: [t for t in ann.blobs.transfers() if t.direction == "down"]
            await until(lambda: transfers() and transfers()[0].state == "complete")
            (transfer,) = transfers()  # the program is not fetched
            assert transfer.name == "Nina Simone - Sinnerman.mp3" and one.settings.fetched == 1
            assert transfer.path is not None and Path(transfer.path).read_bytes() == b"sinnerman" * 5000
            assert "program" in ann.share.wishes.reason(one)

    asyncio.run(main())


@pytest.mark.real
def test_wishes_outlive_the_node_and_hear_only_what_is_for_them(tmp_path: Path) -> None:
    async def main() -> None:
        secret, music = tmp_path / "secret", tmp_path / "music"
        for folder in (secret, music):
            folder.mkdir()
            (folder / f"nina {folder.name}.txt").write_text(folder.name * 100)
        async with nodes(2, tmp_path) as (ann, bob):
            await befriend(ann, bob)
            await bob.share.library.add(secret, audience="nobody")
            one = await ann.share.wishes.add(Settings("nina"))
            await bob.share.library.add(music, audience="friends")
            await until(lambda: one.matches)
            await bob.share.library.settled()
            await asyncio.sleep(1.0)
            assert [match.name for match in one.matches.values()] == ["nina music.txt"]
            assert one.new == 1
        async with nodes(2, tmp_path) as (ann, bob):
            (again,) = ann.share.wishes.wishes()
            assert again.settings.q == "nina" and [m.name for m in again.matches.values()] == [
                "nina music.txt"
            ]
            await ann.share.wishes.change(again.id, seen=True)
            await befriend(ann, bob)
            await ann.share.safety.set_filters(Filters(words=("blocked",)))
            (music / "nina blocked.txt").write_text("x" * 100)
            (music / "nina new.txt").write_text("y" * 100)
            await until(lambda: again.new)
            assert {m.name for m in again.matches.values()} == {"nina music.txt", "nina new.txt"}
            await ann.share.wishes.remove(again.id)
            with pytest.raises(NotFound):
                ann.share.wishes.wish(again.id)

    asyncio.run(main())


@pytest.mark.real
def test_a_peer_keeps_fifty_queries_and_no_nonsense(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            await befriend(ann, bob)
            stream = await ann.open(bob.peer, wishes_wire.SERVICE)
            kept = 0
            for number in range(60):
                await write_frame(stream, wishes_wire.Watch(number, f"word{number}"))
                told = await wishes_wire.read_told.read(stream)
                assert isinstance(told, wishes_wire.Watching)
                kept += told.kept
            assert kept == wishes_wire.MOST_KEPT
            await write_frame(stream, wishes_wire.Watch(1, '"never closed'))
            told = await wishes_wire.read_told.read(stream)
            assert isinstance(told, wishes_wire.Watching) and not told.kept
            await stream.reset()
            await until(lambda: not bob.share.kept_wishes._kept)

    asyncio.run(main())
