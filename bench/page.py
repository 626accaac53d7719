"""The page under load: what a person sees of 1,000 transfers that all change, and what that costs the node.

`python -m bench.page --json`. Node (a real daemon around invented transfers), page process and headless Chromium run
on this machine, software rendering. *Updates seen* are animation frames in which the DOM of a row changed, by a
MutationObserver on the table; for each row on the screen, its own. *Lag*: by how much a sleep of 5 ms on the node's
event loop comes late, every sample; *own*: the part of that which was the loop's own work, by its thread's processor time,
whatever else runs on this machine. Needs Debian's chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.idle import cpu_seconds, resident_mb
from servent.api.client import read_api_file
from servent.api.keys import Keys, cookie_name

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
STARTS_WITHIN = 30.0  # s
SETTLE = 2.0  # s after the page shows its table, before anything is measured

SEEN = """seconds => new Promise(done => {
    const table = document.querySelector('sv-transfers'), rows = new Map();
    let frames = 0, changed = 0, dirty = false, run = true;
    const note = records => {
        const touched = new Set();
        for (const record of records) {
            const node = record.target.nodeType === 1 ? record.target : record.target.parentElement;
            const row = node?.closest('.item');
            if (row && !row.hidden) touched.add(row.item.id);
        }
        if (touched.size) dirty = true;
        for (const id of touched) rows.set(id, (rows.get(id) ?? 0) + 1);
    };
    const watch = new MutationObserver(note);
    watch.observe(table, {subtree: true, characterData: true, childList: true, attributes: true, attributeFilter: ['style']});
    const began = performance.now();
    const frame = () => {
        frames += 1;
        if (dirty) changed += 1;
        dirty = false;
        if (run) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    setTimeout(() => {
        run = false;
        note(watch.takeRecords());
        watch.disconnect();
        const s = (performance.now() - began) / 1000;
        done({frames: frames / s, seen: changed / s, rows: [...rows.values()].map(count => count / s)});
    }, seconds * 1000);
})"""

SCROLL = """seconds => new Promise(done => {
    const list = document.querySelector('sv-transfers .rows'), times = [];
    let last = performance.now(), down = true;
    const began = last;
    const frame = now => {
        times.push(now - last);
        last = now;
        if (list.scrollTop + list.clientHeight >= list.scrollHeight - 2) down = false;
        if (list.scrollTop <= 0) down = true;
        list.scrollTop += down ? 160 : -160;
        if (now - began < seconds * 1000) requestAnimationFrame(frame);
        else done(times.slice(2));
    };
    requestAnimationFrame(frame);
})"""


@dataclass
class Running:
    """A daemon with its page."""

    pid: int
    page_pid: int
    url: str
    cookie: dict[str, Any]
    data_dir: Path

    def begin(self) -> None:
        os.kill(self.pid, signal.SIGUSR1)

    def lag(self) -> dict[str, float]:
        """Milliseconds, since `begin`."""
        file = self.data_dir / "lag.json"
        file.unlink(missing_ok=True)
        os.kill(self.pid, signal.SIGUSR2)
        end = time.monotonic() + 60
        while not file.exists() and time.monotonic() < end:
            time.sleep(0.05)
        samples = json.loads(file.read_text())
        late, own = sorted(each[0] for each in samples), sorted(each[1] for each in samples)
        return {
            "p50_ms": at(late, 0.5),
            "p99_ms": at(late, 0.99),
            "max_ms": late[-1],
            "own_p50_ms": at(own, 0.5),
            "own_p99_ms": at(own, 0.99),
            "own_max_ms": own[-1],
            "samples": len(late),
        }


def at(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 2)


@contextlib.contextmanager
def daemon(folder: Path, transfers: int, moving: int, first: bool) -> Iterator[Running]:
    command = [
        sys.executable,
        "-m",
        "bench.page_node",
        "--data-dir",
        str(folder),
        "--transfers",
        str(transfers),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    try:
        end = time.monotonic() + STARTS_WITHIN
        while True:
            with contextlib.suppress(Exception):
                file = read_api_file(folder)
                if file.web_url:
                    break
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError("the daemon or its page did not start")
            time.sleep(0.1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        web = next(
            int(pid) for pid in children if b"servent.web" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        if first:
            os.setpriority(os.PRIO_PROCESS, process.pid, -15)
        session = Keys.open(folder).new_session("admin", time.time())
        cookie = {"name": cookie_name(file.id), "value": session, "domain": "127.0.0.1", "path": "/", "httpOnly": True,
                  "sameSite": "Strict"}  # fmt: skip
        assert file.web_url is not None
        yield Running(process.pid, web, file.web_url, cookie, folder)
    finally:
        process.terminate()
        process.wait(60)


def paints(browser: Any, node: Running, rounds: int) -> dict[str, list[float]]:
    """First contentful paint and the table's first row in ms, each round with an empty cache and then reloaded."""
    found: dict[str, list[float]] = {"cold": [], "warm": [], "cold_table": [], "warm_table": []}
    for _ in range(rounds):
        context = browser.new_context(viewport={"width": 1280, "height": 860})
        context.add_cookies([node.cookie])
        tab = context.new_page()
        for kind in ("cold", "warm"):
            if kind == "cold":
                tab.goto(node.url + "transfers", wait_until="commit")
            else:
                tab.reload(wait_until="commit")
            tab.wait_for_selector("sv-transfers .transfer")
            row = tab.evaluate("performance.now()")
            paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            found[kind].append(round(paint))
            found[f"{kind}_table"].append(round(row))
        context.close()
    return found


def looked_at(browser: Any, node: Running, seconds: float, *, lane: bool) -> dict[str, Any]:
    """One tab on Transfers for `seconds`."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.add_cookies([node.cookie])
    tab = context.new_page()
    if not lane:
        tab.route_web_socket("**/lane", lambda socket: socket.close())
    tab.goto(node.url + "transfers")
    tab.wait_for_selector("sv-transfers .transfer")
    time.sleep(SETTLE)
    before, began = (cpu_seconds(node.pid), cpu_seconds(node.page_pid)), time.monotonic()
    node.begin()
    seen = tab.evaluate(SEEN, seconds)
    lag, took = node.lag(), time.monotonic() - began
    heap = tab.evaluate("performance.memory ? performance.memory.usedJSHeapSize : 0")
    result = {
        "seen_per_s": round(seen["seen"], 1),
        "each_row_per_s": round(statistics.median(seen["rows"]), 1) if seen["rows"] else 0.0,
        "rows_on_screen": len(seen["rows"]),
        "frames_per_s": round(seen["frames"], 1),
        "node_lag": lag,
        "node_cpu": round((cpu_seconds(node.pid) - before[0]) / took, 3),
        "page_cpu": round((cpu_seconds(node.page_pid) - before[1]) / took, 3),
        "node_mb": round(resident_mb(node.pid), 1),
        "page_mb": round(resident_mb(node.page_pid), 1),
        "tab_heap_mb": round(heap / 1e6, 1),
    }
    context.close()
    return result


def scrolled(browser: Any, node: Running, seconds: float) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.add_cookies([node.cookie])
    tab = context.new_page()
    began = time.monotonic()
    tab.goto(node.url + "transfers")
    tab.wait_for_selector("sv-transfers .transfer")
    opened = time.monotonic() - began
    time.sleep(SETTLE)
    times = sorted(tab.evaluate(SCROLL, seconds))
    context.close()
    return {
        "open_s": round(opened, 2),
        "frame_p50_ms": at(times, 0.5),
        "frame_p95_ms": at(times, 0.95),
        "frame_p99_ms": at(times, 0.99),
        "frames_over_50_ms": sum(each > 50 for each in times),
        "frames": len(times),
    }


def measure(seconds: float, rounds: int, first: bool) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("needs Debian's chromium: apt install chromium")
    figures: dict[str, Any] = {"load": os.getloadavg()[0]}
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        with daemon(Path(folder, "a"), 1000, 1000, first) as node:
            node.begin()
            time.sleep(seconds)
            figures["nobody_looks"] = {"node_lag": node.lag(), "node_mb": round(resident_mb(node.pid), 1)}
            figures["paint_ms"] = paints(browser, node, rounds)
            figures["transfers_1000"] = looked_at(browser, node, seconds, lane=True)
            figures["without_the_lane"] = looked_at(browser, node, seconds, lane=False)
        with daemon(Path(folder, "b"), 10_000, 200, first) as node:
            figures["scrolling_10000_of_which_200_move"] = scrolled(browser, node, seconds)
        with daemon(Path(folder, "c"), 10_000, 10_000, first) as node:
            figures["transfers_10000"] = looked_at(browser, node, seconds, lane=True)
        browser.close()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of opening the page")
    parser.add_argument(
        "--first", action="store_true", help="let the node run before its neighbours (needs root)"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    figures = measure(given.seconds, given.rounds, given.first)
    if given.json:
        print(json.dumps(figures, indent=1))
        return 0
    for name, value in figures.items():
        print(f"{name}: {json.dumps(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
