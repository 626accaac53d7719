"""Modules run here for their owner: checked as a volunteer would check them, tried, measured, and comparers for the coordinator."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

from servent.errors import DiskTrouble, NotFound, UsageError, WorldError
from servent.grid import project_views as views
from servent.grid.contents_service import Contents
from servent.grid.coordinator_views import ComparerFailed
from servent.grid.manifests import MODULE_BYTES, Abi, App, Limits
from servent.grid.sandbox.jobs import Ended, Job
from servent.grid.sandbox.slots_service import Slots

SHOWN_BYTES = 64 * 1024  # of a result that is shown
COMPARE_SECONDS = 60.0  # of a core, for a comparer
INPUT_BYTES = 1 << 30
ELSEWHERE = ("lost", "module", "input")  # how a comparer ends by no fault of what it compares
COMPARE_MEMORY = 1 << 30  # bytes that a comparer may have


class Trying:
    """Args: `folder`: for inputs and outputs on their way; `slots` may read and write there."""

    def __init__(self, slots: Slots, contents: Contents, folder: Path) -> None:
        self._slots, self._contents, self._folder = slots, contents, folder
        self._comparing = asyncio.Lock()

    async def module_of(self, path: Path) -> bytes:
        """The bytes of a module, put together where it is text. Raises NotFound, UsageError, DiskTrouble."""
        data = await asyncio.to_thread(read_file, path, MODULE_BYTES)
        if data.startswith(b"\0asm"):
            return data
        if path.suffix == ".wat" or data.lstrip().startswith(b"("):
            return await asyncio.to_thread(_assembled, data)
        raise UsageError(
            f"{path} is no WebAssembly module",
            advice="`servent grid build` makes one of C or Python; other compilers call the target wasm32-wasi.",
        )

    async def check(
        self,
        module: bytes,
        abi: Abi,
        limits: Limits,
        *,
        canonical_nans: bool = False,
        name: str = "the module",
    ) -> None:
        """Raises UsageError: no volunteer would run it; it says why."""
        async with self._staged(module) as path:
            wrong = await self._slots.check(
                path, sha256(module).digest(), abi, limits, canonical_nans=canonical_nans
            )
        if wrong:
            raise UsageError(f"{name} cannot be used: {wrong}")

    async def run(
        self,
        module: bytes,
        abi: Abi,
        limits: Limits,
        *,
        args: Sequence[str] = (),
        stdin: Sequence[bytes | Path] = (),
        canonical_nans: bool = False,
    ) -> tuple[Ended, bytes]:
        """Once, as a volunteer would; what came of it, and its whole output. `stdin`: bytes and files, one after the other."""
        async with self._staged(module) as path, self._staged(*stdin) as given:
            folder = path.parent / f"{path.name}-out"
            await asyncio.to_thread(folder.mkdir)
            try:
                job = Job(
                    number=self._slots.number(),
                    module=str(path),
                    digest=sha256(module).digest(),
                    abi=abi,
                    seed=bytes(32),
                    limits=limits,
                    folder=str(folder),
                    args=list(args),
                    stdin_path=str(given) if stdin else "",
                    budget=limits.seconds,
                    canonical_nans=canonical_nans,
                )
                ended = await self._slots.run(job)
                output = ended.output
                if ended.output_path:
                    output = await asyncio.to_thread(Path(ended.output_path).read_bytes)
                return ended, output
            except OSError as wrong:
                raise DiskTrouble(f"cannot read what came of it: {wrong.strerror}") from wrong
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, True)

    async def try_out(
        self,
        module: Path,
        *,
        abi: Abi = "command",
        args: Sequence[str] = (),
        input: Path | None = None,
        seconds: float = 60.0,
        memory_bytes: int = 256 * 1024**2,
    ) -> views.TryOut:
        """What the sandbox makes of a module. Raises NotFound, UsageError, DiskTrouble."""
        data = await self.module_of(module)
        limits = Limits(seconds=seconds, memory_bytes=memory_bytes, output_bytes=1 << 28)
        async with self._staged(data) as path:
            wrong = await self._slots.check(path, sha256(data).digest(), abi, limits)
        if wrong:
            return views.TryOut(outcome="module", words=wrong)
        ended, output = await self.run(data, abi, limits, args=args, stdin=[] if input is None else [input])
        try:
            text, is_base64 = output[:SHOWN_BYTES].decode(), False
        except UnicodeDecodeError:
            text, is_base64 = base64.b64encode(output[:SHOWN_BYTES]).decode(), True
        return views.TryOut(
            outcome=ended.outcome,
            words=ended.words,
            output=text,
            base64=is_base64,
            size_bytes=len(output),
            digest=ended.digest.hex(),
            seconds=ended.seconds,
            slices=ended.slices,
            memory_bytes=ended.memory_bytes,
        )

    async def measure(
        self, module: bytes, abi: Abi, limits: Limits, stdin: bytes, args: Sequence[str] = ()
    ) -> float:
        """Floating-point operations a unit is worth, at least a million: the time it takes here, at the speed this machine has in the sandbox.

        Raises:
            UsageError: it does not end well with this input.
        """
        ended, _ = await self.run(module, abi, limits, args=args, stdin=[stdin] if stdin else [])
        if ended.outcome != "done":
            raise UsageError(
                f"the sample ended badly ({ended.outcome}): {ended.words}",
                advice="Give `--sample` a good input, or say the operations yourself.",
            )
        return max(1e6, ended.seconds * await self._slots.measure() * 1e6)

    async def agree(self, app: App, one: bytes | Path, other: bytes | Path) -> bool:
        """`coordinator_views.Compare`: whether the app's comparer takes two results for the same. Raises ServentError where it cannot be told."""
        if app.comparer is None:
            raise UsageError(f"{app.name} has no comparer")
        path = self._contents.path(app.comparer)
        if path is None:
            raise NotFound(f"the comparer of {app.name} is gone")
        module = await asyncio.to_thread(read_file, path, MODULE_BYTES)
        both: list[bytes | Path] = []
        for result in (one, other):
            size = len(result) if isinstance(result, bytes) else await asyncio.to_thread(_size_of, result)
            both += [size.to_bytes(8, "big"), result]
        limits = Limits(seconds=COMPARE_SECONDS, memory_bytes=COMPARE_MEMORY, output_bytes=1024)
        async with self._comparing:  # results may be long, and lie here once more meanwhile
            ended, _ = await self.run(module, "command", limits, stdin=both)
        if ended.outcome == "done":
            return True
        if ended.outcome == "exit" and re.search(r"\bcode 1\b", ended.words):
            return False
        words = f"the comparer of {app.name} failed: {ended.words or ended.outcome}"
        raise WorldError(words) if ended.outcome in ELSEWHERE else ComparerFailed(words)

    @asynccontextmanager
    async def _staged(self, *parts: bytes | Path) -> AsyncIterator[Path]:
        path = self._folder / secrets.token_hex(8)
        try:
            await asyncio.to_thread(_join, path, parts)
            yield path
        finally:
            await asyncio.to_thread(path.unlink, True)


def _join(path: Path, parts: Sequence[bytes | Path]) -> None:
    """One file of all parts, which never lie in the memory whole. Blocks. Raises NotFound, UsageError, DiskTrouble."""
    try:
        with open(path, "wb") as file:
            for part in parts:
                if isinstance(part, bytes):
                    file.write(part)
                elif _size_of(part) > INPUT_BYTES:
                    raise UsageError(f"{part} has more than {INPUT_BYTES} bytes")
                else:
                    with open(part, "rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
    except OSError as wrong:
        raise DiskTrouble(f"cannot write to {path.parent}: {wrong.strerror}") from wrong


def _size_of(path: Path) -> int:
    """Blocks. Raises NotFound, DiskTrouble."""
    try:
        return path.stat().st_size
    except FileNotFoundError as wrong:
        raise NotFound(f"there is no file {path}") from wrong
    except OSError as wrong:
        raise DiskTrouble(f"cannot read {path}: {wrong.strerror}") from wrong


def read_file(path: Path, most: int) -> bytes:
    """Blocks. Raises NotFound, UsageError, DiskTrouble."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise UsageError(f"{path} has more than {most} bytes")
            return file.read(size)  # no more: so much is set aside for it at once
    except FileNotFoundError as wrong:
        raise NotFound(f"there is no file {path}") from wrong
    except OSError as wrong:
        raise DiskTrouble(f"cannot read {path}: {wrong.strerror}") from wrong


def _assembled(text: bytes) -> bytes:
    """Text to a module. Only here does the node itself load the runtime: it reads what its own person wrote."""
    from servent.grid.sandbox.text import assemble

    return assemble(text)
