"""A real daemon's API, asked by hand: paths in disguise, methods in disguise, smuggled requests, stolen cookies."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from servent.api.client import TOKEN_FILE
from servent.api.keys import Keys, cookie_name
from tests.api.running import client, fake_daemon

OPEN = (200, "/api/v1/ping")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with fake_daemon(folder):
        yield folder


def port_of(home: Path) -> int:
    return int(client(home).url.rpartition(":")[2])


def raw(home: Path, request: str | bytes) -> bytes:
    """Everything that comes back for these bytes."""
    data = (
        request.replace("PORT", str(port_of(home))).encode("latin-1") if isinstance(request, str) else request
    )
    with socket.create_connection(("127.0.0.1", port_of(home)), timeout=60) as sock:
        sock.sendall(data)
        found = b""
        try:
            while piece := sock.recv(65536):
                found += piece
        except (TimeoutError, ConnectionError):
            pass
        return found


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/status",
        "/api/v1//status",
        "/api/v1/ping/../status",
        "/api/v1/ping/%2e%2e/status",
        "/api/v1/ping%2f..%2fstatus",
        "/api/v1/ping;/status",
        "/api/v1/ping%00/status",
        "/api/v1/ping?/../status",
        "/login/../api/v1/status",
        "/login%2f..%2fapi/v1/status",
        "/api/v1/status#/api/v1/ping",
        "/API/V1/STATUS",
        "http://127.0.0.1:PORT/api/v1/status",
        "http://evil.example/api/v1/status",
        "\\api\\v1\\status",
        "/%61pi/v1/status",
        "/docs/../api/v1/status",
        "/api/v1/events",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_no_disguise_of_a_path_tells_anything_without_a_token(home: Path, path: str, method: str) -> None:
    answer = raw(home, f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n")
    assert b"data_dir" not in answer and b"short_id" not in answer
    for status in statuses(answer):
        assert (
            status in (400, 401, 404, 405)
            or (status, path) == OPEN
            or (status, path.partition("?")[0]) == OPEN
        )


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Forwarded-Host"]
)
def test_no_header_changes_what_a_request_is(home: Path, header: str) -> None:
    keys = Keys((home / TOKEN_FILE).read_text().strip())
    import time

    name = cookie_name(client(home).id().id)
    cookie = f"{name}={keys.new_session('admin', time.time())}"
    answer = raw(
        home,
        f"GET /api/v1/shutdown HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nCookie: {cookie}\r\n"
        f"{header}: POST\r\nConnection: close\r\n\r\n",
    )
    assert statuses(answer) == [405]
    assert client(home).ping_api()


def test_the_cookie_of_a_session_is_no_use_to_another_page(home: Path) -> None:
    """A page on another port of this host sends the cookie along; its origin gives it away, or it has none."""
    import time

    keys = Keys((home / TOKEN_FILE).read_text().strip())
    name = cookie_name(client(home).id().id)
    cookie = f"{name}={keys.new_session('admin', time.time())}"
    base = f"Host: 127.0.0.1:PORT\r\nCookie: {cookie}\r\nConnection: close\r\n"
    for extra, method, wanted in (
        ("Origin: http://127.0.0.1:1\r\n", "POST", 403),
        ("Origin: http://127.0.0.1:1\r\n", "GET", 403),
        ("Origin: null\r\n", "POST", 403),
        ("Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\n", "GET", 403),
        ("Sec-Fetch-Site: same-site\r\n", "POST", 403),
        ("", "POST", 403),
        ("", "DELETE", 403),
    ):
        answer = raw(home, f"{method} /api/v1/shares HTTP/1.1\r\n{base}{extra}Content-Length: 0\r\n\r\n")
        assert statuses(answer) == [wanted], (extra, method)
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    for extra in ("", "Origin: http://127.0.0.1:1\r\n", "Origin: http://evil.example\r\n"):
        answer = raw(
            home,
            f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nCookie: {cookie}\r\n{extra}{upgrade}\r\n",
        )
        assert statuses(answer) == [403], extra


def test_a_cookie_planted_beside_ours_does_not_lock_us_out(home: Path) -> None:
    import time

    keys = Keys((home / TOKEN_FILE).read_text().strip())
    name = cookie_name(client(home).id().id)
    good = keys.new_session("admin", time.time())
    for line in (
        f"{name}=planted; {name}={good}",
        f"{name}={good}; {name}=",
        f"{name}=a.b.c.d; {name}={good}",
    ):
        answer = raw(
            home,
            f"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nCookie: {line}\r\nConnection: close\r\n\r\n",
        )
        assert statuses(answer) == [200]
    bad = "; ".join(f"{name}={n}.9999999999.x.y" for n in range(150))
    answer = raw(
        home,
        f"GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nCookie: {bad}\r\nConnection: close\r\n\r\n",
    )
    assert statuses(answer) == [401]


def test_one_request_is_not_smuggled_inside_another(home: Path) -> None:
    token = (home / TOKEN_FILE).read_text().strip()
    inner = f"POST /api/v1/shutdown HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
    # what a page could send: a body that looks like a request must stay a body
    body = inner.replace("PORT", str(port_of(home))).replace(token, "?" * len(token))
    answer = raw(
        home,
        f"POST /api/v1/shares HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nContent-Length: 5\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{body}",
    )
    assert all(status in (400, 401) for status in statuses(answer))
    assert client(home).ping_api()


def test_login_codes_are_not_guessed_and_a_strange_query_is_no_bug(home: Path) -> None:
    for query in (
        "",
        "code=",
        "code=x",
        "&".join(f"a{n}=1" for n in range(500)),
        "code=%ff%00",
        "code[]=1",
        "c" * 5000,
    ):
        for method in ("GET", "HEAD", "POST"):
            answer = raw(
                home, f"{method} /login?{query} HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n"
            )
            assert statuses(answer) == [401], (query[:40], method)
    code = client(home).login_link().url.partition("code=")[2]
    for method, wanted in (("HEAD", 401), ("POST", 401), ("GET", 303), ("GET", 401)):
        answer = raw(
            home, f"{method} /login?code={code} HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n"
        )
        assert statuses(answer) == [wanted], method


def test_a_reading_token_changes_nothing(home: Path) -> None:
    token = client(home).add_token("looker", "read").token
    for method, path in (
        ("POST", "/api/v1/shares"),
        ("POST", "/api/v1/downloads"),
        ("PATCH", "/api/v1/config"),
        ("POST", "/api/v1/shutdown"),
        ("POST", "/api/v1/login-link"),
        ("POST", "/api/v1/tokens"),
        ("POST", "/api/v1/id/backup"),
        ("POST", "/api/v1/ticket"),
    ):
        answer = raw(
            home,
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        )
        assert statuses(answer) == [403], path
    client(home).remove_token("looker")
