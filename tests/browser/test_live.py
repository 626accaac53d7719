"""What moves: the table under load, buttons and their answers, a node that goes and comes back, hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.browser.finding import until
from tests.web.fake_api import HOSTILE, FakeApi, FakeNode
from tests.web.running import WebPage, web_page


@pytest.fixture
def own_api(tmp_path: Any) -> Iterator[FakeApi]:
    with FakeApi(FakeNode(transfers=60), tmp_path).running() as running:
        yield running


@pytest.fixture
def own_page(own_api: FakeApi) -> Iterator[WebPage]:
    with web_page(own_api.data_dir) as running:
        yield running


def test_numbers_move_by_themselves_and_only_what_is_seen_is_drawn(visit: Visit) -> None:
    tab = visit.open("/transfers")
    first = tab.locator("sv-transfers .transfer .speed").first
    before = first.inner_text()
    tab.wait_for_function(
        "text => document.querySelector('sv-transfers .speed').textContent !== text", arg=before
    )
    assert tab.locator("sv-transfers .item").count() < 40  # of 1,000 transfers


def test_pause_shows_pending_and_then_the_nodes_answer(
    browser: Any, own_api: FakeApi, own_page: WebPage
) -> None:
    with Visit(browser, own_page) as visit:
        tab = visit.open("/transfers")
        row = tab.locator("sv-transfers .transfer").first
        name = row.locator(".name").inner_text()
        button = row.locator("button[title=Pause]")
        button.click()
        tab.wait_for_selector("text=Pausing…")
        tab.wait_for_selector(f".transfer:has-text('{name}') .why:has-text('Paused: you paused it')")
        assert own_api.node.wanted == ["pause 0"]
        assert visit.complaints == []


def test_a_refused_action_says_why_on_its_row(browser: Any, own_api: FakeApi, own_page: WebPage) -> None:
    own_api.node.refuse_actions = True
    with Visit(browser, own_page) as visit:
        tab = visit.open("/transfers")
        tab.locator("sv-transfers button[title=Cancel]").first.click()
        tab.wait_for_selector("text=the disk did not take it. Free some space, then try again.")
        assert tab.locator("sv-transfers button[title=Cancel]").first.is_enabled()


def test_every_waiting_row_has_a_reason(visit: Visit) -> None:
    tab = visit.open("/transfers")
    for group in ("Waiting", "Failed"):
        tab.click(f".chip:has-text('{group}')")
        tab.wait_for_function(
            "() => document.querySelector('sv-transfers .item:not([hidden]) .why')?.textContent.length > 8"
        )
        reasons = tab.locator("sv-transfers .item:not([hidden]) .why").all_inner_texts()
        assert len(reasons) > 3 and all(len(reason) > 8 for reason in reasons)


def test_when_the_node_goes_the_page_says_so_and_recovers_with_it(browser: Any, tmp_path: Any) -> None:
    api = FakeApi(FakeNode(transfers=30), tmp_path)
    with api.running() as running, web_page(running.data_dir) as page, Visit(browser, page) as visit:
        tab = visit.open("/")
        tab.wait_for_selector("sv-picture .peer")
        assert tab.is_hidden("sv-banner")
        api.pause()
        tab.wait_for_selector("sv-banner.shown")
        assert "The node is away" in tab.inner_text("sv-banner")
        assert tab.locator("sv-picture .peer").count() > 0  # the old picture stays, said to be old
        tab.click("nav a[href='/transfers']")
        for _ in range(
            5
        ):  # a row that is drawn anew under the pointer swallows a press; a person presses again
            tab.locator("sv-transfers button[title=Pause]").first.click()
            tab.wait_for_timeout(1500)
            if tab.locator("sv-transfers .why.problem").count():
                break
        tab.wait_for_selector("sv-transfers .why.problem")
        api.node.peers.popitem()
        api.resume()
        tab.wait_for_selector("sv-banner:not(.shown)", state="attached")
        tab.click("nav a[href='/']")
        tab.wait_for_function("() => document.querySelectorAll('sv-picture .peer').length === 10")


def test_a_hidden_page_lets_go_of_the_node(browser: Any, own_api: FakeApi, own_page: WebPage) -> None:
    with Visit(browser, own_page) as visit:
        tab = visit.open("/")
        until(tab, lambda: own_api.streams == 1, "one stream")
        hide = "state => { Object.defineProperty(document, 'hidden', {value: state, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); }"
        tab.evaluate(hide, True)
        until(tab, lambda: own_api.streams == 0, "it lets go")
        tab.evaluate(hide, False)
        until(tab, lambda: own_api.streams == 1, "it is back")
        tab.wait_for_selector("html[data-connection=live]", state="attached")


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_names_are_text_and_nothing_else(browser: Any, tmp_path: Any, width: int) -> None:
    with (
        FakeApi(FakeNode(transfers=16, hostile=True), tmp_path).running() as api,
        web_page(api.data_dir) as page,
        Visit(browser, page, width=width) as visit,
    ):
        for path, content in (
            ("/", "sv-picture .peer"),
            ("/transfers", "sv-transfers .transfer"),
            ("/peers", "sv-peers .peer-row"),
            ("/doctor", ".why-row"),
        ):
            tab = visit.open(path)
            tab.wait_for_selector(content)
            assert visit.sideways() <= 0, path
            assert tab.locator("main img").count() == 0
            assert "\u202e" not in tab.content()
            assert tab.title().endswith("servent")
        tab = visit.open("/peers")
        tab.click(f".peer-row:has-text('{HOSTILE[0][:12]}')")
        tab.wait_for_selector(".dialog")
        assert HOSTILE[0] in tab.inner_text(".dialog")
        assert visit.sideways() <= 0
        tab.keyboard.press("Escape")
        tab = visit.open("/transfers")
        tab.locator("sv-transfers .transfer").first.click()
        tab.wait_for_selector(".drawer h2")
        assert tab.title().endswith("servent") and visit.sideways() <= 0
        assert visit.complaints == [] and visit.foreign_requests() == []


def test_what_is_offered_opens_its_link_and_leaves_the_list_when_it_ends(
    browser: Any, own_api: FakeApi, own_page: WebPage
) -> None:
    with Visit(browser, own_page) as visit:
        tab = visit.open("/transfers")
        row = tab.locator("sv-shares .share").filter(has_text="thesis.pdf")
        row.get_by_role("button").click()
        tab.wait_for_selector(".dialog .pass-on img")
        assert "magnet:?xt=urn:btmh:1220" in tab.inner_text(".dialog .code")
        tab.click("text=Stop offering it")
        row.wait_for(state="detached" if not own_api.node.shares else "hidden")
        assert tab.locator("sv-shares .share:not([hidden])").count() == 2
        assert visit.complaints == []


def test_a_finished_transfer_is_checked_again_and_then_removed(
    browser: Any, own_api: FakeApi, own_page: WebPage
) -> None:
    with Visit(browser, own_page) as visit:
        tab = visit.open("/transfers")
        tab.click(".chip:has-text('Done')")
        row = tab.locator("sv-transfers .transfer:not([hidden])").first
        row.wait_for()
        before = int(tab.inner_text(".chip:has-text('Done') .chip-count"))
        row.get_by_role("button", name="Check again").click()
        tab.wait_for_selector("text=Checked again: every byte")
        row.get_by_role("button", name="Remove from the list").click()
        tab.wait_for_function(
            "n => document.querySelector('.chip-group .chip:nth-child(6) .chip-count').textContent == n",
            arg=str(before - 1),
        )
        assert visit.complaints == []
