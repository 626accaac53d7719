"""Networks: made, listed, shown, switched; their members and invitations."""

from __future__ import annotations

import shlex
import time

import click

from servent.api import schema
from servent.api import schema_network as api
from servent.cli.base import Session, command, group, hint, say, table
from servent.cli.text import duration, many, sentence
from servent.cli.trust import lifetime_of
from servent.errors import UsageError

MODES: tuple[schema.NetworkMode, ...] = ("server", "hybrid", "p2p")
MEANINGS: dict[schema.NetworkMode, str] = {
    "server": "named peers keep the index and answer every search",
    "hybrid": "able peers are elected to keep the index for the others",
    "p2p": "everybody keeps the index, nobody is above anybody",
}
LINKS = {"home": 0, "neighbour": 1, "leaf": 2, "supernode": 3}


def _only_network(session: Session, name: str | None) -> str:
    """The network meant: the one named, or the only one this node may invite into."""
    if name is not None:
        return name
    mine = [
        network.name
        for network in session.client().networks()
        if (network.admin or network.open) and not network.removed
    ]
    if len(mine) == 1:
        return mine[0]
    raise UsageError(
        f"say which network: {', '.join(mine)}" if mine else "there is no network this node may invite into",
        advice="`servent invite NETWORK`." if mine else "`servent network new NAME` makes one.",
    )


_uses = click.option("--uses", metavar="N", default="1", help="How many people may use it: a number, or any.")
_lifetime = click.option("--for", "lifetime", metavar="TIME", help="How long it is good for: 12h, 7d, never.")
_qr = click.option("--qr", is_flag=True, help="Also show it as a QR code, on stderr.")
_list = click.option("--list", "show", is_flag=True, help="Show the invitations made so far.")
_revoke = click.option("--revoke", metavar="ID", help="End one of them.")


@command(
    "invite",
    "servent invite home",
    "servent invite home --uses 5 --for 7d",
    "servent invite home --list",
    "servent invite home --revoke ID",
)
@click.argument("network", required=False)
@_uses
@_lifetime
@_qr
@_list
@_revoke
def invite(
    session: Session,
    network: str | None,
    uses: str,
    lifetime: str | None,
    qr: bool,
    show: bool,
    revoke: str | None,
) -> None:
    """Invite somebody into a network of yours."""
    _invite(session, _only_network(session, network), uses, lifetime, qr, show, revoke)


def _invite(
    session: Session, name: str, uses: str, lifetime: str | None, qr: bool, show: bool, revoke: str | None
) -> None:
    client = session.client()
    if revoke is not None:
        client.revoke_invitation(name, revoke)
        session.show({"revoked": revoke}, lambda: say(f"{revoke} lets nobody in any more"))
        return
    if show:
        known = client.invitations(name)
        session.show(known, lambda: _invitations(known))
        return
    count = None if uses.lower() in ("any", "unlimited") else _count(uses)
    made = client.invite(name, uses=count, lifetime=lifetime_of(lifetime))
    if qr:
        say(made.qr_text, err=True)
    session.show(made, lambda: say(made.invitation))
    if not session.json:
        hint(f"Good for {_whom(made)}. They run: servent join INVITATION")


def _whom(made: api.Invitation) -> str:
    if made.id == "open":
        return (
            "everyone, without end: any member of an open network may pass it on, and it cannot be taken back"
        )
    who = (
        "any number of people"
        if made.uses is None
        else "one person"
        if made.uses == 1
        else f"{made.uses} people"
    )
    return who + (f", for {duration(made.expires - time.time())}" if made.expires else "")


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise UsageError(f"{text!r} is no number of uses", advice="Give 1 to 10000, or any.")
    return int(text)


def _invitations(known: list[api.Invitation]) -> None:
    now = time.time()
    rows = [
        (
            entry.id,
            f"{entry.used} of {entry.uses or 'any'}",
            "revoked" if entry.revoked else duration(entry.expires - now) if entry.expires else "never ends",
        )
        for entry in known
    ]
    table(("id", "used", "ends in"), rows, empty="no invitations")


@group("network", "servent network new home", "servent network ls", "servent network show home")
def network() -> None:
    """Networks: make, list, show and switch them; their members and invitations."""


@command(
    "new",
    "servent network new home",
    "servent network new club --open",
    "servent network new archive --mode server",
    group=network,
)
@click.argument("name")
@click.option("--mode", type=click.Choice(MODES), help="How it is organised.  [default: hybrid]")
@click.option("--open", "open_", is_flag=True, help="Any member may let others in.")
def new(session: Session, name: str, mode: schema.NetworkMode | None, open_: bool) -> None:
    """Make a network; this node is its admin.

    server: named peers keep the index, this node to begin with. hybrid: able peers are elected to keep it for
    the others. p2p: everybody keeps it. It can be switched later, while it runs: `servent network mode`.
    """
    made = session.client().create_network(name, open=open_, mode=mode)
    session.show(
        made, lambda: say(f"{made.name} is there; `servent invite {shlex.quote(made.name)}` lets others in")
    )


@command("ls", "servent network ls", group=network, quiet=True)
def ls(session: Session) -> None:
    """List the networks this node is in."""
    known = session.client().networks()
    rows = [
        (
            entry.name,
            entry.mode,
            "removed" if entry.removed else "admin" if entry.admin else "member",
            role_of(entry),
            str(entry.members),
            str(entry.online),
            str(entry.supernodes),
            entry.id,
        )
        for entry in known
    ]
    session.show(
        known,
        lambda: table(
            ("name", "mode", "you are", "role here", "members", "online", "supernodes", "id"),
            rows,
            empty="none; `servent network new NAME`",
            right=(4, 5, 6),
        ),
        [entry.id for entry in known],
    )


def role_of(network: api.Network) -> str:
    if network.removed:
        return "-"
    return "supernode, retiring" if network.retiring else "supernode" if network.index else "leaf"


@command(
    "mode",
    "servent network mode home",
    "servent network mode home p2p",
    "servent network mode home server --server ann --server me",
    group=network,
)
@click.argument("name")
@click.argument("mode", type=click.Choice(MODES), required=False)
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="PEER",
    help="With server: who keeps the index; may be repeated.",
)
def mode(session: Session, name: str, mode: schema.NetworkMode | None, servers: tuple[str, ...]) -> None:
    """Show how a network is organised, or switch it while it runs; only its founder can.

    Nothing is lost by it: running searches end as they began, and everybody tells the new supernodes what they
    have. `me` is this node; without --server those named before stay, or else this node is the server.
    """
    client = session.client()
    if mode is None:
        if servers:
            raise UsageError(
                "--server goes with a mode", advice="`servent network mode NAME server --server PEER`."
            )
        now = find(client.networks(), name)
    else:
        if servers and mode != "server":
            raise UsageError(
                f"{mode} has no servers", advice="`servent network mode NAME server --server PEER`."
            )
        now = client.set_mode(name, mode, list(servers))
    names: dict[str, str] = {}
    if now.servers:
        names = {peer.id: peer.petname or peer.name for peer in client.peers()}
        names[client.id().id] = "this node"

    def people() -> None:
        say(f"{now.name} is {now.mode}: {MEANINGS[now.mode]}")
        if now.mode == "server":
            say(f"servers: {', '.join(names.get(one) or one for one in now.servers)}")
        say(standing(now))

    session.show(now, people)


def standing(network: api.Network) -> str:
    """What this node is in a network, and why."""
    if network.removed:
        return f"{sentence(network.why)} `servent network leave {shlex.quote(network.name)}` forgets it."
    return f"This node is a {role_of(network)}. {sentence(network.why)}".rstrip()


def find(known: list[api.Network], name: str) -> api.Network:
    """The network of that name or id."""
    from servent.errors import NotFound

    for entry in known:
        if name in (entry.name, entry.id):
            return entry
    raise NotFound(f"no network is called {name!r}", advice="`servent network ls` lists them.")


@command("show", "servent network show home", "servent network show home --json", group=network)
@click.argument("name")
@click.option("--all", "every", is_flag=True, help="Supernodes, too, that are only known.")
def show(session: Session, name: str, every: bool) -> None:
    """Show how a network looks from here: homes, neighbours, leaves, and how each is reached."""
    found = session.client().shape(name)
    now = found.network

    def people() -> None:
        size = f"about {now.size} members" if now.size > now.members else many(now.members, "member")
        say(
            f"{now.name}: {now.mode}, {size}, {now.online} connected, {many(now.supernodes, 'supernode')} known"
        )
        say(standing(now))
        if now.removed:
            return
        if found.searching:
            say(f"Searches: {found.searching}.")
        say(
            f"{found.published} of {many(found.to_publish, 'item')} of this node can be found; "
            f"{many(found.control_per_minute, 'control message')} in the last minute"
        )
        if now.index or found.stored_items:
            say(
                f"kept for others: {many(found.stored_items, 'item')}, {found.stored_postings} entries of the index; "
                f"{many(found.questions, 'question')} answered"
            )
        say("")
        shown = [peer for peer in found.peers if every or peer.link != "supernode"]
        rows = [
            (
                peer.link,
                peer.name or peer.short_id,
                "supernode, retiring" if peer.retiring else "supernode" if peer.supernode else "leaf",
                peer.path or "",
                "" if peer.rtt_ms is None else f"{peer.rtt_ms:.1f} ms",
                _leaves(peer),
                peer.id,
            )
            for peer in sorted(shown, key=lambda peer: (LINKS[peer.link], peer.rtt_ms or 1e9, peer.name))
        ]
        table(
            ("link", "name", "is", "path", "round trip", "leaves", "id"),
            rows,
            empty="nobody is connected",
            right=(4, 5),
        )
        hidden = len(found.peers) - len(shown) + found.more_peers
        if hidden:
            hint(
                f"{many(hidden, 'more supernode')} {'is' if hidden == 1 else 'are'} known"
                + ("" if every else "; --all lists them")
                + "."
            )

    session.show(found, people)


def _leaves(peer: api.NetworkPeer) -> str:
    """As a supernode said last. Its first leaves it tells minutes late: none told may well be some."""
    if not peer.supernode or not peer.room:
        return ""
    return f"{peer.leaves} of {peer.room}" if peer.leaves else f"up to {peer.room}"


@command("members", "servent network members home", group=network, quiet=True)
@click.argument("name")
def members(session: Session, name: str) -> None:
    """Show who is in a network, as far as this node knows, and who was removed."""
    known = session.client().members(name)
    rows = [
        (
            entry.name or entry.short_id,
            "removed" if entry.revoked else "founder" if entry.admin else "member",
            "this node" if entry.me else "connected" if entry.connected else "",
            "supernode" if entry.supernode else "",
            entry.id,
        )
        for entry in known
    ]
    session.show(
        known,
        lambda: table(("name", "is", "now", "role", "id"), rows, empty="nobody known yet"),
        [entry.id for entry in known],
    )


@command(
    "invite",
    "servent network invite home",
    "servent network invite home --uses 5 --for 7d",
    "servent network invite home --list",
    group=network,
)
@click.argument("name")
@_uses
@_lifetime
@_qr
@_list
@_revoke
def invite_into(
    session: Session,
    name: str,
    uses: str,
    lifetime: str | None,
    qr: bool,
    show: bool,
    revoke: str | None,
) -> None:
    """Invite somebody into a network; the same as `servent invite`."""
    _invite(session, name, uses, lifetime, qr, show, revoke)


@command(
    "revoke",
    "servent network revoke home ann",
    "servent network revoke home --invitation ID",
    group=network,
)
@click.argument("name")
@click.argument("peer", required=False)
@click.option("--invitation", metavar="ID", help="End this invitation; who came in by it stays.")
def revoke(session: Session, name: str, peer: str | None, invitation: str | None) -> None:
    """End somebody's membership, or an invitation; only the founder can.

    Who was removed is a member again once they are invited again.
    """
    if (peer is None) == (invitation is None):
        raise UsageError(
            "say whom, or which invitation", advice="`servent network revoke NAME PEER`, or --invitation ID."
        )
    client = session.client()
    if peer is not None:
        client.revoke_member(name, peer)
        session.show({"revoked": peer}, lambda: say(f"{peer} is no member of {name} any more"))
    elif invitation is not None:
        client.revoke_invitation(name, invitation)
        session.show({"revoked": invitation}, lambda: say(f"{invitation} lets nobody in any more"))


@command("leave", "servent network leave club", group=network)
@click.argument("name")
def leave(session: Session, name: str) -> None:
    """Leave a network."""
    session.client().leave_network(name)
    session.show({"left": name}, lambda: say(f"you are no member of {name} any more"))
