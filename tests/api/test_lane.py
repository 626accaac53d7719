"""The fast lane: only what is looked at, only what changed, and quiet when nothing moves."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from servent.api import schema
from servent.api.client import NoAnswer, NodeDown
from servent.api.client_lane import open_lane
from servent.api.lane import CALM, FASTEST, MOST_ROWS, PATIENCE, Seen
from servent.api.schema import Transfer
from tests.api.running import client, fake_daemon


def transfer(id: str, done: int) -> Transfer:
    return Transfer(id=id, direction="down", name=id, state="active", done_bytes=done, rate_bytes_per_s=1.0)


def test_a_row_is_told_when_its_numbers_changed_and_not_again() -> None:
    seen = Seen()
    seen.want(["a", "b"])
    assert seen.fresh([transfer("a", 1), transfer("b", 5)]) == [("a", 1, 1.0, None), ("b", 5, 1.0, None)]
    assert seen.fresh([transfer("a", 1), transfer("b", 6)]) == [("b", 6, 1.0, None)]
    assert seen.fresh([transfer("a", 1), transfer("b", 6)]) == []


def test_a_row_that_left_the_screen_and_came_back_is_told_again() -> None:
    seen = Seen()
    seen.want(["a"])
    seen.fresh([transfer("a", 1)])
    seen.want(["b"])
    seen.want(["a"])
    assert seen.fresh([transfer("a", 1)]) == [("a", 1, 1.0, None)]


def test_it_looks_less_often_while_nothing_moves_and_at_once_when_it_does() -> None:
    seen = Seen()
    seen.want(["a"])
    for _ in range(PATIENCE + 1):
        seen.fresh([transfer("a", 1)])
    assert seen.pause == CALM
    seen.fresh([transfer("a", 2)])
    assert seen.pause == FASTEST


async def hear(folder: Path, wish: str, count: int) -> list[Any]:
    api = client(folder)
    async with asyncio.timeout(60), open_lane(api.url, (folder / "api.token").read_text().strip()) as lane:
        await lane.say(wish)
        heard: list[Any] = []
        async for text in lane.heard():
            heard.append(json.loads(text))
            if len(heard) == count:
                break
        return heard


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("lane")
    with fake_daemon(path, "--transfers", "40", "--seconds", "60"):
        yield path


def test_numbers_come_for_the_rows_that_are_seen_and_no_others(folder: Path) -> None:
    moving = [one.id for one in client(folder).transfers() if one.state == "active"][:3]
    wish = json.dumps({"see": [*moving, "nobody"]})
    heard = asyncio.run(hear(folder, wish, 20))
    assert {glance[0] for each in heard for glance in each} == set(moving)


@pytest.mark.parametrize(
    "wish", ["", "[]", '{"see": "a"}', '{"see": [1]}', '{"other": []}', json.dumps({"see": ["x"] * (MOST_ROWS + 1)})]
)  # fmt: skip
def test_nonsense_closes_the_lane_and_nothing_else(folder: Path, wish: str) -> None:
    with pytest.raises(NoAnswer):
        asyncio.run(hear(folder, wish, 1))
    assert client(folder).status().version


def test_nobody_gets_a_lane_without_a_token(folder: Path) -> None:
    async def knock() -> None:
        async with open_lane(client(folder).url, "wrong"):
            pass

    with pytest.raises(NodeDown):
        asyncio.run(knock())


def test_a_glance_is_a_row_of_four(folder: Path) -> None:
    assert msgspec.json.encode(("a", 1, 2.0, None)) == b'["a",1,2.0,null]'
    assert schema.Transfer.__struct_fields__  # the names these four stand for
    assert {"id", "done_bytes", "rate_bytes_per_s", "eta_s"} <= set(schema.Transfer.__struct_fields__)
