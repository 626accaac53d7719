"""Tickets, and the way in with somebody's ticket or invitation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from servent.cli.base import Session, command, hint, say, secret
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
    made = session.client().ticket(once=once, lifetime=lifetime_of(lifetime))
    if qr:
        say(made.qr_text, err=True)
    session.show(made, lambda: say(made.ticket))
    if not session.json:
        until = f", good for {duration(made.expires - time.time())}" if made.expires else ""
        hint(f"They run: servent join TICKET{until}")


OTHERS = {  # lines that look alike, and who takes them
    "servent-project:": ("the link of a project", "servent grid join LINK"),
    "servent-team:": ("a ticket of a team", "servent grid team join TICKET"),
    "magnet:": ("a link to content", "servent get LINK"),
}


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
    for scheme, other in OTHERS.items():
        if text.casefold().startswith(scheme):
            raise UsageError(f"this is {other[0]}, not a ticket", advice=f"`{other[1]}` takes it.")
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


def lifetime_of(text: str | None) -> float | None:
    """None for the node's default; "never" is ten years, after which nobody remembers whom it was for."""
    if text is None:
        return None
    return parse_duration(text) or 10 * 365 * 86400.0
