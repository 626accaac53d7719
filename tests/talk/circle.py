"""People with the talk room on the simulated network, who can be killed and come back with what was on their disks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from servent.net.peers import Peers
from servent.net.settings import PeersSettings
from servent.net.wire import Profile
from servent.store import Store
from servent.talk.service import Talk
from servent.talk.settings import Defaults
from servent.talk.views import Message, Notice
from servent.testing.simnet import SimNet
from servent.trust.service import TrustService
from tests.net.party import identity

NETWORK = "circle"


class Person:
    """One node up to its talk room."""

    def __init__(
        self, net: SimNet, folder: Path, number: int, name: str, settings: Defaults | None = None
    ) -> None:
        self.net, self.folder, self.who, self.name = net, folder / str(number), identity(number), name
        self.settings = settings or Defaults()
        self.peer = self.who.peer
        self.up = False
        self.said: list[Message] = []
        self.noticed = 0

    async def start(self) -> Person:
        self.endpoint = self.net.endpoint(self.who)
        self.store = Store(self.folder / "node.db")
        self.trust = TrustService(self.store, self.who, wall=self.now)
        self.peers = Peers(
            self.endpoint,
            self.trust,
            lambda: Profile(name=self.name, services=self.peers.services()),
            store=self.store,
            settings=PeersSettings(),
            wall=self.now,
        )
        self.talk = Talk(
            self.peers,
            self.trust,
            Store(self.folder / "talk.db"),
            my_name=lambda: self.name,
            settings=self.settings,
            wall=self.now,
        )
        self.talk.on_message(self.said.append)
        await self.store.open()
        await self.trust.open()
        await self.talk.open()
        self._tasks = [
            asyncio.create_task(self.peers.run(), name=f"peers of {self.name}"),
            asyncio.create_task(self.talk.run(), name=f"talk of {self.name}"),
        ]
        await self.peers.ready.wait()
        self.up = True
        return self

    def now(self) -> float:
        return 1_700_000_000.0 + asyncio.get_running_loop().time()

    async def stop(self) -> None:
        """As `servent down` does."""
        if not self.up:
            return
        self.up = False
        await self.talk.close()
        await self.peers.close()
        await asyncio.wait(self._tasks)
        await self.endpoint.close()
        await self.store.close()

    async def kill(self) -> None:
        """As kill -9 does: nobody is told, nothing is written any more."""
        self.up = False
        self.net.crash(self.endpoint)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self.talk.close()
        await self.store.close()

    async def meets(self, other: Person) -> None:
        """Connect, by the other's address now."""
        self.peers.remember(other.endpoint.address())
        await self.peers.connect(other.endpoint.address())

    # -- what there is to see

    def conversation(self, other: Person) -> str:
        return f"peer:{other.peer}"

    async def texts(self, other: Person) -> list[str]:
        page = await self.talk.history(self.conversation(other), limit=500)
        return [message.text for message in page.messages]

    async def states(self, other: Person) -> list[str]:
        page = await self.talk.history(self.conversation(other), limit=500)
        return [message.state for message in page.messages if message.author.me]

    def bond(self, other: Person) -> str:
        return next((one.bond for one in self.talk.friends() if one.id == other.peer), "none")

    def sees(self, other: Person) -> str:
        return next((one.presence for one in self.talk.friends() if one.id == other.peer), "offline")

    def notices(self, *kinds: str) -> list[Notice]:
        return [one for one in self.talk.notices() if not kinds or one.kind in kinds]


@asynccontextmanager
async def circle(
    folder: Path,
    *names: str,
    net: SimNet | None = None,
    settings: Defaults | None = None,
    network: bool = True,
) -> AsyncIterator[list[Person]]:
    """People in one network (`network`), all connected, none of them friends."""
    net = net or SimNet(seed=1)
    people = [Person(net, folder, number, name, settings) for number, name in enumerate(names, 1)]
    for person in people:
        await person.start()
    try:
        if network:
            founder = people[0]
            await founder.trust.create_network(NETWORK)
            invitation = await founder.trust.invite(NETWORK, uses=max(1, len(people) - 1))
            for person in people[1:]:
                await person.trust.accept_invitation(invitation)
                for other in people[: people.index(person)]:
                    await person.meets(other)
                    await until(lambda a=person, b=other: b.peers.session(a.peer) is not None)
        yield people
    finally:
        for person in people:
            await person.stop()


async def befriend(one: Person, other: Person) -> None:
    await one.talk.ask(other.peer)
    await until(lambda: other.bond(one) == "asking")
    await other.talk.answer(one.peer, True)
    await until(lambda: one.bond(other) == other.bond(one) == "friend")


async def until(true, limit: float = 30.0, step: float = 0.05) -> float:
    """Wait until `true()`, which may be a coroutine function; the seconds that took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        found = true()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return loop.time() - began
        assert loop.time() - began < limit, f"not so within {limit} s"
        await asyncio.sleep(step)
