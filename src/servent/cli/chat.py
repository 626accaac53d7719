"""Messages: to a person or a room, what they say, and what was said."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from servent.api import schema_talk as talk
from servent.cli.asking import NOT_DONE
from servent.cli.base import Group, Session, command, hint, say, table
from servent.cli.completing import complete_conversations
from servent.cli.people import PRESENCES, called, lines_of, moment, one_line, row_of, text_of
from servent.cli.talking import Converse, at_a_terminal, follow, send, show, words_of
from servent.cli.text import clean, many
from servent.errors import NotFound, UsageError

if TYPE_CHECKING:
    from servent.api.client import Client


class ChatGroup(Group):
    """`chat ann hello` is `chat with ann hello`, and `chat` alone lists conversations."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # somebody pressed Tab
            return super().parse_args(ctx, args)
        first = next((arg for arg in args if not arg.startswith("-")), None)
        if first is None and not {"-h", "--help"} & set(args):
            args = ["ls", *args]
        elif args[0].startswith("-") and first is not None and first not in self.commands:
            args = ["with", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            return "with", self.commands["with"], args
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(name) for name in complete_conversations(ctx, None, incomplete)]
        return names + super().shell_complete(ctx, incomplete)


@click.group("chat", cls=ChatGroup)
def chat() -> None:
    """Write to a person or a room, read what they wrote, search what was said.

    `servent chat NAME` alone is `servent chat with NAME`; without a name it lists conversations.
    """


chat.examples = (
    "servent chat",
    "servent chat ann",
    "servent chat ann see you at eight",
    "servent chat search recordings -tuesday",
)


@command(
    "with",
    "servent chat ann",
    "servent chat ann see you at eight",
    "servent chat ann --attach 'magnet:?xt=urn:btmh:1220…' the pictures",
    "git diff | servent chat ann -",
    "servent chat ann --history 100",
    "servent chat ann --follow --json",
    "servent chat with search          (somebody who is called like a command)",
    group=chat,
)
@click.argument("name", shell_complete=complete_conversations)
@click.argument("text", nargs=-1)
@click.option("--attach", multiple=True, metavar="LINK", help="A link that `get` takes; may be repeated.")
@click.option("--reply", metavar="ID", help="The message this answers.")
@click.option(
    "--wait", type=click.FloatRange(0, 3600), metavar="SECONDS", help="Return once it is delivered."
)
@click.option("--history", type=click.IntRange(1, 100_000), metavar="N", help="Show the last N messages.")
@click.option("--follow", "stay", is_flag=True, help="Print what is said from now on, until Ctrl-C.")
@click.option("--peek", is_flag=True, help="What is shown stays unread.")
def with_(
    session: Session,
    name: str,
    text: tuple[str, ...],
    attach: tuple[str, ...],
    reply: str | None,
    wait: float | None,
    history: int | None,
    stay: bool,
    peek: bool,
) -> int:
    """Write to a friend or a room; without a text, show what is unread and the last messages.

    TEXT "-" is read from stdin. On a terminal without a text, lines you type are sent and what they write appears
    as it comes; Ctrl-D ends it. Who is not here gets it when they are. In what is shown, ✓ stands after your messages that are
    delivered: to a person, or to one more member of a room. With --wait, the exit code is 6 when the
    message was not delivered in time.
    """
    client = session.client()
    where = client.conversation(name)
    if text or attach:
        if history or stay:
            raise UsageError("a text does not go with --history and --follow")
        _warn(session, where)
        return send(session, client, where.id, words_of(text), attach, reply=reply, wait=wait)
    if reply or wait is not None:
        raise UsageError("there is nothing to say", advice="Give a text.")
    if not session.json:
        _warn(session, where)
    last = None
    if not stay or history:
        last = show(session, client, where.id, history, peek=peek)
    if stay:
        follow(session, client, where.id, last, peek=peek)
    elif at_a_terminal() and not session.json and history is None and not peek:
        if where.kind == "peer":
            hint(f"{title_of(where)}: {PRESENCES[where.presence]}.")
        return Converse(client, where.id, last).run()
    return 0


def _warn(session: Session, where: talk.Conversation) -> None:
    if where.person is not None and where.person.warning and not session.json:
        hint(f"! {called(where.person)}: {one_line(where.person.warning)}")


@command("ls", "servent chat ls", "servent chat ls --json", group=chat, quiet=True)
def ls(session: Session) -> None:
    """List conversations: the newest first, and what is unread in them."""
    known = session.client().conversations()
    session.show(known, lambda: _conversations(known), [one.id for one in known])


def _conversations(known: list[talk.Conversation]) -> None:
    rows = [
        (
            title_of(one),
            (f"{one.unread}" + (f", {one.mentions} to you" if one.mentions and one.kind == "room" else ""))
            if one.unread
            else "",
            moment(one.last.received or one.last.sent) if one.last else "",
            _glance(one.last) if one.last else "",
            "silent" if one.silent else "",
            one.id,
        )
        for one in known
    ]
    table(
        ("with", "unread", "last", "", "", "id"),
        rows,
        empty="none yet; `servent chat NAME TEXT` begins one",
        right=(1,),
    )


def title_of(one: talk.Conversation) -> str:
    return called(one.person) if one.person is not None else f"#{one_line(one.title)}"


def _glance(message: talk.Message) -> str:
    words = one_line(text_of(message))
    short = words if len(words) <= 60 or not sys.stdout.isatty() else words[:59] + "…"
    return f"{called(message.author)}: {short}"


@command(
    "search",
    "servent chat search recordings",
    "servent chat search '\"the second one\"' -tuesday --in ann",
    "servent chat search drill --from ann --json",
    group=chat,
    quiet=True,
    words=True,
)
@click.argument("words", nargs=-1, required=True)
@click.option("--in", "where", default="", metavar="NAME", help="Only this friend or room.")
@click.option("--from", "author", default="", metavar="PEER", help="Only what they wrote; `me` is you.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="At most so many.")
def search(session: Session, words: tuple[str, ...], where: str, author: str, limit: int) -> int:
    """Search what was said, in the own history; nobody is asked.

    All words are to be there; "a phrase", -without. Newest first. Ends with 4 when nothing was found.
    """
    query = talk.TalkQuery(text=" ".join(words), conversation=where, author=author, limit=limit)
    found = session.client().search_talk(query)

    def people() -> None:
        for hit in found:
            if not sys.stdout.isatty():
                say(f"{one_line(hit.title)}\t{row_of(hit.message)}")
                continue
            say("\n".join([f"{one_line(hit.title)}:", *(f"  {line}" for line in _marked(hit))]))
        if not found:
            hint("nothing found")

    session.show(found, people, [hit.message.id for hit in found])
    return 0 if found else 4


def _marked(hit: talk.TalkHit) -> list[str]:
    """A hit's lines; what matched stands between »«."""
    import msgspec

    text, at = hit.message.text, 0
    pieces = []
    for first, end in hit.ranges:
        if at <= first < end <= len(text):
            pieces += [text[at:first], "»", text[first:end], "«"]
            at = end
    return lines_of(msgspec.structs.replace(hit.message, text="".join([*pieces, text[at:]])))


@command("take-back", "servent chat take-back ann", "servent chat take-back ann 1f0c2b", group=chat)
@click.argument("name", shell_complete=complete_conversations)
@click.argument("message", required=False)
def take_back(session: Session, name: str, message: str | None) -> None:
    """Take a message back: the last one you wrote, or one by its id or the beginning of it.

    Its text goes from every node that has it and follows; who read it has read it.
    """
    client = session.client()
    where = client.conversation(name)
    if message is not None and len(message) == 32:
        found = message
    else:
        page = client.messages(where.id, limit=500).messages
        mine = [
            one.id
            for one in page
            if (
                one.id.startswith(message) if message else one.author.me and not one.removed and not one.event
            )
        ]
        if not mine:
            what = f"no message {message!r}" if message else "nothing of yours"
            raise NotFound(
                f"there is {what} in the last {many(len(page), 'message')}",
                advice=f"`servent chat {name} --history 500 --json` shows ids.",
            )
        if message and len(mine) > 1:
            raise UsageError(
                f"{many(len(mine), 'message')} begin with {message!r}", advice="Give more of it."
            )
        found = mine[-1]
    client.take_back(where.id, found)
    session.show({"taken_back": found}, lambda: say("taken back"))


@command("read", "servent chat read ann", "servent chat read --all", group=chat)
@click.argument("name", required=False, shell_complete=complete_conversations)
@click.option("--all", "every", is_flag=True, help="All conversations.")
def read(session: Session, name: str | None, every: bool) -> None:
    """Have a conversation read, without showing it."""
    if (name is None) != every:
        raise UsageError("say which, or --all", advice="`servent chat read NAME`.")
    client = session.client()
    wanted = (
        [one.id for one in client.conversations() if one.unread]
        if every
        else [client.conversation(name or "").id]
    )
    for one in wanted:
        client.mark_read(one)
    session.show({"read": wanted}, lambda: say("nothing is unread" if every else "read"))


@command("silence", "servent chat silence '#lobby'", "servent chat silence '#lobby' --off", group=chat)
@click.argument("name", shell_complete=complete_conversations)
@click.option("--off", is_flag=True, help="Get notices again.")
def silence(session: Session, name: str, off: bool) -> None:
    """Get no notices of a conversation, unless you are named in it."""
    client = session.client()
    where = client.conversation(name)
    client.change_conversation(where.id, silent=not off)
    what = "gives notices again" if off else "is quiet now"
    session.show({"conversation": where.id, "silent": not off}, lambda: say(f"{title_of(where)} {what}"))


@command("forget", "servent chat forget bob", "servent chat forget bob --yes", group=chat)
@click.argument("name", shell_complete=complete_conversations)
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(session: Session, name: str, yes: bool) -> None:
    """Forget what was said in a conversation, on this node; what others have stays theirs."""
    client = session.client()
    where = client.conversation(name)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("this cannot be undone", advice="`--yes` says that you mean it.")
        if not click.confirm(f"Forget everything said in {clean(title_of(where))}?", err=True):
            raise click.exceptions.Exit(NOT_DONE)
    client.forget_messages(where.id)
    session.show({"forgotten": where.id}, lambda: say(f"{title_of(where)} is forgotten"))


@command("notices", "servent chat notices", "servent chat notices --follow", group=chat)
@click.option("--follow", "stay", is_flag=True, help="And those to come, until Ctrl-C.")
def notices(session: Session, stay: bool) -> None:
    """What you may want to hear of: messages to you, who names you, who asks, who has come."""
    import msgspec

    from servent.cli.base import print_json

    client = session.client()
    if not stay:
        known = client.notices()
        session.show(known, lambda: _notices(known, _rooms_of(client)))
        return
    seen = 0
    for event in client.events(
        "notices", "presence"
    ):  # the second is told at once: then nothing is missed any more
        told = (
            client.notices(seen) if event.topic == "presence" else [msgspec.convert(event.data, talk.Notice)]
        )
        for one in told:
            if one.seq > seen:
                seen = one.seq
                print_json(one) if session.json else _notice(one, _rooms_of(client))


NOTICES = {
    "message": "writes",
    "mention": "names you",
    "friend-asks": "asks to be a friend",
    "friend-accepted": "is a friend now",
    "friend-online": "has come",
    "invited": "invites you to a room",
    "moderated": "decided about you",
}


def _rooms_of(client: Client) -> dict[str, str]:
    """Rooms' names by their conversations, for what happened in one."""
    return {f"room:{one.id}": one_line(one.name) for one in client.rooms()}


def _notices(known: list[talk.Notice], rooms: dict[str, str]) -> None:
    for one in known:
        _notice(one, rooms)
    if not known:
        hint("nothing since the node began")


def _notice(one: talk.Notice, rooms: dict[str, str]) -> None:
    who = f"{called(one.person)} " if one.person is not None else ""
    room = rooms.get(one.conversation, "")
    where = f" in #{room}" if room and one.kind != "invited" else ""
    text = f": {one_line(one.text)}" if one.text else ""
    say(f"{moment(one.at)}  {who}{NOTICES[one.kind]}{where}{text}")
