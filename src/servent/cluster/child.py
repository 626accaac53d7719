"""The process of a scheduler or a worker: `python -m servent.cluster.child`. Its node speaks through stdin and hears through stdout.

What runs here may print: the pipe to the node is taken away from stdout first, and everything printed goes to stderr, which the node keeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from servent.cluster import orders
from servent.cluster.model import Papers, Wish
from servent.cluster.rosters import Role
from servent.codec import HEADER_BYTES, frame
from servent.errors import ServentError

PR_SET_PDEATHSIG, SIGKILL = 1, 9  # Linux, prctl(2)
END_WITHIN = 1.5  # s for goodbyes when the node is gone


class Refusal(ServentError):
    """The node does not vouch for this process."""


class PipeDesk:
    """`model.Desk` over the pipes of a child process."""

    def __init__(self, say: Callable[[orders.Word], None]) -> None:
        self._say = say
        self._number = 0
        self._asked: dict[int, asyncio.Future[orders.Answer]] = {}

    async def papers(self, wish: Wish) -> Papers:
        self._number += 1
        number = self._number
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._say(orders.Ask(number, wish))
            answer = await self._asked[number]
        finally:
            self._asked.pop(number, None)
        if answer.papers is None:
            raise Refusal(answer.error, advice=answer.advice)
        return answer.papers

    async def listening(self, cluster: str, process: bytes, role: Role, address: str) -> None:
        self._say(orders.Listening(address))

    def answered(self, answer: orders.Answer) -> None:
        """On the loop."""
        asked = self._asked.get(answer.number)
        if asked is not None and not asked.done():
            asked.set_result(answer)


class Pipes:
    """Both directions to the node. Words may be said from any thread."""

    def __init__(self) -> None:
        self._in = os.dup(0)
        self._out = os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(2, 1)
        os.close(null)
        for pipe in (self._in, self._out):
            os.set_inheritable(pipe, False)  # what tasks start shall not hold them open
        self._lock = threading.Lock()

    def say(self, word: orders.Word) -> None:
        """Raises OSError where the node is gone."""
        data = memoryview(frame(word))
        with self._lock:
            while data:
                data = data[os.write(self._out, data) :]

    def read(self) -> orders.Order | None:
        """The next order; None once the node is gone. Blocks."""
        header = self._exactly(HEADER_BYTES)
        size = int.from_bytes(header, "big") if header else -1
        if not 0 <= size <= orders.ORDER_BYTES:
            return None
        body = self._exactly(size)
        return None if body is None else orders.read_order.decode(body)

    def _exactly(self, size: int) -> bytes | None:
        found = bytearray()
        while len(found) < size:
            data = os.read(self._in, size - len(found))
            if not data:
                return None
            found += data
        return bytes(found)


def die_with_the_node() -> None:
    """Also when it is killed while this process is frozen, in which nothing can be read from a pipe. Linux alone has that."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


async def serve(pipes: Pipes, begin: orders.Begin) -> None:
    """Be what `begin` says, until the node or the cluster ends it."""
    from servent.cluster.dask_roles import make  # Dask: half a second

    loop = asyncio.get_running_loop()
    desk = PipeDesk(pipes.say)
    made = make(begin, desk, pipes.say)
    over = asyncio.Event()

    def listen() -> None:
        while True:
            order = pipes.read()
            loop.call_soon_threadsafe(take, order)
            if order is None:
                return

    def take(order: orders.Order | None) -> None:
        if order is None:
            over.set()
        elif isinstance(order, orders.Answer):
            desk.answered(order)
        elif isinstance(order, orders.Hold):
            made.hold(order.on)
        elif isinstance(order, orders.Retire):
            made.retire()

    threading.Thread(target=listen, name="orders", daemon=True).start()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(made.run(), name=begin.role)
        ending = tasks.create_task(over.wait(), name="the node is there")
        await asyncio.wait((running, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not running.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_WITHIN):
                    await made.close()
            running.cancel()


def main() -> NoReturn:
    """Ends the process itself: threads of tasks that run do not keep it."""
    die_with_the_node()
    pipes = Pipes()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if "--gentle" in sys.argv and hasattr(os, "nice"):
        os.nice(19)
    status = 0
    try:
        begin = pipes.read()
        if isinstance(begin, orders.Begin):
            if begin.home:
                os.environ["SERVENT_DATA_DIR"] = begin.home
            asyncio.run(serve(pipes, begin))
    except BaseException as wrong:  # the node is told, and the whole of it stands in the log
        logging.getLogger("servent.cluster").exception("this process ends")
        status = 1
        with contextlib.suppress(OSError):
            pipes.say(orders.Ended(_line(wrong)))
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)


def _line(wrong: BaseException) -> str:
    while isinstance(wrong, BaseExceptionGroup) and wrong.exceptions:
        wrong = wrong.exceptions[0]
    cause: BaseException | None = wrong
    while cause is not None and not isinstance(cause, ServentError):  # ours says it best
        cause = cause.__cause__
    said = cause if cause is not None else wrong
    words = str(said) or type(said).__name__
    if isinstance(said, ServentError) and said.advice:
        words += f". {said.advice}"
    return words.splitlines()[0][:500]


if __name__ == "__main__":
    main()
