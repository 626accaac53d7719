"""Two hundred friends: what telling them how one is costs."""

from __future__ import annotations

import asyncio

import pytest

from servent.store import Store
from servent.talk.friends_service import Friends
from servent.talk.mail_service import Mail
from servent.testing.loop import run
from servent.testing.simnet import SimNet
from tests.net.party import Node, identity, until

MANY = 200


class Light(Node):
    """A node with friends and presence, and no messages."""

    def begin(self) -> None:
        self.tables = Store(None)
        self.lanes = 0
        self.friends = Friends(
            self.peers,
            self.trust,
            self.tables,
            my_name=lambda: self.name,
            shares=lambda session: False,
            stand_again=lambda peer: self.mail.stand_again(peer),
            wake=lambda peer: self.mail.wake(peer),
            unread=lambda peer: 0,
            notify=lambda kind, peer, text: None,
            told=lambda topic: None,
            wall=self.now,
            linger=8.0,
        )
        self.mail = Mail(self.peers, self.tables, self.friends, Nothing(), self.now)

    async def talk(self) -> None:
        await self.tables.open()
        await self.friends.open()
        await self.mail.open()
        self.running = [asyncio.create_task(self.friends.run()), asyncio.create_task(self.mail.run())]

    async def end(self) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.wait(self.running)
        await self.stop()
        await self.tables.close()


class Nothing:
    async def store(self, session, say):
        return "no"

    async def settled(self, peer, say, why):
        return None


@pytest.mark.slow
def test_a_change_reaches_two_hundred_friends_in_seconds_and_changes_are_gathered() -> None:
    async def story() -> None:
        net = SimNet(seed=1)
        nodes: list[Light] = []
        for number in range(1, MANY + 2):
            node = Light(identity(number), net.endpoint(identity(number)))
            node.begin()
            nodes.append(node)
            await node.start()
            await node.talk()
        star, *friends = nodes
        for node in friends:
            await star.trust.add_contact(node.peer, friend=True)
            await node.trust.add_contact(star.peer, friend=True)
            star.peers.remember(node.address)
        for node in friends:
            await star.peers.connect(node.address)
        await until(
            lambda: all(star.friends.presence(node.peer) == "available" for node in friends), limit=60
        )
        await until(lambda: not star.mail._lanes, limit=30)
        opened = 0
        for session in star.peers.sessions():
            real = session.open

            async def counted(service: str, real=real, **how):
                nonlocal opened
                opened += 1
                return await real(service, **how)

            session.open = counted
        for number in range(50):  # somebody who cannot decide
            await star.friends.set_presence("away" if number % 2 else "available", f"note {number}", None)
            await asyncio.sleep(0.01)
        took = await until(
            lambda: all(node.friends.presence(star.peer) == "away" for node in friends), limit=10
        )
        assert took < 3
        await asyncio.sleep(10)
        assert opened <= 2 * MANY, "fifty changes are told as two"
        await asyncio.sleep(60)
        assert opened <= 2 * MANY, "and a minute in which nothing happens costs nothing"
        for node in nodes:
            await node.end()

    run(story())
