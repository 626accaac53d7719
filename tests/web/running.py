"""Starts the page's real process beside a fake API, for tests that talk to it over the wire."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from servent.api.keys import Keys, cookie_name
from tests.web.fake_api import peer_id


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass
class WebPage:
    process: subprocess.Popen[bytes]
    port: int
    cookie: tuple[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, *, login: bool = True, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host="host" in headers)
            if login:
                connection.putheader("Cookie", "=".join(self.cookie))
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if method == "POST":
                connection.putheader("Content-Length", "0")
            connection.endheaders()
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@contextlib.contextmanager
def web_page(data_dir: Path) -> Iterator[WebPage]:
    """The page of the node that `data_dir` describes, logged in as its owner."""
    process = subprocess.Popen(
        [sys.executable, "-m", "servent.web", "--data-dir", str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        word, _, url = process.stdout.readline().decode().strip().partition(" ")
        assert word == "page", f"the page's process said {word!r}"
        session = Keys.open(data_dir).new_session("admin", time.time())
        yield WebPage(process, int(url.rstrip("/").rpartition(":")[2]), (cookie_name(peer_id(0)), session))
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
