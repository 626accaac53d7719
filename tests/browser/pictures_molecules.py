"""Takes the picture of docs/molecules.md again, of atoms that a real node computed: `python -m tests.browser.pictures_molecules`. Needs ziglang."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

from PIL import Image

from servent.api import schema_grid as grid
from servent.grid.sandbox.cc import compile_c
from tests.api.running import ROOT, client
from tests.browser.conftest import ARGS, CHROMIUM, Visit
from tests.browser.pictures import COLOURS, PICTURES
from tests.browser.test_grid_real import LENDING, up

INPUT = "atoms 500 steps 1000 every 25 seed 7"
GENERATIONS = 8


def main() -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        home, start = folder / "node", folder / "argon.txt"
        home.mkdir()
        (home / "config.toml").write_text(LENDING)
        start.write_text(INPUT)
        module = compile_c([ROOT / "examples/grid/molecules.c"], folder / "molecules.wasm", abi="slice")
        with up(home) as page, sync_playwright() as playwright:
            node = client(home)
            made = node.create_project(grid.NewProject(name="liquids", bonus=0.75, local=True))
            app = grid.NewApp(
                name="molecules", module=str(module), abi="slice", operations=6e8, memory_bytes=16 << 20, output_bytes=8 << 20, quorum=1
            )  # fmt: skip
            node.add_app(made.id, app)
            work = grid.NewBatch(
                app="molecules", paths=[str(start)], generations=GENERATIONS, title="argon melts"
            )
            batch = node.submit(made.id, work)
            while node.batch(batch.id).state == "running":
                time.sleep(0.5)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            with Visit(browser, page, theme="dark") as visit:
                tab = visit.open("/grid/liquids")
                tab.click(".chain button:has-text('Watch')")
                tab.wait_for_selector("dialog.film .film-numbers")
                tab.wait_for_timeout(9000)  # until it has turned and played a while
                taken = Image.open(io.BytesIO(tab.locator("dialog.film").screenshot()))
                taken.convert("RGB").quantize(COLOURS).save(PICTURES / "molecules.png", optimize=True)
            browser.close()


if __name__ == "__main__":
    main()
