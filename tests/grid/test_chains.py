"""How far chains of generations are, and the film that their results make."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from servent.errors import NotFound, UsageError
from servent.grid import chains_service, wire
from servent.grid.trajectories import HEAD_BYTES, read_head
from tests.grid import films
from tests.grid.coordinating import done, story
from tests.grid.test_batches import Desk, desk
from tests.grid.test_generations import _and, through


def _next(task: wire.Task) -> bytes:
    """Of ten steps each, whatever the first input is."""
    if not task.stdin.startswith(films.MAGIC):
        return films.generation(0, atoms=8, steps=10, every=4)
    before = read_head(task.stdin[:HEAD_BYTES], len(task.stdin))
    return films.generation(before.step // 10, atoms=8, steps=10, every=4)


async def some(here: Desk, count: int, batch: int) -> None:
    """Compute until so many units are done."""
    while here.batches.view(batch).done < count:
        await here.compute(_next)
        await asyncio.sleep(0.01)


@story
async def test_each_chain_says_how_far_it_is_and_who_computes_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a", b"b", b"c"], generations=5)
        chains = here.batches.chains
        page = await chains.chains(batch.id)
        assert [(one.number, one.input, one.done, one.state) for one in page.chains] == [
            (0, "a", 0, "waiting"), (1, "b", 0, "waiting"), (2, "c", 0, "waiting")
        ]  # fmt: skip
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        for volunteer in (ann, bob):
            tasks = {task.stdin: task.lease for task in await volunteer.lease()}
            (first, *_) = (await chains.chains(batch.id)).chains
            assert first.state == "running"
            assert any(one.peer and one.state == "leased" for one in first.copies)
            for stdin, lease in tasks.items():
                await volunteer.give(done(lease, stdin + b"|"))
        await through(here, batch.id)
        page = await chains.chains(batch.id)
        assert {(one.done, one.state, one.unit) for one in page.chains} == {(5, "done", 0)} and not page.more
        page = await chains.chains(batch.id, after=1, limit=1)
        assert [one.number for one in page.chains] == [1] and page.more
        plain = await here.batches.submit(here.key, "app", items=[b"x"])
        with pytest.raises(UsageError):
            await chains.chains(plain.id)
        with pytest.raises(NotFound):
            await chains.chains(99)


@story
async def test_a_chain_that_failed_or_was_cancelled_says_so(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"good", b"bad"], generations=4)
        number = 1
        while here.batches.view(batch.id).state == "running":
            number += 1
            volunteer = await here.volunteer(number % 20)
            for task in await volunteer.lease():
                if task.stdin == b"bad|":
                    await volunteer.give(wire.Result(lease=task.lease, outcome="trap", words="no more"))
                else:
                    await volunteer.give(done(task.lease, _and(task)))
            await asyncio.sleep(0.01)
        good, bad = (await here.batches.chains.chains(batch.id)).chains
        assert (good.done, good.state, bad.done, bad.state) == (4, "done", 1, "error")
        assert "in the same way at 2 of 2" in bad.why
        other = await here.batches.submit(here.key, "app", items=[b"z"], generations=4)
        await here.batches.cancel(other.id)
        (one,) = (await here.batches.chains.chains(other.id)).chains
        assert (one.done, one.state) == (0, "cancelled")


@story
async def test_a_unit_that_nobody_here_may_try_again_says_what_it_waits_for(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"slow"], generations=2)
        ann = await here.volunteer(1)
        (task,) = await ann.lease()
        await ann.give(wire.Result(lease=task.lease, outcome="time", words="it took longer than 1 h"))
        assert await ann.lease() == [], "it is not handed to who failed with it"
        (one,) = (await here.batches.chains.chains(batch.id)).chains
        assert one.state == "waiting"
        assert (
            one.why
            == "it went wrong once: it took longer than 1 h; it waits for somebody who did not try it yet"
        )


@story
async def test_the_results_of_a_chain_are_one_film(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a", b"b"], generations=6)
        chains = here.batches.chains
        with pytest.raises(NotFound, match="no trajectory yet"):
            await chains.trajectory(batch.id, 0)
        await some(here, 6, batch.id)
        assert here.batches.view(batch.id).shows == "trajectory"
        await some(here, 12, batch.id)
        film = await chains.trajectory(batch.id, 1)
        assert (film.input, film.atoms, film.every, film.done, film.generations) == ("b", 8, 4, 6, 6)
        assert [one.number for one in film.parts] == [1, 3, 5, 7, 9, 11]
        assert [step for step, _, _ in film.energies] == list(range(4, 61, 4))
        assert [tuple(said) for _, *said in film.energies] == [films.energies(8, at) for at in range(1, 16)]
        steps = [one.first + 4 * frame for one in film.parts for frame in range(one.frames)]
        assert steps == list(range(4, 61, 4))
        part = film.parts[2]
        whole = films.generation(2, atoms=8, steps=10, every=4)
        assert await chains.frames(batch.id, part.number, 0, 99, 1) == whole[80 + 48 * 8 :]
        each = 16 + 6 * 8
        assert await chains.frames(batch.id, part.number, 1, 1, 1) == whole[80 + 48 * 8 + each :][:each]
        assert await chains.frames(batch.id, part.number, 0, 9, 2) == b"".join(
            whole[80 + 48 * 8 + at * each :][:each] for at in range(0, part.frames, 2)
        )
        assert await chains.frames(batch.id, part.number, 50, 9, 1) == b""
        for chain in (-1, 2):
            with pytest.raises(NotFound):
                await chains.trajectory(batch.id, chain)
        with pytest.raises(NotFound):
            await chains.frames(batch.id, 12, 0, 1, 1)
    async with desk(tmp_path) as here:
        assert here.batches.view(batch.id).shows == "trajectory", "it is remembered"


@pytest.mark.parametrize("odd", [0, 1, 3])
@story
async def test_a_generation_of_other_atoms_is_left_out_and_hides_no_film(tmp_path: Path, odd: int) -> None:
    """Whoever computed it may have made it up."""

    def answer(task: wire.Task) -> bytes:
        number = 0
        if task.stdin.startswith(films.MAGIC):
            number = read_head(task.stdin[:HEAD_BYTES], len(task.stdin)).step // 10
        return films.generation(number, atoms=9 if number == odd else 8, steps=10, every=4)

    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a"], generations=4)
        while here.batches.view(batch.id).done < 4:
            await here.compute(answer)
            await asyncio.sleep(0.01)
        film = await here.batches.chains.trajectory(batch.id, 0)
        shown = [number for number in range(4) if number != odd]
        assert film.atoms == 8 and [one.generation for one in film.parts] == shown
        assert len(film.energies) == sum(one.frames for one in film.parts)


@story
async def test_a_long_film_is_thinned_and_no_answer_is_larger_than_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains_service, "PARTS_MOST", 3)
    monkeypatch.setattr(chains_service, "ENERGIES_MOST", 4)
    monkeypatch.setattr(chains_service, "FRAMES_BYTES", 200)
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a"], generations=7)
        await some(here, 7, batch.id)
        film = await here.batches.chains.trajectory(batch.id, 0)
        assert [one.generation for one in film.parts] == [0, 3, 6] and len(film.energies) == 4
        assert film.energies[-1][0] == film.parts[-1].first + 4 * (film.parts[-1].frames - 1)
        assert len(await here.batches.chains.frames(batch.id, 1, 0, 3, 1)) == 3 * 64 <= 200
        with pytest.raises(UsageError, match="8 MiB"):
            monkeypatch.setattr(chains_service, "FRAMES_BYTES", 100)
            await here.batches.chains.frames(batch.id, 1, 0, 3, 1)


@story
async def test_results_that_are_no_trajectories_show_none(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        batch = await here.batches.submit(here.key, "app", items=[b"a"], generations=2)
        await through(here, batch.id)
        assert here.batches.view(batch.id).shows == ""
        with pytest.raises(NotFound, match="no trajectory"):
            await here.batches.chains.trajectory(batch.id, 0)
        with pytest.raises(NotFound, match="no trajectory"):
            await here.batches.chains.frames(batch.id, 0, 0, 1, 1)
