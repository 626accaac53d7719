"""WebSockets as the node's server speaks them. Loaded with the first of them, see `http_server.calm`."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class Calm(WebSocketsSansIOProtocol):
    """uvicorn's WebSockets, where frames before the handshake's end are a reason to hang up, not a traceback."""

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception:  # noqa: BLE001 it fails in several ways, and has sent nothing to the app then
            self.transport.abort()


__all__ = ["Calm"]
