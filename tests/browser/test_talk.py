"""Talk and friends on the lively fake node: sending, what comes by itself, unread, moderation, hostile texts, a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from servent.api.client import Client
from tests.api.running import client
from tests.browser.conftest import Visit
from tests.browser.finding import lively, until
from tests.web.running import WebPage

EVIL = "<img src=x onerror=\"document.title='owned'\"> <b>bold</b> javascript:alert(1) https://bank.example@evil.example/"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("talking")


@pytest.fixture(scope="module")
def page(home: Any) -> Iterator[WebPage]:
    with lively(home, "--transfers", "4", "--pace", "0.1") as running:
        yield running


@pytest.fixture
def node(home: Any, page: WebPage) -> Client:
    return client(home)


def choose(tab: Any, name: str) -> None:
    tab.click(f".talk-row[aria-label^='{name}']")
    tab.wait_for_selector(".talk-main .message.lead")


def said(tab: Any) -> str:
    return str(tab.inner_text(".message:last-of-type .message-text"))


def test_a_message_is_sent_by_enter_delivered_and_answered_while_one_looks(
    visit: Visit, node: Client
) -> None:
    tab = visit.open("/talk")
    choose(tab, "ann")
    assert tab.evaluate("location.pathname").startswith("/talk/peer")
    tab.fill(".composer-field", "!say I am")
    tab.press(".composer-field", "Shift+Enter")
    tab.keyboard.type("here")
    tab.press(".composer-field", "Enter")
    tab.wait_for_selector(".message:last-of-type:has-text('I am here'):not(:has-text('!say'))")
    assert tab.locator(".message:has-text('!say I am') .message-state.delivered").count() == 1
    assert tab.input_value(".composer-field") == ""
    until(tab, lambda: node.conversation("ann").unread == 0, "what is in sight counts as read")
    assert visit.complaints == []


def test_a_hostile_text_and_name_stay_text(visit: Visit, node: Client) -> None:
    tab = visit.open("/talk/ann")
    tab.wait_for_selector(".message.lead")
    tab.fill(".composer-field", f"!say {EVIL} and https://example.org/(a) magnet:?xt=urn:btmh:12")
    tab.press(".composer-field", "Enter")
    tab.wait_for_selector(".message:last-of-type .message-text:has-text('onerror'):not(:has-text('!say'))")
    assert EVIL in said(tab)
    links = tab.eval_on_selector_all(
        ".message:last-of-type .message-text > *",
        "all => all.map(e => [e.tagName, e.getAttribute('href'), e.rel ?? ''])",
    )
    assert links == [
        ["A", "https://example.org/(a)", "noopener noreferrer nofollow"],
        ["BUTTON", None, ""],
    ]  # no image, no bold, no script, and no address that hides whose it is
    tab = visit.open("/talk/lobby")
    tab.click("button[aria-label=Members]")
    tab.wait_for_selector(".member:has-text('mallory')")
    assert tab.locator(".talk i, .talk b, .talk img, .talk script").count() == 0
    assert "<i>mallory</i>\ufffd" in tab.inner_text(".member-groups")
    assert "owned" not in tab.title()
    assert visit.complaints == [] and visit.foreign_requests() == []


def test_what_is_unread_shows_in_the_title_the_list_and_a_note_and_goes_when_read(
    visit: Visit, node: Client
) -> None:
    node.mark_read("ann")
    tab = visit.open("/talk")
    choose(tab, "bob")
    node.send_message("ann", "!say are you there?")
    tab.wait_for_selector(".talk-row[aria-label^='ann, 1 unread'] .unread-badge")
    tab.wait_for_selector(".toast:has-text('are you there?')")
    until(tab, lambda: tab.title().startswith("("), "the title counts")
    tab.click(".toast:has-text('are you there?') .toast-button")
    tab.wait_for_selector(".new-line")
    until(tab, lambda: node.conversation("ann").unread == 0, "read, because it is in sight")
    tab.wait_for_selector(".talk-row[aria-label='ann']")
    assert visit.complaints == []


def test_older_messages_come_by_scrolling_and_the_newest_by_a_button(visit: Visit) -> None:
    tab = visit.open("/talk/ann")
    tab.wait_for_selector(".message.lead")
    before = tab.locator(".message").count()
    tab.eval_on_selector(".log", "log => { log.scrollTop = 0 }")
    until(tab, lambda: tab.locator(".message").count() > before, "older ones are there")
    assert tab.eval_on_selector(".log", "log => log.scrollTop") > 100, "the place is kept"
    tab.click(".jump")
    until(
        tab,
        lambda: (
            tab.eval_on_selector(".log", "log => log.scrollHeight - log.scrollTop - log.clientHeight") < 5
        ),
        "the end",
    )


def test_a_draft_stays_with_its_conversation_and_a_reply_quotes(visit: Visit, node: Client) -> None:
    tab = visit.open("/talk")
    choose(tab, "ann")
    tab.fill(".composer-field", "half a thought")
    choose(tab, "bob")
    assert tab.input_value(".composer-field") == ""
    tab.reload()
    tab.wait_for_selector(".talk-row")
    choose(tab, "ann")
    assert tab.input_value(".composer-field") == "half a thought"
    tab.fill(".composer-field", "x" * 3900)
    assert tab.inner_text(".composer-count") == "100"
    tab.fill(".composer-field", "x" * 4001)
    assert tab.is_disabled(".composer-send")
    tab.fill(".composer-field", "an answer")
    row = tab.locator(".message:not(.event):not(.taken)").last
    row.focus()
    tab.keyboard.press("r")
    tab.press(".composer-field", "Enter")
    tab.wait_for_selector(".message:has-text('an answer') .quote")
    assert node.messages("ann").messages[-1].reply_to is not None
    tab.locator(".message:has-text('an answer')").hover()
    tab.click(".message:has-text('an answer') [aria-label='Take it back']")
    tab.wait_for_selector(".message.taken:has(.quote)")
    assert visit.complaints == []


def test_an_owner_mutes_somebody_with_a_reason_and_changes_the_room(visit: Visit, node: Client) -> None:
    tab = visit.open("/talk/staff")
    tab.wait_for_selector(".talk-head:has-text('staff')")
    if tab.locator(".member").count() == 0:
        tab.click("button[aria-label=Members]")
    tab.click(".member:has-text('Carol')")
    tab.select_option(".orders select >> nth=0", "mute")
    tab.select_option(".orders select >> nth=1", "600")
    tab.fill(".orders input[type=text]", "a pause")
    tab.click(".orders .danger-button")
    tab.wait_for_selector(".message.event:has-text('muted Carol from the club: a pause')")
    carol = next(one for one in node.room_members("staff") if one.person.petname == "Carol from the club")
    assert carol.muted_until is not None and carol.reason == "a pause"
    if tab.is_visible(".talk-side [aria-label='Close members']"):
        tab.click(".talk-side [aria-label='Close members']")
    tab.click("[aria-label='Settings of this conversation']")
    tab.fill("dialog textarea", "About <b>nothing</b>")
    tab.click("dialog button:has-text('Save')")
    tab.wait_for_selector(".talk-about:has-text('About <b>nothing</b>')")
    assert visit.complaints == []


def test_an_open_room_is_joined_and_the_history_searched(visit: Visit, node: Client) -> None:
    tab = visit.open("/talk")
    tab.click("button[aria-label='More rooms']")
    tab.click("button[aria-label='Join music']")
    tab.wait_for_selector(".talk-head:has-text('music')")
    tab.wait_for_selector(".talk-row[aria-current]:has-text('music')")
    tab.fill(".composer-field", "a needle in hay")
    tab.press(".composer-field", "Enter")
    tab.wait_for_selector(".message:has-text('a needle in hay')")
    choose(tab, "ann")
    tab.click("sv-opener button:has-text('Search')")
    tab.fill("dialog input[type=search]", "needle")
    tab.click(".talk-hit:has(mark:has-text('needle'))")
    tab.wait_for_selector(".message.shown:has-text('a needle in hay')")
    assert visit.complaints == []


def test_friends_are_accepted_declined_and_asked(visit: Visit, node: Client) -> None:
    tab = visit.open("/people")
    tab.wait_for_selector(".friend.asking:has-text('blue bicycle')")
    assert "looks like ann" in tab.inner_text(".friend.asking .friend-warning")
    tab.click(".friend.asking:has-text('erin') button:has-text('Accept')")
    tab.wait_for_selector(
        "[data-group=here] .friend:has-text('erin'), [data-group=gone] .friend:has-text('erin')"
    )
    tab.click(".friend.asking:has(.friend-warning) button:has-text('Accept')")
    tab.wait_for_selector("dialog:has-text('Accept anyway')")
    tab.click("dialog button:has-text('Not now')")
    tab.click(".friend.asking:has(.friend-warning) [aria-label^='Decline: ']")
    tab.wait_for_selector(".friend.asking", state="detached")
    tab.click(".friend:has-text('bob') [data-act=more]")
    tab.click("dialog button:has-text('Don')")
    tab.wait_for_selector(".friend:has-text('bob') [aria-label=silenced]")
    tab.click("text=Add a friend")
    assert visit.nameless() == []
    tab.keyboard.press("Escape")
    tab.click(".side .presence-button")
    tab.check("dialog input[value=away]")
    tab.fill("dialog input[type=text]", "back at six")
    tab.click("dialog button:has-text('Save')")
    tab.wait_for_selector(".side .presence-note:has-text('back at six')")
    assert node.presence().presence == "away"
    assert visit.complaints == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_on_a_phone_one_thing_at_a_time_and_nothing_sideways(browser: Any, page: WebPage, theme: str) -> None:
    with Visit(browser, page, width=390, theme=theme) as visit:
        tab = visit.open("/talk")
        tab.wait_for_selector(".talk-row")
        assert tab.is_hidden(".talk-main .composer") and visit.sideways() <= 0
        choose(tab, "lobby")
        assert tab.is_hidden(".talk-list") and visit.sideways() <= 0
        tab.click("button[aria-label=Members]")
        tab.wait_for_selector(".member:has-text('mallory')")
        assert visit.sideways() <= 0 and visit.nameless() == []
        tab.keyboard.press("Escape")
        assert tab.is_hidden(".talk-side")
        tab.go_back()
        tab.wait_for_selector(".talk-list")
        assert tab.evaluate("location.pathname") == "/talk"
        assert visit.complaints == []
