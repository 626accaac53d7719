"""uvicorn as the node uses it: on a socket of ours, quiet, stopped by us, and without its developers' tools."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from starlette.types import ASGIApp

if (
    "uvicorn" not in sys.modules
):  # its reloader and its worker processes cost every node 1.3 MB, and are for others
    _unused: Any = ModuleType("uvicorn.supervisors")
    _unused.ChangeReload = _unused.Multiprocess = None
    sys.modules["uvicorn.supervisors"] = _unused
import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

GRACE = 1  # s; requests under way may end
HEAD_WITHIN = 10.0  # s from the first byte of a request (or the connection) to the end of its headers
HEAD_BYTES = 64 * 1024
CONNECTIONS_MOST = 512
MAX_MESSAGE_BYTES = 64 * 1024  # of a WebSocket; clients of ours send none at all


_Protocol: Any = AutoHTTPProtocol


class Patient(_Protocol):  # type: ignore[misc]
    """uvicorn's HTTP with an end to its patience: it has no limit of its own for headers, nor for their time."""

    _timer: Any = None
    _head_bytes = 0
    _seam = b""  # the last bytes of what came before, in case the headers' end lies across

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MOST:
            transport.abort()
        else:
            self._timer = self.loop.call_later(HEAD_WITHIN, self._tired)

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._waiting():
            end = (self._seam + data).find(b"\r\n\r\n")  # what follows is body, and limited elsewhere
            self._head_bytes += len(data) if end < 0 else end
            self._seam = data[-3:]
            if self._head_bytes > HEAD_BYTES:
                self.transport.abort()
                return
            if self._timer is None:
                self._timer = self.loop.call_later(HEAD_WITHIN, self._tired)
        super().data_received(data)
        if not self._waiting():
            self._rest()

    def _waiting(self) -> bool:
        """Whether what comes now belongs to no request that is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _rest(self) -> None:
        self._head_bytes, self._seam = 0, b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tired(self) -> None:
        self._timer = None
        if self in self.connections and self._waiting():  # not: became a WebSocket
            self.transport.abort()


def calm(**given: Any) -> Any:
    """The protocol of one WebSocket. What it needs is loaded with the first: an idle node without its page has none."""
    from servent.api.http_websockets import Calm

    return Calm(**given)


class HttpServer(uvicorn.Server):
    """Serves `app` until `should_exit` is set. Leaves signals alone: the node stops in its own order."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Patient,
                loop="asyncio",
                ws=calm,  # type: ignore[arg-type]  # it is only called
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=GRACE,
                timeout_keep_alive=30,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
