"""Friends: who is here, who asks; and what they see of this node's person."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from typing import Literal, get_args

import click
import msgspec

from servent.api import schema_talk as talk
from servent.cli.asking import NOT_DONE
from servent.cli.base import (
    Session,
    command,
    group,
    hint,
    json_option,
    pass_session,
    print_json,
    quiet_option,
    say,
    secret,
    table,
)
from servent.cli.completing import complete_friends, complete_peers
from servent.cli.people import PRESENCES, called, moment, one_line, state
from servent.cli.text import duration
from servent.errors import NotFound, UsageError

Chosen = Literal["available", "away", "offline"]


@group(
    "friends",
    "servent friends",
    "servent friends add ann --note 'we met at the workshop'",
    "servent friends accept erin",
    "servent friends watch",
    invoke_without_command=True,
)
@quiet_option
@json_option
@pass_session
@click.pass_context
def friends(ctx: click.Context, session: Session) -> None:
    """Friends: who is here, who is away, who asks to be one.

    Both sides say yes. A name that you did not choose yourself has the beginning of its id beside it: names can be
    copied, ids cannot. "!" marks a name that looks like that of somebody else.
    """
    if ctx.invoked_subcommand is None:
        _list(session)


def _list(session: Session) -> None:
    known = session.client().friends()

    def people() -> None:
        now = time.time()
        rows = [
            (
                called(one.person),
                state(one),
                str(one.unread) if one.unread else "",
                "yes" if one.shares and one.presence != "offline" else "",
                f"{duration(now - one.seen)} ago" if one.seen and one.presence == "offline" else "",
                one_line(one.note_asked) if one.bond != "friend" else "",
                one.id,
            )
            for one in known
        ]
        table(
            ("name", "is", "unread", "shares", "seen", "says", "id"),
            rows,
            empty="nobody yet; `servent friends add PEER` asks somebody",
            right=(2,),
        )
        for one in known:
            if one.person.warning:
                hint(f"! {called(one.person)}: {one_line(one.person.warning)}")
        if any(one.bond == "asking" for one in known):
            hint("`servent friends accept NAME` says yes, `servent friends decline NAME` no.")

    session.show(known, people, [one.id for one in known])


@command("ls", "servent friends ls", "servent friends ls --json", group=friends, quiet=True)
def ls(session: Session) -> None:
    """List friends, and who is asked or asks."""
    _list(session)


@command(
    "add",
    "servent friends add ann",
    "servent friends add servent:… --as 'Ann at work' --note 'it is me, from the club'",
    "servent friends add -          (then paste a ticket)",
    group=friends,
)
@click.argument("peer", shell_complete=complete_peers)
@click.option("--note", default="", metavar="TEXT", help="A few words with the question.")
@click.option("--as", "petname", default="", metavar="NAME", help="What you call them.")
def add(session: Session, peer: str, note: str, petname: str) -> None:
    """Ask somebody to be friends, by name, id, or a ticket of theirs.

    They hear of it when both nodes are connected. Who asked you already is a friend at once.
    """
    if peer == "-":
        peer = secret(peer, "SERVENT_TICKET", "Ticket", what="the ticket")
    client = session.client()
    made = client.ask_friend(peer, note=note, petname=petname)

    def people() -> None:
        if made.bond == "friend":
            say(f"{called(made.person)} is a friend")
        else:
            say(f"{called(made.person)} is asked; they become a friend when they say yes")
        if made.person.warning:
            hint(f"! {one_line(made.person.warning)}")

    session.show(made, people)


@command("accept", "servent friends accept erin", "servent friends accept erin --as 'Erin K.'", group=friends)
@click.argument("peer", shell_complete=complete_friends)
@click.option("--as", "petname", default="", metavar="NAME", help="What you call them.")
@click.option("--yes", is_flag=True, help="Also where the name looks like somebody else's.")
def accept(session: Session, peer: str, petname: str, yes: bool) -> None:
    """Say yes to somebody who asks.

    Where the name looks like that of somebody you know, you are asked whether you mean it.
    """
    client = session.client()
    one = find(client.friends(), peer)
    if one.person.warning and not yes:
        say(f"! {called(one.person)}: {one_line(one.person.warning)}", err=True)
        if not sys.stdin.isatty():
            raise UsageError(
                "this name is not to be trusted", advice="`--yes` says that you mean this person."
            )
        if not click.confirm("Be friends all the same?", err=True):
            raise click.exceptions.Exit(NOT_DONE)
    client.answer_friend(one.id, yes=True)
    if petname:
        client.change_peer(one.id, petname=petname)
    session.show({"accepted": one.id}, lambda: say(f"{petname or called(one.person)} is a friend"))


@command(
    "decline", "servent friends decline spammer", "servent friends decline spammer --block", group=friends
)
@click.argument("peer", shell_complete=complete_friends)
@click.option("--block", is_flag=True, help="Refuse everything from them, and further questions.")
def decline(session: Session, peer: str, block: bool) -> None:
    """Say no to somebody who asks; they are told nothing."""
    client = session.client()
    one = find(client.friends(), peer)
    client.answer_friend(one.id, yes=False, block=block)
    session.show({"declined": one.id}, lambda: say(f"{called(one.person)} is no friend"))


@command("remove", "servent friends remove bob", group=friends)
@click.argument("peer", shell_complete=complete_friends)
def remove(session: Session, peer: str) -> None:
    """Be friends no longer, or take back a question that was not answered."""
    client = session.client()
    one = find(client.friends(), peer)
    client.end_friendship(one.id)
    session.show({"removed": one.id}, lambda: say(f"{called(one.person)} is no friend any more"))


@command("silence", "servent friends silence bob", "servent friends silence bob --off", group=friends)
@click.argument("peer", shell_complete=complete_friends)
@click.option("--off", is_flag=True, help="Say again when they come.")
def silence(session: Session, peer: str, off: bool) -> None:
    """Say nothing when this friend comes online."""
    client = session.client()
    now = client.change_friend(find(client.friends(), peer).id, silent=not off)
    what = "is quiet now" if now.silent else "is announced again when they come"
    session.show(now, lambda: say(f"{called(now.person)} {what}"))


def find(known: list[talk.Friend], text: str) -> talk.Friend:
    """Whom `text` means: id or its beginning, petname, or a name that only one of them has.

    Raises:
        NotFound: nobody. UsageError: several.
    """
    ways: tuple[Callable[[talk.Friend], bool], ...] = (
        lambda one: one.id == text,
        lambda one: (one.person.petname or "").casefold() == text.casefold(),
        lambda one: one.person.name == text or called(one.person) == text,
        lambda one: len(text) >= 4 and one.id.startswith(text.lower()),
    )
    for way in ways:
        found = [one for one in known if way(one)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{text!r} could be {len(found)} people",
                advice="Give the id: " + ", ".join(one.person.short_id for one in found[:5]),
            )
    raise NotFound(f"no friend is called {text!r}", advice="`servent friends` lists them.")


@command("watch", "servent friends watch", "servent friends watch --json", group=friends)
def watch(session: Session) -> None:
    """Say who comes, goes and asks, as it happens; until Ctrl-C.

    First, who is here now. With --json one object per line: a Friend as they are now.
    """
    client = session.client()
    known: dict[str, talk.Friend] = {}
    for event in client.events("friends"):
        rows = msgspec.convert(event.data.get("items", []), list[talk.Friend])
        for one in rows:
            before = known.get(one.id)
            known[one.id] = one
            said = _change(before, one)
            if said and session.json:
                print_json(one)
            elif said:
                say(f"{moment(time.time())}  {called(one.person)} {said}")
        for gone in msgspec.convert(event.data.get("gone", []), list[str]):
            known.pop(gone, None)
    from servent.api.client import NodeDown

    raise NodeDown("the node has stopped")


def _change(before: talk.Friend | None, now: talk.Friend) -> str:
    """What there is to say of a friend; "" for nothing."""
    if now.bond == "asking":
        return (
            "" if before and before.bond == "asking" else f"asks to be a friend: {one_line(now.note_asked)}"
        )
    if now.bond != "friend":
        return ""
    if before is None:
        return f"is {state(now)}" if now.presence != "offline" else ""
    if before.bond != "friend":
        return f"is a friend; {state(now)}"
    if before.presence == now.presence and before.note == now.note and before.doing == now.doing:
        return ""
    if before.presence == "offline" and now.presence != "offline":
        name = now.person.petname or now.person.short_id
        browse = (
            f"; `servent browse {shlex.quote(one_line(name))}` shows what they share" if now.shares else ""
        )
        return f"has come: {state(now)}{browse}"
    return "has gone" if now.presence == "offline" else f"is {state(now)}"


@command(
    "presence",
    "servent presence",
    "servent presence away --note 'back at six'",
    "servent presence available --note ''",
    "servent presence --idle 20m",
)
@click.argument("presence", type=click.Choice(get_args(Chosen)), required=False)
@click.option("--note", metavar="TEXT", help="A few words beside it; '' takes them away.")
@click.option("--idle", metavar="TIME", help="Be away after so long without you: 10m, 1h, never.")
def presence(session: Session, presence: Chosen | None, note: str | None, idle: str | None) -> None:
    """Show or say what friends see: available, away, or offline, which is not there at all."""
    from servent.cli.text import parse_duration

    client = session.client()
    if presence is None and note is None and idle is None:
        now = client.presence()
    else:
        seconds = None if idle is None else parse_duration(idle) or 0.0
        now = client.set_presence(talk.PresenceChange(presence=presence, note=note, idle_away=seconds))

    def people() -> None:
        doing = one_line(now.doing or now.note)
        shown = PRESENCES[now.shown] + (f": {doing}" if doing else "")
        why = (
            ""
            if now.shown == now.presence
            else f" (you are {PRESENCES[now.presence]}, and were quiet for long)"
        )
        say(f"friends see you {shown}{why}")
        say(
            f"away by itself after {duration(now.idle_away)} without you"
            if now.idle_away
            else "never away by itself"
        )

    session.show(now, people)
