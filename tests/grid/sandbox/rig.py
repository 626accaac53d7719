"""Slots for tests, on a loop of their own thread, and modules written as text."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec.structs import replace
from wasmtime import wat2wasm

from servent.grid.manifests import Limits
from servent.grid.sandbox.jobs import Ended, Job, Moving, Saved
from servent.grid.sandbox.slots_service import Slots

T = TypeVar("T")
SEED = bytes(range(32))
LIMITS = Limits(seconds=5.0, memory_bytes=4 * 1024**2, output_bytes=64 * 1024, checkpoint_bytes=8 * 1024**2)

ECHO = """(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (loop $more
      (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 65536))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (i32.store (i32.const 4) (i32.load (i32.const 8)))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))
      (br_if $more (i32.load (i32.const 8))))))"""

# Counts `input[0]` slices; a linear congruential generator in a global that is not exported, and its numbers in memory that has a data segment.
COUNTS = """(module
  (memory (export "memory") 2)
  (global $left (mut i32) (i32.const 0))
  (global $state (mut i64) (i64.const 88172645463325252))
  (global $all (mut f64) (f64.const 1))
  (data (i32.const 70000) "\\ff\\ff\\ff\\ff\\ff\\ff\\ff\\ff")
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "begin") (param i32 i32) (result i32)
    (global.set $left (i32.load8_u (local.get 0)))
    (global.set $all (f64.convert_i32_u (global.get $left)))
    (i64.store (i32.const 70000) (i64.const 0))
    (i32.const 0))
  (func $work (param $n i32)
    (loop $more
      (global.set $state (i64.xor (global.get $state) (i64.shl (global.get $state) (i64.const 13))))
      (global.set $state (i64.xor (global.get $state) (i64.shr_u (global.get $state) (i64.const 7))))
      (global.set $state (i64.xor (global.get $state) (i64.shl (global.get $state) (i64.const 17))))
      (i64.store (i32.add (i32.const 2048) (i32.wrap_i64 (i64.and (global.get $state) (i64.const 0xfff8))))
        (i64.add (global.get $state) (i64.load (i32.const 70000))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $more (local.get $n))))
  (func (export "slice") (result i32)
    (call $work (i32.const ROUNDS))
    (global.set $left (i32.sub (global.get $left) (i32.const 1)))
    (global.get $left))
  (func (export "fraction") (result f64)
    (f64.sub (f64.const 1) (f64.div (f64.convert_i32_u (global.get $left)) (global.get $all))))
  (func (export "result") (result i64) (i64.const 0x80000000800))
)"""  # 2048 bytes at 2048


def module(text: str) -> bytes:
    return bytes(wat2wasm(text))


def counts(rounds: int = 1000) -> bytes:
    return module(COUNTS.replace("ROUNDS", str(rounds)))


class Rig:
    """`slots` on a loop in a thread of its own, so that tests call it plainly."""

    def __init__(self, folder: Path, **wanted: Any) -> None:
        self.folder = folder / "work"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "out").mkdir(exist_ok=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._wanted = {"writes": [self.folder], "gentle": False, **wanted}
        self._compiled = folder / "compiled"
        self._stop: Callable[[], None]
        self.moving: list[Moving] = []
        self.saved: list[Saved] = []

    def __enter__(self) -> Self:
        self._thread.start()
        started = threading.Event()
        stopping = asyncio.Event()

        async def hold() -> None:
            async with Slots(self._compiled, **self._wanted) as self.slots:
                started.set()
                await stopping.wait()

        self._held = asyncio.run_coroutine_threadsafe(hold(), self._loop)
        self._stop = lambda: self._loop.call_soon_threadsafe(stopping.set)
        assert started.wait(60), self._held.exception(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._held.result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T], timeout: float = 60.0) -> T:
        return self.begin(work).result(timeout)

    def begin(self, work: Coroutine[Any, Any, T]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, does: Callable[..., object], *arguments: object) -> None:
        """On the loop."""
        self._loop.call_soon_threadsafe(does, *arguments)

    def job(self, code: bytes, abi: str = "command", **wanted: Any) -> Job:
        path = self.folder / f"{hashlib.sha256(code).hexdigest()[:16]}.wasm"
        if not path.exists():
            path.write_bytes(code)
        job = Job(
            number=self.slots.number(),
            module=str(path),
            digest=hashlib.sha256(code).digest(),
            abi=abi,  # type: ignore[arg-type]
            seed=SEED,
            limits=LIMITS,
            folder=str(self.folder / "out"),
            budget=5.0,
        )
        return replace(job, **wanted)

    def run(self, code: bytes, abi: str = "command", **wanted: Any) -> Ended:
        return self.do(self.slots.run(self.job(code, abi, **wanted), self.moving.append, self.saved.append))

    def start(self, code: bytes, abi: str = "command", **wanted: Any) -> tuple[Job, Any]:
        job = self.job(code, abi, **wanted)
        return job, self.begin(self.slots.run(job, self.moving.append, self.saved.append))
