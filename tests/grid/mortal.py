"""A coordinator in a process of its own that may be killed at any moment, and begins anew in milliseconds: for `test_coordinator_killed`.

    python -m tests.grid.mortal FOLDER [batches]    (with everything imported, it forks a coordinator for each line it reads, says its pid, and says when it is dead)

With `batches` it has the room of batches, too, for `test_generations_killed`.
The coordinator listens on FOLDER/socket. A visitor says its number on one byte, then asks; number 255 is the owner, who may add units and read what ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from servent.codec import HEADER_BYTES, encode
from servent.grid import wire
from servent.grid.coordinator_service import Coordinator
from tests.grid.coordinating import hall, pieces, who

OWNER = 255


async def serve(folder: Path, born: int) -> None:
    async with hall(folder / "grid.db", dice=random.Random(born)) as here:

        async def owner(asked: Any) -> Any:
            match asked:
                case ["add", batch, begin, count, deadline]:
                    added = await here.add(pieces(count, begin), batch=batch, deadline=deadline)
                    return [one.unit for one in added]
                case ["finals", after]:
                    found = await here.coordinator.finals(after, 500)
                    return [[one.order, one.unit, one.state, one.output] for one in found]
                case ["view"]:
                    return here.coordinator.view(here.key).by_state
            raise ValueError(asked)

        await listen(folder, here.coordinator, here.key, owner)


async def serve_batches(folder: Path, born: int) -> None:
    from tests.grid.test_batches import desk  # `main` imported it before it forked

    async with desk(folder) as here:

        async def owner(asked: Any) -> Any:
            match asked:
                case ["submit", items, generations, deadline]:
                    made = await here.batches.submit(
                        here.key, "app", items=items, generations=generations, deadline=deadline
                    )
                    return made.id
                case ["view", batch]:
                    view = here.batches.view(batch)
                    return [view.state, view.done, view.errors, view.cancelled]
            raise ValueError(asked)

        await listen(folder, here.coordinator, here.key, owner)


async def listen(
    folder: Path, coordinator: Coordinator, key: bytes, owner: Callable[[Any], Awaitable[Any]]
) -> None:
    async def visitor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = (await reader.readexactly(1))[0]
        visit = None if number == OWNER else coordinator.visit(key, who(number))
        while True:
            try:
                size = int.from_bytes(await reader.readexactly(HEADER_BYTES), "big")
                body = await reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if visit is None:
                said = msgspec.msgpack.encode(await owner(msgspec.msgpack.decode(body)))
            else:
                said = encode(await visit.answer(wire.read_question.decode(body)))
            writer.write(len(said).to_bytes(HEADER_BYTES, "big") + said)
            with contextlib.suppress(ConnectionError):
                await writer.drain()

    server = await asyncio.start_unix_server(visitor, folder / "new")
    os.replace(folder / "new", folder / "socket")
    await server.serve_forever()


def main() -> None:
    folder, live = Path(sys.argv[1]), serve
    if sys.argv[2:] == ["batches"]:
        import tests.grid.test_batches  # noqa: F401

        live = serve_batches
    for born, _ in enumerate(sys.stdin):
        pid = os.fork()
        if not pid:
            asyncio.run(live(folder, born))
            os._exit(0)
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("dead", flush=True)


if __name__ == "__main__":
    main()
