"""Whoever is on this machine, or in its browser, and is not us, gets nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from servent.api import server
from servent.api.context import Context
from servent.api.events import Bus
from servent.api.guard import Guard, page_csp
from servent.api.keys import Keys, cookie_name
from tests.api.asgi import HOST, PORT, Answer, ask, shake
from tests.api.fake import ME, FakeNode

TOKEN = "t" * 43
OWN = f"http://{HOST}"
BEARER = ("authorization", f"Bearer {TOKEN}")
NOW = 1_000_000.0


def build(tmp_path: Path) -> tuple[Guard, Keys]:
    keys = Keys(TOKEN)
    ctx = Context(FakeNode(tmp_path), keys, Bus(0), "0.1.0", url=OWN, wall_clock=lambda: NOW)
    guard = server.build(ctx)
    guard._wall_clock = lambda: NOW
    guard.port = PORT
    return guard, keys


@pytest.fixture
def guarded(tmp_path: Path) -> tuple[Guard, Keys]:
    return build(tmp_path)


def cookie(keys: Keys, lifetime: float = 100.0) -> tuple[str, str]:
    return ("cookie", f"theme=dark; {cookie_name(str(ME))}={keys.new_session('admin', NOW, lifetime)}")


def kind(answer: Answer) -> str:
    problem = json.loads(answer.body)
    assert problem["status"] == answer.status
    assert answer.headers["content-type"] == "application/problem+json"
    return str(problem["type"]).removeprefix("urn:servent:")


def test_without_a_token_only_the_version_is_told(guarded: tuple[Guard, Keys]) -> None:
    guard, _ = guarded
    assert ask(guard, path="/api/v1/ping").status == 200
    for path in ("/", "/docs", "/api/v1/status", "/api/v1/openapi.json", "/api/v1/events", "/nothing"):
        answer = ask(guard, path=path)
        assert answer.status == 401, path
        assert kind(answer) == "unauthorized"


@pytest.mark.parametrize("header", [BEARER, ("x-api-key", TOKEN), ("authorization", f"bearer {TOKEN}")])
def test_the_token_opens_the_door(guarded: tuple[Guard, Keys], header: tuple[str, str]) -> None:
    assert ask(guarded[0], headers=[header]).status == 200


@pytest.mark.parametrize(
    "value",
    ["Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", f"Basic {TOKEN}", "Bearer ÿ"],
)
def test_a_wrong_token_does_not(guarded: tuple[Guard, Keys], value: str) -> None:
    assert ask(guarded[0], headers=[("authorization", value)]).status == 401


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        f"127.0.0.1:{PORT + 1}",
        f"127.0.0.1.evil.example:{PORT}",
        "",
        f"localhost.:{PORT}",
        f"127.0.0.2:{PORT}",
        f"0.0.0.0:{PORT}",
        f"127.0.0.1:{PORT}@evil.example",
    ],
)
def test_a_foreign_name_for_this_machine_is_refused_even_with_the_token(
    guarded: tuple[Guard, Keys], host: str
) -> None:
    """DNS rebinding: the browser believes that evil.example is at 127.0.0.1, and sends what it has."""
    guard, keys = guarded
    for extra in ([BEARER], [cookie(keys)], []):
        assert ask(guard, headers=[("host", host), *extra]).status == 421
        assert ask(guard, path="/api/v1/ping", headers=[("host", host), *extra]).status == 421
        assert shake(guard, "/api/v1/events", [("host", host), *extra]) == "421"


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}"])
def test_our_own_names_are_accepted(guarded: tuple[Guard, Keys], host: str) -> None:
    assert ask(guarded[0], headers=[("host", host), BEARER]).status == 200


def test_a_second_host_origin_or_token_header_is_refused(guarded: tuple[Guard, Keys]) -> None:
    for twice in (("host", HOST), ("origin", OWN), BEARER):
        headers = [("host", HOST), BEARER, twice, twice]
        assert ask(guarded[0], headers=headers).status == 400


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        f"http://127.0.0.1:{PORT + 1}",
        f"https://{HOST}",
        "http://localhost",
        "",
    ],
)
def test_another_page_is_refused_whatever_it_has(guarded: tuple[Guard, Keys], origin: str) -> None:
    guard, keys = guarded
    for who in (BEARER, cookie(keys)):
        for method in ("GET", "POST", "OPTIONS"):
            answer = ask(guard, method, headers=[("origin", origin), who])
            assert answer.status == 403
            assert not any(name.startswith("access-control") for name in answer.headers)
        assert shake(guard, "/api/v1/events", [("origin", origin), who]) == "403"


def test_the_cookie_reads(guarded: tuple[Guard, Keys]) -> None:
    guard, keys = guarded
    assert ask(guard, headers=[cookie(keys)]).status == 200
    assert (
        ask(guard, headers=[cookie(keys), ("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]).status
        == 200
    )


def test_the_cookie_alone_changes_nothing(guarded: tuple[Guard, Keys]) -> None:
    guard, keys = guarded
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = ask(guard, method, "/api/v1/shutdown", [cookie(keys)])
        assert answer.status == 403
        assert kind(answer) == "refused"
    assert shake(guard, "/api/v1/events", [cookie(keys)]) == "403"


@pytest.mark.parametrize("proof", [("origin", OWN), ("sec-fetch-site", "same-origin")])
def test_with_proof_that_our_page_sent_it_the_cookie_writes(
    guarded: tuple[Guard, Keys], proof: tuple[str, str]
) -> None:
    guard, keys = guarded
    answer = ask(guard, "POST", "/api/v1/login-link", [cookie(keys), proof])
    assert answer.status == 200
    assert shake(guard, "/api/v1/events", [cookie(keys), proof]) == "accept"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_the_browsers_word_that_another_page_sent_it_counts(guarded: tuple[Guard, Keys], site: str) -> None:
    guard, keys = guarded
    assert ask(guard, "POST", "/api/v1/login-link", [cookie(keys), ("sec-fetch-site", site)]).status == 403
    if site != "none":
        reading = [cookie(keys), ("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")]
        assert ask(guard, headers=reading).status == 403


def test_the_page_of_another_port_is_ours_once_we_say_so(guarded: tuple[Guard, Keys]) -> None:
    guard, keys = guarded
    page = "http://127.0.0.1:7701"
    assert ask(guard, headers=[cookie(keys), ("origin", page)]).status == 403
    guard.origins = {page}
    assert ask(guard, headers=[cookie(keys), ("origin", page)]).status == 200


def test_another_nodes_cookie_is_worth_nothing(guarded: tuple[Guard, Keys]) -> None:
    guard, _ = guarded
    theirs = Keys("u" * 43).new_session("admin", NOW)
    assert ask(guard, headers=[("cookie", f"{cookie_name(str(ME))}={theirs}")]).status == 401
    assert ask(guard, headers=[("cookie", f"servent-ybndrfg8ejkmcpqx={theirs}")]).status == 401


def test_two_nodes_on_one_host_have_cookies_of_different_names() -> None:
    assert cookie_name("a" * 52) != cookie_name("b" * 52)


def test_a_session_ends(guarded: tuple[Guard, Keys]) -> None:
    guard, keys = guarded
    assert ask(guard, headers=[cookie(keys, lifetime=-1.0)]).status == 401


@pytest.mark.parametrize("change", ["admin.9999999999.x.", "admin.9999999999.x", "", "....", "é"])
def test_a_session_cannot_be_made_up(guarded: tuple[Guard, Keys], change: str) -> None:
    guard, keys = guarded
    good = keys.new_session("read", NOW)
    assert ask(guard, headers=[("cookie", f"{cookie_name(str(ME))}={change}")]).status == 401
    raised = "admin" + good.removeprefix("read")
    assert ask(guard, headers=[("cookie", f"{cookie_name(str(ME))}={raised}")]).status == 401


def test_a_new_token_ends_all_sessions(guarded: tuple[Guard, Keys]) -> None:
    guard, keys = guarded
    session = cookie(keys)
    keys.rotate()
    assert ask(guard, headers=[session]).status == 401
    assert ask(guard, headers=[BEARER]).status == 401


def test_the_login_link_opens_once(guarded: tuple[Guard, Keys]) -> None:
    guard, keys = guarded
    code = keys.new_login_code(NOW)
    first = ask(guard, path="/login", query=f"code={code}")
    assert first.status == 303
    assert first.headers["location"] == "/"
    attributes = first.headers["set-cookie"].split("; ")
    assert attributes[0].startswith(cookie_name(str(ME)) + "=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert code not in first.headers["location"] + first.headers["set-cookie"]
    again = ask(guard, path="/login", query=f"code={code}")
    assert again.status == 401
    assert "set-cookie" not in again.headers
    assert ask(guard, headers=[("cookie", attributes[0])]).status == 200


def test_a_login_link_grows_old_and_cannot_be_guessed(guarded: tuple[Guard, Keys]) -> None:
    guard, keys = guarded
    old = keys.new_login_code(NOW - 601.0)
    for query in (f"code={old}", "code=", "", "code=a&code=b", "token=" + TOKEN):
        assert ask(guard, path="/login", query=query).status == 401
    code = keys.new_login_code(NOW)
    assert ask(guard, "POST", "/login", query=f"code={code}").status == 401
    assert ask(guard, path="/login", headers=[("host", "evil.example")], query=f"code={code}").status == 421


def test_no_token_is_taken_from_the_address(guarded: tuple[Guard, Keys]) -> None:
    """Addresses end up in histories, logs and Referer headers."""
    assert ask(guarded[0], query=f"token={TOKEN}&access_token={TOKEN}").status == 401


def test_scopes_contain_each_other_and_no_more(guarded: tuple[Guard, Keys]) -> None:
    guard, keys = guarded
    for scope, allowed in (("read", 1), ("control", 2), ("admin", 3)):
        key = ("x-api-key", keys.add(f"a {scope}", scope, NOW).token)  # type: ignore[arg-type]
        calls = [
            ask(guard, headers=[key]),
            ask(guard, "POST", "/api/v1/ticket", [key]),
            ask(guard, "POST", "/api/v1/login-link", [key]),
        ]
        assert [answer.status for answer in calls] == [200] * allowed + [403] * (3 - allowed)


def test_the_page_lets_in_only_admins(tmp_path: Path) -> None:
    keys = Keys(TOKEN)

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})

    guard = Guard(app, keys, str(ME), port=PORT, need="admin", csp=page_csp("ws://127.0.0.1:1"))
    reader = ("x-api-key", keys.add("reader", "read", NOW).token)
    assert ask(guard, headers=[reader]).status == 403
    answer = ask(guard, headers=[BEARER])
    assert answer.body == b"the page"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert ask(guard, path="/login", query=f"code={keys.new_login_code(NOW)}").status == 401


def test_every_answer_says_that_it_is_not_to_be_framed_sniffed_or_kept(guarded: tuple[Guard, Keys]) -> None:
    guard, _ = guarded
    for answer in (
        ask(guard, headers=[BEARER]),
        ask(guard),
        ask(guard, headers=[("host", "evil.example")]),
        ask(guard, path="/nothing", headers=[BEARER]),
        ask(guard, path="/docs", headers=[BEARER]),
    ):
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


def test_a_body_that_is_too_long_is_refused_whether_it_says_so_or_not(guarded: tuple[Guard, Keys]) -> None:
    guard, _ = guarded
    limit = 1024 * 1024
    headers = [BEARER, ("content-type", "application/json")]
    said = ask(guard, "POST", "/api/v1/join", [*headers, ("content-length", str(limit + 1))])
    unsaid = ask(guard, "POST", "/api/v1/join", headers, chunks=[b"x" * 65536] * 17)
    absurd = ask(guard, "POST", "/api/v1/join", [*headers, ("content-length", "9" * 5000)])
    assert (said.status, unsaid.status, absurd.status) == (413, 413, 413)


def test_a_torrent_file_of_16_mib_fits_and_no_more(guarded: tuple[Guard, Keys]) -> None:
    headers = [BEARER, ("content-type", "application/json")]
    most = -(-16 * 1024 * 1024 // 3) * 4 + 1024  # base64, and what is around it
    for path in ("/api/v1/torrents", "/node/torrents"):
        assert ask(guarded[0], "POST", path, [*headers, ("content-length", str(most))]).status != 413
        assert ask(guarded[0], "POST", path, [*headers, ("content-length", str(24 << 20))]).status == 413
    assert (
        ask(guarded[0], "POST", "/node/torrents/seed", [*headers, ("content-length", str(most))]).status
        == 413
    )


def test_bodies_are_json_so_that_no_form_of_another_page_fits(guarded: tuple[Guard, Keys]) -> None:
    for kind_ in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = ask(
            guarded[0], "POST", "/api/v1/join", [BEARER, ("content-type", kind_)], b'{"ticket": "servent:x"}'
        )
        assert answer.status == 415


def test_a_refused_person_reads_words_and_a_program_json(guarded: tuple[Guard, Keys]) -> None:
    answer = ask(guarded[0], headers=[("accept", "text/html,*/*")])
    assert answer.status == 401
    assert "servent open" in answer.body.decode()
    assert answer.headers["content-type"].startswith("text/html")


def test_the_token_is_in_no_answer(guarded: tuple[Guard, Keys]) -> None:
    for path in ("/", "/docs", "/api/v1/status", "/api/v1/config", "/api/v1/tokens", "/api/v1/openapi.json"):
        assert TOKEN.encode() not in ask(guarded[0], path=path, headers=[BEARER]).body
