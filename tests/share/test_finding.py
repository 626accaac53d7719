"""Whole nodes find, browse and recommend; nobody learns of what is not for them."""

import asyncio
from pathlib import Path

import pytest

from servent.errors import NotFound
from servent.node import Node
from servent.share.shelves import Ask
from servent.testing.nodes import gather_in_network, nodes
from tests.share.finding import found, met, shares

pytestmark = pytest.mark.real

SONGS = {
    "Nina Simone/Little Girl Blue/01 Mood Indigo.mp3": b"indigo" * 1000,
    "Nina Simone/Little Girl Blue/02 Love_Me-Or.LeaveMe.mp3": b"love" * 1000,
    "Nina Simone/cover.jpg": b"cover" * 100,
    "readme.txt": b"",
}


async def friends(members: list[Node]) -> None:
    first = members[0]
    for other in members[1:]:
        await other.join(await first.ticket())


def test_a_peer_is_searched_browsed_and_its_own_hits_are_marked(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            await gather_in_network([ann, bob])
            await met([ann, bob])
            await shares(ann, tmp_path / "a" / "Music", SONGS)
            await shares(bob, tmp_path / "b" / "Own", {"mood indigo (copy).mp3": b"indigo" * 1000})
            hits, told, done = await found(bob, "mood indigo")
            assert len(hits) == 1  # one content, two places
            (hit,) = hits.values()
            assert hit.here and {one.at.mine for one in hit.sources} == {True, False}
            assert {one.path for one in hit.sources} == {
                "Own/mood indigo (copy).mp3",
                "Music/Nina Simone/Little Girl Blue/01 Mood Indigo.mp3",
            }
            assert done.asked == done.answered == 1 and not done.more
            assert {one.peer for one in told} == {ann.peer, bob.peer}
            assert list((await found(bob, "nina type:image ext:jpg"))[0]) == ["cover.jpg"]
            assert list((await found(bob, '"leave me" -remix'))[0]) == ["02 Love_Me-Or.LeaveMe.mp3"]
            assert (await found(bob, "nina", scope="library"))[0] == {}

            top = await bob.share.browse.page(ann.peer, "", Ask())
            assert [(row.name, row.folder, row.files) for row in top.rows] == [("Music", True, 4)]
            below = await bob.share.browse.page(ann.peer, "Music", Ask())
            assert [(row.name, row.folder) for row in below.rows] == [
                ("Nina Simone", True),
                ("readme.txt", False),
            ]
            assert below.total == 2 and below.files == 4
            folder = await bob.share.browse.folder(ann.peer, "Music/Nina Simone")
            assert folder.name == "Nina Simone" and folder.files == 3

    asyncio.run(main())


def test_what_is_not_for_a_peer_does_not_exist_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path) as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            await met([ann, bob, cat])
            await shares(ann, tmp_path / "net", {"blue net.txt": b"net"})
            await shares(ann, tmp_path / "friends", {"blue friends.txt": b"friends"}, "friends")
            await shares(ann, tmp_path / "named", {"blue named.txt": b"named"}, "peers", peers=[cat.peer])
            await shares(ann, tmp_path / "none", {"blue nobody.txt": b"nobody"}, "nobody")
            assert set((await found(bob, "blue"))[0]) == {"blue net.txt"}
            assert set((await found(cat, "blue"))[0]) == {"blue net.txt", "blue named.txt"}
            assert len((await found(ann, "blue"))[0]) == 4
            assert [row.name for row in (await bob.share.browse.page(ann.peer, "", Ask())).rows] == ["net"]
            said = []
            for path in ("none", "nothing like it", "net/nothing"):
                with pytest.raises(NotFound) as no:
                    await bob.share.browse.page(ann.peer, path, Ask())
                said.append(str(no.value))
            assert len(set(said)) == 1
            with pytest.raises(NotFound):
                await bob.share.browse.folder(ann.peer, "none")
            await ann.trust.add_contact(bob.peer, friend=True)
            assert set((await found(bob, "blue"))[0]) == {"blue net.txt", "blue friends.txt"}

    asyncio.run(main())


def test_peers_who_have_what_we_have_recommend_what_they_have_besides(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path) as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            await met([ann, bob, cat])
            same = {f"same {n}.txt": b"same %d" % n for n in range(6)}
            await shares(ann, tmp_path / "a", same)
            assert await ann.share.browse.recommendations() == []
            await shares(bob, tmp_path / "b", {**same, "new to ann.txt": b"new"})
            await shares(cat, tmp_path / "c", {"strange.txt": b"strange"})
            picks = await ann.share.browse.recommendations()
            assert [pick.hit.name for pick in picks] == ["new to ann.txt"]
            assert picks[0].because.startswith("node 1 has this, and about ")
            cat.share.finding.compare = bob.share.finding.compare = False
            ann.share.browse.forget_recommendations()
            assert await ann.share.browse.recommendations() == []

    asyncio.run(main())


def test_what_was_fetched_to_somewhere_else_is_here_as_well(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path) as (ann, bob):
            await gather_in_network([ann, bob])
            await met([ann, bob])
            await shares(ann, tmp_path / "a" / "Music", SONGS)
            (hit,) = (await found(bob, '"leave me"'))[0].values()
            assert not hit.here
            view = await bob.share.getting.content(hit.content, hit.size, hit.name, to=tmp_path / "fetched")
            async with asyncio.timeout(60):
                while bob.blobs.transfer(view.id).state != "complete":
                    await asyncio.sleep(0.05)
            (hit,) = (await found(bob, '"leave me"'))[0].values()
            assert hit.here and not any(one.at.mine for one in hit.sources)
            assert await bob.share.browse.known([hit.content, bytes(32)]) == {hit.content}

    asyncio.run(main())
