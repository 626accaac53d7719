"""The page's process beside the node: started, restarted when it falls over, stopped with the node.

The contract: `python -m servent.web --data-dir DIR --port N` finds the API through the data directory's
`api.json` and `api.token`, prints `page http://127.0.0.1:PORT/` on stdout when it serves, and ends on SIGTERM
or when its stdin closes (so it never outlives a node that was killed).
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

log = logging.getLogger("servent.api.web")

READY_WITHIN = 20.0  # s; importing NiceGUI takes half a second, on a small machine ten
STOP_WITHIN = 1.5  # s; then it is killed
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # s between restarts


class WebProcess:
    """Runs the page's process.

    Args:
        data_dir: passed on.
        port: of the page; 0 for any, the same one after each restart if it is still free.
        on_url: called with the page's address when it serves, and with None when it is gone.
        command: what to run in place of `python -m servent.web`.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int,
        on_url: Callable[[str | None], None],
        command: Sequence[str] = (sys.executable, "-m", "servent.web"),
    ) -> None:
        self._command = [*command, "--data-dir", str(data_dir)]
        self._port = port
        self._on_url = on_url
        self._process: asyncio.subprocess.Process | None = None
        self._again = asyncio.Event()
        self.settled = asyncio.Event()
        """Set once the page serves, or its first process has ended without serving."""

    async def run(self) -> None:
        """Keep it running until cancelled; then it is stopped before this returns."""
        wait = FIRST_WAIT
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            asked = await self._once()
            if asked or loop.time() - started > LONGEST_WAIT:
                wait = FIRST_WAIT
            if not asked:
                log.warning("the page's process ended; it starts again in %.0f s", wait)
                try:
                    async with asyncio.timeout(wait):
                        await self._again.wait()
                except TimeoutError:
                    wait = min(wait * 2, LONGEST_WAIT)

    async def restart(self) -> None:
        """End the process; `run` starts it again at once."""
        self._again.set()

    async def _once(self) -> bool:
        """One life of the process. True when it ended because a restart was asked for."""
        self._again.clear()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command,
                "--port",
                str(self._port),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        except OSError as wrong:
            log.error("the page's process does not start: %s", wrong)
            self.settled.set()
            return False
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(process), name="page: what it prints")
                asking = tasks.create_task(self._again.wait(), name="page: asked to restart")
                await asyncio.wait((reading, asking), return_when=asyncio.FIRST_COMPLETED)
                asked = asking.done()
                reading.cancel()
                asking.cancel()
            return asked
        finally:
            self.settled.set()
            self._on_url(None)
            await self._stop(process)
            self._process = None

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than the reader's buffer: not ours to understand
                continue
            if not line:
                await process.wait()
                return
            word, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            url = urlsplit(rest)
            if word == "page" and url.scheme == "http" and url.hostname == "127.0.0.1" and url.port:
                self._port = self._port or url.port  # an open tab finds it again after a restart
                self._on_url(f"http://127.0.0.1:{url.port}/")
                self.settled.set()
            elif line.strip():
                log.info("page: %s", line.decode("utf-8", "replace").strip()[:500])

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            try:
                process.terminate()
                async with asyncio.timeout(STOP_WITHIN):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
            except ProcessLookupError:
                await process.wait()
        if process.stdin is not None:
            process.stdin.close()
