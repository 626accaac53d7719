"""What is computed, to look at: live on the page of the machine that computes, and nothing is asked for while nobody looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.browser.finding import lively
from tests.web.running import WebPage

PATIENCE = 60_000  # ms
COLOURS = """() => { const c = document.querySelector('canvas.heat'); const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    const seen = new Set(); for (let k = 0; k < d.length; k += 4) if (d[k + 3] > 200) seen.add(`${d[k] >> 5},${d[k + 1] >> 5},${d[k + 2] >> 5}`); return seen.size; }"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebPage]:
    with lively(tmp_path_factory.mktemp("shown"), "--pace", "0.1") as running:
        yield running


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_power_over_frequency_and_time_is_drawn_while_somebody_looks(
    browser: Any, page: WebPage, width: int
) -> None:
    with Visit(browser, page, width=width) as visit:
        tab = visit.open("/grid")
        tab.wait_for_selector("sv-grid-picture canvas.heat", timeout=PATIENCE)
        tab.wait_for_function(f"({COLOURS})() > 12", timeout=PATIENCE)
        words = tab.text_content(".shown-words")
        assert words.startswith("Drift ") and "strongest so far" in words
        tab.wait_for_function(
            "was => document.querySelector('.shown-words').textContent !== was", arg=words, timeout=PATIENCE
        )
        assert visit.sideways() <= 0 and visit.nameless() == []
        tab.click("sv-tabs .tab:text-is('Projects')")
        tab.wait_for_selector(".grid-card", timeout=PATIENCE)
        asked = [url for url in visit.requests if url.split("?")[0].endswith("/picture")]
        assert asked
        tab.wait_for_timeout(1500)  # one that was under way
        before = len(visit.requests)
        tab.wait_for_timeout(1000)
        assert not [url for url in visit.requests[before:] if "/picture" in url]
        assert visit.complaints == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_what_was_found_is_a_map_and_a_list_with_plots(browser: Any, page: WebPage, width: int) -> None:
    with Visit(browser, page, width=width) as visit:
        tab = visit.open("/grid/primes")
        button = ".batch:has-text('three hours of the sky') button:has-text('What was found')"
        tab.wait_for_selector(button, timeout=PATIENCE)
        assert not tab.is_visible(".batch:has-text('argon melts') button:has-text('What was found')")
        tab.click(button)
        tab.wait_for_selector(".candidate", timeout=PATIENCE)
        assert "of 120 parts" in tab.text_content(".sky-about")
        scores = tab.eval_on_selector_all(
            ".candidate:not(.near) .candidate-score", "all => all.map(one => parseFloat(one.textContent))"
        )
        assert len(scores) > 5 and scores == sorted(scores, reverse=True)
        drawn = tab.eval_on_selector_all(
            ".candidate", "all => all.filter(one => one.querySelector('svg .sky-ground')).length"
        )
        assert drawn == tab.locator(".candidate").count()
        tab.click(".sky .segment:text-is('Gaussians')")
        tab.wait_for_selector(".candidate[data-kind=spike]", state="detached", timeout=PATIENCE)
        assert tab.locator(".candidate .sky-model").count() == tab.locator(".candidate").count() > 0
        assert visit.sideways() <= 0 and visit.nameless() == [] and visit.complaints == []
