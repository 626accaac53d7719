"""Takes the README's pictures of the page again: `python -m tests.browser.pictures` writes docs/images."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.browser.conftest import ARGS, CHROMIUM, Visit
from tests.web.fake_api import FakeApi, FakeNode
from tests.web.running import web_page

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
PICTURES = (
    ("page-dark.png", "/", 1280, "dark"),
    ("page-light.png", "/transfers", 1280, "light"),
    ("page-phone.png", "/", 390, "light"),
)


def main() -> None:
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeApi(FakeNode(transfers=28), Path(folder)).running() as api,
        web_page(api.data_dir) as page,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        for name, path, width, theme in PICTURES:
            with Visit(browser, page, width=width, theme=theme) as visit:
                tab = visit.open(path)
                tab.wait_for_selector(".item")
                tab.wait_for_timeout(3000)  # until the picture has settled
                tab.screenshot(path=IMAGES / name)
        browser.close()


if __name__ == "__main__":
    main()
