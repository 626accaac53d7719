"""What the owner of a cluster does to its list: members, what they may, groups and their hours. Decides what the next list is; whoever made it publishes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from servent.blobs.queueing import parse_hours
from servent.cluster import rosters
from servent.cluster.live import Live
from servent.cluster.rosters import MOST_GROUPS, MOST_MEMBERS, Group, Member, Roster
from servent.errors import NotFound, UsageError
from servent.identity import Identity


class Editing:
    """Args:
    find: a cluster of ours by name; raises where there is none.
    publish: makes the next list true.
    """

    def __init__(
        self,
        me: Identity,
        find: Callable[[str], Live],
        publish: Callable[[Live, Roster], Awaitable[None]],
    ) -> None:
        self._me, self._find, self._publish = bytes(me.peer), find, publish

    async def member(
        self,
        cluster: str,
        node: bytes,
        *,
        work: bool | None = None,
        submit: bool | None = None,
        groups: Sequence[str] | None = None,
    ) -> None:
        """Put a node on the list, or change what it may; what is None stays, or is: it works, and does not submit. Raises NotFound, UsageError."""
        live = self._find(cluster)
        roster = _roster(live)
        unknown = set(groups or ()) - {one.name for one in roster.groups}
        if unknown:
            raise NotFound(
                f"there is no group {', '.join(sorted(unknown))[:80]}",
                advice="`servent grid cluster group` makes one.",
            )
        before = next((one for one in roster.members if one.node == bytes(node)), None)
        made = before or Member(bytes(node), work=True, submit=False)
        if bytes(node) == self._me and (work is not None or submit is not None):
            raise UsageError("the owner may do everything", advice="Only its groups can be changed.")
        values = {"work": work, "submit": submit, "groups": None if groups is None else tuple(groups)}
        made = msgspec.structs.replace(
            made, **{key: value for key, value in values.items() if value is not None}
        )
        if made == before:
            return
        others = [one for one in roster.members if one.node != bytes(node)]
        if len(others) >= MOST_MEMBERS:
            raise UsageError(f"a cluster has at most {MOST_MEMBERS} members")
        await self._publish(live, rosters.changed(roster, members=(*others, made)))

    async def drop(self, cluster: str, node: bytes) -> None:
        """Take a node off the list: its processes are sent away within seconds. Raises NotFound."""
        live = self._find(cluster)
        roster = _roster(live)
        left = tuple(one for one in roster.members if one.node != bytes(node))
        if len(left) == len(roster.members):
            raise NotFound("they are not on the list of this cluster")
        await self._publish(live, rosters.changed(roster, members=left))

    async def group(self, cluster: str, name: str, hours: Sequence[str]) -> None:
        """Make a group, or give it other hours. Raises UsageError."""
        live = self._find(cluster)
        roster = _roster(live)
        parse_hours(hours)
        try:
            made = msgspec.convert({"name": name, "hours": list(hours)}, Group)
        except msgspec.ValidationError:
            raise UsageError(
                f"{name[:80]!r} is no name for a group", advice="Small letters, digits, - and _, at most 32."
            ) from None
        others = [one for one in roster.groups if one.name != name]
        if len(others) >= MOST_GROUPS:
            raise UsageError(f"a cluster has at most {MOST_GROUPS} groups")
        groups = tuple(sorted((*others, made), key=lambda one: one.name))
        await self._publish(live, rosters.changed(roster, groups=groups))

    async def drop_group(self, cluster: str, name: str) -> None:
        """Its machines stay members. Raises NotFound."""
        live = self._find(cluster)
        roster = _roster(live)
        groups = tuple(one for one in roster.groups if one.name != name)
        if len(groups) == len(roster.groups):
            raise NotFound(f"there is no group {name[:80]}")
        members = tuple(
            msgspec.structs.replace(one, groups=tuple(its for its in one.groups if its != name))
            for one in roster.members
        )
        await self._publish(live, rosters.changed(roster, groups=groups, members=members))


def _roster(live: Live) -> Roster:
    if live.roster is None:  # ours was damaged on the disk
        raise UsageError("the list of this cluster is damaged", advice="Remove the cluster and make it anew.")
    return live.roster
