"""The world as a Python app sees it: what of WASI 0.2 exists for a unit. Pure. The same as `wasi` for other modules: made-up clock, seeded dice, nothing else.

Functions and resources stand here by interface and name, as a table; what is not in it ends the unit when it is called. Numbers of resources that come from
a unit are looked up, never believed.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import Any

from servent.grid.sandbox.wasi import LOOK, MOST_RANDOM, STARTS_AT, STDERR_KEPT, Exit

SECOND = 10**9  # ns
MOST_POLLABLES = 10_000  # alive at once
WRITE_BYTES = 4096  # that one write may have; what WASI says of `blocking-write-and-flush`
POLLABLE, INPUT, OUTPUT = 1, 2, 3  # kinds of resources
RESOURCES = {
    "wasi:io/poll": {"pollable": POLLABLE},
    "wasi:io/streams": {"input-stream": INPUT, "output-stream": OUTPUT},
}


class NotThere(Exception):
    """The unit asked for what it cannot have. `words` say so."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Own:
    """A resource that is given to the unit: its kind and our number for it."""

    def __init__(self, kind: int, number: int) -> None:
        self.kind, self.number = kind, number


class Said:
    """A case of a result that has no value with it: "ok"."""

    def __init__(self, case: str) -> None:
        self.case = case


class World:
    """What one run of a Python app sees. Args: `seed`: 32 bytes. What it prints is kept for the words of an error, the last of it."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._rolls = 0
        self._due: dict[int, int] = {}  # pollables: the time at which each is ready, ns
        self._next = 3
        self.clock = 0  # ns since the run began
        self.printed = b""

    # -- clocks and sleep

    def now(self) -> int:
        self.clock += LOOK
        return self.clock

    def wall(self) -> dict[str, int]:
        now = STARTS_AT + self.now()
        return {"seconds": now // SECOND, "nanoseconds": now % SECOND}

    def wait_until(self, due: int) -> Own:
        if len(self._due) >= MOST_POLLABLES:
            raise NotThere("it waits for too much at once")
        self._next += 1
        self._due[self._next] = due
        return Own(POLLABLE, self._next)

    def wait_for(self, span: int) -> Own:
        return self.wait_until(min(self.clock + span, 2**63))

    def block(self, number: int) -> None:
        self.clock = max(self.clock, min(self._due.get(number, 0), 2**62))

    def ready(self, number: int) -> bool:
        return self._due.get(number, 0) <= self.clock

    def poll(self, numbers: Sequence[int]) -> list[int]:
        """The places of those that are ready; a sleep is over at once."""
        if not numbers:
            raise NotThere("it waits for nothing")
        self.block(min(numbers, key=lambda one: self._due.get(one, 0)))
        return [at for at, one in enumerate(numbers) if self.ready(one)]

    def dropped(self, kind: int, number: int) -> None:
        if kind == POLLABLE:
            self._due.pop(number, None)

    # -- dice

    def random(self, size: int) -> bytes:
        if size > MOST_RANDOM:
            raise NotThere(f"it wants {size} random bytes at once")
        self._rolls += 1
        return hashlib.shake_128(self._seed + struct.pack("<Q", self._rolls)).digest(size)

    def random_number(self) -> int:
        return int.from_bytes(self.random(8), "little")

    # -- streams

    def write(self, data: bytes) -> Said:
        self.printed = (self.printed + data)[-STDERR_KEPT:]
        return Said("ok")

    def exit(self, code: int) -> None:
        if type(code) is not int:
            raise NotThere("it ends itself with what is no number")
        raise Exit(code)


def _result_code(case: object) -> int:
    """What `exit` was given: "ok" or "err"."""
    return 0 if case == "ok" else 1


# What there is, by interface: how each is called with the world, then with what the unit gives. Resources come as our numbers. A record is a
# dictionary; None is nothing, and the end of an input stream.
FUNCTIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "wasi:io/poll": {
        "poll": World.poll,
        "[method]pollable.block": World.block,
        "[method]pollable.ready": World.ready,
    },
    "wasi:clocks/monotonic-clock": {
        "now": World.now,
        "resolution": lambda world: LOOK,
        "subscribe-duration": World.wait_for,
        "subscribe-instant": World.wait_until,
    },
    "wasi:clocks/wall-clock": {
        "now": World.wall,
        "resolution": lambda world: {"seconds": 0, "nanoseconds": LOOK},
    },
    "wasi:random/random": {"get-random-bytes": World.random, "get-random-u64": World.random_number},
    "wasi:random/insecure": {
        "get-insecure-random-bytes": World.random,
        "get-insecure-random-u64": World.random_number,
    },
    "wasi:random/insecure-seed": {
        "insecure-seed": lambda world: (world.random_number(), world.random_number())
    },
    "wasi:io/streams": {
        "[method]output-stream.check-write": lambda world, stream: WRITE_BYTES,
        "[method]output-stream.write": lambda world, stream, data: world.write(data),
        "[method]output-stream.blocking-write-and-flush": lambda world, stream, data: world.write(data),
        "[method]output-stream.flush": lambda world, stream: Said("ok"),
        "[method]output-stream.blocking-flush": lambda world, stream: Said("ok"),
        "[method]output-stream.subscribe": lambda world, stream: world.wait_until(0),
        "[method]input-stream.read": lambda world, stream, size: None,
        "[method]input-stream.blocking-read": lambda world, stream, size: None,
        "[method]input-stream.subscribe": lambda world, stream: world.wait_until(0),
    },
    "wasi:cli/stdin": {"get-stdin": lambda world: Own(INPUT, 0)},
    "wasi:cli/stdout": {"get-stdout": lambda world: Own(OUTPUT, 1)},
    "wasi:cli/stderr": {"get-stderr": lambda world: Own(OUTPUT, 2)},
    "wasi:cli/terminal-stdin": {"get-terminal-stdin": lambda world: None},
    "wasi:cli/terminal-stdout": {"get-terminal-stdout": lambda world: None},
    "wasi:cli/terminal-stderr": {"get-terminal-stderr": lambda world: None},
    "wasi:cli/environment": {
        "get-environment": lambda world: [],
        "get-arguments": lambda world: ["unit"],
        "initial-cwd": lambda world: None,
    },
    "wasi:cli/exit": {
        "exit": lambda world, case: world.exit(_result_code(case)),
        "exit-with-code": World.exit,
    },
    "wasi:filesystem/preopens": {"get-directories": lambda world: []},
}
