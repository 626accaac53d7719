"""What a person is shown of a network and of the roles of this node, put together from what members know. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from servent.identity import PeerId
from servent.overlay.member import Member
from servent.overlay.topology import Wish
from servent.overlay.views import NetworkShape, PeerInView, RoleView
from servent.trust.views import NetworkView

MOST_SHOWN = 256  # supernodes that are known but not connected
Link = tuple[str, str, float | None]  # name, path ("direct", "relayed", ""), rtt in seconds

NOT_YET = {
    "store": "storing for others is not carried by this version",
    "compute": "computing for others is not carried by this version",
}


def shape_of(
    view: NetworkView,
    member: Member,
    now: float,
    link: Callable[[PeerId], Link],
    *,
    control_per_minute: int,
    stored: tuple[int, int],
    questions: tuple[int, int],
) -> NetworkShape:
    """One network of ours as it is now.

    Args:
        link: what connects us with a peer.
        stored: items and postings kept for others.
        questions: of others, and of our own.
    """
    peers: dict[PeerId, PeerInView] = {}
    records = {record.key: record for record in member.directory.records(now)}

    def put(peer: PeerId, kind: str) -> None:
        if peer in peers or peer == member.context.me:
            return
        name, path, rtt = link(peer)
        record = records.get(peer)
        peers[peer] = PeerInView(
            peer,
            name,
            kind,  # type: ignore[arg-type]
            record is not None,
            path,
            rtt,
            record.leaves if record is not None else 0,
            record.room if record is not None else 0,
            record.retiring if record is not None else False,
        )

    for peer in member.homes.homes():
        put(peer, "home")
    for peer in member.topics.neighbours():
        put(peer, "neighbour")
    for peer in member.housing.leaves():
        put(peer, "leaf")
    for peer in list(records)[:MOST_SHOWN]:
        put(peer, "supernode")
    index = member.election.index
    return NetworkShape(
        network=view.key,
        name=view.name,
        mode=view.mode,
        servers=view.servers,
        index=index,
        retiring=member.election.retiring,
        why=member.election.why,
        members=max(view.members, member.directory.members(now)),
        supernodes=len(records) + (index and member.context.me not in records),
        peers=tuple(peers.values()),
        published=member.homes.published,
        to_publish=member.homes.to_publish,
        stored_items=stored[0],
        stored_postings=stored[1],
        control_per_minute=control_per_minute,
        questions=questions[0],
        mine=questions[1],
        searching=_searching(view, member),
    )


def _searching(view: NetworkView, member: Member) -> str:
    homes = member.homes.homes()
    if member.election.index:
        return (
            "this node keeps the index itself"
            if view.mode == "server"
            else "this node searches as a supernode"
        )
    if not homes:
        return "no home is found yet: only connected peers are asked"
    what = (
        "the server"
        if view.mode == "server"
        else "its home"
        if len(homes) == 1
        else f"its {len(homes)} homes"
    )
    return f"this node asks {what}"


def role_views(
    wishes: Mapping[str, Wish], carried: Sequence[str], members: Mapping[str, Member]
) -> list[RoleView]:
    """The roles of this node. `carried`: by other rooms; `members`: by the names of their networks."""
    views = []
    for name, wish in wishes.items():
        if name == "index":
            active = any(member.election.index for member in members.values())
            why = "; ".join(
                f"{network}: {member.election.why}"
                for network, member in members.items()
                if member.election.why
            )
            views.append(RoleView(name, wish, active, why or _idle(members)))
        elif name in NOT_YET:
            views.append(RoleView(name, wish, False, NOT_YET[name]))
        else:
            active = name in carried
            views.append(RoleView(name, wish, active, _plain(name, wish, active)))
    return views


def _idle(members: Mapping[str, Member]) -> str:
    return "this node is in no network" if not members else "nothing is decided yet"


def _plain(name: str, wish: Wish, active: bool) -> str:
    if name == "relay":
        if active:
            return "introduces peers behind routers to each other, and carries their encrypted packets"
        return {
            "on": "wished, but its port could not be opened",
            "off": "you turned it off",
            "auto": "starts by itself nowhere: it needs an open TCP port; `servent roles relay on` starts it",
        }[wish]
    if active:
        return "tells connected peers where it sees them, and dials back those who want to know"
    return "you turned it off"
