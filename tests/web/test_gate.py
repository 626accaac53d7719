"""The gate: what the page's scripts may ask of the node, and how bytes of strangers reach a browser."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.web.fake_api import FakeApi, FakeNode
from tests.web.fake_finding import BYTES, CONTENT
from tests.web.running import WebPage, web_page

OURS = {"Sec_Fetch_Site": "same-origin"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeApi]:
    with FakeApi(FakeNode(transfers=5), tmp_path_factory.mktemp("node")).running() as running:
        yield running


@pytest.fixture(scope="module")
def page(api: FakeApi) -> Iterator[WebPage]:
    with web_page(api.data_dir) as running:
        yield running


def test_a_request_of_our_own_scripts_reaches_the_node_and_its_answer_comes_back(page: WebPage) -> None:
    answer = page.ask("GET", "/node/library", **OURS)
    assert answer.status == 200 and answer.json()["files"] == 2
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    ["tokens", "id/backup", "shutdown", "login-link", "web/restart", "config", "networksx", "", "/", "library/../tokens",
     "library/%2e%2e/tokens", "library//tokens", "library/./x", "library/\\x"],
)  # fmt: skip
def test_what_the_pages_scripts_have_no_business_with_does_not_pass(
    api: FakeApi, page: WebPage, path: str
) -> None:
    answer = page.ask("GET", f"/node/{path}", **OURS)
    assert answer.status == 404 and b"no such request" in answer.body


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
@pytest.mark.parametrize("path", ["networks", "networks/family/mode", "networks/family/members/x", "roles"])
def test_networks_are_looked_at_and_never_changed_by_scripts(page: WebPage, path: str, method: str) -> None:
    answer = page.ask(method, f"/node/{path}", **OURS)
    assert answer.status == 404 and b"no such request" in answer.body
    assert page.ask("GET", "/node/networks", **OURS).status == 200


def test_a_name_with_a_slash_stays_one_part_of_the_path(api: FakeApi, page: WebPage) -> None:
    page.ask("GET", "/node/browse/a%2Fb%3Fc?path=x%2Fy", **OURS)
    assert api.finding.asked[-1] == "/api/v1/browse/a%2Fb%3Fc"


@pytest.mark.parametrize("path", ["/node/library", f"/bytes/content/{CONTENT}"])
def test_nobody_passes_without_a_login(page: WebPage, path: str) -> None:
    assert page.ask("GET", path, login=False).status == 401


def test_a_write_needs_proof_that_our_own_page_sent_it(api: FakeApi, page: WebPage) -> None:
    assert page.ask("DELETE", "/node/library/folders/f1").status == 403
    assert page.ask("DELETE", "/node/library/folders/f1", Sec_Fetch_Site="cross-site").status == 403
    assert api.finding.wanted == []


def test_a_refusal_of_the_node_comes_with_its_advice(page: WebPage) -> None:
    answer = page.ask("GET", f"/bytes/content/{'cd' * 32}", **OURS)
    assert answer.status == 404 and answer.json()["advice"] == "Search for it again."


def test_a_range_of_a_file_comes_as_asked(page: WebPage) -> None:
    answer = page.ask("GET", f"/bytes/content/{CONTENT}?as=mp3", Range="bytes=300-309", **OURS)
    assert answer.status == 206 and answer.body == BYTES[300:310]
    assert answer.headers["content-range"] == f"bytes 300-309/{len(BYTES)}"
    assert answer.headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("kind", ["svg", "html", "xhtml", "pdf", "js", "xml", "", "no/such", "text/html"])
def test_bytes_that_could_run_are_never_shown_whatever_they_are_called(page: WebPage, kind: str) -> None:
    for path in (f"/bytes/content/{CONTENT}", "/bytes/transfers/abc/0", "/bytes/results/7/12"):
        answer = page.ask("GET", f"{path}?as={kind}", **OURS)
        assert answer.status == 200 and answer.body == BYTES
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == "attachment"


@pytest.mark.parametrize(
    "path",
    [
        f"library/content/{CONTENT}/bytes",
        f"library/content%2F{CONTENT}%2Fbytes",
        "transfers/abc/files/0/byt%65s",
        "grid/batches/7/results/12",
        "grid/batches/7%2Fresults/1%32",
    ],
)
def test_bytes_do_not_come_with_the_policy_of_our_own_pages(page: WebPage, path: str) -> None:
    answer = page.ask("GET", f"/node/{path}", **OURS)
    assert answer.status == 404 and BYTES not in answer.body


@pytest.mark.parametrize(("kind", "told"), [("jpg", "image/jpeg"), ("txt", "text/plain; charset=utf-8"), ("MP4", "video/mp4")])  # fmt: skip
def test_what_is_shown_has_a_harmless_type_and_may_do_nothing(page: WebPage, kind: str, told: str) -> None:
    answer = page.ask("GET", f"/bytes/content/{CONTENT}?as={kind}", **OURS)
    assert answer.headers["content-type"] == told and answer.headers["content-disposition"] == "inline"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and policy.endswith("sandbox") and "unsafe-eval" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "content/xyz",
        "results/7",
        "results/a/1",
        "results/7/..",
        f"content/{'AB' * 32}",
        "transfers/a.b/0",
        f"transfers/{'a' * 129}/0",
    ],
)
def test_names_that_name_nothing_are_not_passed_on(page: WebPage, path: str) -> None:
    assert page.ask("GET", f"/bytes/{path}", **OURS).status == 404


def test_hits_are_passed_on_as_they_come_and_a_search_ends_with_its_reader(
    api: FakeApi, page: WebPage
) -> None:
    with socket.create_connection(("127.0.0.1", page.port), timeout=60) as reader:
        cookie = "=".join(page.cookie)
        reader.sendall(
            f"GET /node/search?q=a%20b HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nCookie: {cookie}\r\n"
            "Sec-Fetch-Site: same-origin\r\n\r\n".encode()
        )
        said = b""
        while said.count(b'"kind":"peer"') < 3:  # it goes on for minutes: these came at once
            said += reader.recv(4096)
        assert api.finding.searches == 1
        assert api.finding.asked[-1].endswith("/search?q=a%20b")
    deadline = time.monotonic() + 60
    while api.finding.searches and time.monotonic() < deadline:
        time.sleep(0.05)
    assert api.finding.searches == 0


def test_while_the_node_is_away_the_answer_says_so_and_what_to_do(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    api = FakeApi(FakeNode(transfers=1), tmp_path_factory.mktemp("away"))
    with api.running(), web_page(api.data_dir) as page:
        api.pause()
        answer = page.ask("GET", "/node/library", **OURS)
        assert answer.status == 503 and "no node answers" in str(answer.json()["detail"])
        assert "servent up" in str(answer.json()["advice"])
        api.resume()
        assert page.ask("GET", "/node/library", **OURS).status == 200


@pytest.mark.parametrize(
    "path", ["friends", "presence", "conversations/peer%3Ax/messages", "talk/search", "rooms", "notices"]
)
def test_people_and_what_they_say_pass(page: WebPage, path: str) -> None:
    assert b"no such request" not in page.ask("GET", f"/node/{path}", **OURS).body
