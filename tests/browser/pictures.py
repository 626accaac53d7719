"""Takes the README's pictures of the page again: `python -m tests.browser.pictures [NAME.png …]` writes docs/pictures."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser.conftest import ARGS, CHROMIUM, Visit
from tests.browser.finding import lively
from tests.web.fake_api import FakeApi, FakeNode
from tests.web.running import WebPage, web_page

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
SCREENS = (
    ("search.png", "/search?q=summer", "sv-search .search-status:has-text('answered')", "dark"),
    ("talk.png", "/talk/lobby", "sv-talk .message.mention", "dark"),
    ("grid.png", "/grid/primes", "sv-grid-project .lane .grain", "dark"),
    ("listen.png", "/grid", "sv-grid-picture canvas.heat", "dark"),
    ("sky.png", "/grid/primes", "button:has-text('What was found')", "dark"),
    ("cluster.png", "/grid?tab=cluster", ".worker-tile:has-text('bob')", "light"),
    ("transfers.png", "/transfers", "sv-transfers .transfer", "light"),
)
# What stands below the fold, or behind a press: (button, what appears, what is scrolled to).
ACTS = {
    "listen.png": ("", "sv-grid-picture canvas.heat", "sv-grid-picture .card"),
    "sky.png": ("button:has-text('What was found')", ".candidate", ""),
}
COLOURS = 128  # a picture of 1280 x 800 stays below 150 kB


def main() -> None:
    from playwright.sync_api import sync_playwright

    PICTURES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        lively(Path(folder), "--seconds", "60", "--transfers", "14") as page,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        wanted = sys.argv[1:]
        for name, path, content, theme in SCREENS:
            if not wanted or name in wanted:
                take(browser, page, name, path, content, theme)
        if wanted and "overview.png" not in wanted:
            browser.close()
            return
        with (
            FakeApi(FakeNode(transfers=28), Path(folder) / "many").running() as api,
            web_page(api.data_dir) as many,
        ):
            take(browser, many, "overview.png", "/", "sv-picture .peer", "dark")
        browser.close()


def take(browser: Any, page: WebPage, name: str, path: str, content: str, theme: str) -> None:
    width = 1440 if name == "talk.png" else 1280  # from there on the members are beside the messages
    with Visit(browser, page, theme=theme, width=width) as visit:
        tab = visit.open(path)
        tab.set_viewport_size({"width": width, "height": 800})
        tab.wait_for_selector(content)
        press, appears, to = ACTS.get(name, ("", "", ""))
        if press:
            tab.click(press)
        if appears:
            tab.wait_for_selector(appears)
        if to:
            tab.eval_on_selector(to, "one => one.scrollIntoView({ block: 'center' })")
        tab.wait_for_timeout(3000)  # until everything has settled
        taken = Image.open(io.BytesIO(tab.screenshot()))
        taken.convert("RGB").quantize(256 if name == "listen.png" else COLOURS).save(
            PICTURES / name, optimize=True
        )


if __name__ == "__main__":
    main()
