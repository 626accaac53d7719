"""What `servent up` runs: the node, its API on loopback, and the page's process; until a signal or `down`."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psutil

import servent
from servent.api import looking, routes_node, server
from servent.api.client import API_FILE
from servent.api.context import Context
from servent.api.daemon_options import Options
from servent.api.events import Bus
from servent.api.face import Face
from servent.api.http_server import HttpServer
from servent.api.keys import Keys, write_private
from servent.api.lock import DirLock
from servent.api.logs import Logs
from servent.api.schema import ApiFile
from servent.api.webproc import READY_WITHIN, WebProcess
from servent.errors import ServentError, UsageError

log = logging.getLogger("servent.api")

DEFAULT_PORT = 7700
PORTS_TRIED = 20
PAGE_PORT = "page.port"  # in the data directory
MOST_FILES = 65_536
SETTLED_AFTER = 5.0  # s; by then what starting needed is free again
TRIM_EVERY = 15.0  # s
TRIM_STEP_BYTES = 24 * 1024 * 1024
STOP_WITHIN = 8.0  # s; a node that does not stop by then is ended hard


OpenNode = Callable[[Options], AbstractAsyncContextManager[Face]]


def run_daemon(options: Options, open_node: OpenNode | None = None) -> int:
    """Run until a signal, `servent down`, or a failure. Returns the exit code; 0 after a clean end.

    Raises:
        ServentError: it could not start, or had to end.
    """
    spare_memory()
    raise_open_files()
    with DirLock(options.data_dir), asyncio.Runner() as runner:
        if open_node is None:
            from servent.api.adapter import open_node as open_real_node

            open_node = open_real_node
        try:
            return runner.run(_run(options, open_node))
        except BaseExceptionGroup as group:
            raise first_of(group) from group


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error that tells what happened: ours before others."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop()
        if isinstance(error, BaseExceptionGroup):
            pending += error.exceptions
        else:
            leaves.append(error)
    return next((leaf for leaf in leaves if isinstance(leaf, ServentError)), leaves[-1])


async def _run(options: Options, open_node: OpenNode) -> int:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    bus = Bus(first_seq=int(time.time() * 1000))
    logs = Logs(options.data_dir, bus, loop, options.verbose)
    stop = asyncio.Event()
    deadline: threading.Timer | None = None
    try:
        with signals(loop, stop):
            async with open_node(options) as node:
                ctx = Context(node, Keys.open(options.data_dir), bus, servent.__version__, stop=stop.set)
                async with _serving(ctx, options) as web:
                    log.info("servent %s answers at %s", ctx.version, ctx.url)
                    await _tell(ctx, options, web, begun)
                    give_back_memory()
                    trimming = loop.call_later(SETTLED_AFTER, give_back_memory)
                    await stop.wait()
                    trimming.cancel()
                    log.info("stopping")
                    deadline = _end_hard_after(STOP_WITHIN)
                    ctx.stopping = True
                    bus.wake_all()
        return 0
    finally:
        if deadline is not None:
            deadline.cancel()
        logs.close()


@asynccontextmanager
async def _serving(ctx: Context, options: Options) -> AsyncIterator[WebProcess | None]:
    """The API answers, and the page's process runs, inside the block."""
    from servent import config as configuration

    configured = configuration.load(options.data_dir)
    guard = server.build(ctx)
    listening = _listen(options.api_port, configured.api.port)
    port = listening.getsockname()[1]
    ctx.url = f"http://127.0.0.1:{port}"
    guard.port = port
    http = HttpServer(guard)
    web: WebProcess | None = None
    path = options.data_dir / API_FILE

    def note() -> None:
        file = ApiFile(
            url=ctx.url,
            pid=os.getpid(),
            version=ctx.version,
            id=ctx.node.id().id,
            web_url=ctx.web_url,
            started=ctx.wall_clock(),
        )
        write_private(path, msgspec.json.encode(file))

    def page_at(url: str | None) -> None:
        ctx.web_url = url
        if url and not configured.web.port:
            write_private(options.data_dir / PAGE_PORT, str(urlsplit(url).port))
        guard.origins = {url.rstrip("/")} if url else set()
        note()

    try:
        note()
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(http.serve(sockets=[listening]), name="api: http")
            pumping = tasks.create_task(looking.pump(ctx), name="api: events")
            thrift = tasks.create_task(be_thrifty(), name="api: give memory back")
            paging = None
            wanted = configured.web.enabled if options.web is None else options.web
            if wanted:
                web = WebProcess(
                    options.data_dir, configured.web.port or _last_port(options.data_dir), page_at
                )
                ctx.restart_web = web.restart
                paging = tasks.create_task(web.run(), name="api: page")
            while not http.started:
                await asyncio.sleep(0.005)
                if serving.done():
                    raise UsageError("the API could not start")
            try:
                yield web
            finally:
                pumping.cancel()
                thrift.cancel()
                if paging is not None:
                    paging.cancel()
                http.should_exit = True
    finally:
        path.unlink(missing_ok=True)
        listening.close()


def _last_port(data_dir: Path) -> int:
    """Where the page was last time, so that its open tabs and bookmarks find it again; 0: nowhere yet."""
    try:
        port = int((data_dir / PAGE_PORT).read_bytes()[:8])
    except (OSError, ValueError):
        return 0
    return port if 1024 <= port <= 65535 else 0


def _listen(asked: int | None, configured: int) -> socket.socket:
    """A socket on loopback: the port asked for or none; else the configured one or the next free."""
    tried = [asked] if asked is not None else [*range(configured, configured + PORTS_TRIED), 0]
    if asked is None and configured == 0:
        tried = [0]
    last: OSError | None = None
    for port in tried:
        if port > 65535:
            continue
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", port))
            listening.listen(128)
            listening.setblocking(False)
            return listening
        except OSError as wrong:
            listening.close()
            last = wrong
    raise UsageError(
        f"port {asked} on 127.0.0.1 is not free: {last.strerror if last else ''}",
        advice="Choose another with `--api-port N`; 0 takes any free one.",
    )


async def _tell(ctx: Context, options: Options, web: WebProcess | None, begun: float) -> None:
    """What `servent up` prints; the last line begins with `ready`."""
    if web is not None:
        try:
            async with asyncio.timeout(READY_WITHIN):
                await web.settled.wait()
        except TimeoutError:
            log.warning("the page did not start in %.0f s; the node works without it", READY_WITHIN)
    link = routes_node.make_login_link(ctx) if ctx.web_url else None
    took = asyncio.get_running_loop().time() - begun
    me, reach = ctx.node.id(), ctx.node.reach()
    if options.json:
        said: dict[str, Any] = {"ready": True, "id": me.id, "name": me.name, "api_url": ctx.url, "page": link}
        say(msgspec.json.encode({**said, "data_dir": str(options.data_dir), "pid": os.getpid()}).decode())
    else:
        say(f"name   {me.name}")
        say(f"id     {me.id}")
        say(f"page   {link} (opens once; `servent open` makes another)" if link else "page   off")
        say(f"api    {ctx.url}")
        say(f"reach  {reach.summary}")
        say(f"ready  in {took:.1f} s; Ctrl-C stops the node")
    if options.open_page and link:
        import webbrowser

        await asyncio.to_thread(webbrowser.open, link)


def say(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever started us reads no more; the node goes on
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def spare_memory() -> None:
    """Two malloc arenas instead of eight a core: 1.2 MB less for an idle node (measured). mallopt(3).

    And cycles are looked for as often as Python does by itself, which the command line does not.
    """
    gc.set_threshold(700, 10, 10)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(-8, 2)  # M_ARENA_MAX


def raise_open_files() -> None:
    """As many open files as the system lets us have, within reason: a supernode with its leaves needs thousands."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def give_back_memory() -> None:
    """Return to the system what starting needed and running does not (glibc keeps it otherwise)."""
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


async def be_thrifty(every: float = TRIM_EVERY, step: int = TRIM_STEP_BYTES) -> None:
    """What many connections or large transfers needed goes back to the system when it has piled up.

    glibc keeps what was freed: after minutes of hostile connections twice as much as is in use (measured).
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        return
    process = psutil.Process()
    settled = process.memory_info().rss
    while True:
        await asyncio.sleep(every)
        now = process.memory_info().rss
        if now > settled + step:
            await asyncio.to_thread(trim, 0)
            settled = process.memory_info().rss
        else:
            settled = min(settled, now)


@contextlib.contextmanager
def signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM ask for a clean end; the second one ends at once."""
    asked = 0

    def on_signal() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            os._exit(130)
        stop.set()

    wanted: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
    if sys.platform == "win32":  # no add_signal_handler there
        before = {number: signal.getsignal(number) for number in wanted}
        for number in wanted:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # the terminal went; `nohup` means: go on
        wanted += (signal.SIGHUP,)
    for number in wanted:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)


def _end_hard_after(seconds: float) -> threading.Timer:
    """A node that hangs while it stops must not hang for ever; its data is safe, SQLite's log sees to it."""

    def end() -> None:
        log.error("the node did not stop in %.0f s and is ended", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer


__all__ = ["OpenNode", "Options", "first_of", "run_daemon", "say", "signals"]
