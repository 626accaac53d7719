"""The node's log: a file in the data directory, the last lines as events, and warnings on stderr."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import threading
from asyncio import AbstractEventLoop
from pathlib import Path
from time import monotonic

import msgspec

from servent.api.events import Bus
from servent.api.schema import LogLine
from servent.net.quiet import Quiet, others
from servent.net.wire import printable

LOG_FILE = "node.log"
LOG_BYTES = 2 * 1024 * 1024
LOG_FILES = 3
MOST_TEXT = 2_000  # characters of one line
FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _Plain(logging.Formatter):
    """Without what a terminal would obey: words of others get into the log, and logs are read on terminals. Lines stay, since tracebacks have some."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).expandtabs().split("\n")))


class _ToBus(logging.Handler):
    """Records become events, from whichever thread they come."""

    def __init__(self, bus: Bus, loop: AbstractEventLoop) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(_Plain())
        self._bus, self._loop = bus, loop
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        line = msgspec.to_builtins(
            LogLine(
                time=record.created,
                level=record.levelname.lower(),
                logger=record.name,
                text=self.format(record)[:MOST_TEXT],
            )
        )
        if threading.get_ident() == self._thread:
            self._bus.publish("log", line)
        elif not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self._bus.publish, "log", line)
            except RuntimeError:  # closed between the question and the call: nobody listens any more
                return


class _Seldom(logging.Filter):
    """What uvicorn says of each bad request is said now and then, with a count."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet = Quiet()

    def filter(self, record: logging.LogRecord) -> bool:
        if "without completing handshake" in str(record.msg):  # whoever wanted a WebSocket went away
            return False
        times = self._quiet.note(str(record.msg)[:60], monotonic())
        if times > 1:
            record.msg = f"{record.msg}{others(times)}"
        return times > 0


def _no_hang_up(record: logging.LogRecord) -> bool:
    """A client that hangs up amid an answer is an ordinary thing; asyncio says it of each piece that was still written."""
    return record.msg != "socket.send() raised exception."


class Logs:
    """Sets logging up for one run of the node, and takes it down again."""

    def __init__(self, data_dir: Path, bus: Bus, loop: AbstractEventLoop, verbose: bool = False) -> None:
        self._root = logging.getLogger()
        file = logging.handlers.RotatingFileHandler(
            data_dir / LOG_FILE, maxBytes=LOG_BYTES, backupCount=LOG_FILES - 1, encoding="utf-8", delay=True
        )
        file.setFormatter(_Plain(FORMAT))
        screen = logging.StreamHandler(sys.stderr)
        screen.setLevel(logging.INFO if verbose else logging.WARNING)
        screen.setFormatter(_Plain("%(levelname)s %(name)s: %(message)s"))
        self._handlers: list[logging.Handler] = [file, screen, _ToBus(bus, loop)]
        chatty = (self._root, logging.getLogger("uvicorn"), logging.getLogger("websockets"))
        self._levels = {logger: logger.level for logger in chatty}
        for handler in self._handlers:
            self._root.addHandler(handler)
        self._root.setLevel(logging.INFO)
        self._seldom = _Seldom()
        logging.getLogger("uvicorn.error").addFilter(self._seldom)
        logging.getLogger("asyncio").addFilter(_no_hang_up)
        for logger in chatty[1:]:
            logger.setLevel(logging.WARNING)

    def close(self) -> None:
        logging.getLogger("uvicorn.error").removeFilter(self._seldom)
        logging.getLogger("asyncio").removeFilter(_no_hang_up)
        for handler in self._handlers:
            self._root.removeHandler(handler)
            handler.close()
        for logger, level in self._levels.items():
            logger.setLevel(level)
