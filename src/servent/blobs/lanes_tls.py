"""TLS 1.3 on a blocking TCP socket, safe to read in one thread and write in others, and its certificate.

Python's SSLSocket must not be read and written at the same time, and reads a record with two system calls.
Here OpenSSL only sees memory: records are decrypted and encrypted under a lock, and the socket is read and
written outside of it, a quarter megabyte at a time.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from hashlib import sha256

from servent.blobs.certificate import fresh_pem
from servent.errors import BadMessage, ConnectionLost

READ_BYTES = 256 * 1024  # taken from the socket at once
DEAD_AFTER = 20.0  # s without an answer from the other side's TCP
HANDSHAKE_BYTES = 32 * 1024  # most that is read before a lane is open


class Certificate:
    """This node's certificate for its TLS listener, made anew at every start: P-256, self-signed.

    Nobody trusts its name; peers pin `digest`, which they learn in the hello.

    Attributes:
        digest: SHA-256 of the DER form.
    """

    def __init__(self) -> None:
        pem = fresh_pem()
        shown = pem[pem.index(b"-----BEGIN CERTIFICATE-----") :].decode("ascii")
        self.digest = sha256(ssl.PEM_cert_to_DER_cert(shown)).digest()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.num_tickets = 0  # nobody resumes
        # The ssl module takes a key only from a file; it lives there for a moment, readable by us alone.
        handle, path = tempfile.mkstemp(prefix="servent-", suffix=".pem")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(pem)
            self.context.load_cert_chain(path)
        finally:
            os.unlink(path)


def _client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # instead the certificate itself is compared, see `TlsPipe.dial`
    return context


class TlsPipe:
    """A TLS connection. One thread reads; any thread writes. Raises ConnectionLost when it is gone."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server: bool) -> None:
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server)
        self._lock = threading.Lock()  # around `_tls` and its two memories
        self._writing = threading.Lock()
        self._raw = memoryview(bytearray(READ_BYTES))
        self._closed = False
        self.received_bytes = 0

    @classmethod
    def dial(cls, sock: socket.socket, certificate: bytes, limit: float) -> TlsPipe:
        """The client's handshake. `certificate` is the SHA-256 of the one that the server must show.

        Raises:
            ConnectionLost: no handshake within `limit` s.
            BadMessage: another certificate.
        """
        pipe = cls(sock, _client_context(), server=False)
        try:
            pipe._handshake(limit)
            shown = pipe._tls.getpeercert(binary_form=True)
            if shown is None or sha256(shown).digest() != certificate:
                raise BadMessage("the TCP lane shows another certificate than the hello named")
        except BaseException:
            pipe.close()
            raise
        return pipe

    @classmethod
    def answer(cls, sock: socket.socket, certificate: Certificate, limit: float) -> TlsPipe:
        """The server's handshake. Raises ConnectionLost as `dial`."""
        pipe = cls(sock, certificate.context, server=True)
        try:
            pipe._handshake(limit)
        except BaseException:
            pipe.close()
            raise
        return pipe

    def _handshake(self, limit: float) -> None:
        end = time.monotonic() + limit
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._flush(end)
                    self._in.write(self._raw[: self._receive(end, 16 * 1024)])
                    if self.received_bytes > HANDSHAKE_BYTES:
                        raise ConnectionLost("too long a TLS handshake") from None
            self._flush(end)
            self._sock.settimeout(None)
            _tune(self._sock)
        except ssl.SSLError as wrong:
            raise ConnectionLost(f"no TLS handshake: {wrong.reason or 'failed'}") from wrong
        except OSError as wrong:
            raise ConnectionLost(f"no TLS handshake: {wrong.strerror or 'timed out'}") from wrong

    def _flush(self, end: float) -> None:
        if self._out.pending:
            self._sock.settimeout(max(0.001, end - time.monotonic()))
            self._sock.sendall(self._out.read())

    def _receive(self, end: float | None, most: int) -> int:
        if end is not None:
            self._sock.settimeout(max(0.001, end - time.monotonic()))
        count = self._sock.recv_into(self._raw, most)
        if not count:
            raise ConnectionLost("the TCP lane was closed by the other side")
        self.received_bytes += count
        return count

    def read_into(self, view: memoryview, end: float | None = None) -> None:
        """Fill `view`. `end`: give up at this `time.monotonic()`."""
        got, size = 0, len(view)
        read: Callable[[int, memoryview], int] = self._tls.read  # type: ignore[assignment]
        lock = self._lock
        try:
            while got < size:
                with lock:
                    try:
                        count = read(size - got, view[got:])  # one record, at most 16 KiB
                    except ssl.SSLWantReadError:
                        count = -1
                if count > 0:
                    got += count
                    continue
                if count == 0:
                    raise ConnectionLost("the TCP lane was closed by the other side")
                count = self._receive(end, READ_BYTES)
                with lock:
                    self._in.write(self._raw[:count])
            if end is not None:
                self._sock.settimeout(None)
        except ssl.SSLError as wrong:
            raise ConnectionLost(f"the TCP lane broke: {wrong.reason or 'TLS'}") from wrong
        except OSError as wrong:
            raise ConnectionLost(f"the TCP lane broke: {wrong.strerror or 'timed out'}") from wrong

    def read_exactly(self, size: int, end: float | None = None) -> bytes:
        data = bytearray(size)
        self.read_into(memoryview(data), end)
        return bytes(data)

    def readable(self) -> bool:
        """Whether `read_exactly` would find at least a first byte without waiting for the network."""
        with self._lock:
            if self._tls.pending() or self._in.pending:
                return True
        try:
            with selectors.DefaultSelector() as one:
                one.register(self._sock, selectors.EVENT_READ)
                return bool(one.select(0))
        except (OSError, ValueError):
            return True  # closed: the read will say so

    def write(self, *parts: bytes | memoryview) -> None:
        """Send all of it."""
        with self._writing:
            with self._lock:
                self._encrypt(parts)
                sealed = self._out.read()
            try:
                self._sock.sendall(sealed)
            except OSError as wrong:
                raise ConnectionLost(f"the TCP lane broke: {wrong.strerror or 'closed'}") from wrong

    def write_now(self, data: bytes) -> None:
        """Send a small message without waiting: a connection that does not take it is as good as dead."""
        if not self._writing.acquire(timeout=1.0):
            raise ConnectionLost("the TCP lane does not take what we send")
        try:
            with self._lock:
                self._encrypt((data,))
                sealed = self._out.read()
            flags: int = getattr(socket, "MSG_DONTWAIT", 0)
            if self._sock.send(sealed, flags) != len(sealed):
                raise ConnectionLost("the TCP lane does not take what we send")
        except OSError as wrong:
            raise ConnectionLost(f"the TCP lane broke: {wrong.strerror or 'closed'}") from wrong
        finally:
            self._writing.release()

    def _encrypt(self, parts: Sequence[bytes | memoryview]) -> None:
        if self._closed:
            raise ConnectionLost("the TCP lane is closed")
        try:
            for part in parts:
                self._tls.write(part)
        except ssl.SSLError as wrong:
            raise ConnectionLost(f"the TCP lane broke: {wrong.reason or 'TLS'}") from wrong

    def close(self) -> None:
        """Close at once, from any thread; whoever reads or writes gets ConnectionLost. Safe twice."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def _tune(sock: socket.socket) -> None:
    """No delay for asks, and notice within 20 s when the other side is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    if sys.platform.startswith("linux"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAD_AFTER * 1000))


def connect_any(addresses: Sequence[tuple[str, int]], limit: float) -> socket.socket:
    """A TCP connection to whichever of `addresses` answers first; all are tried at once. Blocks.

    Raises:
        ConnectionLost: none answered within `limit` s.
    """
    end = time.monotonic() + limit
    trying: list[socket.socket] = []
    why = "no address to try"
    try:
        with selectors.DefaultSelector() as waiting:
            for host, port in addresses:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                try:
                    sock = socket.socket(family, socket.SOCK_STREAM)
                except OSError as wrong:
                    why = wrong.strerror or "no socket"
                    continue
                trying.append(sock)
                sock.setblocking(False)
                try:
                    sock.connect((host, port))
                except BlockingIOError:
                    waiting.register(sock, selectors.EVENT_WRITE)
                except OSError as wrong:
                    why = wrong.strerror or "failed"
                else:
                    return _chosen(sock, trying)
            while waiting.get_map() and (left := end - time.monotonic()) > 0:
                for key, _ in waiting.select(left):
                    found = key.fileobj
                    assert isinstance(found, socket.socket)
                    waiting.unregister(found)
                    error = found.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not error:
                        return _chosen(found, trying)
                    why = os.strerror(error)
            if waiting.get_map():
                why = f"no answer in {limit:.0f} s"
    finally:
        for sock in trying:
            sock.close()
    raise ConnectionLost(f"no TCP lane: {why}")


def _chosen(sock: socket.socket, trying: list[socket.socket]) -> socket.socket:
    trying.remove(sock)
    sock.setblocking(True)
    return sock
