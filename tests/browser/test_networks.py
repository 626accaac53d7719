"""Networks and searches through them on the lively fake node: the map and its list, facets, progress, by keyboard and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from servent.api.client import Client
from tests.api.running import client
from tests.browser.conftest import Visit
from tests.browser.finding import lively
from tests.web.running import WebPage

HOME, ATTIC, SWARM = ("/networks/" + pair * 16 for pair in ("ab", "cd", "ef"))
SCREENS = {
    "/networks": ("Networks", ".role"),
    HOME: ("home", ".map-row"),
    ATTIC: ("attic", ".map-row"),
    SWARM: ("swarm", ".map-only"),
}
DONE = "sv-search .search-status:has-text('answered in')"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def page(folder: Any) -> Iterator[WebPage]:
    with lively(folder, "--networks", "--seconds", "30") as running:
        yield running


@pytest.fixture
def node(folder: Any, page: WebPage) -> Client:
    return client(folder)


@pytest.mark.parametrize(("width", "theme"), [(1600, "light"), (1280, "dark"), (390, "light")])
def test_every_screen_of_networks_fits_and_complains_of_nothing(
    browser: Any, page: WebPage, width: int, theme: str
) -> None:
    with Visit(browser, page, width=width, theme=theme) as visit:
        for path, (title, content) in SCREENS.items():
            tab = visit.open(path)
            tab.wait_for_selector(f"h1:has-text('{title}')")
            tab.wait_for_selector(content)
            tab.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")  # at rest
        assert visit.complaints == []
        assert visit.foreign_requests() == []


def test_a_card_leads_to_its_network_and_back(visit: Visit) -> None:
    tab = visit.open("/networks")
    tab.click(".network-card:has-text('attic')")
    tab.wait_for_selector("h1:has-text('attic')")
    tab.wait_for_selector(".map-row")
    assert tab.get_attribute("a.link[href='/networks']", "aria-current") == "page"
    tab.click(".crumb-back")
    tab.wait_for_selector(".network-card:has-text('swarm')")
    assert visit.complaints == []


def test_the_map_and_its_list_show_the_same_and_choose_the_same(visit: Visit, node: Client) -> None:
    tab = visit.open(HOME)
    tab.wait_for_selector(".map-row")
    shape = node.shape("home")
    linked = [peer for peer in shape.peers if peer.link != "supernode"]
    tab.wait_for_selector(".map-node")
    assert tab.locator(".map-node").count() == len(linked)
    assert tab.locator(".map-only").count() == len(shape.peers) - len(linked)
    assert tab.locator(".map-row").count() == len(shape.peers)
    assert tab.locator(".map-node.supernode polygon").count() == sum(peer.supernode for peer in linked)
    assert tab.locator(".map-line.relayed").count() == sum(peer.path == "relayed" for peer in linked)
    tab.focus(".map-row >> nth=0")  # by keyboard alone
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".map-node.selected")
    chosen = tab.get_attribute(".map-node.selected", "data-id")
    assert chosen == tab.get_attribute(".map-row[aria-pressed='true']", "data-id")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Space")
    tab.wait_for_selector(f".map-node.selected:not([data-id='{chosen}'])")
    other = tab.get_attribute(".map-node:not(.selected)", "data-id")
    tab.locator(f".map-node[data-id='{other}'] .target").dispatch_event("click")
    tab.wait_for_selector(f".map-row[data-id='{other}'][aria-pressed='true']")
    assert visit.complaints == []


def test_the_map_follows_a_switch_of_the_mode(visit: Visit, node: Client) -> None:
    tab = visit.open(HOME)
    tab.wait_for_selector("h2:has-text('This node is a leaf')")
    tab.click(".mode-choice[data-mode='p2p']")
    tab.click("button:has-text('Switch')")
    tab.wait_for_selector(".dialog h2:has-text('Switch home to peer to peer?')")
    tab.click(".dialog button:has-text('Switch it')")
    tab.wait_for_selector("h2:has-text('This node is a supernode')")
    tab.wait_for_selector(".map-me.index")
    node.set_mode("home", "hybrid")  # somewhere else
    tab.wait_for_selector("h2:has-text('This node is a leaf')")
    assert visit.complaints == []


def test_a_hostile_name_in_the_map_is_text(visit: Visit) -> None:
    evil = '<img src=x onerror="document.title=1">\u202egnp.exe'
    tab = visit.tab

    def answer(route: Any) -> None:
        found = route.fetch()
        shape = found.json()
        shape["peers"][0]["name"] = evil
        shape["network"]["why"] = evil
        shape["searching"] = evil
        route.fulfill(response=found, json=shape)

    tab.route("**/node/networks/*/shape", answer)
    visit.open(HOME)
    tab.wait_for_selector(".map-row:has-text('onerror')")
    assert tab.locator("sv-network img").count() == 0
    assert "\u202e" not in tab.inner_text("sv-network")
    assert tab.title().endswith("servent")
    assert visit.sideways() <= 0
    tab.unroute_all(behavior="ignoreErrors")  # one may be on its way while the page ends


def test_a_search_tells_how_far_the_networks_were_asked(visit: Visit) -> None:
    tab = visit.open("/search?q=blue")
    tab.wait_for_selector(DONE)
    said = tab.inner_text(".search-status")
    assert "2 of 2 peers and 6 of 6 supernodes answered in" in said and "18 messages" in said
    assert "home: 2 of 2 supernodes, 6 messages" in (tab.get_attribute(".search-status", "title") or "")
    assert visit.complaints == []


def test_facets_narrow_by_network_ending_and_who_is_there_with_counts_that_hold(visit: Visit) -> None:
    tab = visit.open("/search?q=blue")
    tab.wait_for_selector(DONE)

    def counts(facet: str) -> dict[str, int]:
        return {
            chip.locator(".chip-word").inner_text(): int(chip.locator(".chip-count").inner_text())
            for chip in tab.locator(f".facet[data-facet='{facet}'] .facet-chip").all()
        }

    total = int(tab.inner_text(".search-status").split()[0])
    there, found, endings = counts("there"), counts("network"), counts("ext")
    assert sum(there.values()) == total and len(there) == 2
    assert {"in home", "in attic", "in swarm", "Connected peers"} <= set(found)
    assert sum(endings.values()) == total and len(endings) > 1
    tab.focus(
        ".facet[data-facet='there'] .facet-chip >> nth=1"
    )  # a chip is a button: the keyboard presses it
    tab.keyboard.press("Enter")
    tab.wait_for_selector(f".search-status:has-text('{there['Away, or not known']} of {total} hits')")
    assert counts("there") == there, "a facet's own numbers stay"
    assert "Connected peers" not in {name for name, count in counts("network").items() if count}
    assert sum(counts("ext").values()) == there["Away, or not known"]
    tab.click(".facet[data-facet='network'] .facet-chip:has-text('in home')")
    both = counts("network")["in home"]
    tab.wait_for_selector(f".search-status:has-text('{both} of {total} hits')")
    assert tab.evaluate("location.pathname + location.search") == "/search?q=blue"
    assert visit.complaints == []


def test_one_network_alone_can_be_searched_and_a_reload_keeps_it(visit: Visit) -> None:
    tab = visit.open("/search")
    tab.wait_for_selector("sv-search option:has-text('In home')", state="attached")
    tab.select_option("sv-search .search-form select", label="In home")
    tab.fill("sv-search .query", "blue")
    tab.press("sv-search .query", "Enter")
    tab.wait_for_selector("sv-search .search-status:has-text('2 of 2 supernodes answered in')")
    tab.reload()
    tab.wait_for_selector("sv-search .search-status:has-text('2 of 2 supernodes answered in')")
    picked = "document.querySelector('sv-search .search-form select').selectedOptions[0].textContent"
    tab.wait_for_function(f"{picked} === 'In home'")
    tab.select_option("sv-search .search-form select", label="My networks")
    tab.wait_for_selector(
        "sv-search .search-status:has-text('6 of 6 supernodes answered in')"
    )  # all three, and no peer
    assert tab.evaluate("location.search") == "?q=blue&scope=networks"
    assert visit.complaints == []


def test_details_of_a_hit_say_in_which_network_and_whether_they_are_there(visit: Visit) -> None:
    tab = visit.open("/search?q=blue")
    tab.wait_for_selector(DONE)
    tab.click(".facet[data-facet='there'] .facet-chip:has-text('Away')")
    tab.focus("sv-search .hit[tabindex='0']")
    tab.keyboard.press("i")
    tab.wait_for_selector(
        "sv-search .drawer .sources li:has-text('in home'), sv-search .drawer .sources li:has-text('in attic'), sv-search .drawer .sources li:has-text('in swarm')"
    )
    state = tab.inner_text("sv-search .drawer .sources li .small >> nth=0")
    assert state in ("away now", "not known whether it is there")
    tab.click("sv-search .drawer button:has-text('Who else has it?')")
    tab.wait_for_selector("sv-search .drawer p:has-text('6 of 6 supernodes answered, 12 messages')")
    assert tab.locator("sv-search .drawer .sources li .name:has-text('ann')").count() == 1
    assert visit.complaints == []
