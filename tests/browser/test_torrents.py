"""BitTorrent on the page of the lively fake node: what goes through the door, a share that is seeded, its .torrent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.running import client
from tests.browser.conftest import Visit
from tests.browser.finding import lively
from tests.web.running import WebPage


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("seeding")


@pytest.fixture(scope="module")
def page(home: Any) -> Iterator[WebPage]:
    with lively(home, "--transfers", "4", "--pace", "0.1") as running:
        yield running


def test_the_door_is_told_and_a_torrent_opens_with_its_peers_and_file(visit: Visit) -> None:
    tab = visit.open("/settings?tab=torrents")
    tab.wait_for_selector("sv-torrents:has-text('312 nodes known')")
    tab.click("[aria-label='Details of Field recordings']")
    tab.wait_for_selector("dialog .torrent-peers:has-text('Transmission')")
    with tab.expect_download() as saved:
        tab.click("dialog button:has-text('Save the .torrent')")
    assert saved.value.suggested_filename == "a.torrent"
    assert Path(saved.value.path()).read_bytes().startswith(b"d4:info")
    tab.click("dialog button:has-text('Seed it no more')")
    tab.wait_for_selector("[aria-label='Details of Field recordings']", state="detached")
    assert visit.complaints == []


def test_a_share_is_seeded_by_a_switch_and_no_more(visit: Visit, home: Any) -> None:
    node = client(home)
    shared = Path(home) / "talks"
    shared.mkdir()
    (shared / "one.txt").write_text("one")
    share = node.add_share(str(shared))
    tab = visit.open("/transfers")
    tab.click("[aria-label^='Link of talks']")
    tab.check("sv-seed input")
    tab.wait_for_selector("sv-seed:has-text('Seeding')")
    assert share.id in {one.share for one in node.torrents()}
    tab.uncheck("sv-seed input")
    tab.wait_for_selector("sv-seed:has-text('with other programs')")
    assert share.id not in {one.share for one in node.torrents()}
    assert visit.complaints == []


def test_what_is_no_torrent_is_refused_in_words(visit: Visit) -> None:
    tab = visit.open("/transfers")
    tab.click(".head-buttons button:has-text('Get')")
    tab.set_input_files(
        "sv-torrent-file input",
        {"name": "x.torrent", "mimeType": "application/x-bittorrent", "buffer": b"nothing of it"},
    )
    tab.wait_for_selector("sv-torrent-file:has-text('This .torrent cannot be used')")
