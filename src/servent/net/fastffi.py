"""A fast road into the iroh 1.2 wheel, whose generated Python copies buffers byte by byte.

uniffi's generator has since learnt `memmove` (mozilla/uniffi-rs pull request 2824); the wheel has not been
generated anew. Until it is, this module replaces the few internals on the hot path and adds `RustCall`: an
awaitable call that a cancelled reader may leave and the next reader takes up again, so that nothing that
Rust has already read is dropped. It touches only sources it knows word for word; others stay as they are,
with a warning unless they are fast by themselves.

It also keeps Python's collector from stopping the whole node. Rust wakes us while it holds the lock of a
connection; were a stream of that connection collected at that moment, dropping it would wait for this lock
for ever. So what dies inside a wake-up is given back to Rust a moment later (`_rust_call`, `_bury`).
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import hashlib
import itertools
import logging
import re
import struct
import threading
import time
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal, Protocol

from iroh import iroh_ffi

ffi: Any = iroh_ffi  # generated, and half of it untyped
log = logging.getLogger(__name__)

IrohError = iroh_ffi.IrohError
ERRORS = (
    iroh_ffi.IrohError,
    iroh_ffi.InternalError,
)  # what a call into iroh raises; the second is a panic in Rust

State = Literal["patched", "not needed", "unknown"]

# What is replaced, or relied on, and the SHA-256 of its source in iroh 1.2.0.
KNOWN: dict[str, str] = {
    "_UniffiRustBuffer": "5ac0837ce3e2114bf241024e2ea7d5ccd47780f30fd06aa03dcc5a9a3ecc5ced",
    "_UniffiRustBufferStream": "2ecd157ababdde69210dc4078d69d52b26fe3d82259fe62a187d15b14bb7d9c1",
    "_UniffiRustBufferBuilder": "afe24c80258f2a7fb6fedbd99dd4dab35b8bb5583ca9f74d8cf0c3beb04b5e96",
    "_UniffiRustCallStatus": "d2fe2425462d5b92cdcc405b2e87e3d99c640c63cbf587ac175d5ea34251c6d5",
    "_UniffiConverterRustBuffer": "d86d14238809e7c67294c2193c094bfa324f1a9cde7e907f2089693647dd6e13",
    "_UniffiFfiConverterBytes": "bf9d2243a50a4a6eaaa90ecc2c7223e4dc81b7b11c6057a8aaa6ef1c686c3580",
    "_uniffi_rust_call": "5bd3c2df3141e49717b89f97e20e204d629545a09a70c68edb4f874f7267d84b",
    "_uniffi_rust_call_with_error": "0a3df0f0b99be6c70c5cd0776f1598d11d5329e8723cfc797ee56f085d8f9fa7",
    "_uniffi_check_call_status": "82f5cdc6c9277184b13fca3f4c2bae3efb3ef0af7fe20223c34d978f479c1e8d",
    "_uniffi_continuation_callback": "ac73777db41ea08dc7c643ad149896031135b45134f4cd321938526c3bf7ee4b",
    "_uniffi_rust_call_async": "07beae4317895cd0f8052841cfcfd04dba782c64eee6171c3bd51b9fe82d14e2",
    "Endpoint.accept_next": "15a63bff0221c1bb7ba6c0503c956ea7203f542af56672bf3019b48f5981abd2",
    "RecvStream.read": "492e7e37d5b62745cff478f46c1bc152782d81420bfadf569c7ba82e0dccf82c",
    "RecvStream.read_exact": "cf28fe118c6a99d4c434141dbc35686158bc42b8a3740213a5cf0b7949964662",
    "SendStream.write_all": "7cd136ccb62c6fae3ea6af117fca2e03823adee093942042f221605a2c0556d5",
    "Connection.accept_bi": "957e00a6184467f12efa2e6206c96ec343d0c1470f9757f8878cc3b4ae0ec80e",
    "Connection.read_datagram": "187878f0253c4f8ec471ea210b5bc7113f4420aa3096fc0762f9137d773ab9ac",
}
TURN = 0.002  # s; whoever has been answered at once for this long lets the other tasks have a turn
_READY = 0  # RustFuturePoll::Ready in uniffi
_Memory = ctypes.c_ubyte * (1 << 40)  # a view on any address; nothing of this size is ever allocated


_TOP = re.compile(
    r'^[^\s#)"]', re.MULTILINE
)  # where a top-level statement begins (docstrings reach column 0)
_METHOD = re.compile(r'^    [^\s#)"]|^[^\s#)"]', re.MULTILINE)


def section(source: str, name: str) -> str:
    """The text of one class, function or method in the wheel's module; "" when it is not there."""
    owner, _, method = name.rpartition(".")
    if owner:
        source, indent, end = section(source, owner), "    ", _METHOD
    else:
        indent, end = "", _TOP
    heads = ("class {}(", "class {}:", "def {}(", "async def {}(")
    begins = (source.find(f"\n{indent}{head.format(method)}") for head in heads)
    begin = next((at + 1 for at in begins if at >= 0), -1)
    if begin < 0:
        return ""
    stop = end.search(source, source.find("\n", begin) + 1)
    return source[begin : stop.start() if stop else None].strip()


def changed(source: str) -> list[str]:
    """The internals whose source is not the one this module was written for."""
    return [
        name
        for name, known in KNOWN.items()
        if hashlib.sha256(section(source, name).encode()).hexdigest() != known
    ]


class Call(Protocol):
    """A call into Rust under way."""

    async def wait(self) -> Any:
        """Its result or its IrohError. Cancelling only stops the waiting; wait again for the result.

        Raises:
            RuntimeError: another task is waiting already.
        """
        ...

    def free(self) -> None:
        """Give it up: what it would have returned is lost, who waits gets an InternalError. Safe twice."""
        ...


_calls: dict[int, RustCall] = {}  # calls that Rust has been asked to wake; the key crosses the border
_numbers = itertools.count(1)
_turn = 0.0  # when the loop last went round, as far as calls into Rust know


_inside: set[int] = set()  # threads in which Rust is waking us, perhaps with locks of its own in hand
_dead: deque[tuple[Any, tuple[Any, ...]]] = deque()  # what the collector found there: to be freed outside


@ffi._UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK  # type: ignore[untyped-decorator]
def _wake(number: int, code: int) -> None:
    """Rust says: poll again, or ready. Called on one of Rust's threads, or on ours inside any call into Rust."""
    thread = threading.get_ident()
    _inside.add(thread)
    call: RustCall | None = None
    try:
        call = _calls.pop(number)
        if thread == call.thread:
            call.code = code
            if call.waits:  # not from inside its poll: another call of ours, a close perhaps, had this effect
                call.loop.call_soon(call.woken, code)
            return
        try:
            call.loop.call_soon_threadsafe(call.woken, code)
        except RuntimeError:  # the loop is closed, nobody waits any more
            call.code = code
    finally:
        loop = call.loop if call is not None else None
        del call  # before we are outside: it may be the last that knows it
        _inside.discard(thread)
        if _dead:
            _bury_soon(loop)


def _bury_soon(loop: asyncio.AbstractEventLoop | None) -> None:
    """Somewhere that is not a wake-up: what died in the last one would otherwise keep its sockets open."""
    if loop is not None:
        try:
            loop.call_soon_threadsafe(_bury)
            return
        except RuntimeError:
            pass  # closed, as it is when a node has ended
    threading.Thread(target=_bury, name="give back to iroh", daemon=True).start()


def _rust_call(fn: Any, *args: Any) -> Any:
    """In place of uniffi's. Inside a wake-up only finalizers come here: theirs is done later."""
    if _inside and threading.get_ident() in _inside:
        _dead.append((ffi._uniffi_rust_call_with_error, (None, fn, *args)))
        return None
    return ffi._uniffi_rust_call_with_error(None, fn, *args)


def _bury() -> None:
    """Give back to Rust what died inside a wake-up. Not from inside one."""
    while True:
        try:
            free, args = _dead.popleft()
        except IndexError:  # also when another thread took the last
            return
        free(*args)


class RustCall:
    """Drives one of Rust's futures. Answers that are there at once cost no turn of the loop."""

    __slots__ = (
        "_complete", "_errors", "_free", "_future", "_lift", "_poll", "_polled", "_waiter", "code", "loop", "thread",
    )  # fmt: skip

    def __init__(self, future: int, poll: Any, complete: Any, free: Any, lift: Any, errors: Any) -> None:
        self._future: int | None = future
        self._poll, self._complete, self._free, self._lift, self._errors = poll, complete, free, lift, errors
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.code: int | None = None
        self._polled = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def waits(self) -> bool:
        return self._waiter is not None

    def woken(self, code: int) -> None:
        if _dead:
            _bury()
        self.code = code
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> Any:
        global _turn
        while True:
            if not self._polled:
                self._polled = True
                number = next(_numbers)
                _calls[number] = self
                self._poll(self._future, _wake, number)
                if _dead:
                    _bury()
                if self.code is not None and time.perf_counter() - _turn > TURN:
                    await asyncio.sleep(0)
                    _turn = time.perf_counter()
            while self.code is None and self._future is not None:
                if self._waiter is not None:
                    raise RuntimeError("another task already waits for this; one reader at a time")
                self._waiter = self.loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
                    _turn = time.perf_counter()
            if self._future is None:
                raise ffi.InternalError("this call was given up")
            if self.code == _READY:
                return self._lift(
                    ffi._uniffi_rust_call_with_error(self._errors, self._complete, self._future)
                )
            self.code = None
            self._polled = False

    def free(self) -> None:
        if self._future is not None:
            future, self._future = self._future, None
            self._free(future)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def __del__(self) -> None:
        if self._future is not None and threading.get_ident() in _inside:
            _dead.append((self._free, (self._future,)))
            self._future = None
        else:
            self.free()


async def _rust_call_async(future: int, poll: Any, complete: Any, free: Any, lift: Any, errors: Any) -> Any:
    """In place of uniffi's: no turn of the loop, and no wake-up of it, for what is ready at once."""
    call = RustCall(future, poll, complete, free, lift, errors)
    try:
        return await call.wait()
    finally:
        call.free()


def _address(buffer: Any) -> int:
    return ctypes.cast(buffer.data, ctypes.c_void_p).value or 0


def _copy(address: int, value: Any, size: int) -> None:
    if type(value) is bytes:
        ctypes.memmove(address, value, size)
    else:  # any contiguous buffer of bytes, read-only or not, without a copy in between
        memoryview(_Memory.from_address(address)).cast("B")[:size] = value


def _write(self: Any, value: Any) -> None:
    size = len(value)
    with self._reserve(size):
        _copy(_address(self.rbuf) + self.rbuf.len, value, size)


def _pack_into(self: Any, size: int, form: str, value: Any) -> None:
    with self._reserve(size):
        ctypes.memmove(_address(self.rbuf) + self.rbuf.len, struct.pack(form, value), size)


def _lower_bytes(value: Any) -> Any:
    """Bytes for Rust: one allocation of the right size, one copy."""
    size = len(value)
    buffer = ffi._UniffiRustBuffer.alloc(size + 4)
    address = _address(buffer)
    ctypes.memmove(address, size.to_bytes(4, "big"), 4)
    _copy(address + 4, value, size)
    buffer.len = size + 4
    return buffer


def _lift_bytes(buffer: Any) -> bytes:
    """Bytes from Rust: one copy."""
    try:
        address, length = _address(buffer), buffer.len
        size = int.from_bytes(ctypes.string_at(address, 4), "big", signed=True) if length >= 4 else -1
        if size < 0 or size + 4 != length:
            raise ffi.InternalError(f"{length} bytes from Rust that are no byte string")
        return ctypes.string_at(address + 4, size)
    finally:
        buffer.free()


class _Task:
    """A `Call` for wheels whose internals are not known: an ordinary task, left running when not awaited."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._task = asyncio.get_running_loop().create_task(
            work, name="call into iroh"
        )  # owned: free() ends it

    async def wait(self) -> Any:
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if self._task.cancelled():
                raise ffi.InternalError("this call was given up") from None
            raise

    def free(self) -> None:
        self._task.cancel()


def _buffer_call(function: Any, lift: Any, *arguments: Any) -> RustCall:
    lib = ffi._UniffiLib
    return RustCall(
        function(*arguments),
        lib.ffi_iroh_ffi_rust_future_poll_rust_buffer,
        lib.ffi_iroh_ffi_rust_future_complete_rust_buffer,
        lib.ffi_iroh_ffi_rust_future_free_rust_buffer,
        lift,
        ffi._UniffiFfiConverterTypeIrohError__as_error,
    )


def read(stream: Any, limit: int) -> Call:
    """Start `stream.read(limit)`."""
    if state != "patched":
        return _Task(stream.read(limit))
    function = ffi._UniffiLib.uniffi_iroh_ffi_fn_method_recvstream_read
    return _buffer_call(function, _lift_bytes, stream._uniffi_clone_handle(), limit)


def read_exact(stream: Any, size: int) -> Call:
    """Start `stream.read_exact(size)`."""
    if state != "patched":
        return _Task(stream.read_exact(size))
    function = ffi._UniffiLib.uniffi_iroh_ffi_fn_method_recvstream_read_exact
    return _buffer_call(function, _lift_bytes, stream._uniffi_clone_handle(), size)


def write_all(stream: Any, data: bytes | memoryview) -> Call:
    """Start `stream.write_all(data)`; `data` is copied before this returns."""
    if state != "patched":
        return _Task(stream.write_all(bytes(data)))
    lib = ffi._UniffiLib
    return RustCall(
        lib.uniffi_iroh_ffi_fn_method_sendstream_write_all(stream._uniffi_clone_handle(), _lower_bytes(data)),
        lib.ffi_iroh_ffi_rust_future_poll_void,
        lib.ffi_iroh_ffi_rust_future_complete_void,
        lib.ffi_iroh_ffi_rust_future_free_void,
        lambda nothing: nothing,
        ffi._UniffiFfiConverterTypeIrohError__as_error,
    )


def read_datagram(connection: Any) -> Call:
    """Start `connection.read_datagram()`."""
    if state != "patched":
        return _Task(connection.read_datagram())
    function = ffi._UniffiLib.uniffi_iroh_ffi_fn_method_connection_read_datagram
    return _buffer_call(function, _lift_bytes, connection._uniffi_clone_handle())


def accept_next(endpoint: Any) -> Call:
    """Start `endpoint.accept_next()`. It does not end by itself when the endpoint closes: `free` it."""
    if state != "patched":
        return _Task(endpoint.accept_next())
    lift = ffi._UniffiFfiConverterOptionalTypeIncoming.lift
    return _buffer_call(
        ffi._UniffiLib.uniffi_iroh_ffi_fn_method_endpoint_accept_next, lift, endpoint._uniffi_clone_handle()
    )


def accept_bi(connection: Any) -> Call:
    """Start `connection.accept_bi()`."""
    if state != "patched":
        return _Task(connection.accept_bi())
    lib = ffi._UniffiLib
    return RustCall(
        lib.uniffi_iroh_ffi_fn_method_connection_accept_bi(connection._uniffi_clone_handle()),
        lib.ffi_iroh_ffi_rust_future_poll_u64,
        lib.ffi_iroh_ffi_rust_future_complete_u64,
        lib.ffi_iroh_ffi_rust_future_free_u64,
        ffi._UniffiFfiConverterTypeBiStream.lift,
        ffi._UniffiFfiConverterTypeIrohError__as_error,
    )


ORIGINAL: dict[str, Any] = {
    "write": ffi._UniffiRustBufferBuilder.write,
    "_pack_into": ffi._UniffiRustBufferBuilder._pack_into,
    "lower": ffi._UniffiFfiConverterBytes.__dict__.get("lower"),
    "lift": ffi._UniffiFfiConverterBytes.__dict__.get("lift"),
    "_uniffi_rust_call_async": ffi._uniffi_rust_call_async,
    "_uniffi_rust_call": ffi._uniffi_rust_call,
}


def patch() -> State:
    """Replace the slow internals, if they are the ones known. Returns what was found."""
    try:
        source = Path(ffi.__file__).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        source = ""
    found = judge(source)
    if found == "unknown":
        log.warning(
            "this version of iroh has internals that servent does not know (%s): transfers will be slow",
            ", ".join(changed(source)),
        )
    if found == "patched":
        ffi._UniffiRustBufferBuilder.write = _write
        ffi._UniffiRustBufferBuilder._pack_into = _pack_into
        ffi._UniffiFfiConverterBytes.lower = staticmethod(_lower_bytes)
        ffi._UniffiFfiConverterBytes.lift = staticmethod(_lift_bytes)
        ffi._uniffi_rust_call_async = _rust_call_async
        ffi._uniffi_rust_call = _rust_call
    return found


def judge(source: str) -> State:
    """What to do about a wheel with this source: patch it, leave it, or warn."""
    if not changed(source):
        return "patched"
    if "memmove" in section(source, "_UniffiRustBufferBuilder"):
        return "not needed"
    return "unknown"


def _quieten() -> None:
    """Give up all calls before Python ends: a thread of Rust's that wakes one later would abort the process."""
    for call in list(_calls.values()):
        call.free()


state: State = "unknown"
state = patch()
atexit.register(_quieten)
