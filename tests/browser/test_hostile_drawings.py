"""What strangers make the page draw: it is drawn, or left out, and neither throws nor goes on for ever."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.web.running import WebPage

MODULES = """const at = document.querySelector("script[src$='main.js']").src.replace("main.js", "");"""
WEEK = (
    "async (hours) => {"
    + MODULES
    + """
    const { weekPicture } = await import(at + "cluster_week.js");
    return weekPicture(hours).querySelectorAll("rect.on").length;
}"""
)
ROWS = (
    "async ([width, height]) => {"
    + MODULES
    + """
    const { HeatView } = await import(at + "heat_view.js");
    const axis = { label: "x", low: 0, high: 1 };
    const view = new HeatView("a picture");
    view.node.style.cssText = "position: fixed; inset: 0; width: 600px; height: 300px";
    document.body.append(view.node);
    const own = CanvasRenderingContext2D.prototype.stroke;
    let strokes = 0;
    CanvasRenderingContext2D.prototype.stroke = function (...given) { strokes += 1; return own.apply(this, given); };
    view._fit();
    view.show({ width, height, x: axis, y: axis, z: axis, values: new Uint8Array(width * height).fill(9) });
    view._draw();
    view.close();
    view.node.remove();
    CanvasRenderingContext2D.prototype.stroke = own;
    return strokes;
}"""
)
TICKS = (
    "async ([low, high]) => {"
    + MODULES
    + """
    const { ticks } = await import(at + "heat_view.js");
    return ticks(low, high, 8).length;
}"""
)

CROWD = (
    "async (mine) => {"
    + MODULES
    + """
    const { live } = await import(at + "live.js");
    await import(at + "cluster.js");
    const some = (count, make) => Array.from({ length: count }, (_, n) => make(n));
    const hardware = { system: "", processor: "", cores: 0, memory_bytes: 0, disk_free_bytes: 0, gpus: [] };
    const versions = { python: "", dask: "", distributed: "", servent: "" };
    const node = document.createElement("sv-cluster");
    document.querySelector("main").append(node);
    live.clusters.set("c", {
      id: "c", name: "c", owner: "y".repeat(52), owner_name: "", mine, state: "up", why: "", address: "", link: "", number: 1, up: true, work: true, submit: false, cores: 0,
      machines: some(300, (n) => ({ id: `m${n}`, name: "", mine: false, owner: false, work: true, submit: false, groups: [], here: true, at: 0, why: "", lends: true, cores: 1, memory_bytes: 1, hardware, versions, unfit: "", parts: [] })),
      groups: some(100, (n) => ({ name: `g${n}`, hours: ["constructor 00:00-24:00"], machines: 0 })),
      workers: some(4096, (n) => ({ name: `w${n}`, address: "", node: "", status: "running", threads: 1, memory_limit_bytes: 1, memory_bytes: 1, spilled_bytes: 0, cpu: 1, running: 0, waiting: 0, kept: 0, groups: [] })),
      kinds: [], waiting: 0, running: 0, done: 0, failed: 0, kept_bytes: 0, per_minute: 0, clients: 0, restarts: 0, dashboard: false, logs: [],
    });
    node.paint();
    const found = [".worker-tile", ".machine", ".cluster-group"].map((kind) => node.querySelectorAll(kind).length);
    const words = [...node.querySelectorAll(".cluster-part > .note:not([hidden])")].map((one) => one.textContent);
    node.remove();
    live.clusters.delete("c");
    return [found, words];
}"""
)

MEMBER = (
    "async (mine) => {"
    + MODULES
    + """
    const { live } = await import(at + "live.js");
    await import(at + "cluster.js");
    const hardware = { system: "", processor: "", cores: 0, memory_bytes: 0, disk_free_bytes: 0, gpus: [] };
    const versions = { python: "", dask: "", distributed: "", servent: "" };
    const node = document.createElement("sv-cluster");
    document.querySelector("main").append(node);
    const machine = (id, work) => ({ id, name: "", mine: false, owner: false, work, submit: true, groups: [], here: false, at: 0, why: "", lends: false, cores: 0, memory_bytes: 0, hardware, versions, unfit: "", parts: [] });
    const worker = (name, node) => ({ name, address: "", node, status: "running", threads: 1, memory_limit_bytes: 1, memory_bytes: 1, spilled_bytes: 0, cpu: 1, running: 0, waiting: 0, kept: 0, groups: [] });
    live.clusters.set("c", {
      id: "c", name: "c", owner: "y".repeat(52), owner_name: "", mine, state: "up", why: "", address: "", link: "", number: 1, up: true, work: true, submit: false, cores: 0,
      machines: [machine("busy", true), machine("idle", true), machine("asks", false)], groups: [], workers: [worker("a", "busy"), worker("b", "busy")],
      kinds: [], waiting: 0, running: 0, done: 0, failed: 0, kept_bytes: 0, per_minute: 0, clients: 0, restarts: 0, dashboard: false, logs: [],
    });
    node.paint();
    const found = [...node.querySelectorAll(".machine-lends .small")].map((one) => one.textContent);
    node.remove();
    live.clusters.delete("c");
    return found;
}"""
)


@pytest.mark.browser
def test_a_member_is_not_told_that_others_lend_nothing(browser: Any, page: WebPage) -> None:
    """Only the owner knows what other machines have: of them a member sees their workers."""
    with Visit(browser, page) as visit:
        tab = visit.open("/people")
        assert sorted(tab.evaluate(MEMBER, False)) == ["", "2 workers", "only submits"]
        assert sorted(tab.evaluate(MEMBER, True)) == [
            "lends nothing now",
            "lends nothing now",
            "only submits",
        ]
        assert visit.complaints == []


@pytest.mark.browser
def test_what_strangers_say_is_drawn_in_time_or_not_at_all(browser: Any, page: WebPage) -> None:
    with Visit(browser, page) as visit:
        tab = visit.open("/people")
        # Hours of a group are what the owner of a cluster wrote, and one picture that throws hides every cluster.
        assert tab.evaluate(WEEK, ["daily 00:00-24:00"]) == 7 * 24
        for days in ("constructor", "__proto__", "toString", "", ",,,"):
            assert tab.evaluate(WEEK, [f"{days} 00:00-24:00", "mon 08:00-09:00", "x"]) == 1, days
        # What a cluster has others say: its owner, and members with thousands of workers.
        assert tab.evaluate(CROWD, False) == [[200, 200, 20], ["and 3,896 more", "and 100 more"]]
        assert tab.evaluate(CROWD, True) == [[200, 300, 100], ["and 3,896 more"]]
        # A picture has 64 KiB, in whatever shape.
        assert tab.evaluate(ROWS, [64, 64]) > 64
        assert 128 < tab.evaluate(ROWS, [1, 65_000]) < 300
        assert tab.evaluate(ROWS, [65_000, 1]) < 64
        # Numbers beside which a step is nothing.
        for low, high in ((1e18, 1e18 + 256), (-1e30, 1e30), (1e-300, 2e-300), (0, 5e-324)):
            assert tab.evaluate(TICKS, [low, high]) < 50
        assert visit.complaints == []
