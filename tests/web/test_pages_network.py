"""What the screens of networks do, without a browser: NiceGUI's simulated user against the lively fake node."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from servent.api.client import Client
from servent.web.desk import Desk
from tests.api.fake import ANN, ME
from tests.api.running import client, fake_daemon
from tests.web.test_pages import elements, press, see, write

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what NiceGUI's own imports say about their libraries
    from nicegui import ui
    from nicegui.testing import User, user_simulation
    from nicegui.testing.user_interaction import UserInteraction

    from servent.web.app import root
    from servent.web.parts import Button, Words

Story = Callable[[User, Client], Awaitable[None]]
HOME, ATTIC = "/networks/" + "ab" * 16, "/networks/" + "cd" * 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir, "--networks"):
        yield data_dir


def play(folder: Path, story: Story) -> None:
    async def run() -> None:
        node = client(folder)
        async with user_simulation(root=root(Desk(node))) as user:
            await story(user, node)

    asyncio.run(run())


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.03)


def choose(user: User, mode: str) -> None:
    found = {each for each in elements(user) if each.props.get("data-mode") == mode}
    UserInteraction(user, found, None).click()


def says(user: User) -> list[str]:
    return [each.text for each in elements(user) if isinstance(each, Words)]


def test_networks_say_how_they_are_organised_and_what_this_node_is_there(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        await user.open("/networks")
        await see(user, "about 4,200 members · 12 connected")
        await see(user, "This node is a leaf. Its founder named ann as its server")
        await see(user, "This node is a supernode. Everybody keeps the index of what is theirs")
        links = {each.props["href"] for each in elements(user) if "network-card" in each.classes}
        assert {HOME, ATTIC} < links
        marked = [each.props["href"] for each in elements(user) if each.props.get("aria-current") == "page"]
        assert marked == ["/networks"]

    play(folder, story)


def test_a_network_is_started_in_the_mode_that_was_chosen(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        await user.open("/networks")
        await see(user, "Start a network of your own")
        choose(user, "p2p")
        write(user, "Its name", "Swarmlings")
        press(user, "Start it")
        await until(lambda: any(one.name == "Swarmlings" for one in node.networks()))
        assert next(one for one in node.networks() if one.name == "Swarmlings").mode == "p2p"
        node.leave_network("Swarmlings")

    play(folder, story)


def test_roles_show_why_and_a_choice_holds_at_once(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        await user.open("/networks")
        await see(user, "no address of this node can be reached from outside")
        picks = [each for each in elements(user) if isinstance(each, ui.select)]
        relay = next(each for each in picks if each.props["aria-label"] == "May it relay?")
        relay.set_value("on")
        await until(lambda: node.roles()[1].wish == "on")
        node.set_role("relay", "auto")

    play(folder, story)


def test_the_mode_is_switched_only_after_a_question_that_says_what_happens(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        await user.open(HOME)
        await see(user, "How it is organised")
        choose(user, "p2p")
        press(user, "Switch")
        await see(user, "Switch home to peer to peer?")
        await see(user, "nothing that is shared is lost")
        assert node.shape("home").network.mode == "hybrid"
        press(user, "Switch it")
        await until(lambda: node.shape("home").network.mode == "p2p")
        node.set_mode("home", "hybrid")

    play(folder, story)


def test_servers_are_chosen_among_the_members(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        await user.open(HOME)
        await see(user, "How it is organised")
        choose(user, "server")
        boxes = {each.props["aria-label"]: each for each in elements(user) if isinstance(each, ui.checkbox)}
        assert boxes["me (this node)"].value and not boxes["ann"].value
        boxes["me (this node)"].set_value(False)
        press(user, "Switch")
        await see(user, "nobody keeps the index")
        boxes["ann"].set_value(True)
        press(user, "Switch")
        await see(user, "Switch home to server?")
        await see(user, "The index is kept by ann.")
        press(user, "Switch it")
        await until(lambda: node.shape("home").network.servers == [str(ANN)])
        node.set_mode("home", "server", [str(ME)])
        node.set_mode("home", "hybrid")

    play(folder, story)


def test_who_is_not_the_founder_sees_the_mode_and_cannot_switch_it(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        await user.open(ATTIC)
        await see(user, "Its founder can change this.")
        assert not [each for each in elements(user) if isinstance(each, Button) and each.word == "Switch"]
        assert not [each for each in elements(user) if isinstance(each, Button) and each.word == "Remove"]

    play(folder, story)


def test_a_member_is_removed_after_a_question_and_listed_as_removed(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        await user.open(HOME)
        await see(user, "connected")
        last = [each for each in elements(user) if isinstance(each, Button) and each.word == "Remove"][-1]
        UserInteraction(user, {last}, None).click()
        await see(user, "A new invitation brings it back.")
        assert not [one for one in node.members("home") if one.revoked]
        press(user, "Remove them")
        await see(user, "removed; a new invitation brings them back")
        assert len([one for one in node.members("home") if one.revoked]) == 1

    play(folder, story)


def test_leaving_is_asked_twice(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        node.create_network("short")
        await user.open("/networks/short")
        await see(user, "nobody can invite or change it then")
        press(user, "Leave")
        await see(user, "Press Leave once more")
        assert any(one.name == "short" for one in node.networks())
        press(user, "Leave")
        await until(lambda: not any(one.name == "short" for one in node.networks()))

    play(folder, story)


def test_a_network_that_is_none_of_ours_says_so(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        await user.open("/networks/nowhere")
        await see(user, "this node is in no such network")
        assert "No such network" in says(user)

    play(folder, story)


def test_the_doctor_says_what_this_node_is_in_each_network(folder: Path) -> None:
    async def story(user: User, node: Client) -> None:
        await user.open("/doctor")
        await see(user, "its founder named ann as its server; nobody else keeps the index")
        await see(user, "a leaf here, server")

    play(folder, story)
