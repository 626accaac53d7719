"""`links.Connection` and `links.Stream` over iroh, and iroh's errors in our words."""

from __future__ import annotations

import asyncio
import logging
import re
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from servent.errors import ConnectionLost, UsageError
from servent.identity import PeerId
from servent.net import fastffi, links
from servent.net.links import Path

if TYPE_CHECKING:
    import iroh

log = logging.getLogger(__name__)

# Most that crosses the border to Rust in one call: Rust copies it byte by byte, at 3 ns each, on the loop's
# thread. Larger chunks gain nothing and keep the other tasks waiting.
CHUNK_BYTES = 256 * 1024
AHEAD_BYTES = 64 * 1024  # small reads take this much at once and serve the next ones from it
STREAMS_MOST = 1024  # streams a peer may have open towards us at once; QUIC's default is 100
RECEIVE_WINDOW_BYTES = 16 << 20  # unread data one connection may pile up here, all its streams together
# Fits in QUIC's smallest packet on any path (RFC 9000, section 14); more may fit now and not later.
DATAGRAM_BYTES = 1162
REASON_BYTES = 200


class IrohConnection:
    """links.Connection over iroh."""

    def __init__(self, opened: iroh.Connection, dialed: bool) -> None:
        self._opened: iroh.Connection | None = opened  # None once the endpoint is closed
        self._dialed = dialed
        self._peer = PeerId(opened.remote_id().to_bytes())
        self._said: str | None = None  # why we closed it
        self._streams: weakref.WeakSet[IrohStream] = weakref.WeakSet()
        self._final = ""  # why it ended, once it is released
        self._accepting: fastffi.Call | None = None
        self._receiving: fastffi.Call | None = None
        opened.set_max_concurrent_bi_streams(STREAMS_MOST)
        opened.set_max_concurrent_uni_streams(0)
        opened.set_receive_window(RECEIVE_WINDOW_BYTES)

    @property
    def peer(self) -> PeerId:
        return self._peer

    @property
    def dialed(self) -> bool:
        return self._dialed

    async def open(self) -> IrohStream:
        try:
            return self._keep(await self._iroh().open_bi())
        except fastffi.ERRORS as error:
            raise self.lost(error) from error

    async def accept(self) -> IrohStream:
        if self._accepting is None:
            self._accepting = fastffi.accept_bi(self._iroh())
        call = self._accepting
        try:
            found = await call.wait()
        except fastffi.ERRORS as error:
            self._accepting = None
            raise self.lost(error) from error
        self._accepting = None
        return self._keep(found)

    def send_datagram(self, data: bytes) -> None:
        if len(data) > self.max_datagram_bytes and self.gone() is None:
            raise UsageError(
                f"a datagram of {len(data)} bytes; {self.max_datagram_bytes} fit on this connection"
            )
        try:
            self._iroh().send_datagram(data)
        except fastffi.ERRORS as error:
            raise self.lost(error) from error

    async def read_datagram(self) -> bytes:
        if self._receiving is None:
            self._receiving = fastffi.read_datagram(self._iroh())
        call = self._receiving
        try:
            data: bytes = await call.wait()
        except fastffi.ERRORS as error:
            self._receiving = None
            raise self.lost(error) from error
        self._receiving = None
        return data

    @property
    def max_datagram_bytes(self) -> int:
        return min(self._iroh().max_datagram_size() or 0, DATAGRAM_BYTES)

    def paths(self) -> Sequence[Path]:
        if self._opened is None or self.gone() is not None:
            return []
        return [
            Path(
                kind="relayed" if path.is_relay else "direct",
                address=path_address(path.remote_addr),
                rtt=path.rtt_ms / 1000,
                selected=path.is_selected,
                sent_bytes=path.stats.udp_tx_bytes,
                received_bytes=path.stats.udp_rx_bytes,
            )
            for path in self._opened.paths()
        ]

    async def close(self, code: int = 0, reason: str = "") -> None:
        if self._opened is None or self.gone() is not None:
            return
        said = reason.encode(errors="replace")[:REASON_BYTES].decode(errors="ignore")
        self._said = said
        try:
            self._opened.close(code, said.encode())
        except fastffi.ERRORS as error:
            log.debug("closing a connection: %s", sentence(error))

    async def wait_closed(self) -> str:
        if self._opened is None:
            return self._final
        try:
            return self._why(await self._opened.closed())
        except fastffi.ERRORS as error:
            return sentence(error)

    # for streams and the endpoint

    def gone(self) -> str | None:
        """Why this connection is no more, or None."""
        if self._opened is None:
            return self._final
        reason = self._opened.close_reason()
        return None if reason is None else self._why(reason)

    def release(self) -> None:
        """The endpoint is closed: let go of the handle, which keeps the sockets open."""
        self._final = self.gone() or "this endpoint is closed"
        self._opened = None
        _free(self._accepting, self._receiving)
        for stream in list(self._streams):
            stream.release(self._final)

    def __del__(self) -> None:
        _free(getattr(self, "_accepting", None), getattr(self, "_receiving", None))

    def _keep(self, opened: iroh.BiStream) -> IrohStream:
        stream = IrohStream(opened, self)
        self._streams.add(stream)
        return stream

    def _iroh(self) -> iroh.Connection:
        if self._opened is None:
            raise ConnectionLost(self._final)
        return self._opened

    def lost(self, error: BaseException) -> ConnectionLost:
        """What to raise for something that failed on this connection."""
        return ConnectionLost(self.gone() or sentence(error))

    def _why(self, reason: str) -> str:
        if self._said is not None:
            return links.ended_here(self._said)
        found = re.match(r"closed by peer: (.*) \(code (\d+)\)\Z", reason, re.DOTALL)
        if found:
            said = printable(found.group(1)) or f"code {found.group(2)}"
            return f"closed by the peer: {said}"
        return _WORDS.get(reason, printable(_without_paths(reason)))


class IrohStream:
    """links.Stream over iroh. Reads of up to CHUNK_BYTES are one call into Rust.

    A cancelled read loses nothing: what it had begun comes first in the next one. A cancelled write cannot be
    taken back, so the stream is reset. One task reads at a time; writes of several tasks do not mix.
    """

    def __init__(self, opened: iroh.BiStream, connection: IrohConnection) -> None:
        self._send: Any = opened.send()
        self._receive: Any = opened.recv()
        self._connection = connection
        self._ahead = b""
        self._at = 0  # how much of `_ahead` is used up
        self._reading: fastffi.Call | None = None
        self._writing: fastffi.Call | None = None
        self._turn = asyncio.Lock()  # one write at a time, so that those of several tasks do not mix
        self._over: str | None = None  # why nothing more is possible
        self._ended = False

    async def read(self, limit: int) -> bytes:
        if limit < 1:
            raise ValueError("a read asks for at least one byte")
        if self._at == len(self._ahead):
            self._check()
            if self._ended:
                return b""
            data = await self._fetch(max(min(limit, CHUNK_BYTES), AHEAD_BYTES))
            if len(data) <= limit:
                return data
            self._ahead, self._at = data, 0
        return self._take(limit)

    async def read_exactly(self, size: int) -> bytes:
        if len(self._ahead) - self._at >= size:
            return self._take(size)
        parts = [self._take(size)]
        missing = size - len(parts[0])
        try:
            while missing:
                self._check()
                data = b"" if self._ended else await self._fetch(max(min(missing, CHUNK_BYTES), AHEAD_BYTES))
                if not data:
                    raise ConnectionLost(f"the stream ended {missing} bytes early")
                if len(data) > missing:
                    self._ahead, self._at = data, missing
                    data = data[:missing]
                parts.append(data)
                missing -= len(data)
        except asyncio.CancelledError:
            self._ahead, self._at = b"".join(parts), 0
            raise
        return b"".join(parts)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        async with self._turn:
            self._check()
            view = memoryview(data).cast("B")
            try:
                for at in range(0, len(view), CHUNK_BYTES):
                    self._writing = fastffi.write_all(self._send, view[at : at + CHUNK_BYTES])
                    await self._writing.wait()
            except asyncio.CancelledError:
                await self.reset()
                raise
            except fastffi.ERRORS as error:
                raise self._broken(error) from error
            finally:
                if self._writing is not None:
                    self._writing.free()
                    self._writing = None

    async def finish(self) -> None:
        self._check()
        try:
            await self._send.finish()
        except fastffi.ERRORS as error:
            raise self._broken(error) from error
        if (why := self._connection.gone()) is not None:
            raise ConnectionLost(why)

    async def reset(self, code: int = 0) -> None:
        if self._over is not None:
            return
        self._give_up("the stream was reset here")
        for give_up in (self._send.reset, self._receive.stop):
            try:
                await give_up(code)
            except fastffi.ERRORS as error:
                log.debug("resetting a stream: %s", sentence(error))

    def release(self, why: str) -> None:
        """The endpoint is closed: let go of the handles, which keep its sockets open."""
        self._give_up(why)
        self._send = self._receive = None

    def _give_up(self, why: str) -> None:
        self._over = self._over or why
        self._ahead, self._at = b"", 0
        _free(self._reading, self._writing)  # they hold Rust's locks on the stream

    def __del__(self) -> None:
        _free(getattr(self, "_reading", None), getattr(self, "_writing", None))

    def _take(self, limit: int) -> bytes:
        data = self._ahead[self._at : self._at + limit]
        self._at += len(data)
        if self._at == len(self._ahead):
            self._ahead, self._at = b"", 0
        return data

    async def _fetch(self, limit: int) -> bytes:
        """Up to `limit` bytes from Rust, or what a cancelled read had asked for."""
        if self._reading is None:
            self._reading = fastffi.read(self._receive, limit)
        call = self._reading
        try:
            data: bytes = await call.wait()
        except fastffi.ERRORS as error:
            self._reading = None
            raise self._broken(error) from error
        self._reading = None
        self._ended = not data
        return data

    def _check(self) -> None:
        if self._over is not None:
            raise ConnectionLost(self._over)

    def _broken(self, error: BaseException) -> ConnectionLost:
        if self._over is not None:
            return ConnectionLost(self._over)
        if (why := self._connection.gone()) is not None:
            return ConnectionLost(why)
        said = sentence(error)
        found = re.search(r"(?:Reset|Stopped)\((?:VarInt\()?(\d+)", said)
        return ConnectionLost(f"the peer reset the stream (code {found.group(1)})" if found else said)


def _free(*calls: fastffi.Call | None) -> None:
    """Calls that nobody will wait for any more; Rust would keep them, and what they hold, for ever."""
    for call in calls:
        if call is not None:
            call.free()


_WORDS = {
    "closed": "this endpoint is closed",
    "timed out": "the connection timed out",
    "reset by peer": "the peer forgot the connection",
}


def _message(error: BaseException) -> str:
    if isinstance(error, fastffi.IrohError):
        return str(error.message())
    return str(error) or type(error).__name__


def _without_paths(text: str) -> str:
    """iroh's words without where in its source they were said."""
    return re.sub(r"\s*\(/[^()]*:\d+:\d+\)", "", text).strip()


def sentence(error: BaseException) -> str:
    """One line that names the last cause."""
    return printable(_without_paths(_message(error)).rsplit("\n", 1)[-1])


def printable(text: str) -> str:
    """What a peer or a library said, safe for a terminal and a log: one line, 200 characters."""
    return "".join(c if c.isprintable() else " " for c in text[:REASON_BYTES]).strip()


def path_address(text: str) -> str:
    """iroh writes "Ip(192.0.2.1:443)" and "Relay(https://relay.example/, <key>)"."""
    found = re.match(r"(Ip|Relay)\((.*)\)\Z", text)
    if found is None:
        return text
    return found.group(2).split(",")[0].strip() if found.group(1) == "Relay" else found.group(2)
