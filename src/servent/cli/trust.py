"""Tickets, invitations, networks."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import click

from servent.api import schema_network
from servent.cli.base import Session, command, group, hint, say, secret, table
from servent.cli.text import duration, parse_duration
from servent.errors import UsageError

if TYPE_CHECKING:
    from servent.api.client import Client


@command(
    "ticket",
    "servent ticket",
    "servent ticket --once --for 1h",
    "servent ticket --qr",
)
@click.option("--once", is_flag=True, help="Good for one person only.")
@click.option("--for", "lifetime", metavar="TIME", help="How long it is good for: 30m, 12h, 7d, never.")
@click.option("--qr", is_flag=True, help="Also show it as a QR code, on stderr.")
def ticket(session: Session, once: bool, lifetime: str | None, qr: bool) -> None:
    """Print a ticket: whoever holds it can connect to this node."""
    made = session.client().ticket(once=once, lifetime=_lifetime(lifetime))
    if qr:
        say(made.qr_text, err=True)
    session.show(made, lambda: say(made.ticket))
    if not session.json:
        until = f", good for {duration(made.expires - time.time())}" if made.expires else ""
        hint(f"They run: servent join TICKET{until}")


@command(
    "join",
    "servent join servent:…",
    "servent join -          (then paste it)",
    "SERVENT_TICKET=servent:… servent join",
)
@click.argument("ticket", required=False)
def join(session: Session, ticket: str | None) -> None:
    """Use a ticket or an invitation that somebody passed on to you.

    On a machine you share with others, give `-` and paste it, or set SERVENT_TICKET: they can see what
    you type as an argument.
    """
    text = secret(ticket, "SERVENT_TICKET", "Ticket", what="the ticket")
    client = session.client()
    done = client.join(text)

    def people() -> None:
        what = (
            f"you are in the network {done.network}"
            if done.kind == "network"
            else f"you know {_name(client, done.peer)}"
        )
        say(what + (", and you are connected" if done.connected else ""))

    session.show(done, people)
    if not done.connected:
        hint(done.reason or "They are not reachable now; the node keeps trying.")
        if done.kind == "network" and "refused" in (done.reason or ""):
            hint("The invitation may be used up or revoked: ask for a new one.")


def _name(client: Client, peer: str | None) -> str:
    """What they call themselves, if they said so already, and their id."""
    known = next((one for one in client.peers() if one.id == peer), None)
    name = "" if known is None else known.petname or known.name
    return f"{name} ({peer})" if name else str(peer)


def _lifetime(text: str | None) -> float | None:
    """None for the node's default; "never" is ten years, after which nobody remembers whom it was for."""
    if text is None:
        return None
    return parse_duration(text) or 10 * 365 * 86400.0


def _only_network(session: Session, name: str | None) -> str:
    """The network meant: the one named, or the only one this node may invite into."""
    if name is not None:
        return name
    mine = [network.name for network in session.client().networks() if network.admin or network.open]
    if len(mine) == 1:
        return mine[0]
    raise UsageError(
        f"say which network: {', '.join(mine)}" if mine else "there is no network this node may invite into",
        advice="`servent invite NETWORK`." if mine else "`servent network new NAME` makes one.",
    )


@command(
    "invite",
    "servent invite home",
    "servent invite home --uses 5 --for 7d",
    "servent invite home --list",
    "servent invite home --revoke ID",
)
@click.argument("network", required=False)
@click.option("--uses", metavar="N", default="1", help="How many people may use it: a number, or any.")
@click.option("--for", "lifetime", metavar="TIME", help="How long it is good for: 12h, 7d, never.")
@click.option("--qr", is_flag=True, help="Also show it as a QR code, on stderr.")
@click.option("--list", "show", is_flag=True, help="Show the invitations made so far.")
@click.option("--revoke", metavar="ID", help="End one of them.")
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
    name = _only_network(session, network)
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
    made = client.invite(name, uses=count, lifetime=_lifetime(lifetime))
    if qr:
        say(made.qr_text, err=True)
    session.show(made, lambda: say(made.invitation))
    if not session.json:
        hint(f"Good for {_whom(made)}. They run: servent join INVITATION")


def _whom(made: schema_network.Invitation) -> str:
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


def _invitations(known: list[schema_network.Invitation]) -> None:
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


@group("network", "servent network new home", "servent network ls")
def network() -> None:
    """Networks: make, list, see and end memberships."""


@command("new", "servent network new home", "servent network new club --open", group=network)
@click.argument("name")
@click.option("--open", "open_", is_flag=True, help="Any member may let others in.")
def new(session: Session, name: str, open_: bool) -> None:
    """Make a network; this node is its admin."""
    made = session.client().create_network(name, open=open_)
    session.show(
        made, lambda: say(f"{made.name} is there; `servent invite {shlex.quote(made.name)}` lets others in")
    )


@command("ls", "servent network ls", group=network, quiet=True)
def ls(session: Session) -> None:
    """List the networks this node is in."""
    known = session.client().networks()
    rows = [
        (entry.name, "admin" if entry.admin else "member", str(entry.members), str(entry.online), entry.id)
        for entry in known
    ]
    session.show(
        known,
        lambda: table(
            ("name", "you are", "members", "online", "id"),
            rows,
            empty="none; `servent network new NAME`",
            right=(2, 3),
        ),
        [entry.id for entry in known],
    )


@command("members", "servent network members home", group=network, quiet=True)
@click.argument("name")
def members(session: Session, name: str) -> None:
    """Show who is in a network, as far as this node knows."""
    known = session.client().members(name)
    rows = [
        (
            entry.name or entry.short_id,
            "admin" if entry.admin else "member",
            "connected" if entry.connected else "",
            entry.id,
        )
        for entry in known
    ]
    session.show(
        known,
        lambda: table(("name", "is", "now", "id"), rows, empty="nobody known yet"),
        [entry.id for entry in known],
    )


@command("revoke", "servent network revoke home ann", group=network)
@click.argument("name")
@click.argument("peer")
def revoke(session: Session, name: str, peer: str) -> None:
    """End somebody's membership; only the admin can."""
    session.client().revoke_member(name, peer)
    session.show({"revoked": peer}, lambda: say(f"{peer} is no member of {name} any more"))


@command("leave", "servent network leave club", group=network)
@click.argument("name")
def leave(session: Session, name: str) -> None:
    """Leave a network."""
    session.client().leave_network(name)
    session.show({"left": name}, lambda: say(f"you are no member of {name} any more"))
