"""A node's side for tests of a cluster's processes: it vouches for everybody in its own process, without a node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from servent.cluster import passes, rosters
from servent.cluster.model import Papers, Wish
from servent.cluster.rosters import Member, Role, Roster
from servent.errors import NotFound
from servent.identity import Identity

ANN, BOB, EVE = (Identity(bytes([number]) * 32) for number in (1, 2, 3))
LAB = b"l" * 16


class Lab:
    """What all nodes of the cluster "lab" know, ann's being its owner: the list of members, and where the scheduler is."""

    def __init__(self, *members: Member) -> None:
        self.scheduler = ""
        self.roster = Roster(LAB, bytes(ANN.peer), "lab", 1, members)

    def change(self, *members: Member) -> None:
        self.roster = rosters.changed(self.roster, members=members)


class LocalDesk:
    """`node`'s side of a cluster. It vouches for whatever it is asked to: who lets whom in is for the doors to say."""

    def __init__(
        self, lab: Lab, node: Identity = ANN, *, past: float = 0.0, relays: Sequence[str] = ()
    ) -> None:
        self.lab, self.node, self.past, self.relays = lab, node, past, list(relays)
        self.asked = 0

    async def papers(self, wish: Wish) -> Papers:
        self.asked += 1
        if wish.cluster not in ("lab", LAB.hex()):
            raise NotFound(f"there is no cluster {wish.cluster} here")
        return Papers(
            cluster=LAB,
            owner=bytes(ANN.peer),
            shown=passes.issue(
                self.node, LAB, wish.process, wish.role, time.time() - self.past, name=wish.name
            ),
            roster=rosters.sign(ANN, self.lab.roster),
            scheduler=self.lab.scheduler,
            bind=["127.0.0.1:0"],
            relays=self.relays,
        )

    async def listening(self, cluster: str, process: bytes, role: Role, address: str) -> None:
        if role == "scheduler":
            self.lab.scheduler = address


TOLD: list[str] = []  # what pickles said that were loaded


def tell(what: str) -> str:
    TOLD.append(what)
    return what


class Tells:
    """Loading its pickle tells."""

    def __reduce__(self) -> Any:
        return (tell, ("a pickle was loaded",))
