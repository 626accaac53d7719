"""How people and what they say look on a terminal. What others chose or wrote can pretend to nothing here.

A name that is not a petname of ours has the beginning of its id beside it, a doubtful one a mark; a message of many
lines is set in, so that none of them looks like the next message; `say` takes away what a terminal would obey.
"""

from __future__ import annotations

import sys
import time

from servent.api import schema_talk as talk
from servent.cli.base import say
from servent.cli.text import clean

DAY = 86400.0
TICK = "✓"
PRESENCES = {"available": "here", "away": "away", "match": "in a match", "offline": "not here"}
EVENTS = {  # what somebody did in a room; {} stands for whom they did it to, and why
    "joined": "came in",
    "left": "left",
    "invited": "invited {}",
    "kicked": "put out {}",
    "banned": "banned {}",
    "unbanned": "lets in again {}",
    "muted": "muted {}",
    "unmuted": "lets write again {}",
    "moderator": "made a moderator of {}",
    "member": "made a member like the others of {}",
    "owner": "handed the room over to {}",
    "changed": "changed the room's settings",
    "closed": "closed the room",
}


def one_line(text: str) -> str:
    """Others' words that must not become lines of their own."""
    return " ".join(clean(text).split())


def called(person: talk.Person) -> str:
    """The name to be shown: alone when it is mine for them, else with its mark, and with a "!" when it is doubtful."""
    if person.me:
        return "me"
    name = one_line(person.shown) or person.short_id
    if person.chosen:
        return name
    return f"{name} ({person.mark})" + (" !" if person.warning else "")


def state(friend: talk.Friend) -> str:
    """What a friend is now, in a few words of ours and theirs."""
    if friend.bond == "asking":
        return "asks"
    if friend.bond == "asked":
        return "asked"
    here = PRESENCES[friend.presence]
    doing = one_line(friend.doing if friend.presence == "match" and friend.doing else friend.note)
    return f"{here}: {doing}" if doing and friend.presence != "offline" else here


def moment(at: float, now: float | None = None) -> str:
    """A time of day; of another day, the date before it."""
    now = time.time() if now is None else now
    local = time.localtime(at)
    if time.localtime(now)[:3] == local[:3]:
        return time.strftime("%H:%M", local)
    return time.strftime("%a %H:%M" if 0 <= now - at < 6 * DAY else "%Y-%m-%d %H:%M", local)


def text_of(message: talk.Message) -> str:
    """A message's words, with what is to be known of it. May hold line ends, nothing else a terminal obeys."""
    if message.removed:
        return "(taken back)"
    if message.event:
        words = EVENTS.get(message.event, one_line(message.event) + " {}").partition("{}")
        return f"{words[0]}{one_line(message.text) if words[1] else ''}".strip()
    parts = [clean(message.text.replace("\r\n", "\n").rstrip())] if message.text else []
    parts += [f"[{one_line(one.name) or 'a link'}] {one_line(one.link)}" for one in message.attachments]
    if message.state == "waiting":
        parts.append(
            "(waits until they are here)" if message.conversation.startswith("peer:") else "(on its way)"
        )
    if message.state == "failed":
        parts.append(f"(not sent{': ' + one_line(message.why) if message.why else ''})")
    return "\n".join(parts)


def lines_of(message: talk.Message, now: float | None = None) -> list[str]:
    """A message for a terminal; its further lines are set in."""
    head = f"{moment(message.received or message.sent, now)}  "
    words = text_of(message)
    if message.author.me and message.state == "delivered" and not message.removed and not message.event:
        words += f" {delivered()}"
    first, *more = words.split("\n")
    mark = "* " if message.mention else ""
    colon = " " if message.event else ": "
    return [
        f"{head}{mark}{called(message.author)}{colon}{first}",
        *(f"{' ' * len(head)}  {line}" for line in more),
    ]


def delivered() -> str:
    """The mark of what has come to whom it is for, or words where the terminal has no such letter."""
    try:
        TICK.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "(delivered)"
    return TICK


def row_of(message: talk.Message) -> str:
    """A message as one line for a pipe: time, id, author's id, name, text, separated by tabs."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(message.received or message.sent))
    cells = (at, message.id, message.author.id, called(message.author), one_line(text_of(message)))
    return "\t".join(cells)


def say_message(message: talk.Message) -> None:
    """On a terminal to be read, elsewhere to be cut."""
    if not sys.stdout.isatty():
        say(row_of(message))
        return
    for line in lines_of(message):
        say(line)
