"""Transfers, wishes, feeds, people and settings on the lively fake node: each screen, each way by keyboard, each undo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from servent.api.client import Client
from tests.api.running import client
from tests.browser.conftest import Visit
from tests.browser.finding import lively, until
from tests.web.running import WebPage

SCREENS = {
    "/transfers": ("Transfers", "sv-transfers .transfer"),
    "/wishes": ("Wish list", "sv-wishes .wish"),
    "/feeds": ("Feeds", "sv-feeds .feed"),
    "/people": ("People", "sv-friends .friend.asking .friend-warning"),
    "/people?tab=everyone": ("People", "sv-peers .peer-row"),
    "/networks": ("Networks", "text=Start a network of your own"),
    "/people?tab=grants": ("People", "text=Fetch what you share"),
    "/people?tab=safety": ("People", "text=setup-crack.exe"),
    "/settings": ("Settings", "text=Your name for others"),
    "/settings?tab=transfers": ("Settings", "text=Let everything else on the line go first"),
    "/settings?tab=times": ("Settings", "sv-schedule .rule"),
    "/settings?tab=filters": ("Settings", "text=Words in the name"),
    "/settings?tab=network": ("Settings", "text=Find peers on the local network"),
    "/settings?tab=torrents": ("Settings", "sv-torrents .torrent-list li"),
    "/talk": ("Talk", "sv-talk .talk-row"),
    "/talk/lobby": ("Talk", "sv-talk .message.mention"),
    "/settings?tab=access": ("Settings", "text=Make a token"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("lively")


@pytest.fixture(scope="module")
def page(home: Any) -> Iterator[WebPage]:
    with lively(home, "--transfers", "60", "--seconds", "30") as running:
        yield running


@pytest.fixture
def node(home: Any, page: WebPage) -> Client:
    return client(home)


@pytest.mark.parametrize(("width", "theme"), [(1280, "dark"), (390, "light")])
def test_every_screen_fits_in_both_themes_and_complains_of_nothing(
    browser: Any, page: WebPage, width: int, theme: str
) -> None:
    with Visit(browser, page, width=width, theme=theme) as visit:
        for path, (title, content) in SCREENS.items():
            tab = visit.open(path)
            assert tab.inner_text("h1") == title
            tab.locator(content).locator("visible=true").first.wait_for()
            assert visit.sideways() <= 0, f"{path} scrolls sideways at {width} px"
            assert visit.nameless() == [], path
        assert visit.complaints == []
        assert visit.foreign_requests() == []


def test_several_are_chosen_by_keyboard_cancelled_and_taken_back(visit: Visit, node: Client) -> None:
    tab = visit.open("/transfers")
    tab.click(".chip:has-text('Moving')")
    tab.locator("sv-transfers .chip[aria-label^=Receiving]").click()
    tab.focus("sv-transfers .item[tabindex='0']")
    tab.keyboard.press("Space")
    for _ in range(2):
        tab.keyboard.press("Shift+ArrowDown")
    assert "3 transfers" in tab.inner_text(".many")
    names = tab.locator("sv-transfers .ticked .name").all_inner_texts()
    before = {
        one.name: one.id for one in node.transfers() if one.state == "active" and one.direction == "down"
    }
    tab.keyboard.press("Delete")
    toast = tab.locator(".toast:has-text('cancelled')")
    toast.wait_for()
    stopped = {one.id: one.state for one in node.transfers()}
    assert all(
        stopped[before[name]] == "paused" for name in names
    )  # nothing is deleted while it can be undone
    toast.get_by_role("button", name="Undo").click()
    until(
        tab,
        lambda: all(
            one.state == "active" for one in node.transfers() if one.id in {before[n] for n in names}
        ),
        "they did not go on",
    )


def test_a_cancel_that_nobody_takes_back_happens(visit: Visit, node: Client) -> None:
    tab = visit.open("/transfers")
    tab.click(".chip:has-text('Paused')")
    row = tab.locator("sv-transfers .transfer:not([hidden])").first
    row.wait_for()
    name = row.locator(".name").inner_text()
    row.get_by_role("button", name="Cancel").click()
    toast = tab.locator(".toast:has-text('cancelled')")
    toast.get_by_role("button", name="Close").click()
    until(
        tab,
        lambda: any(one.name == name and one.state == "cancelled" for one in node.transfers()),
        "it was not cancelled",
    )


def test_what_waits_is_moved_with_alt_and_arrows(visit: Visit, node: Client) -> None:
    tab = visit.open("/transfers")
    tab.click(".chip:has-text('Waiting')")
    rows = tab.locator("sv-transfers .transfer[draggable=true]:not([hidden])")
    rows.first.wait_for()
    places = {
        one.name: one.place for one in node.transfers() if one.place is not None and one.state == "queued"
    }
    second = max(places, key=lambda name: places[name] or 0)
    row = tab.locator(f"sv-transfers .transfer:has-text('{second}')").first
    row.focus()
    tab.keyboard.press("Alt+ArrowUp")
    until(
        tab,
        lambda: any(
            one.name == second and one.place == (places[second] or 0) - 1 for one in node.transfers()
        ),
        "it did not move",
    )


def test_the_drawer_changes_priority_and_its_tabs_are_walked_with_arrows(visit: Visit, node: Client) -> None:
    tab = visit.open("/transfers")
    tab.locator("sv-transfers .chip[aria-label^=Receiving]").click()
    tab.click(".chip:has-text('Moving')")
    tab.focus("sv-transfers .item[tabindex='0']")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".drawer h2")
    name = tab.inner_text(".drawer h2")
    tab.click(".drawer .segment:has-text('First')")
    until(
        tab, lambda: any(one.name == name and one.priority == "high" for one in node.transfers()), "no change"
    )
    tab.focus(".drawer [role=tab][aria-selected=true]")
    for _ in range(2):
        tab.keyboard.press("ArrowRight")
    shown = tab.locator(".drawer [role=tabpanel]:not([hidden])")
    assert shown.count() == 1
    assert tab.get_attribute(
        ".drawer [role=tab][aria-selected=true]", "aria-controls"
    ) == shown.get_attribute("id")
    tab.keyboard.press("Escape")
    assert tab.is_hidden(".drawer")
    assert visit.complaints == []


def test_what_has_ended_is_found_again_in_the_history(visit: Visit) -> None:
    tab = visit.open("/transfers")
    tab.click(".chip:has-text('History')")
    tab.wait_for_selector("sv-history .past-row .name")
    assert "300 transfers" in tab.inner_text("sv-history .list-title")
    last = "() => { const l = document.querySelector('sv-history .rows'); l.scrollTop = l.scrollHeight; }"
    tab.evaluate(last)
    tab.wait_for_function(
        "() => [...document.querySelectorAll('sv-history .item:not([hidden])')].some(r => r.getAttribute('aria-posinset') == '300' && r.querySelector('.name').textContent.length > 2)"
    )
    assert visit.complaints == []


def test_slower_for_now_is_one_press_and_says_what_it_does(visit: Visit, node: Client) -> None:
    tab = visit.open("/transfers")
    switch = tab.get_by_role("switch", name="Slower for now")
    tab.wait_for_function("() => document.querySelector('.limits .switch').title")
    switch.click()
    until(tab, lambda: node.queue().alternative, "the node was not told")
    tab.wait_for_selector("sv-limits .flow:has-text('of 500 kB/s')")
    switch.click()
    until(tab, lambda: not node.queue().alternative, "it stayed slow")


def test_a_code_to_say_is_made_and_shown_until_it_was_used(visit: Visit, node: Client, home: Any) -> None:
    (home / "gift.txt").write_text("for you")
    tab = visit.open("/transfers")
    tab.get_by_role("button", name="Send").first.click()
    tab.wait_for_selector(".dialog input:focus")
    tab.keyboard.type(str(home / "gift.txt"))
    tab.click("text=Make a code to say")
    code = tab.locator(".dialog .spoken")
    code.wait_for()
    said = code.inner_text()
    assert any(one.code == said for one in node.codes())
    tab.keyboard.press("Escape")
    tab.wait_for_selector("sv-codes .code-card:has-text('gift.txt')")


def test_a_wish_is_made_by_keyboard_and_removed_with_a_way_back(visit: Visit, node: Client) -> None:
    tab = visit.open("/wishes")
    tab.wait_for_selector("sv-wishes .wish")
    tab.get_by_role("button", name="Add a wish").first.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector("dialog input:focus")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("text=Nothing to look for was given.")
    tab.keyboard.type("moon landing type:video")
    tab.keyboard.press("Enter")
    row = tab.locator("sv-wishes .wish:has-text('moon landing')")
    row.wait_for()
    assert any(wish.q == "moon landing type:video" for wish in node.wishes())
    row.get_by_role("button", name="Remove").click()
    toast = tab.locator(".toast:has-text('no longer wished for')")
    toast.wait_for()
    assert not any(wish.q.startswith("moon") for wish in node.wishes())
    toast.get_by_role("button", name="Undo").click()
    row.wait_for()
    assert visit.complaints == []


def test_what_a_wish_found_is_looked_at_and_fetched(visit: Visit, node: Client) -> None:
    tab = visit.open("/wishes")
    tab.locator("sv-wishes .wish:has-text('nina simone') .name").click()
    match = tab.locator(".match:has(button:visible)").first
    match.wait_for()
    name = match.locator(".name").inner_text()
    match.get_by_role("button", name="Get").click()
    until(tab, lambda: any(one.name == name for one in node.transfers()), "nothing was fetched")
    until(tab, lambda: all(wish.new == 0 for wish in node.wishes() if wish.q.startswith("nina")), "still new")


def test_a_feed_is_published_and_another_followed(visit: Visit, node: Client, home: Any) -> None:
    (home / "mix").mkdir(exist_ok=True)
    tab = visit.open("/feeds")
    tab.get_by_role("button", name="Publish").first.click()
    tab.wait_for_selector("dialog input:focus")
    tab.keyboard.type("my mix")
    tab.keyboard.press("Tab")
    tab.keyboard.type(str(home / "mix"))
    tab.keyboard.press("Enter")
    tab.wait_for_selector("sv-feeds .feed:has-text('my mix')")
    assert any(feed.name == "my mix" and feed.mine for feed in node.feeds())
    tab.locator("sv-feeds .feed:has-text('openstreetmap') .name").click()
    tab.wait_for_selector(".drawer .versions li")
    assert "Version 7" in tab.inner_text(".drawer .versions")
    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Follow").first.click()
    tab.wait_for_selector("dialog textarea:focus")
    tab.keyboard.type("nonsense")
    tab.get_by_role("button", name="Follow it").click()
    tab.wait_for_function("() => document.querySelector('dialog .problem')?.textContent.length > 5")


def test_a_setting_is_changed_with_the_word_when_it_counts(visit: Visit, node: Client) -> None:
    tab = visit.open("/settings")
    field = tab.get_by_label("Your name for others")
    field.wait_for()
    field.fill("kitchen-table")
    card = tab.locator(".card:has-text('Name and downloads')")
    card.get_by_role("button", name="Save").click()
    card.locator("text=In force at the next start").wait_for()
    assert next(one for one in node.config().settings if one.key == "node.name").value == "kitchen-table"
    tab.wait_for_selector(".card:has-text('Name and downloads') >> text=set in config.toml")


def test_a_time_of_the_week_is_set_and_said_in_words(visit: Visit, node: Client) -> None:
    tab = visit.open("/settings?tab=times")
    tab.wait_for_selector("sv-schedule .rule")
    tab.get_by_role("button", name="Add a time").click()
    rule = tab.locator("sv-schedule .rule").last
    rule.get_by_role("button", name="Saturday").click()
    rule.get_by_label("From").fill("22:30")
    rule.get_by_label("Until").fill("06:00")
    rule.get_by_label("Nothing moves").check()
    assert "22:30 to 06:00: nothing moves" in rule.locator(".rule-words").inner_text()
    tab.locator("sv-schedule").get_by_role("button", name="Save").click()
    tab.wait_for_selector("sv-schedule .good:has-text('Saved')")
    made = node.queue().schedule[-1]
    assert (made.begin, made.end, made.pause, 5 in made.days) == ("22:30", "06:00", True, True)


def test_a_block_ends_and_comes_back_and_filters_are_kept(visit: Visit, node: Client) -> None:
    tab = visit.open("/people?tab=safety")
    line = tab.locator("sv-safety .ending:has-text('setup-crack.exe')")
    line.first.get_by_role("button", name="Unblock").click()
    toast = tab.locator(".toast:has-text('not blocked any more')")
    toast.wait_for()
    assert len(node.blocks()) == 1
    toast.get_by_role("button", name="Undo").click()
    until(tab, lambda: len(node.blocks()) == 2, "not blocked again")
    tab = visit.open("/settings?tab=filters")
    tab.get_by_label("Endings").fill(".SCR, bat")
    tab.locator("sv-filters").get_by_role("button", name="Save").click()
    tab.wait_for_selector("sv-filters .good:has-text('Saved')")
    assert node.filters().exts == ["scr", "bat"]


@pytest.mark.slow
def test_a_thousand_changing_transfers_are_seen_to_move(browser: Any, tmp_path: Any) -> None:
    """That it works at all, on any machine; the figures are those of `python -m bench.page` in docs/benchmarks.md."""
    from bench.page import daemon, looked_at, paints

    with daemon(tmp_path / "busy", 1000, 1000, False) as busy:
        assert min(paints(browser, busy, 1)["cold"]) > 0
        look = looked_at(browser, busy, 4.0, lane=True)
    assert look["seen_per_s"] > 0, look


def test_the_key_is_backed_up_and_the_node_stopped_from_the_page(visit: Visit) -> None:
    tab = visit.open("/settings?tab=access")
    tab.wait_for_selector(".pass-on .code")
    tab.click("text=Back the key up")
    tab.wait_for_selector(".dialog input[type=password]")
    first, again = tab.locator(".dialog input[type=password]").all()
    first.fill("correct horse battery")
    again.fill("something else")
    tab.click("text=Make the backup")
    tab.wait_for_selector(".dialog >> text=/not the same/i")
    again.fill("correct horse battery")
    with tab.expect_download() as coming:
        tab.click("text=Make the backup")
    assert "servent-identity-backup" in coming.value.path().read_text()
    tab.wait_for_selector(".dialog >> text=in your browser's downloads")
    assert first.input_value() == again.input_value() == ""
    tab.keyboard.press("Escape")
    tab = visit.open("/settings")
    tab.click("text=Stop this node")
    tab.wait_for_selector("text=This page goes with it")
    tab.wait_for_timeout(500)
    tab.keyboard.press("Escape")
    tab.wait_for_selector("text=This page goes with it", state="hidden")
    assert visit.complaints == []
