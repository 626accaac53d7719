"""The system tells of changes; on the real clock, with real files."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from servent.share import tending
from tests.share.libraries import Lib, library


async def until(what: Callable[[], Awaitable[bool]], limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        while not await what():
            await asyncio.sleep(0.05)


def old(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (time.time() - 60, time.time() - 60.5))


def names(lib: Lib, wanted: list[str]) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await lib.names() == wanted

    return look


def test_what_is_made_moved_and_deleted_is_noticed(tmp_path: Path) -> None:
    old(tmp_path / "s" / "a.txt", b"a")

    async def main() -> None:
        async with library(tmp_path, watch=True, quiet=0.2) as lib:

            async def watched() -> bool:
                return lib.library._folders[view.id].watcher is not None

            view = await lib.library.add(tmp_path / "s")
            await until(watched)  # which looks through it once more, for what changed before
            await lib.library.settled()
            scanned = lib.library.folder(view.id).scanned
            await asyncio.sleep(0.5)  # the system watches
            old(tmp_path / "s" / "deep" / "b.txt", b"b")
            await until(names(lib, ["a.txt", "b.txt"]))
            (tmp_path / "s" / "deep").rename(tmp_path / "s" / "other")
            (tmp_path / "s" / "a.txt").rename(tmp_path / "s" / "c.txt")
            await until(names(lib, ["b.txt", "c.txt"]))
            (tmp_path / "s" / "c.txt").unlink()
            await until(names(lib, ["b.txt"]))
            (tmp_path / "s" / "other" / "b.txt").write_bytes(b"other")
            await until(lambda: sized(lib, 5))
            assert lib.library.folder(view.id).scanned == scanned, "it was looked through as a whole"
            await lib.check()

    async def sized(lib: Lib, size: int) -> bool:
        return await lib.rows("SELECT size FROM files WHERE root IS NOT NULL") == [(size,)]

    asyncio.run(main())


def test_where_the_system_cannot_watch_it_is_looked_through_and_said_so(
    tmp_path: Path, monkeypatch: object
) -> None:
    old(tmp_path / "s" / "a.txt", b"a")

    class Full:
        """inotify has no room."""

        def __init__(self, root: str, changed: object, lost: Callable[[str], None]) -> None:
            self._lost = lost

        def start(self) -> None:
            self._lost("it has more folders than this system watches")

        def stop(self) -> None:
            return

    async def main() -> None:
        async with library(tmp_path, watch=True) as lib:
            view = await lib.library.add(tmp_path / "s")
            await lib.library.settled()
            await asyncio.sleep(1)
            shown = lib.library.folder(view.id)
            assert "noticed within 1 min" in shown.reason
            assert "more folders" in shown.reason
            old(tmp_path / "s" / "b.txt", b"b")
            await asyncio.sleep(61)
            assert await lib.names() == ["a.txt", "b.txt"]

    from servent.testing.loop import run

    watcher, tending.Watcher = tending.Watcher, Full  # type: ignore[misc,assignment]
    try:
        run(main())
    finally:
        tending.Watcher = watcher  # type: ignore[misc]
