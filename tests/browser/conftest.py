"""Debian's chromium, driven by playwright, against the page's real process and a fake node."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.web.fake_api import FakeApi, FakeNode
from tests.web.running import WebPage, web_page

HERE = Path(__file__).parent
PATIENCE = 60_000  # ms that anything may take on a machine that does much else
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"]  # fmt: skip

NAMELESS = """() => [...document.querySelectorAll('button, input, select, textarea, [role=button], a[href]')]
    .filter(e => e.checkVisibility() && !(e.getAttribute('aria-label') || e.innerText || e.title || e.closest('label')?.innerText || '').trim())
    .map(e => e.outerHTML.slice(0, 120))"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="needs Debian's chromium: apt install chromium"))


class Chromium:
    """One for all tests of this folder, and gone before any other begins: while playwright runs, this thread has a running loop, and no test could start its own."""

    def __init__(self) -> None:
        self._playwright: Any = None
        self._started: Any = None

    def there(self) -> Any:
        from playwright.sync_api import sync_playwright

        if self._started is not None and not self._started.is_connected():
            self.close()
        if self._started is None:
            self._playwright = sync_playwright().start()
            self._started = self._playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            self._started.new_context()  # the one that visits share
        return self._started

    def close(self) -> None:
        if self._started is not None:
            self._started.close()
        if self._playwright is not None:
            self._playwright.stop()
        self._playwright = self._started = None


CHROMIUM_OF_ALL = Chromium()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Generator[None, None, None]:
    try:
        yield
    finally:
        if nextitem is None or not nextitem.path.is_relative_to(HERE):
            CHROMIUM_OF_ALL.close()


@pytest.fixture(scope="module")
def browser() -> Any:
    return CHROMIUM_OF_ALL.there()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeApi]:
    with FakeApi(FakeNode(transfers=1000), tmp_path_factory.mktemp("node")).running() as running:
        yield running


@pytest.fixture(scope="module")
def page(api: FakeApi) -> Iterator[WebPage]:
    with web_page(api.data_dir) as running:
        yield running


class Visit:
    """One tab, which remembers every complaint of the console and every request.

    Visits of one browser share what it has fetched and compiled, which is most of the time that a page takes to open;
    what a page stores is cleared before each. `cold`: nothing at all is there.
    """

    def __init__(
        self, browser: Any, page: WebPage, *, width: int = 1280, theme: str = "dark", cold: bool = False
    ) -> None:
        self.page, self._cold = page, cold
        self.context = browser.new_context() if cold or not browser.contexts else browser.contexts[0]
        self.context.set_default_timeout(PATIENCE)
        name, value = page.cookie
        self.context.clear_cookies()
        self.context.add_cookies(
            [{"name": name, "value": value, "domain": "127.0.0.1", "path": "/", "httpOnly": True, "sameSite": "Strict"}]
        )  # fmt: skip
        self.tab = self.context.new_page()
        self.tab.set_viewport_size({"width": width, "height": 844 if width < 500 else 860})
        self.tab.emulate_media(color_scheme=theme)
        if not cold:
            cleared = {
                "origin": page.url,
                "storageTypes": "local_storage,indexeddb,cache_storage,service_workers",
            }
            self.context.new_cdp_session(self.tab).send("Storage.clearDataForOrigin", cleared)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.tab.on(
            "console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text)
        )
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("websocket", lambda socket: self.requests.append(socket.url))

    def open(self, path: str) -> Any:
        self.tab.goto(self.page.url + path)
        self.tab.wait_for_selector("h1")
        self.tab.wait_for_selector("html[data-connection=live]", state="attached")
        return self.tab

    def foreign_requests(self) -> list[str]:
        ours = (f"http://127.0.0.1:{self.page.port}/", f"ws://127.0.0.1:{self.page.port}/", "data:", "blob:")
        return [url for url in self.requests if not url.startswith(ours)]

    def nameless(self) -> list[str]:
        """Buttons and fields that say nothing to somebody who does not see them."""
        return list(self.tab.evaluate(NAMELESS))

    def sideways(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.tab.evaluate("document.scrollingElement.scrollWidth - innerWidth"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._cold:
            self.context.close()
        else:
            self.tab.close()
            self.context.clear_permissions()


@pytest.fixture
def visit(browser: Any, page: WebPage) -> Iterator[Visit]:
    with Visit(browser, page) as tab:
        yield tab
