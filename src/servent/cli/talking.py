"""A conversation at the terminal: what was said, what comes in while you type, and what you say."""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from servent.api import schema_talk as talk
from servent.cli.base import Session, hint, print_json, say
from servent.cli.people import lines_of, say_message
from servent.errors import NotFound, ServentError, UsageError

if TYPE_CHECKING:
    from servent.api.client import Client

AT_LEAST = 10  # messages shown when a conversation is looked at
AT_MOST = 200  # unread ones that are shown without being asked for
LOOK_AGAIN = 0.2  # s between two looks whether a message was delivered
AT_ONCE = 3.0  # s within which a delivery is no news
PROMPT = "> "


def recent(client: Client, conversation: str, count: int | None) -> talk.Messages:
    """The last `count` messages; without it the unread ones, and a few before them."""
    if count is not None:
        return _last(client, conversation, count)
    found = _last(client, conversation, AT_MOST)
    fresh = [
        at for at, one in enumerate(found.messages) if one.order > found.read_order and not one.author.me
    ]
    first = min(fresh[0] if fresh else len(found.messages), len(found.messages) - AT_LEAST)
    kept = found.messages[max(0, first) :]
    return msgspec.structs.replace(found, messages=kept, more=found.more or len(kept) < len(found.messages))


def _last(client: Client, conversation: str, count: int) -> talk.Messages:
    """In pages, since one answer holds 500."""
    found = client.messages(conversation, limit=min(count, 500))
    messages = list(found.messages)
    more = found.more
    while more and len(messages) < count:
        page = client.messages(conversation, before=messages[0].order, limit=min(count - len(messages), 500))
        if not page.messages:
            break
        messages[:0] = page.messages
        more = page.more
    return msgspec.structs.replace(found, messages=messages, more=more)


def find_room(known: list[talk.Room], name: str) -> talk.Room:
    """The room of that name or id; of several that are called so, the only one this node is in.

    Raises:
        NotFound: none. UsageError: several.
    """
    wanted = name.removeprefix("room:").removeprefix("#")
    found = [one for one in known if one.id == wanted] or [
        one for one in known if one.name.casefold() == wanted.casefold()
    ]
    found = found or [one for one in known if len(wanted) >= 6 and one.id.startswith(wanted)]
    mine = [one for one in found if one.joined]
    if len(found) > 1 and len(mine) == 1:
        return mine[0]
    if len(found) > 1:
        some = ", ".join(f"{one.id[:8]} in {one.network}" for one in found[:5])
        raise UsageError(f"{len(found)} rooms are called {name!r}", advice=f"Give the id: {some}.")
    if not found:
        raise NotFound(f"there is no room {name!r}", advice="`servent room ls` lists them.")
    return found[0]


def show(
    session: Session, client: Client, conversation: str, count: int | None, *, peek: bool = False
) -> str:
    """Print a conversation's end, and have it read; the order of the last message, "" for none."""
    found = recent(client, conversation, count)
    if session.json:
        print_json(found)
    else:
        _say_all(found)
        if found.catching_up:
            hint("What was missed is still being asked for.")
    if not found.messages:
        return ""
    if not peek:
        client.mark_read(conversation, found.messages[-1].order)
    return found.messages[-1].order


def _say_all(found: talk.Messages) -> None:
    told = False
    for one in found.messages:
        if found.read_order and not told and one.order > found.read_order and not one.author.me:
            told = True
            hint("-- new --")
        say_message(one)
    if not found.messages:
        hint("Nothing was said here yet.")


def words_of(words: tuple[str, ...]) -> str:
    """What is to be said; "-" is read from stdin.

    Raises:
        UsageError: too long.
    """
    text = " ".join(words)
    if words == ("-",):
        text = sys.stdin.read(4 * talk.TEXT_CHARACTERS + 1).rstrip("\n")
    if len(text) > talk.TEXT_CHARACTERS:
        raise UsageError(
            f"the text has {len(text)} characters; {talk.TEXT_CHARACTERS} are the most",
            advice="Send a file instead: `servent send FILE`, and its link with --attach.",
        )
    return text


def send(
    session: Session,
    client: Client,
    conversation: str,
    text: str,
    attach: tuple[str, ...],
    *,
    reply: str | None = None,
    wait: float | None = None,
) -> int:
    """Say one thing; the exit code. `wait`: at most so many seconds until it is delivered."""
    if not text.strip() and not attach:
        raise UsageError("there is nothing to say", advice="Give a text, or --attach LINK.")
    made = client.send_message(
        conversation, text, attachments=list(attach), reply_to=reply, token=secrets.token_hex(12)
    )
    if wait is not None:
        made = _delivered(client, made, wait)
    if session.json:
        print_json(made)
    elif made.state == "waiting":
        hint("Not delivered yet; that happens by itself when they are here." if wait is not None else "sent")
    elif made.state == "failed":
        hint(f"Not sent: {made.why}" if made.why else "Not sent.")
    else:
        hint("delivered" if made.state == "delivered" else "sent")
    return 1 if made.state == "failed" else 6 if wait is not None and made.state == "waiting" else 0


def _delivered(client: Client, message: talk.Message, wait: float) -> talk.Message:
    """The message as it is once it is on its way no more, or when the time is over."""
    until = time.monotonic() + wait
    while message.state == "waiting" and time.monotonic() < until:
        time.sleep(LOOK_AGAIN)
        page = client.messages(message.conversation, limit=100)
        message = next((one for one in page.messages if one.id == message.id), message)
    return message


def incoming(client: Client, conversation: str, last: str | None = None) -> Iterator[talk.Message]:
    """Messages of one conversation as they come or change; ends with the node.

    With `last`, the order of the last one known, also those that came between.
    """
    for event in client.events(
        "messages", "presence"
    ):  # the second is told at once: then nothing is missed any more
        if event.topic == "messages":
            with contextlib.suppress(msgspec.ValidationError):  # of a newer node
                message = msgspec.convert(event.data, talk.Message)
                if message.conversation == conversation:
                    yield message
        elif last is not None:
            yield from client.messages(conversation, after=last, limit=500).messages
            last = None


def follow(
    session: Session, client: Client, conversation: str, last: str | None = None, *, peek: bool = False
) -> None:
    """Print what is said from now on, until Ctrl-C; what changes is printed again with --json alone."""
    seen: set[str] = set()
    for message in incoming(client, conversation, last):
        if session.json:
            print_json(message)
        elif message.id not in seen:
            say_message(message)
        seen.add(message.id)
        if not peek and not message.author.me:
            client.mark_read(conversation, message.order)
    from servent.api.client import NodeDown

    raise NodeDown("the node has stopped")


class Converse:
    """Lines you type are sent, what comes in is printed above the line you are at. Ctrl-D ends it."""

    def __init__(self, client: Client, conversation: str, last: str | None) -> None:
        self._client, self._conversation, self._last = client, conversation, last
        self._seen: set[str] = set()
        self._waiting: dict[str, float] = {}  # what I wrote and they do not have, since when
        self._typing = threading.Lock()

    def run(self) -> int:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (lines can be edited)
        hint("Lines you type are sent; Ctrl-D ends.")
        threading.Thread(target=self._hear, name="chat: what comes in", daemon=True).start()
        while True:
            try:
                line = input(PROMPT)
            except EOFError:
                click.echo(err=True)
                return 0
            if not line.strip():
                continue
            try:
                made = self._client.send_message(self._conversation, line, token=secrets.token_hex(12))
                self._seen.add(made.id)
                if made.state == "waiting":
                    self._waiting[made.id] = time.monotonic()
            except ServentError as wrong:
                hint(str(wrong))
                if wrong.advice:
                    hint(wrong.advice)

    def _hear(self) -> None:
        try:
            for message in incoming(self._client, self._conversation, self._last):
                if message.author.me:
                    self._came_to_them(message)
                if message.id in self._seen or message.author.me:
                    continue
                self._seen.add(message.id)
                self._above(lines_of(message))
                self._client.mark_read(self._conversation, message.order)
            self._above(["the node has stopped"])
        except ServentError as wrong:
            self._above([str(wrong)])

    def _came_to_them(self, message: talk.Message) -> None:
        """What took its time is shown again when it is delivered."""
        since = None if message.state == "waiting" else self._waiting.pop(message.id, None)
        if since is not None and (message.state == "failed" or time.monotonic() - since > AT_ONCE):
            self._above(lines_of(message))

    def _above(self, lines: list[str]) -> None:
        """Print over the line that is being typed, and bring that line back."""
        with self._typing:
            sys.stdout.write("\r\x1b[2K")
            sys.stdout.flush()
            for line in lines:
                say(line)
            typed = ""
            if "readline" in sys.modules:
                typed = sys.modules["readline"].get_line_buffer()
            sys.stdout.write(PROMPT + typed)
            sys.stdout.flush()


def at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
