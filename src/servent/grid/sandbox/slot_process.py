"""One sandbox process, as the node holds it: started, spoken to, heard, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from servent.codec import HEADER_BYTES, Decoder, frame
from servent.errors import BadMessage, WorldError
from servent.grid.sandbox.jobs import HEARD_BYTES, Heard, Told

CHILD = Path(__file__).with_name("child.py")
START = 60.0  # s until a new process has said that it is ready; a second on a quiet machine
TAIL = 2000  # bytes of what it says on stderr that are kept
READ = 256 * 1024

_heard: Decoder[Heard] = Decoder(Heard, HEARD_BYTES)


class Died(WorldError):
    """A sandbox process is gone. `code`: as `subprocess` gives it, negative for a signal. `said`: the end of its stderr."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"the sandbox process ended with {code}")
        self.code, self.said = code, said


class Process:
    """A running `child.py`. Use `start`; `kill` it in the end, and `hear` until it raises Died."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._kept = bytearray()
        self._killed = False
        self._outgoing: list[bytes] = []
        self._said = b""
        self._errors: asyncio.Task[None] | None = None
        self._psutil: psutil.Process | None = None

    @classmethod
    async def start(
        cls,
        folder: Path,
        reads: Sequence[Path],
        writes: Sequence[Path],
        *,
        compiling: float = 60.0,
        gentle: bool = True,
    ) -> Process:
        """Raises OSError where no process can be started."""
        arguments = [str(folder), "--compiling", str(compiling)]
        for name, folders in (("--read", reads), ("--write", writes)):
            for place in folders:
                arguments += [name, str(place)]
        if not gentle:
            arguments.append("--hasty")
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",  # no variables of ours, no modules from the working directory
            "-B",
            "-X",
            "utf8",
            str(CHILD),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env=_environment(),
            start_new_session=True,  # a Ctrl-C at our terminal is for the node, which then saves what runs
            limit=READ * 2,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def watch(self, group: asyncio.TaskGroup) -> None:
        """Reads what it says on stderr, in a task of `group`."""
        self._errors = group.create_task(self._read_errors(), name=f"stderr of sandbox {self.pid}")

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        while data := await self._process.stderr.read(4096):
            self._said = (self._said + data)[-TAIL:]

    def say(self, *told: Told) -> None:
        """Never waits: what is said is little, and little is under way at once. Lost where the process is gone, which `hear` tells."""
        if not self._outgoing:  # what is said in one turn of the loop goes out together
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing += map(frame, told)

    def _flush(self) -> None:
        assert self._process.stdin is not None
        said, self._outgoing = self._outgoing, []
        if said and not self._process.stdin.is_closing():
            self._process.stdin.write(b"".join(said))

    async def hear(self) -> list[Heard]:
        """What it says next, at least one thing.

        Raises:
            Died: it is gone.
            BadMessage: it says what our own process never would.
        """
        assert self._process.stdout is not None
        found: list[Heard] = []
        while not found:
            data = await self._process.stdout.read(READ)
            if not data:
                code = await self._process.wait()
                if self._errors is not None:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.wait([self._errors], timeout=1.0)
                raise Died(code, self._said.decode(errors="replace"))
            kept = self._kept
            kept += data
            at = 0
            while len(kept) - at >= HEADER_BYTES:
                size = int.from_bytes(kept[at : at + HEADER_BYTES], "big")
                if size > HEARD_BYTES:
                    raise BadMessage("a sandbox process said more than it may")
                if len(kept) - at - HEADER_BYTES < size:
                    break
                at += HEADER_BYTES
                found.append(_heard.decode(bytes(kept[at : at + size])))
                at += size
            del kept[:at]
        return found

    def seconds(self) -> float:
        """Of a core, that it took so far."""
        try:
            if self._psutil is None:
                self._psutil = psutil.Process(self.pid)
            times = self._psutil.cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def finish(self) -> None:
        """It ends when it has said what it has to say."""
        self._flush()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """Once; more does no harm."""
        if self._killed or self._process.returncode is not None:
            return
        self._killed = True
        with contextlib.suppress(ProcessLookupError):
            if os.name == "nt":
                self._process.kill()
            else:  # `Popen.kill` looks first whether it is gone, and would take its end away from asyncio's watcher
                os.kill(self._process.pid, signal.SIGKILL)

    async def gone(self) -> None:
        """After `kill`."""
        await self._process.wait()


def why(code: int, compiling: bool) -> tuple[str, str]:
    """(outcome, words) for a process that went while it compiled a module, or ran a job."""
    if (
        compiling
        and code < 0
        and -code in (getattr(signal, "SIGXCPU", None), getattr(signal, "SIGABRT", None))
    ):
        return "module", "compiling it takes more time or memory than it may"
    names = {
        getattr(signal, "SIGXCPU", None): ("time", "it did not stop when its time was over"),
        getattr(signal, "SIGABRT", None): ("memory", "it took more memory than its process may have"),
        getattr(signal, "SIGXFSZ", None): ("output", "it wrote a larger file than its process may"),
        getattr(signal, "SIGKILL", None): (
            "lost",
            "its process was killed from outside, perhaps because the machine had no memory left",
        ),
    }
    if code < 0 and (known := names.get(-code)):
        return known
    if code < 0:
        with contextlib.suppress(ValueError):
            return "lost", f"its process crashed ({signal.Signals(-code).name})"
    return "lost", f"its process ended with code {code}"


def _environment() -> dict[str, str]:
    """Nothing of ours; what a system cannot do without."""
    wanted = ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "TEMP") if os.name == "nt" else ()
    kept = {name: os.environ[name] for name in wanted if name in os.environ}
    return kept
