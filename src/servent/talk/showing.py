"""A row of the history as it is shown. Pure."""

from __future__ import annotations

from collections.abc import Callable

from servent.identity import PeerId
from servent.talk import history, texts, views
from servent.talk.history import Row

_STATES: tuple[views.Delivery, ...] = ("received", "waiting", "delivered", "failed")
assert _STATES == history.STATES


def message(row: Row, me: PeerId, my_name: str, person: Callable[[PeerId], views.Person]) -> views.Message:
    """`my_name`: what others call the person here; a message from person to person may name it, too."""
    room = row.conversation.startswith("room:")
    mine = row.author == bytes(me)
    return views.Message(
        id=row.id.hex(),
        conversation=row.conversation,
        author=person(PeerId(row.author)),
        text=row.text,
        attachments=tuple(map(texts.attachment, row.attachments)),
        sent=row.sent,
        received=row.received,
        order=row.place,
        state=_STATES[row.state],
        reply_to=None if row.reply_to is None else row.reply_to.hex(),
        removed=row.removed,
        event=row.event,
        mention=row.mention if room else not mine and texts.names(row.text, my_name),
        why=row.why,
    )
