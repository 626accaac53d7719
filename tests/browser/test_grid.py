"""Computing on the lively fake node: lending and why it pauses, joining, a project from its making to its results, boards, ledgers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servent.api import schema_grid as grid
from servent.api.client import Client
from tests.api.running import client
from tests.browser.conftest import Visit
from tests.browser.finding import lively, until
from tests.web.running import WebPage

TABS = {
    "Lend": ".slot",
    "Projects": ".grid-card:has-text('weather')",
    "My projects": "a.grid-mine-card:has-text('primes')",
    "Cluster": ".worker-tile:has-text('bob')",
    "Leaderboard": ".standing.me",
    "Ledger check": ".audit-form",
}
LISTS = {
    "Work and results": ".batch",
    "Units": ".unit",
    "Volunteers": ".host",
    "Errors": ".problem-line",
    "Apps": ".app-card",
    "Settings and ledger": ".project-about dl",
}
EVIL = "<img src=x onerror=\"document.title='owned'\"> \u202egnp"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grid")


@pytest.fixture(scope="module")
def page(home: Path) -> Iterator[WebPage]:
    with lively(home, "--pace", "0.1") as running:
        yield running


@pytest.fixture
def node(home: Path, page: WebPage) -> Client:
    return client(home)


def primes(node: Client) -> str:
    return "/grid/" + node.my_project("primes").id


@pytest.mark.parametrize(("width", "theme"), [(1440, "dark"), (390, "light")])
def test_every_tab_and_list_fits_and_complains_of_nothing(
    browser: Any, page: WebPage, node: Client, width: int, theme: str
) -> None:
    with Visit(browser, page, width=width, theme=theme) as visit:
        tab = visit.open("/grid")
        for word, content in TABS.items():
            tab.click(f"sv-tabs .tab:text-is('{word}')")
            tab.wait_for_selector(content)
            assert visit.sideways() <= 0, f"{word} scrolls sideways at {width} px"
            assert visit.nameless() == [], word
        tab = visit.open(primes(node))
        for word, content in LISTS.items():
            tab.click(f".project-lists .tab:text-is('{word}')")
            tab.wait_for_selector(content)
            assert visit.sideways() <= 0, f"{word} scrolls sideways at {width} px"
            assert visit.nameless() == [], word
        assert visit.complaints == [] and visit.foreign_requests() == []


def test_a_pause_says_why_in_one_line_wherever_it_was_made_and_is_ended_with_one_press(
    visit: Visit, node: Client
) -> None:
    tab = visit.open("/grid")
    tab.wait_for_selector(".lend-why:has-text('because nobody used this machine')")
    tab.select_option(".lend-pause select", "900")
    tab.click(".lend-pause button:has-text('Pause')")
    tab.wait_for_selector(".lend-head:has-text('Paused')")
    tab.wait_for_selector(".lend-why:has-text('Paused by you until'):has-text('goes on by itself at')")
    assert node.lending().by_person
    tab.click(".lend-buttons button:has-text('Resume')")
    tab.wait_for_selector(".lend-head:has-text('Computing')")
    assert node.lending().state == "working"
    tab.click("nav a[href='/people']")
    tab.click("sv-lending button[aria-label='Pause lending']")
    tab.wait_for_selector("sv-lending:has-text('Lending pauses')")
    assert "Paused by you." in (tab.get_attribute(".lend-mark", "title") or "")
    node.resume_lending()  # from somewhere else: the page hears of it
    tab.wait_for_selector("sv-lending:has-text('Lending 3 of 8 cores')")
    node.change_lending(grid.LendChange(on=False))
    tab.wait_for_selector("sv-lending", state="hidden")
    tab.click("nav a[href='/grid']")
    tab.wait_for_selector(".lend-why:has-text('Lending is off.')")
    tab.click("button:has-text('Lend this machine')")
    tab.wait_for_selector(".lend-head:has-text('Computing')")
    assert visit.complaints == []


def test_the_rules_are_a_preset_or_ones_own_and_are_said_in_a_sentence(visit: Visit, node: Client) -> None:
    tab = visit.open("/grid")
    tab.wait_for_selector(".preset[data-preset=when-idle][aria-checked=true]")
    tab.focus(".preset[aria-checked=true]")
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".preset[data-preset=quiet][aria-checked=true]")
    tab.wait_for_selector(".policy-says:has-text('up to 2 of 8 cores, each at 50 %')")
    tab.click("summary:has-text('Set every rule yourself')")
    tab.fill(".policy-form label:has-text('Cores') input", "3")
    tab.fill(".policy-form label:has-text('Only at these hours') input", "weekdays 22:00-07:00, sat")
    tab.fill(".policy-form label:has-text('Disk') input", "2.5")
    tab.click(".policy-form button:has-text('Save')")
    tab.wait_for_selector(".preset[data-preset=own][aria-checked=true]")
    tab.wait_for_selector(
        ".policy-says:has-text('only weekdays 22:00-07:00 and sat'):has-text('2.5 GB of disk')"
    )
    policy = node.lending().policy
    assert (policy.cores, policy.hours, policy.disk_bytes, policy.cpu_percent) == (
        3, ["weekdays 22:00-07:00", "sat"], 2_500_000_000, 50
    )  # fmt: skip
    node.change_lending(grid.LendChange(preset="when-idle"))
    assert visit.complaints == []


def test_a_project_is_joined_by_its_link_and_a_refusal_says_why(visit: Visit, node: Client) -> None:
    tab = visit.open("/grid?tab=projects&join=servent-project:refused")
    tab.wait_for_selector("dialog textarea")
    tab.click("dialog button:has-text('Join')")
    tab.wait_for_selector("dialog .problem:has-text('takes only those it invited')")
    tab.fill("dialog textarea", "servent-project:sky")
    tab.click("dialog summary")
    tab.fill("dialog label:has-text('Share') input", "250")
    tab.click("dialog button:has-text('Join')")
    tab.wait_for_selector(".toast:has-text('Joined sky survey')")
    assert "join=" not in tab.url, "a reload asks nothing again"
    card = tab.locator(".grid-card").filter(has_text="sky survey")
    card.locator(".why:has-text('Asks its coordinator for work')").wait_for()
    assert "share 250" in card.inner_text()
    card.get_by_role("button", name="Pause").click()
    card.locator(".mark:has-text('Paused')").wait_for()
    card.get_by_role("button", name="Leave sky survey").click()
    tab.click("dialog button:has-text('Leave it')")
    card.wait_for(state="detached")
    assert all(one.name != "sky survey" for one in node.joined_projects())
    assert "weather \ufffdevil" in tab.inner_text("sv-grid-joined"), "what turns text around is seen"
    assert not [said for said in visit.complaints if "403" not in said]


def test_a_link_that_somebody_wrote_asks_before_it_joins(visit: Visit) -> None:
    tab = visit.open("/talk/ann")
    tab.fill(".composer-field", "help me: servent-project:abc123.")
    tab.press(".composer-field", "Enter")
    tab.click(".message .text-link:text-is('servent-project:abc123')")
    tab.wait_for_selector("h1:has-text('Grid')")
    tab.wait_for_selector("dialog h2:has-text('Join a project')")
    assert tab.input_value("dialog textarea") == "servent-project:abc123"
    tab.click("dialog button:has-text('Look at it first')")
    tab.wait_for_selector("dialog h3:has-text('sky survey')")
    assert "√(0.75 × deadline / time taken)" in tab.inner_text("dialog")
    tab.click("dialog button:has-text('Not now')")
    assert visit.complaints == []


def test_from_a_new_project_to_results_in_a_folder_without_leaving_the_page(
    visit: Visit, node: Client, tmp_path: Path
) -> None:
    module = tmp_path / "double.wasm"
    module.write_bytes(b"\0asm\x01\0\0\0")
    tab = visit.open("/grid?tab=mine")
    tab.click("button:has-text('New project')")
    tab.fill("dialog label:has-text('Its name') input", "doubles")
    tab.select_option("dialog label:has-text('Who may') select", "everyone")
    tab.click("dialog button:has-text('Make it')")
    tab.wait_for_selector("h1:has-text('doubles')")
    tab.wait_for_selector(".project-state:has-text('Add an app')")
    tab.click("button:has-text('Add the first app')")
    tab.fill("dialog label:has-text('Its name') input", "double")
    tab.fill("dialog label:has-text('Module') input", str(tmp_path / "double.c"))
    tab.click("dialog button:has-text('Add it')")
    tab.wait_for_selector("dialog .problem:not(:empty)")  # there is no such file
    tab.fill("dialog label:has-text('Module') input", str(module))
    tab.click("dialog button:has-text('Try it')")
    tab.wait_for_selector("dialog .tried pre:has-text('42')")
    tab.click("dialog button:has-text('Add it')")
    tab.click(".toast button:has-text('Submit work')")
    tab.fill(
        "dialog label:has-text('inputs as text') textarea",
        f"21\n{EVIL}\n3\n" + "\n".join(map(str, range(40))),
    )
    tab.click("dialog summary:has-text('Arguments')")
    tab.fill("dialog label:has-text('What it is') input", "the first work")
    tab.click("dialog button:has-text('Submit')")
    tab.wait_for_selector(".batch:has-text('the first work')")
    tab.wait_for_function("document.querySelector('.station[data-state=done] .figure').textContent === '42'")
    assert tab.inner_text(".station[data-state=error] .figure") == "1"
    tab.click(".batch:has-text('the first work') button:has-text('Results')")
    tab.wait_for_selector("dialog .result:has-text('21: 0')")
    assert "onerror" in tab.inner_text("dialog .results") and tab.locator("dialog .results img").count() == 0
    tab.wait_for_selector("dialog .result[data-tone=failed]:has-text('4 volunteers tried')")
    with tab.expect_download() as saved:
        tab.click("dialog .result:has-text('21: 0') a")
    assert Path(saved.value.path()).read_text() == "21: 0\n"
    tab.fill("dialog .results-foot input", str(tmp_path / "out"))
    tab.click("dialog button:has-text('Write')")
    tab.wait_for_selector(".toast:has-text('written')")
    assert len(list((tmp_path / "out").iterdir())) == 42
    tab.keyboard.press("Escape")
    tab.click(".batch:has-text('the first work') button[aria-label^=Forget]")
    tab.click("dialog button:has-text('Forget it')")
    tab.wait_for_selector(".batch", state="detached")
    assert "owned" not in tab.title() and visit.foreign_requests() == []
    assert not [said for said in visit.complaints if "40" not in said]


def test_units_flow_by_themselves_and_a_station_shows_its_own(visit: Visit, node: Client) -> None:
    batch = node.submit("primes", grid.NewBatch(app="trial", items=["x"], repeat=2000, title="flow"))
    tab = visit.open(primes(node))
    done = int(tab.inner_text(".station[data-state=done] .figure").replace(",", ""))
    tab.wait_for_selector(".lane .grain")
    until(
        tab,
        lambda: int(tab.inner_text(".station[data-state=done] .figure").replace(",", "")) > done,
        "the number of those that are done grows",
    )
    assert tab.locator("svg.chart .chart-done").count() > 60
    assert "units done in the last 2 h" in (tab.get_attribute("svg.chart", "aria-label") or "")
    tab.click(".station[data-state=waiting]")
    tab.wait_for_selector(".chip[aria-pressed=true]:has-text('Waiting')")
    tab.wait_for_selector(".station[data-state=waiting][aria-pressed=true]")
    tab.wait_for_selector(".unit[data-state=waiting]")
    assert tab.locator(".unit:not([hidden]):not([data-state=waiting])").count() == 0
    total = int(tab.get_attribute(".unit", "aria-setsize") or 0)
    tab.focus(".grid-units .item[tabindex='0']")
    tab.keyboard.press("End")
    until(
        tab, lambda: int(tab.get_attribute(".unit", "aria-setsize") or 0) > total, "more come as one scrolls"
    )
    tab.click(".chip:has-text('Done')")
    tab.click(".unit[data-state=done] >> nth=0")
    tab.wait_for_selector("dialog .copies li")
    tab.keyboard.press("Escape")
    node.cancel_batch(batch.id)
    node.forget_batch(batch.id)
    assert visit.complaints == []


PICTURE = "canvas => canvas.toDataURL()"


def step_shown(tab: Any) -> str:
    return str(tab.inner_text(".film-step"))


def test_a_chain_of_generations_is_watched_as_a_film(browser: Any, page: WebPage, node: Client) -> None:
    with Visit(browser, page, width=390, theme="light") as visit:
        visit.tab.emulate_media(reduced_motion="reduce")  # nothing turns or plays by itself
        tab = visit.open(primes(node))
        row = tab.locator(".chain").filter(has_text="argon-b.txt")
        row.locator(".why:has-text('on bob and carl')").wait_for()
        assert tab.locator(".chain").count() == 3 and "of 12" in row.inner_text()
        row.locator("button:has-text('Watch')").click()
        tab.wait_for_selector("dialog.film .film-numbers")
        film = node.trajectory(4, 1)
        first, last = film.parts[0], film.parts[-1]
        assert step_shown(tab) == f"Step {first.first}"
        tab.keyboard.press("Space")
        until(tab, lambda: step_shown(tab) != f"Step {first.first}", "it plays")
        tab.locator(".film-slider").focus()
        tab.keyboard.press("Space")
        assert tab.get_attribute(".film-play", "aria-label") == "Play", "it stands still"
        tab.locator(".film-slider").fill(str(sum(part.frames for part in film.parts) - 1))
        until(tab, lambda: step_shown(tab) == f"Step {last.step:,}", "the last frame")
        assert tab.inner_text(".film-generation").startswith(f"Generation {film.done} of 12")
        potential, kinetic = film.energies[-1][1:]
        said = tab.inner_text(".film-numbers")
        assert f"{2 * kinetic / 3 / (film.atoms - 1):.3f}" in said
        assert f"{(potential + kinetic) / film.atoms:.4f}" in said
        assert tab.locator(".energy-plot polyline").count() == 3
        before = tab.eval_on_selector(".points", PICTURE)
        assert len(before) > 30_000, "atoms are drawn"
        tab.focus(".points")
        tab.keyboard.press("ArrowUp")
        until(tab, lambda: tab.eval_on_selector(".points", PICTURE) != before, "it turns")
        tab.locator(".energy-plot").click(position={"x": 44, "y": 60})
        until(tab, lambda: step_shown(tab) == f"Step {first.first}", "the first frame")
        tab.locator(".film-play").click()
        until(tab, lambda: step_shown(tab) != f"Step {first.first}", "it plays")
        assert visit.sideways() <= 0 and visit.nameless() == []
        tab.keyboard.press("Escape")
        tab.wait_for_selector("dialog.film", state="detached")
        assert visit.complaints == [] and visit.foreign_requests() == []
        assert len([url for url in visit.requests if "/frames/" in url]) <= len(film.parts), "in pieces"


def test_work_is_submitted_in_generations(visit: Visit, node: Client) -> None:
    tab = visit.open(primes(node))
    tab.click(".head button:has-text('Submit work')")
    tab.select_option("dialog label:has-text('For the app') select", "trial")
    tab.fill("dialog label:has-text('inputs as text') textarea", "a\nb")
    assert not tab.is_visible("dialog label:has-text('Quick results earn more')")
    tab.fill("dialog label:has-text('Generations') input", "7")
    tab.check("dialog label:has-text('Quick results earn more') input")
    tab.click("dialog button:has-text('Submit')")
    tab.wait_for_selector(".toast:has-text('14 units')")
    made = node.batches("primes")[0]
    assert (made.units, made.generations) == (14, 7)
    assert node.my_project("primes").bonus == 0.75
    node.change_project("primes", grid.ProjectChange(bonus=0.0))
    tab.wait_for_selector(".batch:has-text('2 chains of 7 generations') .chain:has-text('input-1')")
    assert tab.locator(".batch:has-text('2 chains of 7') .chain button:visible").count() == 0, "no films"
    node.cancel_batch(made.id)
    node.forget_batch(made.id)
    assert visit.complaints == []


def test_what_failed_is_no_green_bar_and_is_not_called_done(visit: Visit, node: Client) -> None:
    failed = {"id": "77", "project": node.my_project("primes").id, "project_name": "primes", "app": "trial/2", "title": "all wrong",
              "state": "done", "units": 4, "done": 0, "errors": 4, "cancelled": 0, "created": 1.0, "cost": 0, "priority": 0, "generations": 1}  # fmt: skip
    tab = visit.open(primes(node))
    tab.wait_for_selector(".batch")
    tab.evaluate("batch => servent.live.merge('batches', batch)", failed)
    row = tab.locator(".batch").filter(has_text="all wrong")
    row.locator(".mark:text-is('Failed')").wait_for()
    assert row.locator(".dot").first.get_attribute("data-tone") == "failed"
    widths = row.locator(".stack-part").evaluate_all(
        "parts => parts.map(part => [part.dataset.state, part.style.width])"
    )
    assert dict(widths) == dict(widths) | {"done": "0%", "error": "100%"}
    tab.evaluate("batch => servent.live.merge('batches', batch)", failed | {"done": 1, "errors": 3})
    row.locator(".mark:text-is('Done in part')").wait_for()


def test_who_gave_most_is_shown_for_a_day_a_week_and_teams(visit: Visit) -> None:
    tab = visit.open("/grid?tab=leaderboard&project=nonsense")
    tab.wait_for_selector(".standing.me:has-text('you')")
    most = tab.inner_text(".standing .board-credit >> nth=0")
    tab.click(".segment:has-text('Today')")
    tab.wait_for_function(
        "before => document.querySelector('.standing .board-credit')?.textContent !== before", arg=most
    )
    tab.click(".segment:has-text('Teams')")
    tab.wait_for_selector(".standing:has-text('early birds')")
    assert tab.locator(".standing").count() == 2
    tab.wait_for_selector(".balance:has-text('carl') .balance-sum:has-text('-803')")
    tab.click("button:has-text('New team')")
    tab.fill("dialog input", "larks")
    tab.click("dialog button:has-text('Make it')")
    tab.click(".team:has-text('larks') button:has-text('Let somebody in')")
    tab.click("dialog button:has-text('Make a ticket')")
    tab.wait_for_selector("dialog .grid-code:has-text('servent:team-')")
    assert visit.complaints == []


def test_a_ledger_is_checked_line_by_line_and_a_wrong_one_is_named(visit: Visit) -> None:
    tab = visit.open("/grid?tab=projects")
    tab.click(".grid-card:has-text('folding') button:has-text('Ledger')")
    tab.wait_for_selector(".verdict-card[data-outcome=pass]:has-text('Every credit in it is in order')")
    assert tab.locator(".audit-result .check[data-outcome=pass]").count() == 5
    tab.fill(".audit-form input", "a bad ledger")
    tab.press(".audit-form input", "Enter")
    tab.wait_for_selector(".verdict-card[data-outcome=fail]:has-text('1 check did not hold')")
    tab.wait_for_selector(".check[data-outcome=fail]:has-text('Entry 401: signed by nobody it names')")
    tab.fill(".audit-form input", "none")
    tab.press(".audit-form input", "Enter")
    tab.wait_for_selector("sv-grid-audit .problem:has-text('Nobody who is reached has this ledger')")
    assert tab.locator(".verdict-card").count() == 0
    assert not [said for said in visit.complaints if "404" not in said]


def test_a_newcomer_is_told_what_to_do_first(browser: Any, tmp_path: Path) -> None:
    with lively(tmp_path, "--fresh") as page, Visit(browser, page, width=390) as visit:
        tab = visit.open("/grid")
        tab.wait_for_selector(".lend-head:has-text('Nothing is lent')")
        assert tab.inner_text(".lend-why")
        for word, content in (
            ("Projects", "No project joined yet"),
            ("My projects", "No project of yours yet"),
            ("Cluster", "No cluster yet"),
            ("Leaderboard", "No project yet"),
        ):
            tab.click(f"sv-tabs .tab:text-is('{word}')")
            tab.wait_for_selector(f"text={content}")
            assert visit.sideways() <= 0
        tab.click("sv-tabs .tab:text-is('My projects')")
        tab.click(".empty button:has-text('New project')")
        tab.click("dialog button:has-text('Make it')")
        tab.wait_for_selector("dialog .problem:has-text('It has no name')")
        assert visit.complaints == []
