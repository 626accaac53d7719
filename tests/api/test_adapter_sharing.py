"""Codes, wishes and safety through the API's face of real nodes."""

import asyncio
from pathlib import Path

import pytest

from servent.api import schema_share as share
from servent.api.adapter_codes import CodesPart
from servent.api.adapter_safety import SafetyPart
from servent.api.adapter_wishes import WishesPart
from servent.errors import NotFound, UsageError
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet

CONTENT = "ab" * 32


def test_a_code_from_making_to_done(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path, SimNet()) as (ann, bob, cat):
            for node in (ann, bob):
                await node.join(await cat.ticket())
            (tmp_path / "gift.txt").write_text("hello")
            sender, receiver = CodesPart(ann), CodesPart(bob)
            made = await sender.make_code(share.NewCode(path=str(tmp_path / "gift.txt")))
            assert made.sending and made.code.count("-") == 2 and made.expires is not None and made.reason
            got = await receiver.receive(share.ReceiveRequest(code=made.code, to=str(tmp_path / "there")))
            assert got.state == "meeting" and got.code == ""
            async with asyncio.timeout(60.0):
                while receiver.codes()[0].state != "done":
                    assert receiver.codes()[0].reason and sender.codes()[0].reason
                    await asyncio.sleep(0.1)
            done = receiver.codes()[0]
            assert done.peer == str(ann.peer) and done.path == str(tmp_path / "there" / "gift.txt")
            with pytest.raises(UsageError):
                await receiver.receive(share.ReceiveRequest(code="no code at all"))
            with pytest.raises(NotFound):
                await sender.make_code(share.NewCode(path=str(tmp_path / "nothing")))
            with pytest.raises(NotFound):
                await sender.cancel_code("nothing")

    run(main())


def test_blocks_filters_and_reports(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path, SimNet()) as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            await asyncio.sleep(5.0)
            safety = SafetyPart(bob)
            block = await safety.block(share.NewBlock(content=CONTENT, note="bad"))
            assert safety.blocks() == [block] and block.content == CONTENT
            with pytest.raises(UsageError):
                await safety.block(share.NewBlock())
            report = await safety.report(share.NewReport(peer=str(cat.peer), reason="spam", note="so much"))
            assert report.mine and report.told == 1
            (blocked,) = [one for one in safety.blocks() if one.peer]
            assert blocked.peer == str(cat.peer) and blocked.note == "so much"
            (heard,) = SafetyPart(ann).reports()
            assert not heard.mine and heard.by == str(bob.peer) and heard.peer == str(cat.peer)
            for one in safety.blocks():
                await safety.unblock(one.id)
            assert safety.blocks() == []
            filters = share.Filters(words=["bad"], exts=["exe"], kinds=["program"], max_bytes=10)
            assert await safety.set_filters(filters) == filters == safety.filters()
            with pytest.raises(UsageError):
                await safety.set_filters(share.Filters(min_bytes=5, max_bytes=4))
            assert safety.filters() == filters

    run(main())


@pytest.mark.real
def test_wishes_are_listed_changed_and_removed(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(1, tmp_path) as (ann,):
            wishes = WishesPart(ann)
            made = await wishes.add_wish(share.NewWish(q="nina simone type:audio", auto=True, most=3))
            assert made.auto and made.most == 3 and made.reason and made.peers == []
            changed = await wishes.change_wish(made.id, share.WishChange(paused=True, max_bytes=5))
            assert changed.paused and changed.max_bytes == 5 and changed.reason == "paused"
            assert await wishes.wish_matches(made.id, share.Page()) == []
            for wrong in (share.NewWish(q='"open'), share.NewWish(q="x", peers=["nobody-of-that-name"])):
                with pytest.raises(UsageError):
                    await wishes.add_wish(wrong)
            assert [wish.id for wish in wishes.wishes()] == [made.id]
            await wishes.remove_wish(made.id)
            assert wishes.wishes() == []

    asyncio.run(main())
