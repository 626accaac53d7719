"""What cores show to whoever looks, in virtual time: asked of a unit only while somebody does."""

from __future__ import annotations

import asyncio
import logging

import pytest

from servent.errors import NotFound
from servent.grid.pictures_service import LINGER
from tests.grid.lender import Office, Volunteer, virtually
from tests.grid.pictured import said


def test_a_core_shows_its_pictures_while_somebody_looks_and_its_next_unit_s(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 6)
        async with Volunteer(tmp_path, office) as ann:
            pictures, bench = ann.lending.pictures, ann.bench

            def unit() -> str:
                try:
                    return pictures.look(0).unit
                except NotFound:
                    return ""

            with pytest.raises(NotFound):
                pictures.look(0)
            await ann.until(lambda: bench.running)
            assert not bench.watched
            first = pictures.look(0)
            assert first.picture is None and first.serial == 0
            await ann.until(lambda: pictures.look(0).picture is not None, 5)
            seen = pictures.look(0)
            assert seen.picture is not None and seen.picture.words == "slice 1" and seen.serial == 1
            assert pictures.look(0, after=1).picture is None, "it is known already"
            await ann.until(lambda: pictures.look(0, after=1).picture is not None, 5)
            assert pictures.look(0).unit == first.unit
            await ann.until(lambda: unit() not in ("", first.unit), 60)
            assert pictures.look(0).picture is None, "that was the unit before"
            await ann.until(lambda: pictures.look(0).picture is not None, 5)
            assert pictures.look(0).serial > 2, "a serial never says two pictures"
            assert len(bench.watched) == 1 and len(bench.running) == 2
            await asyncio.sleep(LINGER + 2.0)
            assert bench.running and not bench.watched, "nobody looks any more"

    virtually(story())


def test_what_is_no_picture_is_said_once_and_not_shown(tmp_path, caplog) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 1)
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.shows = lambda done: b"\xff" * 300 if done != 3 else said()
            await ann.until(lambda: ann.bench.running)
            await ann.until(lambda: ann.lending.pictures.look(0).picture is not None, 9)
            await ann.until(lambda: not ann.bench.running or not ann.lending.pictures.look(0), 60)

    with caplog.at_level(logging.INFO, "servent.grid"):
        virtually(story())
    assert sum("shows no picture" in line for line in caplog.messages) == 1
