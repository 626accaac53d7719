"""What the tests of finding stand on: the real daemon around the lively fake node, and answers of any size."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from servent.api.keys import Keys, cookie_name
from tests.api.running import client, fake_daemon
from tests.web.running import WebPage


@contextlib.contextmanager
def lively(data_dir: Path, *more: str) -> Iterator[WebPage]:
    """The page of a fake node with two peers who share some thousands of files each."""
    with fake_daemon(data_dir, "--web", *more) as process:
        ask = client(data_dir)
        deadline = time.monotonic() + 60
        while (url := ask.status().web_url) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert url is not None, "the page did not start"
        session = Keys.open(data_dir).new_session("admin", time.time())
        port = urlsplit(url).port
        assert port is not None
        yield WebPage(process, port, (cookie_name(ask.id().id), session))  # type: ignore[arg-type]


def until(tab: Any, true: Callable[[], object], what: str, limit: float = 60.0) -> None:
    """Wait until it is so, while the page goes on; it fails after `limit` s, and says `what`."""
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline, what
        tab.wait_for_timeout(50)


class Endless:
    """Answers `/node/browse/…` like a folder of `total` files; keeps what was asked for."""

    def __init__(self, tab: Any, total: int) -> None:
        self.total = total
        self.offsets: list[int] = []
        tab.route("**/node/browse/**", self._answer)

    def _answer(self, route: Any) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        offset, limit = int(query["offset"][0]), int(query["limit"][0])
        self.offsets.append(offset)
        entries = [
            {"name": f"{number:07d} recording.flac", "size_bytes": number * 977, "content": f"{number:064x}",
             "kind": "audio", "tags": {"artist": f"Artist {number % 97}"}, "modified": 1.7e9 + number}
            for number in range(offset, min(self.total, offset + limit))
        ]  # fmt: skip
        listing = {
            "peer": "p",
            "entries": entries,
            "offset": offset,
            "total": self.total,
            "files": self.total,
        }
        with contextlib.suppress(Exception):  # the page did not wait for it
            route.fulfill(status=200, content_type="application/json", body=json.dumps(listing))
