"""Each screen on a desk and in a hand, in the dark and in the light."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Visit
from tests.web.fake_api import FakeApi, FakeNode
from tests.web.running import WebPage, web_page

SCREENS = {
    "/": ("Overview", "sv-picture .peer"),
    "/transfers": ("Transfers", "sv-transfers .transfer"),
    "/people": ("People", "sv-friends .tools"),
    "/invite": ("Invite", "text=Make an invitation"),
    "/doctor": ("Doctor", ".check[data-outcome=fail]"),
}


@pytest.mark.parametrize(("width", "theme"), [(1280, "dark"), (390, "light")])
def test_every_screen_fits_shows_its_content_and_complains_of_nothing(
    browser: Any, page: WebPage, width: int, theme: str
) -> None:
    with Visit(browser, page, width=width, theme=theme) as visit:
        for path, (title, content) in SCREENS.items():
            tab = visit.open(path)
            assert tab.inner_text("h1") == title
            tab.wait_for_selector(content)
            assert visit.sideways() <= 0, f"{path} scrolls sideways at {width} px"
            assert visit.nameless() == [], path
            assert tab.get_attribute("html", "data-theme") == theme
            assert tab.inner_text("[aria-current=page]").strip() == title
        assert visit.complaints == []
        assert visit.foreign_requests() == []


def test_the_navigation_changes_screens_without_loading_the_page_again(visit: Visit) -> None:
    tab = visit.open("/")
    tab.evaluate("window.kept = true")
    for path, (title, content) in SCREENS.items():
        tab.click(f"nav a[href='{path}']")
        tab.wait_for_selector(f"h1:text-is('{title}')")
        tab.wait_for_selector(content)
        assert tab.evaluate("location.pathname") == path
    assert tab.evaluate("window.kept") is True
    tab.go_back()
    tab.wait_for_selector("h1:text-is('Invite')")
    assert tab.get_attribute("nav a[href='/invite']", "aria-current") == "page"


def test_the_theme_can_be_chosen_and_is_remembered(browser: Any, page: WebPage) -> None:
    with Visit(browser, page, theme="dark") as visit:
        tab = visit.open("/")
        button = tab.locator("sv-theme button")
        button.click()  # auto -> light
        assert tab.get_attribute("html", "data-theme") == "light"
        assert "light" in (button.get_attribute("aria-label") or "")
        tab = visit.open("/peers")
        assert tab.get_attribute("html", "data-theme") == "light"
        tab.emulate_media(color_scheme="dark")
        assert tab.get_attribute("html", "data-theme") == "light"


def test_everything_can_be_reached_by_keyboard_with_a_visible_focus(visit: Visit) -> None:
    tab = visit.open("/transfers")
    tab.wait_for_selector("sv-transfers .transfer")
    tab.locator("body").press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    names = []
    for _ in range(44):
        tab.keyboard.press("Tab")
        names.append(
            tab.evaluate(
                """() => {
                    const a = document.activeElement, style = getComputedStyle(a);
                    if (a === document.body) return 'end';
                    if (a.matches('.item')) return 'row';
                    const shown = style.outlineStyle !== 'none' || style.boxShadow !== 'none' || a.closest('.q-field');
                    return (shown ? '' : 'INVISIBLE ') + (a.getAttribute('aria-label') || a.innerText || a.tagName).trim();
                }"""
            )
        )
    assert not [name for name in names if name.startswith("INVISIBLE")]
    for wanted in ("Overview", "Doctor", "Get", "Send", "Find a transfer by name", "row"):
        assert wanted in names, names
    assert any(name.startswith("Pause ") for name in names), (
        names
    )  # the buttons of the row that has the focus


def test_the_table_is_walked_and_opened_with_arrows_enter_and_escape(visit: Visit) -> None:
    tab = visit.open("/transfers")
    tab.focus("sv-transfers .item[tabindex='0']")
    for key in ("ArrowDown", "ArrowDown", "PageDown"):
        tab.keyboard.press(key)
    place = int(tab.evaluate("document.activeElement.getAttribute('aria-posinset')"))
    assert place > 5
    tab.keyboard.press("End")
    assert tab.evaluate("document.activeElement.getAttribute('aria-posinset')") == "1000"
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".drawer h2")
    assert tab.evaluate("document.activeElement.classList.contains('drawer')")
    tab.keyboard.press("Escape")
    assert tab.is_hidden(".drawer")
    assert tab.evaluate("document.activeElement.getAttribute('aria-posinset')") == "1000"


def test_a_peer_in_the_picture_tells_its_path_when_chosen(visit: Visit) -> None:
    tab = visit.open("/")
    tab.wait_for_selector("sv-picture .peer.relayed")
    assert tab.locator("sv-picture .peer").count() == 11  # the twelfth is not connected
    tab.focus("sv-picture .peer.relayed")
    tab.keyboard.press("Enter")
    facts = tab.inner_text(".picture-facts")
    assert "Relayed" in facts and "ms" in facts and "NAT" in facts
    tab.keyboard.press("Escape")
    assert tab.is_hidden(".picture-facts")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_new_node_is_told_what_to_do_first(browser: Any, tmp_path: Any, width: int) -> None:
    with (
        FakeApi(FakeNode(peers=0, transfers=0), tmp_path).running() as api,
        web_page(api.data_dir) as page,
        Visit(browser, page, width=width) as visit,
    ):
        tab = visit.open("/")
        tab.wait_for_selector("text=Nobody is here yet")
        assert "Invite makes a ticket" in tab.inner_text("sv-picture")
        assert "Nothing has been sent or fetched yet" in tab.inner_text("sv-transfers")
        tab = visit.open("/transfers")
        assert "Send makes a link" in tab.inner_text("sv-transfers")
        tab = visit.open("/peers")
        tab.wait_for_selector("text=Make a ticket on the Invite page")
        assert visit.sideways() <= 0 and visit.complaints == []


def test_a_ticket_can_be_made_copied_and_scanned(browser: Any, page: WebPage) -> None:
    with Visit(browser, page, width=390) as visit:
        visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab = visit.open("/invite")
        tab.click("text=Make a ticket")
        tab.wait_for_selector(".pass-on .qr")
        assert tab.evaluate("document.querySelector('.qr').naturalWidth") > 50
        tab.click("text=Copy")
        tab.wait_for_selector("text=Copied")
        assert tab.evaluate("navigator.clipboard.readText()").startswith("servent:ybndrfg8")
        assert visit.sideways() <= 0 and visit.complaints == []


def test_sending_shows_a_link_in_the_dialog_and_escape_closes_it(visit: Visit) -> None:
    tab = visit.open("/transfers")
    tab.click("text=Send")
    tab.wait_for_selector(".dialog input:focus")  # the dialog opens in its field
    tab.keyboard.type("/home/you/pictures")
    assert tab.input_value(".dialog input") == "/home/you/pictures"
    tab.click("text=Make a link")
    tab.wait_for_selector(".dialog .pass-on .qr")
    assert "magnet:?xt=urn:btmh:1220" in tab.inner_text(".dialog .code")
    tab.keyboard.press("Escape")
    tab.wait_for_selector(".dialog", state="hidden")
    assert visit.complaints == []


@pytest.mark.parametrize("width", [390, 600, 820, 1024, 1280, 1920])
def test_names_have_room_and_nothing_overlaps_at_any_width(browser: Any, page: WebPage, width: int) -> None:
    overlaps = """selector => {
        const row = document.querySelector(selector + ' .item:not([hidden])');
        const shown = [...row.children].filter(e => e.checkVisibility() && e.getBoundingClientRect().width > 0);
        const boxes = shown.map(e => [e.className, e.getBoundingClientRect()]);
        const bad = [];
        for (const [a, p] of boxes) {
            if (p.right > innerWidth + 0.5) bad.push(a + ' leaves the window');
            for (const [b, q] of boxes)
                if (a < b && p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1)
                    bad.push(a + ' over ' + b);
        }
        if (row.querySelector('.what').getBoundingClientRect().width < 130) bad.push('no room for the name');
        return bad;
    }"""
    with Visit(browser, page, width=width) as visit:
        for path, selector in (("/transfers", "sv-transfers"), ("/peers", "sv-peers"), ("/", "sv-transfers")):
            tab = visit.open(path)
            tab.wait_for_selector(f"{selector} .item")
            assert tab.evaluate(overlaps, selector) == [], f"{path} at {width} px"
            assert visit.sideways() <= 0


def test_what_can_be_undone_is_not_pushed_off_by_news(visit: Visit) -> None:
    tab = visit.open("/")
    tab.evaluate(
        """async () => {
            const found = performance.getEntriesByType('resource').find(one => one.name.includes('toast.js'));
            const {toast} = await import(found.name);
            toast('It is gone', {undo: {word: 'Undo', press: async () => 'It is back'}});
            for (let number = 0; number < 6; number++) toast(`news ${number}`, {open: {word: 'Look', press: () => {}}});
        }"""
    )
    assert tab.locator(".toast").count() == 3 and tab.locator(".toast:has-text('news 5')").count() == 1
    tab.click(".toast:has-text('It is gone') .toast-button")
    tab.wait_for_selector(".toast:has-text('It is back')")
