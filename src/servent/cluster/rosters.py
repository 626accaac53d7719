"""Who belongs to a cluster and may do what there: a list that its owner signs. A core: no clock, no dice.

A cluster is a Dask scheduler on the machine of its owner, and workers on the machines of its members. Dask executes pickles: whoever may submit
runs any code on every machine that works, as the person who lends it. So nobody is on the list whom the owner did not name, and nobody who
is not on it is let in at any door (`passes`), neither of the scheduler nor of a worker.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from servent.codec import Decoder, Key, Name, Signature, canonical
from servent.errors import BadMessage
from servent.identity import Identity, PeerId

ID_BYTES = 16
MOST_MEMBERS = 1000
MOST_GROUPS = 100
ROSTER_BYTES = 1024 * 1024  # a thousand members in ten groups each
_PURPOSE = b"servent/cluster roster 1\n"

ClusterId = Annotated[bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)]  # random
GroupName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,31}$")]
Hours = Annotated[str, Meta(max_length=64)]  # "weekdays 22:00-07:00", as in `grid.hours`
Role = Literal["scheduler", "worker", "client"]


class Group(Struct, frozen=True):
    """Machines under one name. `hours`: parts of the week in which they work, on the clock of each; empty for always."""

    name: GroupName
    hours: Annotated[tuple[Hours, ...], Meta(max_length=50)] = ()


class Member(Struct, frozen=True):
    """A node. `work`: its machine may have workers. `submit`: it may connect a client, which runs code on all of them."""

    node: Key
    work: bool = True
    submit: bool = False
    groups: Annotated[tuple[GroupName, ...], Meta(max_length=16)] = ()


class Roster(Struct, frozen=True):
    """All of it. The owner may do everything and is not among the `members`, but for the groups of its own machine. `number` grows with each change."""

    cluster: ClusterId
    owner: Key
    name: Name
    number: Annotated[int, Meta(ge=1)] = 1
    members: Annotated[tuple[Member, ...], Meta(max_length=MOST_MEMBERS)] = ()
    groups: Annotated[tuple[Group, ...], Meta(max_length=MOST_GROUPS)] = ()

    def member(self, node: bytes) -> Member | None:
        """None for who is not on it."""
        found = next((one for one in self.members if one.node == bytes(node)), None)
        if bytes(node) == self.owner:
            return Member(self.owner, work=True, submit=True, groups=() if found is None else found.groups)
        return found

    def may(self, node: bytes, role: Role) -> bool:
        """Whether a process of `node` may be that here. Only the owner has a scheduler."""
        found = self.member(node)
        if found is None or role == "scheduler":
            return bytes(node) == self.owner
        return found.work if role == "worker" else found.submit

    def hours(self, node: bytes) -> tuple[Hours, ...]:
        """The parts of the week in which `node` works: of all its groups together; empty for always."""
        found = self.member(node)
        mine = [one for one in self.groups if found is not None and one.name in found.groups]
        if any(not one.hours for one in mine):
            return ()
        return tuple(text for one in mine for text in one.hours)


class Signed(Struct, frozen=True):
    """A roster as it travels: the owner's signature over its canonical bytes."""

    body: Annotated[bytes, Meta(max_length=ROSTER_BYTES)]
    signature: Signature


_roster: Decoder[Roster] = Decoder(Roster, ROSTER_BYTES)


def sign(owner: Identity, roster: Roster) -> Signed:
    """`owner` must be the roster's own."""
    if bytes(owner.peer) != roster.owner:
        raise ValueError("only its owner signs a roster")
    body = canonical(roster)
    return Signed(body, owner.sign(_PURPOSE + body))


def read(signed: Signed, owner: bytes, cluster: bytes) -> Roster:
    """The roster, which is of `cluster` and signed by `owner`.

    Raises:
        BadMessage: it is not, or says two things of one node.
    """
    if not PeerId(owner).verify(signed.signature, _PURPOSE + signed.body):
        raise BadMessage("a cluster's list of members is not signed by its owner")
    roster = _roster.decode(signed.body)
    if roster.cluster != cluster or roster.owner != bytes(owner):
        raise BadMessage("this list of members is another cluster's")
    if len({one.node for one in roster.members}) < len(roster.members):
        raise BadMessage("a node stands twice on a cluster's list of members")
    return roster


def changed(roster: Roster, **values: object) -> Roster:
    """The next one, with these fields in place of the former."""
    return msgspec.structs.replace(roster, number=roster.number + 1, **values)
