"""The shim for iroh's generated Python: it must notice every change of what it replaces."""

import asyncio
import gc
import hashlib
import logging
import os
import threading
from pathlib import Path
from typing import Any

import iroh
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iroh import iroh_ffi as ffi

from servent.net import fastffi

SOURCE = Path(ffi.__file__).read_text(encoding="utf-8")


def test_this_version_of_iroh_is_the_one_the_shim_was_written_for() -> None:
    """When this fails, a new iroh has other internals: read them, then change KNOWN, or delete the shim."""
    assert fastffi.changed(SOURCE) == []
    assert fastffi.state == "patched"


@pytest.mark.parametrize("name", fastffi.KNOWN)
def test_any_changed_internal_is_noticed(name: str) -> None:
    text = fastffi.section(SOURCE, name)
    assert text
    other = SOURCE.replace(text, text + "\n    # changed\n", 1)
    assert name in fastffi.changed(other)
    assert fastffi.judge(other) == "unknown"


def test_a_missing_internal_is_noticed() -> None:
    assert fastffi.judge("") == "unknown"
    assert set(fastffi.changed("")) == set(fastffi.KNOWN)


def test_a_generator_that_copies_with_memmove_is_left_alone() -> None:
    """uniffi pull request 2824 made `write` one ctypes.memmove."""
    text = fastffi.section(SOURCE, "_UniffiRustBufferBuilder")
    better = text.replace("for i, byte in enumerate(value):", "ctypes.memmove(self.rbuf.data, value, 1)\n")
    assert fastffi.judge(SOURCE.replace(text, better)) == "not needed"


def test_an_unknown_wheel_is_warned_about(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(fastffi.KNOWN, "_UniffiFfiConverterBytes", hashlib.sha256(b"other").hexdigest())
    with caplog.at_level(logging.WARNING):
        assert fastffi.patch() == "unknown"
    assert "_UniffiFfiConverterBytes" in caplog.text


class Slow(ffi._UniffiRustBufferBuilder):  # type: ignore[misc]
    """The wheel's own code."""

    write = fastffi.ORIGINAL["write"]
    _pack_into = fastffi.ORIGINAL["_pack_into"]


def lower_slowly(value: object) -> bytes:
    builder = Slow()
    ffi._UniffiFfiConverterBytes.write(value, builder)
    return taken(builder.finalize())


def taken(buffer: object) -> bytes:
    found = bytes(buffer.data[: buffer.len])  # type: ignore[attr-defined]
    buffer.free()  # type: ignore[attr-defined]
    return found


@given(st.binary(max_size=3000), st.integers(0, 50), st.integers(0, 50))
def test_what_is_copied_fast_is_what_was_copied_slowly(data: bytes, begin: int, end: int) -> None:
    part = memoryview(data)[begin : len(data) - end]
    for value in (data, bytearray(data), memoryview(data), part, memoryview(bytearray(data))[begin:]):
        assert taken(ffi._UniffiFfiConverterBytes.lower(value)) == lower_slowly(value)
        builder = ffi._UniffiRustBufferBuilder()
        ffi._UniffiFfiConverterBytes.write(value, builder)
        assert taken(builder.finalize()) == lower_slowly(value)
        assert ffi._UniffiFfiConverterBytes.lift(ffi._UniffiFfiConverterBytes.lower(value)) == bytes(value)


@given(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
def test_numbers_are_packed_as_before(number: int, real: float) -> None:
    found = []
    for kind in (ffi._UniffiRustBufferBuilder, Slow):
        builder = kind()
        builder.write_i64(number)
        builder.write_double(real)
        builder.write_u8(number & 255)
        builder.write_i32(number >> 33)
        found.append(taken(builder.finalize()))
    assert found[0] == found[1]


def test_damaged_bytes_from_rust_are_an_error_and_no_crash() -> None:
    for content in (b"", b"\0\0\0", b"\0\0\0\5abcd", b"\xff\xff\xff\xffabcd", b"\0\0\0\1abc"):
        builder = ffi._UniffiRustBufferBuilder()
        builder.write(content)
        with pytest.raises(ffi.InternalError):
            ffi._UniffiFfiConverterBytes.lift(builder.finalize())


@pytest.mark.real
@pytest.mark.parametrize("state", ["patched", "unknown"])
def test_calls_can_be_left_and_taken_up_again(state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a wheel that is not patched."""
    monkeypatch.setattr(fastffi, "state", state)

    async def main() -> None:
        ends = [
            await iroh.Endpoint.bind(
                iroh.EndpointOptions(
                    preset=iroh.preset_minimal(),
                    alpns=[b"test"],
                    relay_mode=iroh.RelayMode.disabled(),
                    bind_addr="127.0.0.1:0",
                )
            )
            for _ in range(2)
        ]

        async def arrive() -> iroh.Connection:
            incoming = await ends[1].accept_next()
            assert incoming is not None
            return await (await incoming.accept()).connect()

        async with asyncio.TaskGroup() as group:
            arriving = group.create_task(arrive())
            where = iroh.EndpointAddr(ends[1].id(), None, ends[1].bound_sockets()[:1])
            near = await ends[0].connect(where, b"test")
        far = arriving.result()
        accepting, receiving = fastffi.accept_bi(far), fastffi.read_datagram(far)
        for call in (accepting, receiving):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await call.wait()
        stream = await near.open_bi()
        data = os.urandom(100_000)
        await fastffi.write_all(stream.send(), memoryview(data)).wait()
        near.send_datagram(b"ping")
        other = await accepting.wait()
        assert await receiving.wait() == b"ping"
        assert await fastffi.read_exact(other.recv(), 50_000).wait() == data[:50_000]
        rest = b""
        while len(rest) < 50_000:
            rest += await fastffi.read(other.recv(), 50_000 - len(rest)).wait()
        assert rest == data[50_000:]
        given_up = fastffi.read(other.recv(), 10)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(_gives_up(given_up))
            await asyncio.sleep(0.02)
            given_up.free()
            given_up.free()
        assert waiting.result()
        near.close(3, b"done")
        with pytest.raises(iroh.IrohError):
            await fastffi.accept_bi(far).wait()
        for end in ends:
            await end.close()

    asyncio.run(main())


async def _gives_up(call: fastffi.Call) -> bool:
    with pytest.raises(ffi.InternalError):
        await call.wait()
    return True


class Loop:
    """A loop whose wake-up makes the collector run, as any allocation may."""

    def call_soon_threadsafe(self, *_: object) -> None:
        gc.collect()


def test_what_is_collected_while_rust_wakes_us_is_freed_only_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rust holds a connection's lock then: freeing a stream of it there would stop the node for ever."""
    freed: list[tuple[str, int]] = []
    call_rust = ffi._uniffi_rust_call_with_error

    def spy(errors: object, function: Any, *args: object) -> object:
        if "_free_" in function.__name__:
            freed.append((function.__name__, threading.get_ident()))
        return call_rust(errors, function, *args)

    monkeypatch.setattr(ffi, "_uniffi_rust_call_with_error", spy)

    class Knot:
        """Dies by the collector alone."""

        def __init__(self, *held: object) -> None:
            self.held, self.me = held, self

    async def story() -> None:
        gc.collect()
        gc.disable()
        try:
            given_up: list[int] = []
            knot = Knot(
                iroh.RelayMap.empty(),
                fastffi.RustCall(7, None, None, given_up.append, None, None),
            )
            del knot
            call = fastffi.RustCall(0, None, None, lambda _: None, None, None)
            call.loop = Loop()  # type: ignore[assignment]
            fastffi._calls[2**62] = call
            freed.clear()
            thread = threading.Thread(target=fastffi._wake, args=(2**62, 0))
            thread.start()
            thread.join()
            assert freed == [] and given_up == []
            call.woken(0)
            assert [who for _, who in freed] == [threading.get_ident()]
            assert given_up == [7]
            assert not fastffi._dead and not fastffi._inside
        finally:
            gc.enable()

    asyncio.run(story())
