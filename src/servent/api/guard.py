"""One guard in front of everything the node serves on loopback, HTTP and WebSocket alike.

A browser will send requests to 127.0.0.1 for any page it shows, so being local proves nothing. In this order:

1. Host is one of ours, with our port, else 421: a foreign name that resolves to 127.0.0.1 (DNS rebinding) ends here.
2. Origin is absent or one of ours, else 403: another page's script ends here.
3. A token, or the page's session cookie, else 401.
4. What the cookie carries and what changes something (any method but GET and HEAD, and every WebSocket) also
   needs proof that our own page sent it: our Origin, or `Sec-Fetch-Site: same-origin`.

The page's own process uses the same class with the same data directory, so that one login serves both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from servent.api.keys import SESSION_LIFETIME, Keys, cookie_name, includes
from servent.api.routing import ProblemError
from servent.api.schema import Problem
from servent.api.schema import Scope as TokenScope

MAX_BODY_BYTES = 1024 * 1024
MAX_TORRENT_BYTES = 23 * 1024 * 1024  # a .torrent file of 16 MiB in base64, and what is around it
LARGE = frozenset(("/api/v1/torrents", "/node/torrents"))  # the only paths that take so much, API and page,
WORK = ("/api/v1/grid/projects/", "/batches")  # and those by which work is submitted to a project
MOST_COOKIES = 200
SAFE_METHODS = frozenset({"GET", "HEAD"})
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
ONCE = ("host", "origin", "authorization", "x-api-key", "content-length", "sec-fetch-site")

API_CSP = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


def page_csp(*connect: str) -> str:
    """The policy of our page. NiceGUI compiles its templates in the browser and needs the two unsafe words.

    Args:
        connect: further URLs it may talk to ("http://127.0.0.1:7700", "ws://127.0.0.1:7700").
    """
    targets = " ".join(("'self'", *connect))
    return (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:; font-src 'self' data:; connect-src {targets}; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def local_origins(port: int) -> frozenset[str]:
    return frozenset(f"http://{host}:{port}" for host in LOCAL_HOSTS)


class Guard:
    """Wraps an ASGI app; lets through only who has a token or a session, from a page of ours or no page.

    Args:
        app: sees `scope["servent_scope"]`, the caller's "read", "control" or "admin" (None on open paths).
        keys: of the data directory.
        node_id: names the cookie.
        port: the port we listen on; set `guard.port` later when it is known only after binding.
        open_paths: need no token; Host and Origin are checked all the same.
        need: the least scope that is let in at all.
        csp: Content-Security-Policy of answers that do not set their own.
        login_target: where `/login?code=…` leads, asked at each login; None: no login here.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        node_id: str,
        *,
        port: int = 0,
        open_paths: Iterable[str] = (),
        need: TokenScope = "read",
        csp: str = API_CSP,
        login_target: Callable[[], str] | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self.keys = keys
        self.cookie = cookie_name(node_id)
        self.port = port
        self.origins: set[str] = set()  # of our page, when it lives on another port
        self._open_paths = frozenset(open_paths)
        self._need = need
        self.csp = csp
        self._login_target = login_target
        self._max_body_bytes = max_body_bytes
        self._wall_clock = wall_clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            return
        headers = _headers(scope)
        refusal = self._judge(scope, headers)
        if refusal is not None:
            await _refuse(scope, receive, send, refusal, headers)
        elif scope["type"] == "http" and scope["path"] == "/login" and self._login_target is not None:
            await self._login(scope, receive, send)
        elif scope["type"] == "http":
            await self._pass_on(scope, receive, send, headers)
        else:
            await self.app(scope, receive, send)

    # who is it

    def _most(self, scope: Scope) -> int:
        """How many bytes the body of this request may have."""
        path = scope["path"]
        large = path in LARGE or (path.startswith(WORK[0]) and path.endswith(WORK[1]))
        return max(self._max_body_bytes, MAX_TORRENT_BYTES) if large else self._max_body_bytes

    def _judge(self, scope: Scope, headers: dict[str, list[str]]) -> Problem | None:
        if any(len(headers.get(name, ())) > 1 for name in ONCE):
            return _problem(400, "usage", "a header that may occur once occurs twice")
        host = _one(headers, "host").lower()
        if host not in self._hosts():
            return _problem(
                421,
                "refused",
                "this address does not belong to the node",
                "Use the address `servent up` prints.",
            )
        origin = headers.get("origin")
        own = self._own_origins()
        if origin is not None and origin[0].lower() not in own:
            return _problem(403, "refused", "another page may not talk to the node")
        writes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if scope["type"] == "http" and _too_long(headers, self._most(scope)):
            return _problem(413, "usage", f"a request body has at most {self._most(scope)} bytes")
        scope["servent_scope"] = None
        if scope["path"] in self._open_paths or (
            scope["path"] == "/login" and self._login_target is not None
        ):
            return None
        granted, by_cookie = self._scope_of(headers)
        if granted is None:
            return _problem(
                401,
                "unauthorized",
                "a token is needed",
                "Open the page with `servent open`; scripts send the content of api.token as a bearer token.",
            )
        if by_cookie:
            site = _one(headers, "sec-fetch-site").lower()
            ours = (origin is not None) or site == "same-origin"  # a present Origin was checked above
            if writes and not ours:
                return _problem(403, "refused", "the browser did not say that our own page sent this")
            mode = _one(headers, "sec-fetch-mode").lower()
            if site in ("cross-site", "same-site") and mode != "navigate" and origin is None:
                return _problem(403, "refused", "another page may not read from the node")
        if not includes(granted, self._need):
            return _problem(403, "refused", f"this token may only {granted}")
        scope["servent_scope"] = granted
        return None

    def _hosts(self) -> frozenset[str]:
        with_port = {f"{host}:{self.port}" for host in LOCAL_HOSTS}
        return frozenset(with_port | (set(LOCAL_HOSTS) if self.port == 80 else set()))

    def _own_origins(self) -> frozenset[str]:
        return local_origins(self.port) | self.origins

    def _scope_of(self, headers: dict[str, list[str]]) -> tuple[TokenScope | None, bool]:
        """What the request may do, and whether only a cookie says so."""
        kind, _, bearer = _one(headers, "authorization").partition(" ")
        if kind.lower() == "bearer":
            return self.keys.scope_of_token(bearer.strip()), False
        if key := _one(headers, "x-api-key"):
            return self.keys.scope_of_token(key), False
        pairs = [pair for line in headers.get("cookie", ()) for pair in line.split(";")][:MOST_COOKIES]
        for pair in pairs:  # all of that name: a page on another port can set one beside ours
            name, _, value = pair.strip().partition("=")
            if name == self.cookie and (scope := self.keys.scope_of_session(value, self._wall_clock())):
                return scope, True
        return None, False

    # letting in

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._login_target is not None
        try:
            query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=8)
        except ValueError:  # more fields than a link of ours has
            query = {}
        code = query.get("code", [""])[0]
        session = None
        if scope["method"] == "GET":
            session = self.keys.redeem(code, self._wall_clock())
        if session is None:
            problem = _problem(
                401,
                "unauthorized",
                "this link was used before, or is too old",
                "`servent open` makes a new one.",
            )
            await _refuse(scope, receive, send, problem, _headers(scope))
            return
        cookie = (
            f"{self.cookie}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={int(SESSION_LIFETIME)}"
        )
        headers = [
            (b"location", self._login_target().encode("ascii")),
            (b"set-cookie", cookie.encode("ascii")),
            (b"content-length", b"0"),
            *_security(self.csp, set()),
        ]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[str, list[str]]
    ) -> None:
        started, seen, too_long = False, 0, False
        most = self._most(scope)
        problem = _problem(413, "usage", f"a request body has at most {most} bytes")

        async def counted() -> Message:
            nonlocal seen, too_long
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > most:
                    too_long = True
                    raise ProblemError(problem)
            return message

        async def secured(message: Message) -> None:
            nonlocal started
            if too_long and not started:
                return  # whatever the app makes of it: the answer below is the right one
            if message["type"] == "http.response.start":
                started = True
                given = list(message.get("headers", ()))
                message = {
                    **message,
                    "headers": [*given, *_security(self.csp, {n.lower() for n, _ in given})],
                }
            await send(message)

        try:
            await self.app(scope, counted, secured)
        except ProblemError:
            if not too_long or started:
                raise
        if too_long and not started:
            await _refuse(scope, receive, send, problem, headers)


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip())
    return found


def _one(headers: dict[str, list[str]], name: str) -> str:
    return headers.get(name, [""])[0]


def _too_long(headers: dict[str, list[str]], limit: int) -> bool:
    length = _one(headers, "content-length")
    return length.isdigit() and (len(length) > 15 or int(length) > limit)


def _problem(status: int, kind: str, title: str, advice: str = "") -> Problem:
    return Problem(type=f"urn:servent:{kind}", title=title, status=status, detail=title, advice=advice)


def _security(csp: str, given: set[bytes]) -> list[tuple[bytes, bytes]]:
    wanted = {
        b"content-security-policy": csp.encode("ascii"),
        b"x-frame-options": b"DENY",
        b"x-content-type-options": b"nosniff",
        b"referrer-policy": b"no-referrer",
        b"cross-origin-resource-policy": b"same-origin",
        b"cross-origin-opener-policy": b"same-origin",
        b"cache-control": b"no-store",
    }
    return [(name, value) for name, value in wanted.items() if name not in given]


async def _refuse(
    scope: Scope, receive: Receive, send: Send, problem: Problem, headers: dict[str, list[str]]
) -> None:
    kind = b"application/problem+json"
    body = msgspec.json.encode(problem)
    if scope["type"] == "http" and "text/html" in _one(headers, "accept"):
        kind, body = b"text/html; charset=utf-8", _page(problem).encode("utf-8")
    fields = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        *_security(API_CSP, set()),
    ]
    if problem.status == 401:
        fields.append((b"www-authenticate", b'Bearer realm="servent"'))
    if problem.status == 413:
        fields.append((b"connection", b"close"))
    start: dict[str, Any] = {"status": problem.status, "headers": fields}
    if scope["type"] == "http":
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
    elif "websocket.http.response" in scope.get("extensions", {}):
        await send({"type": "websocket.http.response.start", **start})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": 1008})


def _page(problem: Problem) -> str:
    """For a person's browser. Both texts are ours, and hold nothing from the request."""
    return (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>servent</title><h1>servent</h1><p>{problem.detail}.</p><p>{problem.advice}</p>"
    )
