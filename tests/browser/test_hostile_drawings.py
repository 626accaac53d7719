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


@pytest.mark.browser
def test_what_strangers_say_is_drawn_in_time_or_not_at_all(browser: Any, page: WebPage) -> None:
    with Visit(browser, page) as visit:
        tab = visit.open("/people")
        # Hours of a group are what the owner of a cluster wrote, and one picture that throws hides every cluster.
        assert tab.evaluate(WEEK, ["daily 00:00-24:00"]) == 7 * 24
        for days in ("constructor", "__proto__", "toString", "", ",,,"):
            assert tab.evaluate(WEEK, [f"{days} 00:00-24:00", "mon 08:00-09:00", "x"]) == 1, days
        # A picture has 64 KiB, in whatever shape.
        assert tab.evaluate(ROWS, [64, 64]) > 64
        assert 128 < tab.evaluate(ROWS, [1, 65_000]) < 300
        assert tab.evaluate(ROWS, [65_000, 1]) < 64
        # Numbers beside which a step is nothing.
        for low, high in ((1e18, 1e18 + 256), (-1e30, 1e30), (1e-300, 2e-300), (0, 5e-324)):
            assert tab.evaluate(TICKS, [low, high]) < 50
        assert visit.complaints == []
