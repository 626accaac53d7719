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

GRACE = 1  # s; requests under way may end
MAX_MESSAGE_BYTES = 64 * 1024  # of a WebSocket; clients of ours send none at all


class HttpServer(uvicorn.Server):
    """Serves `app` until `should_exit` is set. Leaves signals alone: the node stops in its own order."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                ws="websockets-sansio",
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
