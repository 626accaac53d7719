"""The world as a module in the sandbox sees it: WASI preview 1, of which only bytes, arguments, seeded dice and a made-up clock exist. Pure.

Every copy of a unit sees the same world, whatever the machine: the dice are SHAKE-128 of the unit's seed, the clock stands at a fixed moment and
moves on by a millisecond whenever it is looked at, and a sleep moves it on at once. There are no files, folders, sockets or variables; asking for them gets
the errors that WASI has for this. Nothing here trusts an address or a length that the module gives.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

STARTS_AT = 10**18  # ns: 9 September 2001, the clock of every unit
LOOK = 10**6  # ns that one look at the clock takes
MOST_VECTORS = 1024  # parts of one read or write, as IOV_MAX of Linux
MOST_RANDOM = 16 * 1024 * 1024  # bytes at once
PART = 1024 * 1024  # bytes copied at once
MOST_EVENTS = 1024
STDERR_KEPT = 4096  # bytes, the last ones
STDERR_FREE = 64 * 1024  # bytes that may be said there beyond what the result may have

OK, BADF, FAULT, INVAL, NOENT, NOSYS, NOTSUP, SPIPE, NOTCAPABLE = 0, 8, 21, 28, 44, 52, 58, 70, 76

_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
_CHARACTER_DEVICE = 2
_READ, _WRITE = 1 << 1, 1 << 6  # rights


# Each function of WASI preview 1 and what it takes: i for i32, I for i64, - for nothing.
_WASI = """
    args_get ii args_sizes_get ii environ_get ii environ_sizes_get ii clock_res_get ii clock_time_get iIi fd_advise iIIi
    fd_allocate iII fd_close i fd_datasync i fd_fdstat_get ii fd_fdstat_set_flags ii fd_fdstat_set_rights iII fd_filestat_get ii
    fd_filestat_set_size iI fd_filestat_set_times iIIi fd_pread iiiIi fd_prestat_get ii fd_prestat_dir_name iii fd_pwrite iiiIi fd_read iiii
    fd_readdir iiiIi fd_renumber ii fd_seek iIii fd_sync i fd_tell ii fd_write iiii path_create_directory iii path_filestat_get iiiii
    path_filestat_set_times iiiiIIi path_link iiiiiii path_open iiiiiIIii path_readlink iiiiii path_remove_directory iii path_rename iiiiii
    path_symlink iiiii path_unlink_file iii poll_oneoff iiii proc_exit i proc_raise i sched_yield - random_get ii sock_accept iii
    sock_recv iiiiii sock_send iiiii sock_shutdown ii"""


def _signatures() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    said = _WASI.split()
    names = {"i": "i32", "I": "i64"}
    return {
        name: (tuple(names[c] for c in takes if c != "-"), () if name == "proc_exit" else ("i32",))
        for name, takes in zip(said[::2], said[1::2], strict=True)
    }


FUNCTIONS = _signatures()  # of WASI preview 1: what each takes and gives


class Exit(Exception):
    """The module ended itself."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit {code}")
        self.code = code


class TooMuch(Exception):
    """The module wrote more than it may."""


class Memory(Protocol):
    """Linear memory of the module that is running. `read` and `write` raise `Outside` beyond its end; `moved`: the module ran in between."""

    def read(self, at: int, size: int) -> bytes: ...

    def write(self, at: int, data: bytes) -> None: ...

    def moved(self) -> None: ...


class Outside(Exception):
    """An address or length that is not in the module's memory."""


class World:
    """What one run of a module sees.

    Args:
        args: after the name of the program, which is always "unit".
        seed: 32 bytes. source: reads up to so many bytes of the input. sink: takes the result; `most`: bytes it may have.
        looks, rolls: how often clock and dice were used before, for a run that goes on.
    """

    def __init__(
        self,
        args: Sequence[str],
        seed: bytes,
        source: Callable[[int], bytes],
        sink: Callable[[bytes], None],
        most: int,
        *,
        clock: int = 0,
        rolls: int = 0,
    ) -> None:
        self._args = [b"unit\0", *(arg.encode() + b"\0" for arg in args)]
        self._seed = seed
        self._source, self._sink = source, sink
        self._most = most
        self._written = 0
        self._said = 0
        self.stderr = b""
        self.clock = clock  # ns since the run began
        self.rolls = rolls
        self.memory: Memory | None = None

    def call(self, name: str, arguments: Sequence[int]) -> int:
        """One call of the module: an errno of WASI. `arguments`: unsigned, as FUNCTIONS says.

        Raises:
            Exit, TooMuch: the module is over.
        """
        does = _CALLS.get(name)
        if does is None:  # descriptors beyond 2 never exist, and nobody may open one
            return NOTCAPABLE if name.startswith(("path_", "sock_")) else BADF
        if self.memory is None:  # called by its own start function, before there is a memory to see
            return FAULT
        self.memory.moved()
        try:
            return does(self, *arguments)
        except Outside:
            return FAULT

    # -- strings

    def _strings_sizes(self, strings: list[bytes], count: int, size: int) -> int:
        self._put(count, _U32.pack(len(strings)))
        return self._put(size, _U32.pack(sum(map(len, strings))))

    def _strings_get(self, strings: list[bytes], at: int, text: int) -> int:
        for number, string in enumerate(strings):
            self._put(at + 4 * number, _U32.pack(text & 0xFFFFFFFF))
            self._put(text, string)
            text += len(string)
        return OK

    # -- streams

    def _vectors(self, at: int, count: int) -> list[tuple[int, int]]:
        table = self._get(at, 8 * count)
        return [struct.unpack_from("<II", table, 8 * number) for number in range(count)]

    def _write(self, fd: int, at: int, count: int, result: int) -> int:
        if fd not in (1, 2):
            return BADF
        if count > MOST_VECTORS:
            return INVAL
        total = 0
        for start, size in self._vectors(at, count):
            if fd == 1:
                self._written += size
                if self._written > self._most:
                    raise TooMuch(f"it wrote more than the {self._most} bytes that its result may have")
                for part in range(start, start + size, PART):
                    self._sink(self._get(part, min(PART, start + size - part)))
            else:
                self._said += size
                if self._said > self._most + STDERR_FREE:
                    raise TooMuch(f"it said more than {self._most + STDERR_FREE} bytes on stderr")
                kept = min(size, STDERR_KEPT)
                self._get(start + size - 1, 1 if size else 0)
                self.stderr = (self.stderr + self._get(start + size - kept, kept))[-STDERR_KEPT:]
            total += size
        return self._put(result, _U32.pack(total & 0xFFFFFFFF))

    def _read(self, fd: int, at: int, count: int, result: int) -> int:
        if fd != 0:
            return BADF
        if count > MOST_VECTORS:
            return INVAL
        total = 0
        for start, size in self._vectors(at, count):
            if size:
                self._get(start + size - 1, 1)  # there is room, or nothing is taken from the input
            end = start + size
            while start < end and (data := self._source(min(PART, end - start))):
                self._put(start, data)
                start += len(data)
                total += len(data)
            if start < end:
                break
        return self._put(result, _U32.pack(total))

    def _fdstat(self, fd: int, at: int) -> int:
        if fd > 2:
            return BADF
        return self._put(at, struct.pack("<BxHxxxxQQ", _CHARACTER_DEVICE, 0, _READ if fd == 0 else _WRITE, 0))

    def _filestat(self, fd: int, at: int) -> int:
        if fd > 2:
            return BADF
        return self._put(at, struct.pack("<QQB7xQQQQQ", 0, fd, _CHARACTER_DEVICE, 1, 0, 0, 0, 0))

    # -- clock and dice

    def _now(self, which: int) -> int:
        return self.clock + (STARTS_AT if which == 0 else 0)

    def _clock_res(self, which: int, at: int) -> int:
        return self._put(at, _U64.pack(LOOK)) if which < 4 else INVAL

    def _clock_time(self, which: int, precision: int, at: int) -> int:
        if which > 3:
            return INVAL
        self.clock += LOOK
        return self._put(at, _U64.pack(self._now(which) & (2**64 - 1)))

    def _random(self, at: int, size: int) -> int:
        if size > MOST_RANDOM:
            return INVAL
        self.rolls += 1
        return self._put(at, hashlib.shake_128(self._seed + _U64.pack(self.rolls)).digest(size))

    def _poll(self, subscriptions: int, events: int, count: int, result: int) -> int:
        """Streams are always ready; else the earliest clock has come, at once."""
        if not 0 < count <= MOST_EVENTS:
            return INVAL
        ready: list[bytes] = []
        clocks: list[tuple[int, bytes]] = []
        for number in range(count):
            said = self._get(subscriptions + 48 * number, 48)
            who, kind = said[:8], said[8]
            if kind == 0:
                which, after, flags = *struct.unpack_from("<IxxxxQ", said, 16), said[40]
                due = after - self._now(which) if flags & 1 else after
                clocks.append((max(0, due), who))
            elif kind in (1, 2):
                fd = _U32.unpack_from(said, 16)[0]
                ready.append(struct.pack("<8sHB5xQQ", who, OK if fd < 3 else BADF, kind, 1, 0))
            else:
                return INVAL
        if not ready:
            wait = min(due for due, _ in clocks)
            self.clock = min(self.clock + wait, 2**62)
            ready = [struct.pack("<8sHB5xQQ", who, OK, 0, 0, 0) for due, who in clocks if due <= wait]
        self._put(events, b"".join(ready))
        return self._put(result, _U32.pack(len(ready)))

    def _exit(self, code: int) -> int:
        raise Exit(code)

    # -- memory

    def _get(self, at: int, size: int) -> bytes:
        assert self.memory is not None
        return self.memory.read(at, size) if size else b""

    def _put(self, at: int, data: bytes) -> int:
        assert self.memory is not None
        if data:
            self.memory.write(at, data)
        return OK


def _standard(answer: int) -> Callable[..., int]:
    """`answer` for the three descriptors there are."""
    return lambda world, fd, *rest: answer if fd < 3 else BADF


_CALLS: dict[str, Callable[..., int]] = {
    "args_get": lambda world, at, text: world._strings_get(world._args, at, text),
    "args_sizes_get": lambda world, count, size: world._strings_sizes(world._args, count, size),
    "environ_get": lambda world, at, text: world._strings_get([], at, text),
    "environ_sizes_get": lambda world, count, size: world._strings_sizes([], count, size),
    "clock_res_get": World._clock_res,
    "clock_time_get": World._clock_time,
    "fd_write": World._write,
    "fd_read": World._read,
    "fd_fdstat_get": World._fdstat,
    "fd_filestat_get": World._filestat,
    "fd_close": _standard(OK),
    "fd_seek": _standard(SPIPE),
    "fd_tell": _standard(SPIPE),
    "fd_fdstat_set_flags": _standard(OK),
    "fd_sync": _standard(OK),
    "fd_datasync": _standard(OK),
    "poll_oneoff": World._poll,
    "proc_exit": World._exit,
    "proc_raise": lambda world, signal: world._exit(128 + (signal & 0x7F)),
    "sched_yield": lambda world: OK,
    "random_get": World._random,
}
