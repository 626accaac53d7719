"""The third part of the demo: twenty nodes in three networks, one for each mode, and what happens when they change."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from servent.api import schema_network as network
from servent.api import schema_share as share
from servent.api.schema import NetworkMode
from servent.demo.report import Failed, Report
from servent.demo.stage import Actor, start
from servent.demo.waiting import wait_for

QUERY = "moonlight sonata"
CROWD = (
    *("fay", "gus", "hal", "ida", "jon"),
    *("kim", "leo", "mia", "ned", "ola"),
    *("pia", "quin", "rob", "sue", "tom"),
)
MODES: tuple[tuple[str, NetworkMode], ...] = (("archive", "server"), ("club", "hybrid"), ("square", "p2p"))
SETTLE = 240.0  # s for a network to find its shape, which takes some 5 on a quiet machine
INSTRUMENTS = ("piano", "guitar", "organ", "harp", "cello", "flute", "oboe")


class Club:
    """One network: who founded it, who is in it, and who asks."""

    def __init__(self, name: str, mode: NetworkMode, members: Sequence[Actor]) -> None:
        self.name, self.mode = name, mode
        self.members = list(members)
        self.founder, self.server, self.asker = self.members[0], self.members[1], self.members[2]

    def shape(self, actor: Actor) -> network.NetworkShape:
        return actor.client.shape(self.name)


class Networks:
    """`old` are the five of the first parts; `new` are fifteen more, not started yet."""

    def __init__(self, report: Report, old: Sequence[Actor], new: Sequence[Actor]) -> None:
        self.report, self.new = report, list(new)
        groups = [self.new[at : at + 5] for at in range(0, len(self.new), 5)]
        groups[0] += old[:2]
        groups[1] += old[2:4]
        groups[2] += old[4:]
        self.clubs = [Club(name, mode, group) for (name, mode), group in zip(MODES, groups, strict=True)]
        self.by_server, self.elected, self.equals = self.clubs

    def tell(self) -> None:
        """Raises Failed at the first step that does not hold."""
        step = self.report.step
        self.report.title("One network, three modes")
        step("fifteen more nodes start", self._start)
        step("three networks, one for each mode", self._found)
        step("each finds who carries its index", self._settle)
        step("everybody shares a sonata of their own", self._share)
        for club in self.clubs:
            step(f"“{QUERY}” in {club.name} ({club.mode})", partial(self._ask, club))
        step("gus, the server of archive, is killed", self._kill)
        step("fay turns archive into a hybrid", self._switch)
        step("the same query finds it all again", lambda: self._ask(self.by_server))
        step("mia's friend ola comes back at another address", self._moved)

    def _start(self) -> tuple[None, str]:
        start(self.new)
        return None, f"{len(self.new) + 5} nodes in all, each a process of its own"

    def _found(self) -> tuple[None, str]:
        for club in self.clubs:
            founder, *others = club.members
            founder.client.create_network(club.name, mode=club.mode)
            invitation = founder.client.invite(club.name, uses=len(others)).invitation
            for actor in others:
                actor.client.join(invitation)
        club = self.by_server
        club.founder.client.set_mode(club.name, "server", [club.server.client.id().id])
        return None, ", ".join(f"{club.name} {club.mode} ({len(club.members)})" for club in self.clubs)

    def _settle(self) -> tuple[None, str]:
        for club in self.clubs:
            wait_for(f"{club.name} finds its shape", partial(self._settled, club), SETTLE)
        said = []
        for club in self.clubs:
            count = sum(carries(club.shape(actor)) for actor in club.members)
            said.append(f"{club.name} {count} of {len(club.members)}")
        return None, f"supernodes: {', '.join(said)}"

    @staticmethod
    def _settled(club: Club) -> bool:
        shapes = [club.shape(actor) for actor in club.members]
        carry = [carries(shape) for shape in shapes]
        right = {"server": carry[1] and sum(carry) == 1, "hybrid": any(carry), "p2p": all(carry)}[club.mode]
        return right and all(shape.network.supernodes >= 1 for shape in shapes)

    def _share(self) -> tuple[None, str]:
        for club in self.clubs:
            for actor, instrument in zip(club.members, INSTRUMENTS, strict=False):
                folder = actor.files / "Sonatas"
                folder.mkdir(exist_ok=True)
                name = f"Beethoven - Moonlight Sonata ({instrument}, {club.name}).txt"
                (folder / name).write_text(f"{actor.name} plays it on the {instrument}\n" * 50)
                actor.client.add_folder(share.NewFolder(path=str(folder)))

        def told() -> bool:
            shapes = [club.shape(actor) for club in self.clubs for actor in club.members]
            return all(0 < shape.to_publish == shape.published for shape in shapes)

        took = wait_for("every network knows it", told, SETTLE)
        return None, f"and every network knows it after {took:.1f} s"

    def _ask(self, club: Club) -> tuple[None, str]:
        """The asker's own file is in its own library; all others have to be found by the network."""
        there = [actor for actor in club.members if actor.up and actor is not club.asker]
        wanted = {
            f"Beethoven - Moonlight Sonata ({instrument}, {club.name}).txt"
            for actor, instrument in zip(club.members, INSTRUMENTS, strict=False)
            if actor in there
        }
        found: set[str] = set()
        first, last = 0.0, share.SearchEvent(kind="done")

        def all_of_it() -> bool:
            nonlocal first, last
            found.clear()
            began, first = time.monotonic(), 0.0
            for event in club.asker.client.search(QUERY, scope="networks", network=club.name):
                if event.hit is not None and any(source.network for source in event.hit.sources):
                    first = first or time.monotonic() - began
                    found.add(event.hit.name)
                if event.kind == "network":
                    last = event
            return wanted <= found

        wait_for(f"{club.asker.name} finds everything", all_of_it, SETTLE, every=0.5)
        return None, (
            f"{len(found)} found, the first after {first * 1000:.0f} ms;"
            f" {last.answered} of {last.asked} asked, {last.messages} messages"
        )

    def _kill(self) -> tuple[None, str]:
        self.by_server.server.kill()
        return None, "nobody else has the index"

    def _switch(self) -> tuple[None, str]:
        club = self.by_server
        club.founder.client.set_mode(club.name, "hybrid")
        club.mode = "hybrid"
        rest = [actor for actor in club.members if actor.up]

        def taken_over() -> bool:
            shapes = [club.shape(actor) for actor in rest]
            published = all(shape.to_publish == shape.published for shape in shapes)
            return any(carries(shape) for shape in shapes) and published

        took = wait_for("others take the index over", taken_over, SETTLE)
        names = [actor.name for actor in rest if carries(club.shape(actor))]
        return None, f"{' and '.join(names)} took it over, {took:.1f} s after the switch"

    def _moved(self) -> tuple[None, str]:
        club = self.elected
        mia, ola = club.members[2], club.members[4]
        ola_id = ola.client.id().id
        before = mia.client.where(ola_id)
        ola.stop()
        ola.start()  # on another port, as after a night off behind another address
        ola.wait_ready()
        began = time.monotonic()

        def found() -> bool:
            now = mia.client.where(ola_id)
            return now.known and now.addresses != before.addresses and now.connected

        wait_for("mia finds ola", found, every=0.05)
        now = mia.client.where(ola_id)
        if not before.addresses or not now.addresses:
            raise Failed("no address is known of her")
        return None, (
            f"{before.addresses[0]} is {now.addresses[0]} now, found in {time.monotonic() - began:.1f} s"
        )


def carries(shape: network.NetworkShape) -> bool:
    """Whether that node carries the index, and means to go on."""
    return shape.network.index and not shape.network.retiring
