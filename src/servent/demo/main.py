"""Sets the stage, tells the story, leaves the page open: `servent demo`."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from servent.api.client import read_api_file
from servent.demo import lab
from servent.demo.computing import Computing
from servent.demo.networks import CROWD, Networks
from servent.demo.report import Failed, Report
from servent.demo.stage import Actor, Stage, start
from servent.demo.story import Story
from servent.errors import ServentError

RELAY_PORT = 7443
SPACE = 1_000_000_000  # bytes the demo may need on disk


def run(*, exit_after: bool = False, web: bool = True) -> int:
    """Five nodes, then twenty, one story. Returns 0 when every step held.

    Args:
        exit_after: end when the story is told, instead of leaving the page open until Ctrl-C.
        web: start the page beside the first node.
    """
    report = Report()
    base = Path("/dev/shm")
    roomy = base.is_dir() and shutil.disk_usage(base).free > SPACE
    folder = Path(tempfile.mkdtemp(prefix="servent-demo-", dir=base if roomy else None))
    why_not = lab.unavailable()
    with contextlib.ExitStack() as end:
        stage = Stage(folder)
        end.callback(stage.close)
        signal.signal(signal.SIGTERM, lambda *_: _interrupt())
        try:
            if why_not is None:
                labor = end.enter_context(lab.Lab())
                end.callback(stage.close)  # the actors leave before the houses are torn down
                report.note("Two of the five nodes sit behind home routers made of network namespaces.")
                actors, crowd = _behind_routers(stage, labor, web)
            else:
                labor = None
                report.note(f"All five nodes share this machine's loopback: {why_not}.")
                actors, crowd = _on_loopback(stage, web)
            if labor is not None:
                _windows(end, labor, stage)
            report.step("five nodes start, each a process of its own", lambda: _start(actors))
            Story(report, *actors).tell(behind_nat=labor is not None)
            Computing(report, *actors).tell()
            Networks(report, actors, crowd).tell()
        except Failed:
            report.note(f"The nodes' logs: {folder}/*/node.log (gone when this ends)")
        except KeyboardInterrupt:
            report.note("Interrupted.")
            return 130
        report.verdict()
        if not exit_after:
            _leave_open(report, actors[0])
        return 1 if report.failed else 0


def _start(actors: Sequence[Actor]) -> tuple[None, str]:
    start(actors)
    memory = [actor.client.status().memory_bytes / 1e6 for actor in actors]
    return None, f"{min(memory):.0f} to {max(memory):.0f} MB of memory each"


def _behind_routers(stage: Stage, labor: lab.Lab, web: bool) -> tuple[Sequence[Actor], Sequence[Actor]]:
    relay = f"http://{lab.PUBLIC}.1:{RELAY_PORT}"
    common = ["--no-lan", "--relay", relay]
    carries = ["--relay-server", "--relay-port", str(RELAY_PORT)]
    page = ["--web", "--no-open"] if web else ["--no-web"]
    places = {"ann": "pub", "bob": "pub", "cat": "pub", "dan": "home-a", "eve": "home-b"}
    places |= dict.fromkeys(CROWD, "pub")
    ports = iter(lab.free_ports(len(places) + 1))
    for name, host in places.items():
        options = [
            *common,
            "--api-port",
            str(next(ports)),
            *([*carries, *page] if name == "ann" else ["--no-web"]),
        ]
        actor = stage.add(name, labor.command(host), options)
        actor.host = host
    stage.actors[0].settings(f"[web]\nport = {next(ports)}\n")
    return stage.actors[:5], stage.actors[5:]


def _on_loopback(stage: Stage, web: bool) -> tuple[Sequence[Actor], Sequence[Actor]]:
    port = str(lab.free_ports(1)[0])
    common = ["--no-lan", "--relay", f"http://127.0.0.1:{port}", "--api-port", "0"]
    page = "--web" if web else "--no-web"
    stage.add("ann", (), [*common, page, "--no-open", "--relay-server", "--relay-port", port])
    for name in ("bob", "cat", "dan", "eve", *CROWD):
        stage.add(name, (), [*common, "--no-web"])
    return stage.actors[:5], stage.actors[5:]


def _windows(end: contextlib.ExitStack, labor: lab.Lab, stage: Stage) -> None:
    """Make every API, and the page, reachable from here; also after a node was started again."""

    opened: set[int] = set()

    def open_to(actor: Actor) -> None:
        known = read_api_file(actor.data_dir)
        for url in filter(None, (known.url, known.web_url)):
            port = int(url.rsplit(":", 1)[1].strip("/"))
            if port not in opened:  # a node that was started again has its old ports
                opened.add(port)
                end.enter_context(lab.Window(labor, actor.host, port))

    for actor in stage.actors:
        actor.on_ready = open_to


def _leave_open(report: Report, ann: Actor) -> None:
    with contextlib.suppress(ServentError):
        report.note(f"The page of ann's node: {ann.client.login_link().url}")
    report.note("Ctrl-C ends the demo and removes everything it made.")
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


def _interrupt() -> None:
    raise KeyboardInterrupt
