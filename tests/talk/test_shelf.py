"""What rooms keep: the shelf on the disk does what the one in memory does, and shows it as history."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from servent.store import Store
from servent.talk import records
from servent.talk.history_service import History
from servent.talk.records import Act, Body, Founding, Message, Settings
from servent.talk.shelf import KeptRoom, MemoryShelf, Row
from servent.talk.shelf_service import DiskShelf, name_of
from servent.testing.loop import run
from tests.net.party import identity

ROOM, OTHER = b"r" * 16, b"o" * 16
ME, ANN = bytes(identity(1).peer), bytes(identity(2).peer)


@dataclass
class Disk:
    store: Store
    history: History
    shelf: DiskShelf


async def disk(path: Path | None = None) -> Disk:
    store = Store(path)
    history = History(store, lambda: 1000.0)
    shelf = DiskShelf(store, history, ME, lambda: "me")
    await store.open()
    await history.open()
    return Disk(store, history, shelf)


def message(number: int, text: str = "hello", author: bytes = ANN, **more: object) -> Message:
    body = Body(text) if text else bytes(16)
    made = Message(ROOM, author, b"e" * 8, number, bytes(16), number * 1000, number * 1000, body)
    return structs.replace(made, **more)


def row(one: Message, own: bool = False) -> Row:
    return Row(records.message_id(one), one, 1000.0, own)


def alike(messages: list[Message]) -> list[bytes]:
    """Bodies may be left out."""
    return sorted(records.digest_of(one) + one.signature for one in messages)


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_both_shelves_keep_the_same(seed: int) -> None:
    dice = random.Random(seed)

    async def story() -> None:
        here, there = MemoryShelf(), await disk()
        shelf = there.shelf
        ids: list[bytes] = []
        bare: set[bytes] = set()
        for _ in range(30):
            one = message(dice.randrange(1, 20), dice.choice(["a", "b", ""]))
            match dice.choice(["append", "append", "sign", "strip", "prune"]):
                case "append":
                    rows = [row(one)]
                case "sign":
                    rows = [row(structs.replace(one, signature=b"s" * 64))]
                case "strip":
                    some = dice.sample(ids, min(len(ids), 2))
                    bare.update(some)
                    await here.strip(ROOM, some)
                    await shelf.strip(ROOM, some)
                    continue
                case _:
                    some = dice.sample(ids, min(len(ids), 1))
                    await here.prune(ROOM, some)
                    await shelf.prune(ROOM, some)
                    continue
            if rows[0].id in bare:  # what was taken back is not said again
                continue
            ids += [one.id for one in rows]
            await here.append(ROOM, rows)
            await shelf.append(ROOM, rows)
        assert alike(await shelf.load(ROOM)) == alike(await here.load(ROOM))
        whole = {records.message_id(one): one for one in await here.messages(ROOM, ids)}
        mine = {records.message_id(one): one for one in await shelf.messages(ROOM, ids)}
        assert mine == whole
        assert await shelf.load(OTHER) == []
        await there.store.close()

    asyncio.run(story())


def test_rooms_and_acts_come_back_after_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        there = await disk(tmp_path / "talk.db")
        founding = Founding(bytes(32), ME, bytes(16), 1, "invite", Settings("den"))
        room = KeptRoom(ROOM, founding, True, b"e" * 8, keys=[(1, b"k" * 32)])
        act = Act(ROOM, ME, 1, 5, 5, "ban", ANN, reason="spam")
        await there.shelf.keep_room(room)
        await there.shelf.keep_acts(ROOM, [act, act])
        await there.shelf.append(ROOM, [row(message(1))])
        await there.store.close()
        there = await disk(tmp_path / "talk.db")
        assert await there.shelf.rooms() == [room] and await there.shelf.acts(ROOM) == [act]
        await there.shelf.forget_room(ROOM)
        assert await there.shelf.rooms() == [] == await there.shelf.acts(ROOM) == await there.shelf.load(ROOM)
        rows, _ = await there.history.page(name_of(ROOM))
        assert [one.text for one in rows] == ["hello"], "what was said stays with who heard it"
        await there.store.close()

    run(story())


def test_what_is_said_in_a_room_is_history_in_the_rooms_own_order(tmp_path: Path) -> None:
    async def story() -> None:
        there = await disk()
        conversation = name_of(ROOM)
        await there.shelf.append(ROOM, [row(message(3, "third")), row(message(1, "first @me\x00"))])
        await there.shelf.append(ROOM, [row(message(2, "mine", ME), own=True)])
        await there.shelf.append(ROOM, [row(message(4, "", takes=records.message_id(message(3, "third"))))])
        rows, _ = await there.history.page(conversation)
        assert [(one.text, one.state, one.mention) for one in rows] == [
            ("first @me", 0, True), ("mine", 1, False), ("third", 0, False),
        ]  # fmt: skip
        assert there.history.tally(conversation)[:2] == (2, 1)
        await there.shelf.strip(ROOM, [records.message_id(message(3, "third"))])
        rows, _ = await there.history.page(conversation)
        assert [one.removed for one in rows] == [False, False, True]
        assert await there.history.search("third") == []
        await there.history.mark_read(conversation)
        await there.shelf.append(ROOM, [row(message(2, "late, below the mark"))])
        assert there.history.tally(conversation).unread == 0
        await there.shelf.append(ROOM, [row(message(9, "new"))])
        assert there.history.tally(conversation).unread == 1
        await there.store.close()

    run(story())
