"""The user's command after each download: no shell, a process group of its own, a time limit, its output in the log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from servent.blobs.queueing import command, filled
from servent.blobs.rows import Row
from servent.errors import UsageError

log = logging.getLogger("servent.on_complete")

LIMIT = 600.0  # s a command may take
AT_ONCE = 2  # commands
MOST_WAITING = 10_000
MOST_OUTPUT = 16 * 1024  # bytes of output that go into the log
PATIENCE = 2.0  # s between asking it to end and ending it


class Hook:
    """Runs the command for downloads that are complete, one after another.

    Args:
        template: the setting, asked each time.
        failed: called with a row and what there is to say of it.
    """

    def __init__(
        self, template: Callable[[], str], failed: Callable[[Row, str], None], *, limit: float = LIMIT
    ) -> None:
        self._template, self._failed, self._limit = template, failed, limit
        self._queue: asyncio.Queue[Row] = asyncio.Queue(MOST_WAITING)

    def completed(self, row: Row) -> None:
        """Run it for this one when there is room."""
        if not self._template() or row.preview or row.path is None:
            return
        try:
            self._queue.put_nowait(row)
        except asyncio.QueueFull:
            self._failed(row, f"complete; your command was not run: {MOST_WAITING} are waiting already")

    async def run(self) -> None:
        """Until cancelled; commands that run then are ended."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(AT_ONCE):
                tasks.create_task(self._work(), name=f"commands after downloads {number}")

    async def _work(self) -> None:
        while True:
            row = await self._queue.get()
            try:
                wrong = await self._one(row)
            except (UsageError, OSError, ValueError) as trouble:
                wrong = f"could not be started: {getattr(trouble, 'strerror', None) or trouble}"
            if wrong:
                log.warning("the command after %r %s", row.name, wrong)
                self._failed(row, f"complete; your command {wrong}")

    async def _one(self, row: Row) -> str:
        path, infohash = row.path or "", row.infohash.hex()
        words = filled(
            command(self._template()), path=path, name=row.name, size=row.size_bytes, infohash=infohash
        )
        if not words:
            return ""
        environment = {
            **os.environ,
            "SERVENT_PATH": path,
            "SERVENT_NAME": row.name,
            "SERVENT_SIZE": str(row.size_bytes),
            "SERVENT_INFOHASH": infohash,
        }
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=Path(path).parent,
            env=environment,
            start_new_session=os.name == "posix",
        )
        output = bytearray()
        try:
            async with asyncio.timeout(self._limit):
                await _read(process, output)
                status = await process.wait()
        except TimeoutError:
            return f"took longer than {self._limit:.0f} s and was ended"
        finally:
            await _end(process)
            said = output.decode("utf-8", "replace").strip()
            if said:
                log.info("the command after %r says: %s", row.name, said)
        if status == 0:
            return ""
        last = said.splitlines()[-1][:200] if said else ""
        how = f"ended with signal {-status}" if status < 0 else f"failed with exit status {status}"
        return f"{how}: {last}" if last else how


async def _read(process: asyncio.subprocess.Process, output: bytearray) -> None:
    """All it says, of which the beginning is kept."""
    assert process.stdout is not None
    while data := await process.stdout.read(65536):
        output += data[: MOST_OUTPUT - len(output)]


async def _end(process: asyncio.subprocess.Process) -> None:
    """It and everything it started are gone afterwards."""
    if os.name != "posix":
        if process.returncode is None:
            process.kill()
            await process.wait()
        return
    for way, patience in ((signal.SIGTERM, PATIENCE), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, way)
        if process.returncode is not None:
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await process.wait()
