"""Peers: who is there, what they are called, what they may."""

from __future__ import annotations

import time

import click

from servent.api import schema
from servent.cli.base import Session, command, hint, say, table
from servent.cli.text import duration
from servent.errors import UsageError


@command("peers", "servent peers", "servent peers --json", "servent peers --quiet", quiet=True)
def peers(session: Session) -> None:
    """Who is connected, and how."""
    known = session.client().peers()

    def people() -> None:
        rows = [
            (
                peer.petname or peer.name or peer.short_id,
                peer.path or ("blocked" if peer.blocked else "away"),
                "" if peer.rtt_ms is None else f"{peer.rtt_ms:.2f} ms",
                peer.address or "",
                ", ".join([*peer.networks, *(["friend"] if peer.friend else [])]),
                peer.reason,
                peer.id,
            )
            for peer in known
        ]
        table(
            ("name", "path", "RTT", "address", "through", "why", "id"),
            rows,
            empty="nobody yet; give someone the line that `servent ticket` prints",
            right=(2,),
        )

    session.show(known, people, [peer.id for peer in known])


@command(
    "contact",
    "servent contact ann --friend",
    "servent contact tkrq8zmw --name 'Ann at work'",
    "servent contact spammer --block",
)
@click.argument("peer")
@click.option("--name", "petname", metavar="NAME", help="What you call them; '' takes the name away.")
@click.option("--friend/--no-friend", default=None, help="Friends come first and may use more.")
@click.option("--block/--unblock", "blocked", default=None, help="A blocked peer is refused everything.")
@click.option("--forget", is_flag=True, help="Forget them and close the connection.")
def contact(
    session: Session,
    peer: str,
    petname: str | None,
    friend: bool | None,
    blocked: bool | None,
    forget: bool,
) -> None:
    """Name, befriend, block or forget a peer."""
    if forget:
        session.client().forget_peer(peer)
        session.show({"forgotten": peer}, lambda: say(f"{peer} is forgotten"))
        return
    if petname is None and friend is None and blocked is None:
        raise UsageError("nothing to change", advice="See `servent contact --help`.")
    now = session.client().change_peer(peer, petname=petname, friend=friend, blocked=blocked)

    def people() -> None:
        words = [
            now.petname or now.name or now.short_id,
            "is blocked" if now.blocked else "is a friend" if now.friend else "is no friend",
        ]
        say(" ".join(words) + f"; {now.id}")

    session.show(now, people)


@command("ping", "servent ping ann", "servent ping ann --count 10")
@click.argument("peer")
@click.option("--count", "-c", type=click.IntRange(1, 100), default=4, show_default=True, help="How many.")
def ping(session: Session, peer: str, count: int) -> int:
    """Measure the way to a peer."""
    answer = session.client().ping(peer, count)

    def people() -> None:
        for rtt in answer.rtts_ms:
            say(f"{answer.name or peer}: {rtt:.2f} ms, {answer.path or '?'} {answer.address or ''}".rstrip())
        if answer.rtts_ms:
            mean = sum(answer.rtts_ms) / len(answer.rtts_ms)
            lost = f", {answer.lost} lost" if answer.lost else ""
            say(f"fastest {min(answer.rtts_ms):.2f} ms, mean {mean:.2f} ms{lost}")
        else:
            say("no answer")

    session.show(answer, people)
    return 0 if answer.rtts_ms else 6


@command("where", "servent where ann", "servent where ann --json")
@click.argument("peer")
def where(session: Session, peer: str) -> int:
    """Where a peer is now, as your networks know it, or by its key alone.

    By the newest record that it signed: its addresses, relays and roles. For somebody of no network of yours, relays, pkarr
    servers and the Mainline DHT are asked, as far as the settings have it. Ends with 6 when nobody who was asked has one.
    """
    found = session.client().where(peer)

    def people() -> None:
        name = found.name or found.peer[:8]
        say(f"{name}: {'connected' if found.connected else 'not connected'}; {found.peer}")
        if not found.known:
            hint(
                "Nobody who was asked knows where it is: it was away for long, or does not show itself where this node looks."
            )
            return
        facts = {
            "addresses": ", ".join(found.addresses) or "none",
            "relays": ", ".join(found.relays),
            "router": found.nat,
            "roles": ", ".join(found.roles),
            "found by": {"key": "its key alone", "networks": "your networks"}.get(found.by, ""),
            "told": "" if found.updated is None else f"{duration(max(0.0, time.time() - found.updated))} ago",
        }
        for what, text in facts.items():
            if text:
                say(f"  {what + ':':<11}{text}")

    session.show(found, people)
    return 0 if found.known or found.connected else 6


@command(
    "allow",
    "servent allow",
    "servent allow servent.blobs friends",
    "servent allow servent.blobs nobody --peer ann --peer bob",
    "servent allow servent.blobs --default",
)
@click.argument("service", required=False)
@click.argument("audience", required=False, type=click.Choice(["nobody", "friends", "network", "everyone"]))
@click.option("--peer", "named", multiple=True, metavar="PEER", help="Also this peer; may be repeated.")
@click.option("--default", "unset", is_flag=True, help="As it was before anything was decided.")
def allow(
    session: Session,
    service: str | None,
    audience: schema.Audience | None,
    named: tuple[str, ...],
    unset: bool,
) -> None:
    """Say who may use which service of this node.

    Without arguments it shows who may use what.
    """
    client = session.client()
    if unset:
        if service is None or audience is not None or named:
            raise UsageError(
                "--default goes with a service and nothing else", advice="`servent allow SERVICE --default`."
            )
        grants = client.unset_grant(service)
    elif service is None:
        grants = client.grants()
    elif audience is None:
        raise UsageError(
            "say who: nobody, friends, network or everyone", advice=f"`servent allow {service} friends`."
        )
    else:
        grants = client.set_grant(service, audience, list(named))
    rows = [(grant.service, grant.audience, ", ".join(grant.peers)) for grant in grants]
    session.show(grants, lambda: table(("service", "who may", "and also"), rows, empty="only the defaults"))
