"""What the screens do, without a browser: NiceGUI's simulated user against a fake node's API."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servent.api.client import Client
from servent.web.desk import Desk
from tests.web.fake_api import HOSTILE, FakeApi, FakeNode, peer_id

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what NiceGUI's own imports say about their libraries
    from nicegui import ui
    from nicegui.element import Element
    from nicegui.testing import User, user_simulation
    from nicegui.testing.user_interaction import UserInteraction

    from servent.web.app import root
    from servent.web.parts import Button, Words

Story = Callable[[User], Awaitable[None]]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    with FakeApi(FakeNode(transfers=40), tmp_path).running() as running:
        yield running


def play(api: FakeApi, story: Story) -> None:
    async def run() -> None:
        desk = Desk(Client(api.url, api.node.token))
        async with user_simulation(root=root(desk)) as user:
            await story(user)

    asyncio.run(run())


def elements(user: User) -> list[Element]:
    assert user.client is not None
    return list(user.client.elements.values())


def press(user: User, word: str) -> None:
    found = {each for each in elements(user) if isinstance(each, Button) and each.word == word}
    assert len(found) == 1, f"{len(found)} buttons say {word}"
    UserInteraction(user, found, None).click()


def write(user: User, label: str, text: str) -> None:
    for each in elements(user):
        if isinstance(each, ui.input | ui.textarea) and each.props.get("aria-label") == label:
            each.value = text
            return
    raise AssertionError(f"no field is called {label}")


async def see(user: User, text: str) -> None:
    """Wait until some element says `text`."""
    for _ in range(2000):
        if any(isinstance(each, Words) and text in each.text for each in elements(user)):
            return
        await asyncio.sleep(0.03)
    raise AssertionError(f"nobody says {text!r}: {[e.text for e in elements(user) if isinstance(e, Words)]}")


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "Overview"),
        ("/transfers", "Transfers"),
        ("/people", "People"),
        ("/talk", "Talk"),
        ("/invite", "Invite"),
        ("/doctor", "Doctor"),
    ],
)
def test_a_screen_opens_under_its_address_and_is_marked_in_the_navigation(
    api: FakeApi, path: str, title: str
) -> None:
    async def story(user: User) -> None:
        await user.open(path)
        titles = [each.text for each in elements(user) if isinstance(each, Words) and each.tag == "h1"]
        marked = [each.props["href"] for each in elements(user) if each.props.get("aria-current") == "page"]
        assert titles == [title] and marked == [path]

    play(api, story)


def test_a_ticket_is_made_as_wished_and_shown_with_its_expiry_and_a_qr_code(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/invite")
        press(user, "Make a ticket")
        await see(user, "servent:ybndrfg8")
        await see(user, "good for 1 day, for one person")
        assert api.node.wanted == ["ticket {'once': True, 'lifetime': 86400.0}"]
        codes = [each for each in elements(user) if each.tag == "img"]
        assert codes and all(each.props["src"].startswith("data:image/svg+xml") for each in codes)

    play(api, story)


def test_joining_with_something_that_is_no_ticket_says_what_a_ticket_looks_like(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/invite")
        press(user, "Join")
        await see(user, "nothing was pasted")
        write(user, "Ticket or invitation", "hello")
        press(user, "Join")
        await see(user, "this is no ticket")
        await see(user, "A ticket begins with servent:")
        write(user, "Ticket or invitation", "servent:abc")
        press(user, "Join")
        await see(user, "and are connected")
        assert api.node.wanted == ["join hello", "join servent:abc"]

    play(api, story)


def test_an_invitation_goes_to_a_network_one_administers(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/invite")
        await see(user, "Make an invitation")
        press(user, "Make an invitation")
        await see(user, "servent:jkmcpqxo")
        await see(user, "good for 7 days, for one person")

    play(api, story)


def test_who_has_no_network_is_offered_to_start_one(api: FakeApi) -> None:
    api.node.networks.clear()

    async def story(user: User) -> None:
        await user.open("/invite")
        await see(user, "Start a network of your own")
        press(user, "Start it")
        await see(user, "the network has no name yet")
        write(user, "Its name", "Club")
        press(user, "Start it")
        await see(user, "Club is there")
        await see(user, "Make an invitation")

    play(api, story)


def test_sending_a_path_waits_for_the_hash_and_shows_the_link(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/transfers")
        press(user, "Send")
        write(user, "Path on this machine", "pictures")
        press(user, "Make a link")
        await see(user, "not an absolute path")
        write(user, "Path on this machine", "/home/you/pictures")
        press(user, "Make a link")
        await see(user, "40 % of 1.2 GB")
        await see(user, "magnet:?xt=urn:btmh:1220")
        await see(user, "212 files, 1.2 GB")

    play(api, story)


def test_getting_a_link_starts_a_download_and_a_wrong_link_is_refused_in_place(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/transfers")
        press(user, "Get")
        write(user, "Link or spoken code", "http://example.org/")
        press(user, "Get it")
        await see(user, "this is no link")
        write(user, "Link or spoken code", "  magnet:?xt=urn:btmh:1220ab  ")
        press(user, "Get it")
        async with asyncio.timeout(60):
            while len(api.node.wanted) < 2:
                await asyncio.sleep(0.02)
        assert api.node.wanted[-1] == "get magnet:?xt=urn:btmh:1220ab"

    play(api, story)


def choose_peer(user: User, peer: str) -> None:
    tables = {each for each in elements(user) if each.tag == "sv-peers"}
    UserInteraction(user, tables, None).trigger("edit", {"detail": {"id": peer}})


def test_a_peer_gets_a_petname_a_ping_and_a_block(api: FakeApi) -> None:
    ada = peer_id(1)

    async def story(user: User) -> None:
        await user.open("/peers")
        choose_peer(user, ada)
        await see(user, ada)
        press(user, "Ping")
        await see(user, "direct, 11.2 ms at best, 0 of 4 lost")
        write(user, "Your name for them", "Ada")
        press(user, "Save")
        async with asyncio.timeout(60):
            while api.node.peers[ada]["petname"] != "Ada":
                await asyncio.sleep(0.02)
        press(user, "Block")
        async with asyncio.timeout(60):
            while not api.node.peers[ada]["blocked"]:
                await asyncio.sleep(0.02)

    play(api, story)


@pytest.mark.parametrize(
    "args", [None, "text", {}, {"detail": None}, {"detail": {"id": ["x"]}}, {"detail": {"id": "no"}}]
)
def test_nonsense_from_the_browser_opens_no_dialog_and_breaks_nothing(api: FakeApi, args: Any) -> None:
    async def story(user: User) -> None:
        await user.open("/peers")
        tables = {each for each in elements(user) if each.tag == "sv-peers"}
        UserInteraction(user, tables, None).trigger("edit", args)
        await asyncio.sleep(0.1)
        choose_peer(user, peer_id(2))
        await see(user, peer_id(2))

    play(api, story)


def choose(user: User, kind: str, key: str) -> None:
    tables = {each for each in elements(user) if each.tag == kind}
    UserInteraction(user, tables, None).trigger("open", {"detail": {"id": key}})


def test_what_is_offered_shows_its_link_and_is_ended_there(api: FakeApi) -> None:
    key, share = next(iter(api.node.shares.items()))

    async def story(user: User) -> None:
        await user.open("/transfers")
        choose(user, "sv-shares", key)
        await see(user, share["path"])
        await see(user, share["link"])
        await see(user, "1,240 files, 41.0 MB; nothing sent since the node started")
        assert any(each.tag == "img" for each in elements(user)), "a QR code"
        press(user, "Stop offering it")
        async with asyncio.timeout(60):
            while key in api.node.shares:
                await asyncio.sleep(0.02)
        choose(user, "sv-shares", key)
        await see(user, "this is not offered any more")

    play(api, story)


def test_a_peer_is_forgotten_only_when_asked_twice(api: FakeApi) -> None:
    ada = peer_id(1)

    async def story(user: User) -> None:
        await user.open("/peers")
        choose_peer(user, ada)
        await see(user, ada)
        press(user, "Forget")
        await see(user, "only a new ticket brings them back")
        assert ada in api.node.peers
        press(user, "Forget")
        async with asyncio.timeout(60):
            while ada in api.node.peers:
                await asyncio.sleep(0.02)

    play(api, story)


def test_members_and_invitations_are_ended_where_one_invites(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/invite")
        await see(user, "Members and invitations of Family")
        fold = {each for each in elements(user) if each.tag == "details" and "open" not in each.props}
        for each in fold:
            UserInteraction(user, {each}, None).trigger("toggle", None)
        await see(user, "1 of 3 used; good for 6 days")
        await see(user, "used 2 times, for any number; good until you take it back")
        buttons = [
            each for each in elements(user) if isinstance(each, Button) and each.word in ("Remove", "Revoke")
        ]
        assert [each.word for each in buttons] == ["Remove"] * 3 + ["Revoke"] * 2, "nobody removes themselves"
        UserInteraction(user, {buttons[3]}, None).click()
        async with asyncio.timeout(60):
            while "revoke b677450a" not in api.node.wanted:
                await asyncio.sleep(0.02)

    play(api, story)


def test_the_doctor_puts_what_needs_you_first_with_its_remedy(api: FakeApi) -> None:
    async def story(user: User) -> None:
        await user.open("/doctor")
        await see(user, "1 thing needs you.")
        outcomes = [each.props["data-outcome"] for each in elements(user) if each.props.get("data-outcome")]
        assert outcomes == ["fail", "warn", "pass", "pass", "skip"]
        await see(user, "Turn IPv6 on in your router")
        await see(user, "Both sides sit behind a NAT")
        await see(user, "switched off in the settings. This tells strangers whom you look for.")
        press(user, "Check again")
        await see(user, "1 thing needs you.")

    play(api, story)


def test_a_node_that_is_away_is_told_where_one_looks(tmp_path: Path) -> None:
    api = FakeApi(FakeNode(transfers=1), tmp_path)
    with api.running():
        pass

    async def story(user: User) -> None:
        await user.open("/doctor")
        await see(user, "no node answers")
        await see(user, "servent up")

    play(api, story)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    with FakeApi(FakeNode(transfers=8, hostile=True), tmp_path).running() as api:

        async def story(user: User) -> None:
            await user.open("/doctor")
            await see(user, HOSTILE[0])
            await see(user, "report\ufffdgnp.exe")
            for each in elements(user):
                assert not any(key.startswith(":") for key in each.props)
                assert "innerHTML" not in each.props and each.tag != "nicegui-html"
                for slot in each.slots.values():
                    assert slot.template is None

        play(api, story)
