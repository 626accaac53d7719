"""The library's forms and the first three steps, without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from servent.web.parts import Words
from tests.web.fake_api import FakeApi, FakeNode
from tests.web.test_pages import User, elements, play, press, see, write


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    with FakeApi(FakeNode(transfers=3), tmp_path).running() as running:
        yield running


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.03)


def choose(user: User, label: str, value: str) -> None:
    for each in elements(user):
        if each.props.get("aria-label") == label:
            each.value = value  # type: ignore[attr-defined]
            return
    raise AssertionError(f"no choice is called {label}")


@pytest.mark.parametrize(
    ("path", "title"),
    [("/search", "Search"), ("/library", "Library"), ("/browse", "Browse"), ("/grid", "Grid")],
)
def test_a_screen_opens_under_its_address(api: FakeApi, path: str, title: str) -> None:
    async def story(user: User) -> None:
        await user.open(path)
        titles = [each.text for each in elements(user) if isinstance(each, Words) and each.tag == "h1"]
        marked = [each.props["href"] for each in elements(user) if each.props.get("aria-current") == "page"]
        assert titles == [title] and marked == [path]

    play(api, story)


def test_a_folder_is_shared_as_wished(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/library")
        press(user, "Share it")
        await see(user, "no folder was given")
        write(user, "Folder on this machine", " /home/you/Films ")
        choose(user, "Who may see it", "friends")
        write(user, "Not these", "*.part, drafts/*")
        press(user, "Share it")
        await until(lambda: bool(api.finding.wanted))
        assert api.finding.wanted == ["share /home/you/Films friends *.part,drafts/* False"]

    play(api, story)


def test_a_doubtful_folder_is_shared_only_after_a_second_word(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/library")
        write(user, "Folder on this machine", "/home/you")
        press(user, "Share it")
        await see(user, "this is a home directory")
        await see(user, "Share a folder inside it instead.")
        assert [each.split()[-1] for each in api.finding.wanted] == ["False"]
        press(user, "I looked at it: share it all the same")
        await until(lambda: bool(len(api.finding.wanted) == 2))
        assert [each.split()[-1] for each in api.finding.wanted] == ["False", "True"]

    play(api, story)


def test_three_steps_each_skippable_end_with_a_name_and_nothing_shared(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/welcome")
        await see(user, "What should others call you?")
        write(user, "Your name", "  ")
        press(user, "Go on")
        await see(user, "a name has 1 to 64 characters")
        write(user, "Your name", "Ada's attic")
        press(user, "Go on")
        await see(user, "Share a folder, if you like")
        press(user, "Skip this step")
        await see(user, "Meet the first peer")
        press(user, "Join")
        await see(user, "nothing was pasted")
        press(user, "Make a ticket")
        await see(user, "servent:ybndrfg8")
        press(user, "Back")
        await see(user, "Share a folder, if you like")
        press(user, "Skip this step")
        await see(user, "Meet the first peer")
        press(user, "Finish")
        await until(lambda: bool(api.finding.wanted))
        assert api.finding.wanted == ["setup Ada's attic"]

    play(api, story)


def test_skipping_everything_changes_nothing_but_that_the_wizard_is_done(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/welcome")
        await see(user, "What should others call you?")
        press(user, "Skip this step")
        await see(user, "Share a folder, if you like")
        press(user, "Skip this step")
        await see(user, "Meet the first peer")
        press(user, "Finish")
        await until(lambda: bool(api.finding.wanted))
        assert api.finding.wanted == ["setup None"]

    play(api, story)
