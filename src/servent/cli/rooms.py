"""Rooms: made, entered and left; who is in them, and who may do what there."""

from __future__ import annotations

import time

import click

from servent.api import schema_talk as talk
from servent.cli.asking import NOT_DONE
from servent.cli.base import Session, command, group, hint, say, table
from servent.cli.completing import complete_rooms
from servent.cli.people import PRESENCES, called, one_line
from servent.cli.talking import Converse, at_a_terminal, find_room, follow, send, show, words_of
from servent.cli.text import duration, many, parse_duration
from servent.errors import UsageError

FOR_GOOD = 20 * 365 * 86400.0  # s; the API's longest mute that ends is half of it
OPEN_PAUSE = 0.0  # s between two messages where a room is not slow


@group(
    "room",
    "servent room ls",
    "servent room new workshop --topic 'who brings what'",
    "servent room join lobby",
    "servent room say lobby hello everybody",
    "servent room ban lobby spammer --for 7d --purge",
)
def room() -> None:
    """Rooms of your networks: talk with many, and keep order there.

    A room is named by its name or id; `#lobby` will do as well.
    """


_room = click.argument("room", metavar="ROOM", shell_complete=complete_rooms)
_peer = click.argument("peer")


@command("ls", "servent room ls", "servent room ls --all", group=room, quiet=True)
@click.option("--all", "every", is_flag=True, help="Rooms, too, that this node is not in and not invited to.")
def ls(session: Session, every: bool) -> None:
    """List rooms: those you are in, invitations, and with --all the open ones that were heard of."""
    known = session.client().rooms()
    shown = [one for one in known if every or one.joined or one.standing == "invited"]

    def people() -> None:
        rows = [
            (
                f"#{one_line(one.name)}",
                one.network,
                _standing(one),
                f"{one.present} of {one.members}" if one.members else "",
                (f"{one.unread}" + (f", {one.mentions} to you" if one.mentions else ""))
                if one.unread
                else "",
                one_line(one.topic),
                one.id,
            )
            for one in shown
        ]
        table(
            ("room", "network", "you are", "here", "unread", "topic", "id"),
            rows,
            empty="none; `servent room ls --all` shows those there are, `servent room new NAME` makes one",
            right=(4,),
        )
        for one in shown:
            if one.why and not one.joined:
                hint(f"#{one_line(one.name)} {one.id[:8]}: {one_line(one.why)}")
        if len(known) > len(shown):
            more = len(known) - len(shown)
            hint(f"{many(more, 'more open room')}; --all lists {'it' if more == 1 else 'them'}.")

    session.show(shown, people, [one.id for one in shown])


def _standing(one: talk.Room) -> str:
    if one.closed:
        return "closed"
    if one.muted_until and one.muted_until > time.time():
        return f"{one.standing}, muted"
    return one.standing if one.joined or one.standing in ("invited", "banned") else one.policy


@command(
    "new",
    "servent room new workshop",
    "servent room new board --invite-only --network club --topic 'for the five of us'",
    group=room,
)
@click.argument("name")
@click.option(
    "--network", default="", metavar="NAME", help="Of which network; may be left out where you are in one."
)
@click.option("--invite-only", is_flag=True, help="Only who is invited may enter.")
@click.option("--topic", default="", metavar="TEXT", help="What it is about.")
def new(session: Session, name: str, network: str, invite_only: bool, topic: str) -> None:
    """Make a room; you are its owner."""
    wish = talk.NewRoom(name=name, network=network, policy="invite" if invite_only else "open", topic=topic)
    made = session.client().create_room(wish)
    who = "who is invited" if made.policy == "invite" else "every member of the network"
    session.show(made, lambda: say(f"#{made.name} is there; {who} may enter"))


@command("join", "servent room join lobby", group=room)
@_room
def join(session: Session, room: str) -> None:
    """Enter an open room, or one you are invited to."""
    client = session.client()
    now = client.join_room(find_room(client.rooms(), room).id)
    session.show(
        now,
        lambda: say(f"you are in #{one_line(now.name)}" + (f": {one_line(now.topic)}" if now.topic else "")),
    )


@command("leave", "servent room leave lobby", group=room)
@_room
def leave(session: Session, room: str) -> None:
    """Leave a room, or decline its invitation. An owner hands it over or closes it first."""
    client = session.client()
    one = find_room(client.rooms(), room)
    client.leave_room(one.id)
    session.show({"left": one.id}, lambda: say(f"you are not in #{one_line(one.name)} any more"))


@command("close", "servent room close workshop", group=room)
@_room
@click.option("--yes", is_flag=True, help="Do not ask.")
def close(session: Session, room: str, yes: bool) -> None:
    """Close a room of yours for everybody, for good. What was said stays where it is."""
    import sys

    client = session.client()
    one = find_room(client.rooms(), room)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("this cannot be undone", advice="`--yes` says that you mean it.")
        if not click.confirm(f"Close #{one_line(one.name)} for {many(one.members, 'member')}?", err=True):
            raise click.exceptions.Exit(NOT_DONE)
    client.close_room(one.id)
    session.show({"closed": one.id}, lambda: say(f"#{one_line(one.name)} is closed"))


# -- talk


@command(
    "say",
    "servent room say lobby hello everybody",
    "make 2>&1 | tail -5 | servent room say builds -",
    group=room,
)
@_room
@click.argument("text", nargs=-1)
@click.option("--attach", multiple=True, metavar="LINK", help="A link that `get` takes; may be repeated.")
@click.option("--reply", metavar="ID", help="The message this answers.")
@click.option(
    "--wait", type=click.FloatRange(0, 3600), metavar="SECONDS", help="Return once somebody has it."
)
def say_(
    session: Session,
    room: str,
    text: tuple[str, ...],
    attach: tuple[str, ...],
    reply: str | None,
    wait: float | None,
) -> int:
    """Say something in a room; TEXT "-" is read from stdin.

    On a terminal without a text, lines you type are said and what others say appears as it comes; Ctrl-D ends it.
    """
    client = session.client()
    where = f"room:{find_room(client.rooms(), room).id}"
    if not text and not attach and at_a_terminal() and not session.json:
        return Converse(client, where, show(session, client, where, None)).run()
    return send(session, client, where, words_of(text), attach, reply=reply, wait=wait)


@command("read", "servent room read lobby", "servent room read lobby --history 500 --json", group=room)
@_room
@click.option("--history", type=click.IntRange(1, 100_000), metavar="N", help="Show the last N messages.")
@click.option("--peek", is_flag=True, help="What is shown stays unread.")
def read(session: Session, room: str, history: int | None, peek: bool) -> None:
    """Show what is unread in a room, and the last messages."""
    client = session.client()
    show(session, client, f"room:{find_room(client.rooms(), room).id}", history, peek=peek)


@command("follow", "servent room follow lobby", "servent room follow builds --json", group=room)
@_room
@click.option("--peek", is_flag=True, help="What is shown stays unread.")
def follow_(session: Session, room: str, peek: bool) -> None:
    """Print what is said in a room from now on, until Ctrl-C."""
    client = session.client()
    follow(session, client, f"room:{find_room(client.rooms(), room).id}", peek=peek)


# -- who may do what


@command("members", "servent room members lobby", group=room, quiet=True)
@_room
def members(session: Session, room: str) -> None:
    """Show who is in a room and who is here, who is invited, muted or banned."""
    client = session.client()
    known = client.room_members(find_room(client.rooms(), room).id)
    now = time.time()

    def people() -> None:
        rows = [
            (
                called(one.person),
                one.standing,
                "" if one.standing in ("banned", "invited")
                else PRESENCES[one.presence] if one.presence != "offline" and one.present
                else "here" if one.present
                else f"seen {duration(now - one.seen)} ago" if one.seen else "",
                muted(one.muted_until, now),
                one_line(one.reason),
                one.person.id,
            )
            for one in known
        ]  # fmt: skip
        table(("name", "is", "now", "", "why", "id"), rows, empty="nobody known yet")

    session.show(known, people, [one.person.id for one in known])


def muted(until: float | None, now: float) -> str:
    """How long somebody may not write; "" for who may."""
    if until is None or until <= now:
        return ""
    return "muted" if until - now > FOR_GOOD else f"muted for {duration(until - now)}"


@command("invite", "servent room invite board ann", group=room)
@_room
@_peer
def invite(session: Session, room: str, peer: str) -> None:
    """Invite a member of the room's network."""
    client = session.client()
    one = find_room(client.rooms(), room)
    client.invite_to_room(one.id, peer)
    session.show({"invited": peer}, lambda: say(f"{peer} is invited to #{one_line(one.name)}"))


DONE: dict[talk.RoomAction, str] = {
    "kick": "is put out of",
    "ban": "is banned from",
    "unban": "may enter again:",
    "mute": "is muted in",
    "unmute": "may write again in",
    "moderator": "is a moderator of",
    "member": "is a member like the others of",
    "owner": "owns",
}


def _moderate(
    session: Session,
    room: str,
    peer: str,
    action: talk.RoomAction,
    *,
    lasting: str | None = None,
    reason: str = "",
    purge: bool = False,
) -> None:
    client = session.client()
    one = find_room(client.rooms(), room)
    seconds = None if lasting is None else parse_duration(lasting)
    wish = talk.Moderation(action=action, peer=peer, seconds=seconds, reason=reason, purge=purge)
    client.moderate(one.id, wish)
    how_long = f" for {duration(seconds)}" if seconds else ""
    session.show(
        {"action": action, "room": one.id, "peer": peer},
        lambda: say(f"{peer} {DONE[action]} #{one_line(one.name)}{how_long}"),
    )


_for = click.option(
    "--for", "lasting", metavar="TIME", help="How long: 10m, 2h, 7d, never.  [default: never]"
)
_reason = click.option("--reason", default="", metavar="TEXT", help="Why; members can read it.")
_purge = click.option("--purge", is_flag=True, help="Also take back what they wrote in the last day.")


@command("kick", "servent room kick lobby bob --reason 'cool down'", group=room)
@_room
@_peer
@_reason
@_purge
def kick(session: Session, room: str, peer: str, reason: str, purge: bool) -> None:
    """Put somebody out; they may come back."""
    _moderate(session, room, peer, "kick", reason=reason, purge=purge)


@command("ban", "servent room ban lobby spammer", "servent room ban lobby bob --for 1d --purge", group=room)
@_room
@_peer
@_for
@_reason
@_purge
def ban(session: Session, room: str, peer: str, lasting: str | None, reason: str, purge: bool) -> None:
    """Put somebody out, and keep them out."""
    _moderate(session, room, peer, "ban", lasting=lasting, reason=reason, purge=purge)


@command("unban", "servent room unban lobby bob", group=room)
@_room
@_peer
def unban(session: Session, room: str, peer: str) -> None:
    """Let somebody in again."""
    _moderate(session, room, peer, "unban")


@command("mute", "servent room mute lobby bob --for 10m", group=room)
@_room
@_peer
@_for
@_reason
@_purge
def mute(session: Session, room: str, peer: str, lasting: str | None, reason: str, purge: bool) -> None:
    """Let somebody read, and not write."""
    _moderate(session, room, peer, "mute", lasting=lasting, reason=reason, purge=purge)


@command("unmute", "servent room unmute lobby bob", group=room)
@_room
@_peer
def unmute(session: Session, room: str, peer: str) -> None:
    """Let somebody write again."""
    _moderate(session, room, peer, "unmute")


@command("moderator", "servent room moderator lobby ann", group=room)
@_room
@_peer
def moderator(session: Session, room: str, peer: str) -> None:
    """Make somebody a moderator; the owner can."""
    _moderate(session, room, peer, "moderator")


@command("member", "servent room member lobby ann", group=room)
@_room
@_peer
def member(session: Session, room: str, peer: str) -> None:
    """Make a moderator a member like the others; the owner can."""
    _moderate(session, room, peer, "member")


@command("owner", "servent room owner lobby ann", group=room)
@_room
@_peer
def owner(session: Session, room: str, peer: str) -> None:
    """Hand a room over; its owner can, and is a moderator then."""
    _moderate(session, room, peer, "owner")


# -- its settings


@command("topic", "servent room topic lobby", "servent room topic lobby who brings what", group=room)
@_room
@click.argument("text", nargs=-1)
def topic(session: Session, room: str, text: tuple[str, ...]) -> None:
    """Show what a room is about, or say it; '' takes the topic away."""
    client = session.client()
    now = find_room(client.rooms(), room)
    if text:
        now = client.change_room(now.id, talk.RoomChange(topic=" ".join(text)))
    session.show(now, lambda: say(one_line(now.topic) or f"#{one_line(now.name)} has no topic"))


@command("rename", "servent room rename lobby hall", group=room)
@_room
@click.argument("name")
def rename(session: Session, room: str, name: str) -> None:
    """Give a room another name; owner and moderators can."""
    client = session.client()
    now = client.change_room(find_room(client.rooms(), room).id, talk.RoomChange(name=name))
    session.show(now, lambda: say(f"#{one_line(now.name)}"))


@command(
    "set",
    "servent room set lobby",
    "servent room set lobby --slow 10s",
    "servent room set lobby --silent",
    group=room,
)
@_room
@click.option("--slow", metavar="TIME", help="A member's pause between two messages: 10s, 1m, never.")
@click.option("--silent/--loud", "silent", default=None, help="No notices of it here, unless you are named.")
def set_(session: Session, room: str, slow: str | None, silent: bool | None) -> None:
    """Show a room's settings, or change them.

    Who may enter is settled when a room is made: what was said among few stays among few.
    """
    client = session.client()
    now = find_room(client.rooms(), room)
    if silent is not None:
        client.change_conversation(f"room:{now.id}", silent=silent)
    if slow is not None:
        client.change_room(now.id, talk.RoomChange(slow=parse_duration(slow) or OPEN_PAUSE))
    now = find_room(client.rooms(), now.id)

    def people() -> None:
        say(f"#{one_line(now.name)} of {now.network}; you are {_standing(now)}")
        say(f"topic    {one_line(now.topic)}")
        say(f"enter    {'who is invited' if now.policy == 'invite' else 'every member of the network'}")
        say(f"pause    {duration(now.slow) if now.slow else 'none'} between two messages")
        say(f"notices  {'only when you are named' if now.silent else 'yes'}")
        say(f"owner    {called(now.owner) if now.owner else 'unknown'}")
        if now.why:
            hint(one_line(now.why))

    session.show(now, people)
