"""The page's process: who gets in, what it tells the browser to forbid, and how it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.fake_api import FakeApi, FakeNode
from tests.web.running import WebPage, web_page

SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeApi]:
    with FakeApi(FakeNode(transfers=20), tmp_path_factory.mktemp("node")).running() as running:
        yield running


@pytest.fixture(scope="module")
def page(api: FakeApi) -> Iterator[WebPage]:
    with web_page(api.data_dir) as running:
        yield running


def test_without_a_login_nothing_is_shown_and_the_way_in_is_told(page: WebPage) -> None:
    answer = page.ask("GET", "/", login=False, Accept="text/html")
    assert answer.status == 401 and b"servent open" in answer.body


@pytest.mark.parametrize("path", ["/", "/transfers", "/doctor"])
def test_with_a_login_every_screen_comes_with_a_strict_policy(page: WebPage, path: str) -> None:
    answer = page.ask("GET", path)
    policy = answer.headers["content-security-policy"]
    assert answer.status == 200
    assert "default-src 'self'" in policy and "connect-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy and "http" not in policy


def test_the_token_is_neither_in_the_page_nor_on_the_command_line(api: FakeApi, page: WebPage) -> None:
    assert api.node.token.encode() not in page.ask("GET", "/").body
    assert all(api.node.token not in str(word) for word in page.process.args)  # type: ignore[union-attr]


def test_nothing_on_the_page_comes_from_elsewhere(page: WebPage) -> None:
    import re

    body = page.ask("GET", "/").body.decode()
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", body)
    assert '@import url("http' not in body


def test_a_foreign_name_for_this_address_is_turned_away(page: WebPage) -> None:
    assert page.ask("GET", "/", host="evil.example").status == 421


@pytest.mark.parametrize("path", ["/", "/node/transfers/00/pause", "/live"])
def test_another_pages_script_is_turned_away(page: WebPage, path: str) -> None:
    method = "POST" if path.startswith("/node") else "GET"
    assert page.ask(method, path, Origin="http://evil.example").status == 403


def test_a_change_without_proof_of_our_own_page_is_refused(api: FakeApi, page: WebPage) -> None:
    key = next(iter(api.node.transfers))
    assert page.ask("POST", f"/node/transfers/{key}/pause").status == 403
    assert page.ask("POST", f"/node/transfers/{key}/pause", Origin=page.url).status == 200


@pytest.mark.parametrize(
    ("login", "origin", "status"),
    [(True, "own", 101), (True, None, 403), (True, "http://evil.example", 403), (False, "own", 401)],
)
def test_the_live_socket_opens_for_our_own_page_alone(
    page: WebPage, login: bool, origin: str | None, status: int
) -> None:
    headers = dict(SOCKET) | ({"Origin": page.url if origin == "own" else origin} if origin else {})
    assert page.ask("GET", "/live", login=login, **headers).status == status


@pytest.mark.parametrize("path", ["0/pause%2F..%2F..%2Fshutdown", "..%2F..%2Fshutdown/pause"])
def test_no_path_climbs_out_of_what_the_page_may_do(api: FakeApi, page: WebPage, path: str) -> None:
    before = list(api.node.wanted)
    assert page.ask("POST", f"/node/transfers/{path}", Origin=page.url).status in (404, 405)
    assert api.node.wanted == before


def test_a_refusal_of_the_node_reaches_the_button_with_its_advice(api: FakeApi, page: WebPage) -> None:
    api.node.refuse_actions = True
    try:
        answer = page.ask("POST", f"/node/transfers/{next(iter(api.node.transfers))}/resume", Origin=page.url)
    finally:
        api.node.refuse_actions = False
    assert answer.status == 409
    assert answer.json()["advice"] == "Free some space, then try again."


def test_a_finished_transfer_is_checked_again_and_taken_off_the_list(api: FakeApi, page: WebPage) -> None:
    key = next(key for key, each in api.node.transfers.items() if each["state"] == "complete")
    assert page.ask("POST", f"/node/transfers/{key}/verify", Origin=page.url).json()["state"] == "complete"
    assert page.ask("DELETE", f"/node/transfers/{key}", Origin=page.url).status == 200
    assert key not in api.node.transfers
    assert page.ask("DELETE", f"/node/transfers/{key}", Origin=page.url).status == 404


def test_it_ends_when_who_started_it_does(api: FakeApi) -> None:
    with web_page(api.data_dir) as page:
        assert page.process.stdin is not None
        page.process.stdin.close()
        assert page.process.wait(timeout=60) == 0


def test_without_a_node_it_says_so_and_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "servent.web", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "no node is running" in done.stderr and "servent up" in done.stderr


def test_the_node_never_imports_nicegui() -> None:
    probe = "import sys, servent.api.daemon, servent.api.server, servent.api.client; sys.exit('nicegui' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], timeout=60, check=False).returncode == 0


def test_an_open_page_costs_the_node_one_stream_however_many_there_are(api: FakeApi, page: WebPage) -> None:
    import socket

    sockets = []
    try:
        for _ in range(3):
            raw = socket.create_connection(("127.0.0.1", page.port), timeout=60)
            head = {
                **SOCKET,
                "Host": f"127.0.0.1:{page.port}",
                "Origin": page.url,
                "Cookie": "=".join(page.cookie),
            }
            lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items())
            raw.sendall(f"GET /live HTTP/1.1\r\n{lines}\r\n".encode())
            assert b" 101 " in raw.recv(200)
            sockets.append(raw)
        deadline = time.monotonic() + 60
        while api.streams == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert api.streams == 1
    finally:
        for raw in sockets:
            raw.close()
    deadline = time.monotonic() + 60
    while api.streams and time.monotonic() < deadline:
        time.sleep(0.05)
    assert api.streams == 0  # nobody looks: the node has nothing to send
