"""The store: whole transactions, migrations once, and never a silent new file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from servent.errors import WorldError
from servent.store import Store, StoreTrouble

TABLE = ("CREATE TABLE word (text TEXT PRIMARY KEY); INSERT INTO word VALUES ('a;b')",)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def words(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT text FROM word ORDER BY text")]


def put(word: str) -> Callable[[sqlite3.Connection], None]:
    def job(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO word VALUES (?)", (word,))

    return job


@contextlib.asynccontextmanager
async def opened(path: Path | None, steps: tuple[str, ...] = TABLE) -> AsyncIterator[Store]:
    store = Store(path)
    store.migrate("words", steps)
    async with store:
        yield store


@pytest.mark.parametrize("place", ["file", "memory"])
def test_what_was_written_is_read_and_a_failed_job_leaves_nothing(tmp_path: Path, place: str) -> None:
    async def story() -> None:
        async with opened(tmp_path / "x.db" if place == "file" else None) as store:
            await store.write(put("one"))

            def fails(connection: sqlite3.Connection) -> None:
                put("two")(connection)
                raise KeyError("our own bug stays itself")

            with pytest.raises(KeyError):
                await store.write(fails)
            with pytest.raises(sqlite3.IntegrityError):
                await store.write(put("one"))
            assert await store.read(words) == ["a;b", "one"]

    run(story)


def test_writes_keep_their_order_and_the_reader_cannot_write(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "x.db") as store:
            async with asyncio.TaskGroup() as tasks:
                for number in range(50):
                    tasks.create_task(store.write(put(f"{number:02}")))
            assert len(await store.read(words)) == 51
            with pytest.raises(WorldError):
                await store.read(put("no"))

    run(story)


def test_a_cancelled_caller_does_not_tear_a_transaction(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "x.db") as store:
            task = asyncio.get_running_loop().create_task(store.write(put("whole")))
            await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await store.write(put("after"))
            assert await store.read(words) in (["a;b", "after"], ["a;b", "after", "whole"])

    run(story)


def test_every_step_runs_once_and_new_ones_later(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    more = (*TABLE, "ALTER TABLE word ADD COLUMN size INTEGER; UPDATE word SET size = length(text);")

    async def story() -> None:
        for steps in (TABLE, TABLE, more, more):
            async with opened(path, steps) as store:
                assert await store.read(words) == ["a;b"]
        with pytest.raises(StoreTrouble, match="newer servent"):
            async with opened(path, TABLE):
                pass
        with pytest.raises(StoreTrouble, match="step 0 of words"):
            async with opened(path, ("CREATE TABLE word (other TEXT)", more[1])):
                pass

    run(story)


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"

    async def story() -> None:
        with pytest.raises(sqlite3.OperationalError):
            async with opened(path, (*TABLE, "CREATE TABLE b (x); CREATE TABLE word (again)")):
                pass
        async with opened(path) as store:
            assert await store.read(words) == ["a;b"]

    run(story)


@pytest.mark.parametrize("damage", ["noise", "start", "middle"])
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.db"

    async def story() -> None:
        async with opened(path) as store:
            for number in range(500):
                await store.write(put(f"{number:03}" * 20))
        whole = path.read_bytes()
        broken = {
            "noise": b"this is no database " * 1000,
            "start": b"\0" * 100 + whole[100:],
            "middle": whole[:4096] + b"\xff" * 8192 + whole[12288:],
        }[damage]
        path.write_bytes(broken)
        with pytest.raises(StoreTrouble, match=r"x\.db is damaged") as caught:
            async with opened(path):
                pass
        assert "backup" in caught.value.advice
        assert path.read_bytes() == broken

    run(story)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE word (text)")
    other.commit()
    other.close()
    before = path.read_bytes()

    async def story() -> None:
        with pytest.raises(StoreTrouble, match="some other program"):
            async with opened(path):
                pass

    run(story)
    assert path.read_bytes() == before


def test_the_file_is_for_its_owner_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "new folder" / "x.db"

    async def story() -> None:
        async with opened(path) as store:
            await store.write(put("x"))
            assert {p.stat().st_mode & 0o777 for p in path.parent.iterdir()} == {0o600}
        assert path.parent.stat().st_mode & 0o777 == 0o700
        path.chmod(0o644)
        async with opened(path):
            assert path.stat().st_mode & 0o777 == 0o600
        assert "could be read by others" in caplog.text

    run(story)


def test_a_place_that_cannot_be_written_is_a_disk_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    async def story() -> None:
        with pytest.raises(WorldError, match="cannot open"):
            async with opened(tmp_path / "file" / "x.db"):
                pass

    run(story)


def test_opening_and_closing_twice(tmp_path: Path) -> None:
    async def story() -> None:
        store = Store(tmp_path / "x.db")
        with pytest.raises(RuntimeError):
            await store.read(words)
        await store.open()
        with pytest.raises(RuntimeError):
            store.migrate("late", ())
        with pytest.raises(RuntimeError):
            await store.open()
        await store.close()
        await store.close()
        await store.open()
        await store.close()

    run(story)


def test_a_store_works_in_virtual_time_too(tmp_path: Path) -> None:
    from servent.testing.loop import run as run_virtual

    async def story() -> None:
        for place in (tmp_path / "x.db", None):
            async with opened(place) as store:
                await store.write(put("one"))
                await asyncio.sleep(3600)
                assert await store.read(words) == ["a;b", "one"]

    run_virtual(story())


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    import subprocess
    import sys

    path = tmp_path / "x.db"
    program = f"""
import asyncio, os, signal
from pathlib import Path
from servent.store import Store
async def main():
    store = Store(Path({str(path)!r}))
    store.migrate("words", {TABLE!r})
    await store.open()
    for n in range(20):
        await store.write(lambda db: db.execute("INSERT INTO word VALUES (?)", (str(n),)).rowcount)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9

    async def story() -> None:
        async with opened(path) as store:
            assert len(await store.read(words)) == 21

    run(story)


def test_a_running_store_is_checked_beside_its_work(tmp_path: Path) -> None:
    path = tmp_path / "x.db"

    async def story() -> None:
        async with opened(path) as store:
            for number in range(500):
                await store.write(put(f"{number:03}" * 20))
            assert await store.check() is None
            assert await store.check(limit=-1.0) == "", "out of time is not damage"
        async with opened(path) as store:
            with path.open("r+b") as file:
                file.seek(8192)
                file.write(b"\xff" * 16384)
            try:
                assert await store.check()
            except StoreTrouble as trouble:
                assert "damaged" in str(trouble)
        async with opened(None) as store:
            assert await store.check() is None

    run(story)


def test_what_can_be_made_again_begins_anew_when_it_is_damaged(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "again.db"
        path.write_bytes(b"SQLite format 3\0" + b"\xa5" * 5000)
        store = Store(path)
        store.migrate("room", ["CREATE TABLE things (name TEXT)"])
        said = await store.open_or_begin_anew()
        assert said is not None and "damaged" in said
        await store.write(lambda db: db.execute("INSERT INTO things VALUES ('x')"))
        await store.close()
        aside = [one for one in tmp_path.iterdir() if ".damaged-" in one.name]
        assert len(aside) == 1 and aside[0].read_bytes()[16:20] == b"\xa5" * 4
        again = Store(path)
        again.migrate("room", ["CREATE TABLE things (name TEXT)"])
        assert await again.open_or_begin_anew() is None
        assert await again.read(lambda db: db.execute("SELECT count(*) FROM things").fetchone()[0]) == 1
        await again.close()

    asyncio.run(main())
