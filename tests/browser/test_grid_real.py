"""The pages of computing on a real node: a project from its making to a checked ledger, computed in the real sandbox, also after a restart."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from servent.api.keys import Keys, cookie_name
from tests.api.running import ROOT, client
from tests.browser.conftest import Visit
from tests.grid.sandbox.rig import ECHO
from tests.web.running import WebPage

pytestmark = [pytest.mark.browser, pytest.mark.real, pytest.mark.slow]

LENDING = '[grid]\nlend = true\npreset = "own"\ncores = 1\nidle_minutes = 0.0\non_battery = true\n'


@contextlib.contextmanager
def up(data_dir: Path) -> Iterator[WebPage]:
    process = subprocess.Popen(
        [sys.executable, "-m", "servent", "--data-dir", str(data_dir), "up", "--api-port", "0", "--no-lan", "--no-relay"],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert any(line.startswith("ready") for line in process.stdout), "it did not start"
        node = client(data_dir)
        deadline = time.monotonic() + 60
        while (url := node.status().web_url) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert url is not None, "the page did not start"
        session = Keys.open(data_dir).new_session("admin", time.time())
        yield WebPage(process, urlsplit(url).port, (cookie_name(node.id().id), session))  # type: ignore[arg-type]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        process.stdout.close()


def test_what_the_page_makes_is_computed_for_real_and_is_there_after_a_restart(
    browser: Any, tmp_path: Path
) -> None:
    home, module = tmp_path / "node", tmp_path / "echo.wat"
    home.mkdir()
    (home / "config.toml").write_text(LENDING)
    module.write_text(ECHO)
    with up(home) as page, Visit(browser, page) as visit:
        tab = visit.open("/grid?tab=mine")
        tab.click(".head button:has-text('New project')")
        tab.fill("dialog label:has-text('Its name') input", "echoes")
        tab.click("dialog button:has-text('Make it')")
        tab.wait_for_selector("h1:has-text('echoes')")
        tab.click("button:has-text('Add the first app')")
        tab.fill("dialog label:has-text('Its name') input", "echo")
        tab.fill("dialog label:has-text('Module') input", str(module))
        tab.fill("dialog label:has-text('GFLOP') input", "43.2")
        tab.click("dialog summary")
        tab.fill("dialog label:has-text('must agree') input", "1")
        tab.click("dialog button:has-text('Add it')")
        tab.click(".toast button:has-text('Submit work')")
        tab.fill("dialog label:has-text('inputs as text') textarea", "\n".join(f"say {n}" for n in range(12)))
        tab.click("dialog button:has-text('Submit')")
        tab.wait_for_function(
            "document.querySelector('.station[data-state=done] .figure').textContent === '12'", timeout=60_000
        )
        tab.click(".batch button:has-text('Results')")
        tab.wait_for_selector("dialog .result pre:text-is('say 7')")
        tab.keyboard.press("Escape")
        tab.click("nav a[href='/grid']")
        tab.wait_for_selector(".log-line:has-text('echo/1')")
        assert tab.inner_text(".lend-why")
        assert not visit.complaints
    with up(home) as page, Visit(browser, page) as visit:
        tab = visit.open("/grid/echoes")
        tab.wait_for_selector(".station[data-state=done]:has-text('12'):has-text('100 %')")
        tab.wait_for_selector(".batch:has-text('12 of 12')")
        tab.wait_for_selector(".project-state:has-text('Everything that was submitted is done.')")
        assert not visit.complaints
